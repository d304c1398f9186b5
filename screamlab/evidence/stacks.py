"""Stacks of a process or its core, as gdb(1) prints them with ``thread apply all bt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import PurePosixPath

_FRAME = re.compile(r"#\d+\s+(?:0x[0-9a-f]+ in )?(?P<rest>.+)")
_PLACE = re.compile(r" at (?P<file>\S+):(?P<line>\d+)$| from (?P<library>\S+)$")
# Brackets of an operator's name are none that something stands in.
_OPERATOR = re.compile(r"operator(\(\)|[-<>=!]+)(?=[ (<]|$)")
_HIDE = str.maketrans("<>()", "\1\2\3\4")
_SHOW = str.maketrans("\1\2\3\4", "<>()")
# Where a thread stands that waits for a lock, in glibc.
_LOCKING = re.compile(r"lll_lock_wait|pthread_mutex_lock|pthread_rwlock_\w*lock|lll_mutex_lock")
# How a process goes about ending itself: glibc's abort(3), libstdc++'s terminate, and Python's
# faulthandler, which raises the signal that it was told of once more.
_ENDING = re.compile(
    r"__pthread_kill_\w+|(__GI_)?_*pthread_kill|(__GI_)?raise|(__GI_)?abort|__GI___assert_fail"
    r"|__assert\w*|(__GI_)?__libc_message|malloc_printerr|(__GI_)?__fortify_fail|__chk_fail"
    r"|__stack_chk_fail|std::terminate|__cxa_\w*throw|__gnu_cxx::__verbose_terminate_handler"
    r"|__cxxabiv1::\w+|faulthandler_\w+"
)
_RUNTIME = re.compile(r"libc\.so|libc-\d|libstdc\+\+|ld-linux")
_SIGNAL_FRAME = "<signal handler called>"
# That many frames tell a crash from others; further out it is how the program came there.
_TELLING = 5


@dataclass(frozen=True)
class Frame:
    """One function of a stack, without parameters and template arguments, and where it is.

    `function` is ``??`` for code without symbols. `file` and `line` are known with debug
    information, `library` without.
    """

    function: str
    file: str = ""
    line: int = 0
    library: str = ""

    @property
    def place(self) -> str:
        """Where it is, as short as can be; nothing when that is not known."""
        if self.file:
            return f"{PurePosixPath(self.file).name}:{self.line}"
        return PurePosixPath(self.library).name

    @property
    def name(self) -> str:
        """What tells it from others, whatever the addresses and the versions of source lines."""
        return self.function if self.function != "??" else f"?? in {self.place or 'no file'}"


@dataclass(frozen=True)
class Thread:
    """A thread's frames, innermost first."""

    name: str
    frames: tuple[Frame, ...]

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions it is in, innermost first."""
        return tuple(frame.function for frame in self.frames)


def threads(text: str) -> list[Thread]:
    """Every thread that gdb printed, in its order: in a core, the one that crashed is the last."""
    return [Thread(name, tuple(frames)) for name, frames in _threads(text.splitlines())]


def waiting_for_locks(text: str) -> list[Thread]:
    """The threads that wait for a lock, and what they were about to do with it."""
    found = []
    for thread in threads(text):
        locking = [at for at, name in enumerate(thread.functions) if _LOCKING.search(name)]
        if locking:
            found.append(Thread(thread.name, thread.frames[locking[-1] + 1 :]))
    return found


def crashed(text: str) -> tuple[Frame, ...]:
    """Where the thread that ended a process was when it did, innermost first.

    The kernel writes that thread first (fs/binfmt_elf.c, fill_note_info), and gdb numbers it 1. How
    it then went about dying is left out.
    """
    frames = next((list(t.frames) for t in threads(text) if t.name == "Thread 1"), [])
    handlers = [at for at, frame in enumerate(frames) if frame.function == _SIGNAL_FRAME]
    if handlers:
        frames = frames[handlers[-1] + 1 :]
    return tuple(dropwhile(_is_ending, frames)) or tuple(frames)


def telling(frames: tuple[Frame, ...]) -> tuple[str, ...]:
    """What is the same of all crashes of one cause: the names of the innermost frames."""
    return tuple(frame.name for frame in frames[:_TELLING])


def build_ids(text: str) -> dict[str, str]:
    """The build ids of the files a core had loaded, as gdb was asked to print them."""
    lines = (line.split(" ", 2) for line in text.splitlines() if line.startswith("build-id "))
    return {file: build_id for _, build_id, file in lines if build_id != "None"}


def _is_ending(frame: Frame) -> bool:
    unknown = frame.function == "??" and _RUNTIME.search(frame.library)
    return bool(unknown or _ENDING.fullmatch(frame.function))


def _threads(lines: list[str]) -> Iterator[tuple[str, list[Frame]]]:
    name, frames = "", list[Frame]()
    for line in lines:
        if line.startswith("Thread "):
            if frames:
                yield name, frames
            name, frames = line.partition(" (")[0], []
        elif name and (found := _FRAME.match(line)):
            frames.append(_frame(found["rest"]))
    if frames:
        yield name, frames


def _frame(text: str) -> Frame:
    if text.startswith(_SIGNAL_FRAME):
        return Frame(_SIGNAL_FRAME)
    place = _PLACE.search(text)
    told = place.groupdict() if place else {}
    function = _function(text[: place.start()] if place else text)
    return Frame(function, told.get("file") or "", int(told.get("line") or 0),
                 told.get("library") or "")  # fmt: skip


def _function(text: str) -> str:
    """The name of a function up to its arguments, without whatever stands in brackets."""
    text = text.replace("(anonymous namespace)", "{anonymous}")
    text = _OPERATOR.sub(lambda found: found[0].translate(_HIDE), text)
    name, depth = "", 0
    for at, letter in enumerate(text):
        if letter in "<(":
            if depth == 0 and letter == "(" and text[at - 1 : at] == " ":
                break
            depth += 1
        elif letter in ">)":
            depth -= 1
        elif depth == 0:
            name += letter
    name = name.translate(_SHOW).strip().removesuffix(" const")
    return re.sub(r"::(?=::|$)", "::{lambda}", name)
