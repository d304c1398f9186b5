"""Stacks of a process as gdb(1) prints them with ``thread apply all bt``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_FRAME = re.compile(r"#\d+\s+(?:0x[0-9a-f]+ in )?(?P<function>.+?) \(")
# Where a thread stands that waits for a lock, in glibc.
_LOCKING = re.compile(r"lll_lock_wait|pthread_mutex_lock|pthread_rwlock_\w*lock|lll_mutex_lock")


@dataclass(frozen=True)
class Thread:
    """A thread's functions, innermost first, without arguments and without what is in glibc."""

    name: str
    functions: tuple[str, ...]


def waiting_for_locks(text: str) -> list[Thread]:
    """The threads that wait for a lock, and what they were about to do with it."""
    found = []
    for name, functions in _threads(text.splitlines()):
        locking = [at for at, function in enumerate(functions) if _LOCKING.search(function)]
        if locking:
            found.append(Thread(name, tuple(functions[locking[-1] + 1 :])))
    return found


def _threads(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    name, functions = "", list[str]()
    for line in lines:
        if line.startswith("Thread "):
            if functions:
                yield name, functions
            name, functions = line.partition(" (")[0], []
        elif frame := _FRAME.match(line):
            # Parameters and template arguments would fill pages.
            functions.append(re.split(r"[<(]", frame["function"], maxsplit=1)[0])
    if functions:
        yield name, functions
