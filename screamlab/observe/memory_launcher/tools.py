"""What can be looked at: the protocol of a tool, and those of one profiler each."""

from __future__ import annotations

import argparse
import importlib
import io
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from .recorder import Recorder, Values

LOOK_S = 3.0
"""Processor time that one suspect is looked at, at most."""

FOLDERS: list[str] = []
"""What the program's modules are imported from, longest first; left out of their names."""


class Tool:
    """A way to look at memory; the collector's counts alone where a tool has nothing to add."""

    def __init__(self, options: argparse.Namespace, recorder: Recorder) -> None:
        self.options = options
        self.recorder = recorder

    def prepare(self) -> list[str]:
        """Before the program's own code runs; what cannot be had, in a sentence each."""
        return []

    def begin(self) -> None:
        """Measure from now on."""

    def values(self) -> Values:
        """What there is of every type or traceback."""
        return {}

    def own_bytes(self) -> int:
        """Memory that the tool itself takes."""
        return 0

    def look(self) -> dict[str, Any]:
        """What a closer look tells, as far as the tool can."""
        return {}


class Objgraph(Tool):
    """Objects by type, and who holds those whose number grows."""

    def prepare(self) -> list[str]:
        self.objgraph = importlib.import_module("objgraph")
        return []

    def values(self) -> Values:
        return self.objgraph.typestats(shortnames=False)

    def look(self) -> dict[str, Any]:
        return {"suspects": [self._suspect(name, more) for name, more in self._grown()]}

    def _grown(self) -> list[tuple[str, float]]:
        """The types that grew the most since the first snapshot, its own before builtins."""
        first, last = self.recorder.first, self.recorder.values
        grown = [(name, count - first.get(name, 0)) for name, count in last.items()]
        grown = [(name, more) for name, more in grown if more > 0]
        grown.sort(key=lambda item: (item[0].startswith("builtins."), -item[1]))
        return grown[: self.options.suspects]

    def _suspect(self, name: str, more: float) -> dict[str, Any]:
        found = self.objgraph.by_type(name)
        told: dict[str, Any] = {"type": name, "grown": more, "chain": [], "dot": ""}
        if not found:
            return told
        youngest = found[-1]
        del found
        ends = time.thread_time() + LOOK_S
        own = {id(sys._getframe())}

        def in_time(_: object) -> bool:
            if time.thread_time() > ends:
                raise TimeoutError
            return True

        def module(one: Any) -> bool:
            return in_time(one) and self.objgraph.is_proper_module(one)

        picture = io.StringIO()
        try:
            chain = self.objgraph.find_backref_chain(youngest, module, 12, own)
            told["chain"] = [self._describe(one) for one in chain]
            del chain
            self.objgraph.show_backrefs(
                [youngest],
                max_depth=4,
                too_many=4,
                extra_ignore=own,
                filter=in_time,
                output=picture,
            )
            told["dot"] = picture.getvalue()
        except TimeoutError:
            told["late"] = True
        return told

    @staticmethod
    def _describe(one: Any) -> str:
        kind = type(one)
        text = f"{kind.__module__}.{kind.__qualname__}".removeprefix("builtins.")
        name = getattr(one, "__name__", None)
        return f"{text} {name}" if isinstance(name, str) else text


class Tracemalloc(Tool):
    """Bytes of Python memory by the traceback that asked for them."""

    def begin(self) -> None:
        self.tracemalloc = importlib.import_module("tracemalloc")
        self.tracemalloc.start(self.options.frames)

    def values(self) -> Values:
        # Statistics of tracemalloc's own take seconds; one traceback is one and the same tuple.
        sizes: Counter[int] = Counter()
        frames: dict[int, Any] = {}
        for _, size, traceback, *_ in self.tracemalloc.take_snapshot().traces._traces:
            key = id(traceback)
            sizes[key] += size
            frames[key] = traceback
        own = (str(Path(__file__).parent), self.tracemalloc.__file__)
        values: Counter[str] = Counter()
        for key, size in sizes.items():
            if not frames[key][0][0].startswith(own):
                values[" < ".join(f"{short(file)}:{line}" for file, line in frames[key])] += size
        return dict(values)

    def own_bytes(self) -> int:
        return self.tracemalloc.get_tracemalloc_memory()


def short(file: str) -> str:
    """A file's path below the folder it is imported from."""
    for folder in FOLDERS:
        if file.startswith(folder):
            return file.removeprefix(folder)
    return file


def rss_bytes() -> int:
    """Resident memory of this process, proc_pid_statm(5)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()
