"""The file that everything is written to, and names as numbers in it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

Values = dict[str, float]


class Recorder:
    """The file that everything is written to; `values` are the last that were told."""

    def __init__(self, file: Path, *, fresh: bool = True) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file.open("w" if fresh else "a", buffering=1, encoding="utf-8")
        self._ids: dict[str, int] = {}
        self.first: Values = {}
        self.values: Values = {}

    def line(self, kind: str, **fields: Any) -> None:
        """Write one line, stamped with now where `t` is not given."""
        told = {"kind": kind, "t": round(time.time(), 3), **fields}
        self._file.write(json.dumps(told, separators=(",", ":")) + "\n")

    def snapshot(self, values: Values, **fields: Any) -> None:
        """Write a snapshot, and its names before it."""
        changed = {name: value for name, value in values.items() if self.values.get(name) != value}
        changed.update(
            {name: 0 for name, value in self.values.items() if value and name not in values}
        )
        for name in changed:
            if name not in self._ids:
                self._ids[name] = len(self._ids)
                self.line("name", id=self._ids[name], name=name)
        self.first = self.first or dict(values)
        self.values = values
        told = {str(self._ids[name]): value for name, value in changed.items()}
        self.line("snapshot", values=told, **fields)
