"""Methods of the program's classes under memory_profiler, without a change to the program."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import linecache
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import wraps
from itertools import islice
from pathlib import Path
from typing import Any

from .recorder import Values
from .tools import Tool, rss_bytes


class MemoryProfiler(Tool):
    """Methods of some classes under memory_profiler, line by line.

    A value is the process's resident memory when the method last returned.
    """

    def prepare(self) -> list[str]:
        self.profilers: dict[tuple[str, int], Any] = {}
        self.calls: Counter[str] = Counter()
        self.seconds: Values = defaultdict(float)
        self.resident: Values = {}
        self.line_profiler = importlib.import_module("memory_profiler").LineProfiler
        self.measuring = False
        notes = []
        for name in filter(None, self.options.classes.split(",")):
            found = find_class(self.options.program, name)
            if found is None:
                notes.append(f"there is no class {name}")
                continue
            for key, function in list(vars(found).items()):
                if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
                    # The lines of one that waits would be charged with what others do meanwhile.
                    notes.append(f"{name}.{key} is not measured: it waits half way")
                elif inspect.isfunction(function):
                    setattr(found, key, self._measured(f"{name}.{key}", function))
        return notes

    def begin(self) -> None:
        self.measuring = True

    def values(self) -> Values:
        return dict(self.resident)

    def look(self) -> dict[str, Any]:
        by_method: dict[str, dict[int, list[float]]] = {}
        texts: dict[tuple[str, int], str] = {}
        for (method, _), profiler in list(self.profilers.items()):
            lines = by_method.setdefault(method, {})
            for file, measured in profiler.code_map.items():
                # The first line is charged with all that the process held before the call.
                for number, found in islice(measured, 1, None):
                    if found is not None:
                        line = lines.setdefault(number, [0.0, 0])
                        line[0] += found[0]
                        line[1] += found[2]
                        texts[method, number] = linecache.getline(file, number).strip()
        methods = [
            {
                "name": method,
                "calls": self.calls[method],
                "seconds": round(self.seconds[method], 3),
                "lines": [
                    {
                        "line": number,
                        "mib": round(mib, 3),
                        "times": times,
                        "text": texts[method, number],
                    }
                    for number, (mib, times) in sorted(lines.items())
                ],
            }
            for method, lines in sorted(by_method.items())
        ]
        return {"methods": methods}

    def _measured(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        # `wraps` keeps what FastAPI reads of a route's function: its signature above all.
        @wraps(function)
        def measured(*args: Any, **kwargs: Any) -> Any:
            if not self.measuring:
                return function(*args, **kwargs)
            # The profiler counts calls without a lock, so every thread has one of its own.
            key = (name, threading.get_ident())
            profiler = self.profilers.get(key)
            if profiler is None:
                profiler = self.profilers[key] = self.line_profiler()
                profiler.add_function(function)
            began = time.perf_counter()
            try:
                with profiler:
                    return function(*args, **kwargs)
            finally:
                self.calls[name] += 1
                self.seconds[name] += time.perf_counter() - began
                self.resident[name] = rss_bytes()

        measured.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        return measured


def find_class(program: str, name: str) -> type | None:
    """A class of the package `program` by its bare name, in whichever module it is."""
    spec = importlib.util.find_spec(program) if not program.endswith(".py") else None
    defined = re.compile(rf"^class {re.escape(name)}\b", re.MULTILINE)
    for root in (spec and spec.submodule_search_locations) or ():
        for file in sorted(Path(root).rglob("*.py")):
            if defined.search(file.read_text(encoding="utf-8", errors="replace")):
                parts = file.relative_to(root).with_suffix("").parts
                found = getattr(importlib.import_module(".".join((program, *parts))), name)
                return found if isinstance(found, type) else None
    return None
