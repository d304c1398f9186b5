"""Scales: one scenario file holds the quick and the full form of the same test.

Two rules and no others: a mapping whose keys are names of scales stands for the value under the
chosen one, and a list item with a ``scales`` key is there only at those scales.
"""

from __future__ import annotations

from typing import Any

from screamlab.scenario.yaml_lines import Loc, Source


def at_scale(source: Source, scale: str) -> Source:
    """The scenario as it reads at `scale`; lines still point into the file."""
    names = source.data.get("scales") if isinstance(source.data, dict) else None
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise source.error(("scales",), "a list of names of scales is needed here")
    if scale not in names:
        raise source.error(("scales",), f"there is no scale '{scale}', only {', '.join(names)}")
    resolved = Source(source.path, None)
    resolved.data = _Resolver(source, resolved, scale, frozenset(names)).value(source.data, (), ())
    return resolved


class _Resolver:
    def __init__(self, source: Source, out: Source, scale: str, names: frozenset[str]) -> None:
        self.source, self.out, self.scale, self.names = source, out, scale, names

    def value(self, data: Any, old: Loc, new: Loc) -> Any:
        if old in self.source.lines:
            self.out.lines[new] = self.source.lines[old]
        if isinstance(data, dict):
            return self._mapping(data, old, new)
        if isinstance(data, list) and old != ("scales",):
            return self._items(data, old, new)
        return data

    def _mapping(self, data: dict[Any, Any], old: Loc, new: Loc) -> Any:
        if data and self.names.issuperset(data):
            if self.scale not in data:
                raise self.source.error(old, f"no value for scale '{self.scale}'")
            return self.value(data[self.scale], (*old, self.scale), new)
        return {key: self.value(item, (*old, key), (*new, key)) for key, item in data.items()}

    def _items(self, data: list[Any], old: Loc, new: Loc) -> list[Any]:
        kept: list[Any] = []
        for at, item in enumerate(data):
            if isinstance(item, dict) and "scales" in item:
                unknown = set(item["scales"]) - self.names
                if unknown:
                    raise self.source.error((*old, at, "scales"), f"unknown scale {unknown.pop()}")
                if self.scale not in item["scales"]:
                    continue
                item = {key: value for key, value in item.items() if key != "scales"}
            kept.append(self.value(item, (*old, at), (*new, len(kept))))
        return kept
