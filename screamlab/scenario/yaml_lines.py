"""YAML as plain data that still knows on which line of the file everything stood."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from screamlab.errors import BadInput

Loc = tuple[str | int, ...]


@dataclass
class Source:
    """Plain data read from `path`, and the line of every key and list item in it."""

    path: Path
    data: Any
    lines: dict[Loc, int] = field(default_factory=dict)

    def where(self, loc: Loc) -> str:
        """``file:line: key`` of `loc`, or of its nearest parent that the file has."""
        known = loc
        while known and known not in self.lines:
            known = known[:-1]
        key = ".".join(str(part) for part in loc)
        return f"{self.path}:{self.lines.get(known, 1)}: {key or 'file'}"

    def error(self, loc: Loc, message: str) -> BadInput:
        """The error that names file, line and key."""
        return BadInput(f"{self.where(loc)}: {message}")


def find(kind: str, name: str, folder: Path) -> Path:
    """The file of a `kind` of thing given by name or path; `BadInput` names those there are."""
    path = Path(name)
    if path.suffix in {".yml", ".yaml"}:
        return path
    found = folder / f"{name}.yml"
    if not found.exists():
        known = ", ".join(sorted(file.stem for file in folder.glob("*.yml")))
        raise BadInput(f"there is no {kind} '{name}' in {folder}; known: {known or 'none'}")
    return found


def load(path: Path) -> Source:
    """Read one YAML file; `BadInput` when it is missing, not YAML, or repeats a key."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{path}:{line}: not valid YAML: {error.problem}") from error
    source = Source(path, None)
    source.data = _plain(node, (), source) if node is not None else {}
    return source


def _plain(node: yaml.Node, loc: Loc, source: Source) -> Any:
    source.lines.setdefault(loc, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key = yaml.SafeLoader("").construct_object(key_node)
            source.lines[(*loc, key)] = key_node.start_mark.line + 1
            if key in mapping:
                raise source.error((*loc, key), "this key stands here twice")
            mapping[key] = _plain(value_node, (*loc, key), source)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*loc, at), source) for at, item in enumerate(node.value)]
    return yaml.SafeLoader("").construct_object(node)
