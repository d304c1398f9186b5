"""Whose a stack of Valgrind's is, and how two stacks are found to be the same.

A finding belongs to the innermost place that is not the allocator's or the system's: what the
engine loses through ``strdup`` is the engine's. Places of the interpreter that follow one another
are one, and lines and addresses do not count, so that a stack outlives a rebuild.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal, get_args

from screamlab.evidence.valgrind_xml import Frame, Stack

Owner = Literal["engine", "libraries", "python", "system"]
OWNERS: tuple[Owner, ...] = get_args(Owner)

# Valgrind's own replacements of malloc and others.
_TOOL = "vgpreload_"
# A library's templates are compiled into whoever uses them and say nothing about who that is.
_TEMPLATES = re.compile(r"(?:\w+ )?(?:std|__gnu_cxx|boost|pybind11)::")
_UNKNOWN = "???"
_CPP = re.compile(r"\.(cc|cpp|cxx|h|hh|hpp|hxx|ipp|tcc)$")
_BRACKETS = re.compile(r" \[clone [^\]]*\]|<[^<>()]*>|\([^<>()]*\)")


@dataclass(frozen=True)
class Objects:
    """Globs of the object files of each owner, asked in this order; what none matches is system."""

    engine: tuple[str, ...] = ("*/screamrouter_audio_engine*.so*",)
    libraries: tuple[str, ...] = ("*-packages/screamrouter.libs/*", "*-packages/screamrouter/*.so*")
    python: tuple[str, ...] = (
        "*/python3*",
        "*/libpython3*",
        "*/site-packages/*",
        "*/dist-packages/*",
    )
    _known: dict[str, Owner] = field(default_factory=dict, repr=False, compare=False)

    def owner(self, frame: Frame) -> Owner:
        """The owner of a place.

        Heap profilers name no object file where they know the source. Of what runs in a router's
        process only the engine, where it was built for that, and the C library bring their sources
        along, and the latter is not written in C++.
        """
        if not frame.object:
            return "engine" if _CPP.search(frame.file) else "system"
        if frame.object not in self._known:
            self._known[frame.object] = self._of(frame.object)
        return self._known[frame.object]

    def _of(self, path: str) -> Owner:
        globs = {"engine": self.engine, "libraries": self.libraries, "python": self.python}
        matching = (o for o in OWNERS if any(fnmatchcase(path, g) for g in globs.get(o, ())))
        return next(matching, "system")


def normalised(stack: Iterable[Frame], objects: Objects) -> Stack:
    """A stack without the allocator's places, and with one place for each turn of Python's."""
    return tuple(_without_repeats(stack, objects))


def _without_repeats(stack: Iterable[Frame], objects: Objects) -> Iterator[Frame]:
    before: Owner | None = None
    for frame in stack:
        if _TOOL in frame.object:
            continue
        owner = objects.owner(frame)
        if owner != "python" or before != "python":
            yield frame
        before = owner


def owner_of(stack: Stack, objects: Objects) -> Owner:
    """Whose a normalised stack is."""
    owners = (objects.owner(frame) for frame in stack)
    return next((owner for owner in owners if owner != "system"), "system")


def blamed(stack: Stack, objects: Objects) -> Frame:
    """The place a reader should look at: the innermost of the owner's, templates left out."""
    owner = owner_of(stack, objects)
    own = [frame for frame in stack if objects.owner(frame) == owner]
    named = (frame for frame in own if not _TEMPLATES.match(frame.function))
    return next(named, own[0] if own else Frame())


def place(frame: Frame) -> str:
    """A frame as it is compared and shown: function, or where in which object file."""
    return frame.function or f"{_UNKNOWN} ({frame.object.rpartition('/')[2] or 'no object'})"


def source(frame: Frame) -> str:
    """File and line of a frame, as short as can be; empty when they are not known."""
    return f"{frame.file.rpartition('/')[2]}:{frame.line}" if frame.file else ""


def short(function: str) -> str:
    """A C++ function's name without its parameters, template arguments and return type.

    >>> short("std::vector<int> screamrouter::Mixer<float>::mix(int, char) const")
    'screamrouter::Mixer::mix'
    """
    text = function.replace("(anonymous namespace)", "anonymous").replace("operator()", "call")
    while (inner := _BRACKETS.sub("", text)) != text:
        text = inner
    return text.removesuffix(" const").replace("operator ", "operator_").split(" ")[-1] or function
