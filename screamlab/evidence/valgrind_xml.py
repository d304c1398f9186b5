"""What Valgrind's tools write as XML, read as a stream.

The format is Valgrind's own (docs/internals/xml-output-protocol4.txt in its source; memcheck,
helgrind and drd write it; later versions only add to it). Errors come as they happen, the records
of the leak search when the program ends: of a program that was killed they are missing.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from xml.parsers.expat import errors as expat

from screamlab.errors import BadInput

_GZIP = b"\x1f\x8b"
_OLDEST_PROTOCOL = 4
# What expat says of a text that ends before its elements do.
_UNFINISHED = {
    expat.codes[expat.XML_ERROR_NO_ELEMENTS],
    expat.codes[expat.XML_ERROR_UNCLOSED_TOKEN],
    expat.codes[expat.XML_ERROR_PARTIAL_CHAR],
}
_DIRECT = re.compile(r"\(([\d,]+) direct, [\d,]+ indirect\)")


class Frame(NamedTuple):
    """A place in a program: what is not known of it is empty, `line` 0."""

    object: str = ""
    function: str = ""
    file: str = ""
    line: int = 0


Stack = tuple[Frame, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """An error, or one record of the leak search, which has `bytes` and `blocks`.

    `stack` is innermost first; `also` tells with which further words and stacks it goes.
    """

    unique: str
    kind: str
    text: str
    stack: Stack
    also: tuple[tuple[str, Stack], ...] = ()
    bytes: int = 0
    blocks: int = 0


@dataclass
class Reader:
    """One report; iterate over `findings` once, then all the rest is known.

    `truncated` says why the report is not whole; it is empty for one that is. `counts` has how
    often each error occurred, by `Finding.unique`, and is there at the end alone; `suppressed` how
    often each suppression was used.
    """

    path: Path
    tool: str = ""
    protocol: int = 0
    pid: int = 0
    command: tuple[str, ...] = ()
    version: str = ""
    state: str = ""
    lasted: str = ""
    truncated: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)
    _frames: dict[Frame, Frame] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Every finding that is whole, in order; `BadInput` for what is no report at all."""
        root: Element | None = None
        depth = 0
        with opened(self.path) as file:
            parser = ElementTree.iterparse(file, ("start", "end"))
            try:
                for event, element in parser:
                    if event == "start":
                        depth += 1
                        if root is None:
                            root = _root(self.path, element)
                        continue
                    depth -= 1
                    if depth == 1 and root is not None:
                        if element.tag == "error":
                            yield self._finding(element)
                        else:
                            self._take(element)
                        root.clear()
            except ElementTree.ParseError as error:
                if root is None:
                    raise BadInput(f"{self.path}: is no report of Valgrind: {error}") from error
                what = "ends" if error.code in _UNFINISHED else "is broken"
                self.truncated = f"it {what} in line {error.position[0]}"
            except ValueError as error:
                self.truncated = f"it is broken: {error}"
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                self.truncated = f"its compressed file is not whole: {error}"
            except OSError as error:
                raise BadInput(f"{self.path}: {error.strerror or error}") from error
        if not self.protocol and not self.truncated:
            raise BadInput(f"{self.path}: tells no version of its protocol")

    def _take(self, element: Element) -> None:
        """Anything but a finding."""
        text = element.text or ""
        match element.tag:
            case "protocolversion":
                self.protocol = int(text)
                if self.protocol < _OLDEST_PROTOCOL:
                    raise BadInput(
                        f"{self.path}: protocol version {text} is not known, only "
                        f"{_OLDEST_PROTOCOL} and later"
                    )
            case "protocoltool" | "tool":
                self.tool = text
            case "pid":
                self.pid = int(text)
            case "preamble":
                lines = [line.text or "" for line in element]
                self.version = next((one for one in lines if one.startswith("Using Val")), "")
            case "args":
                self.command = tuple(word.text or "" for word in element.iterfind("argv/*"))
            case "status":
                self.state = element.findtext("state", "")
                self.lasted = element.findtext("time", "").strip()
            case "errorcounts":
                self.counts |= dict(_pairs(element, "unique"))
            case "suppcounts":
                self.suppressed |= dict(_pairs(element, "name"))

    def _finding(self, element: Element) -> Finding:
        stacks: list[tuple[str, Stack]] = []
        text = kind = unique = ""
        lost = {"leakedbytes": 0, "leakedblocks": 0}
        words: str | None
        for child in element:
            match child.tag:
                case "unique":
                    unique = child.text or ""
                case "kind":
                    kind = child.text or ""
                case "what":
                    text = child.text or ""
                case "xwhat":
                    text = child.findtext("text", "")
                    lost |= {name: int(child.findtext(name, "0")) for name in lost}
                case "auxwhat" | "xauxwhat":
                    words = child.text if child.tag == "auxwhat" else child.findtext("text", "")
                    stacks.append((words or "", ()))
                case "stack":
                    stack = tuple(self._frame(frame) for frame in child.iterfind("frame"))
                    if stacks and not stacks[-1][1]:
                        stacks[-1] = (stacks[-1][0], stack)
                    else:
                        stacks.append(("", stack))
        own = stacks.pop(0)[1] if stacks and not stacks[0][0] else ()
        # Of a block that is lost with others below it, these are counted in, and told once more.
        if direct := _DIRECT.search(text):
            lost["leakedbytes"] = int(direct[1].replace(",", ""))
        return Finding(unique, kind, text, own, tuple(stacks), *lost.values())

    def _frame(self, element: Element) -> Frame:
        """A frame; the same one for the same place, so that a million of them take no room."""
        found = {child.tag: child.text or "" for child in element}
        folder = found.get("dir", "")
        file = found.get("file", "")
        frame = Frame(
            found.get("obj", ""),
            found.get("fn", ""),
            f"{folder}/{file}" if folder and file else file,
            int(found.get("line", "0")),
        )
        return self._frames.setdefault(frame, frame)


def _pairs(element: Element, name: str) -> Iterator[tuple[str, int]]:
    for pair in element.iterfind("pair"):
        yield pair.findtext(name, ""), int(pair.findtext("count", "0"))


def _root(path: Path, element: Element) -> Element:
    if element.tag != "valgrindoutput":
        raise BadInput(f"{path}: is no report of Valgrind: it begins with <{element.tag}>")
    return element


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The text of a file that may be compressed."""
    try:
        with path.open("rb") as raw:
            packed = raw.read(len(_GZIP)) == _GZIP
            raw.seek(0)
            if packed:
                with gzip.GzipFile(fileobj=raw) as file:
                    yield file  # type: ignore[misc]
            else:
                yield raw
    except FileNotFoundError as error:
        raise BadInput(f"{path}: there is no such file") from error
