"""What Valgrind's heap profilers write: massif as text, DHAT as JSON.

Massif takes snapshots, a few of them with a tree of who had allocated what (ms_print(1) draws
them). DHAT counts by place of allocation and writes when the program ends
(dhat/dh_view.js in Valgrind's source says what its keys are). Neither names the object file of a
place whose source line is known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from screamlab.evidence.valgrind_xml import Finding, Frame, Stack

# Below these two lie the numbers that go with a place: its bytes and its blocks.
_DHAT_KINDS = {"peak": ("gb", "gbk"), "end": ("eb", "ebk")}
_NODE = re.compile(r"(?P<depth> *)n(?P<children>\d+): (?P<bytes>\d+) (?P<place>.*)")
_PLACE = re.compile(
    r"0x[0-9A-F]+: (?P<function>.*?)"
    r"(?: \(in (?P<object>[^()]+)\)| \((?P<file>[^():]+):(?P<line>\d+)\))?"
)


@dataclass
class Heap:
    """A profile; its findings are of kind ``peak`` and ``end``. Massif counts no blocks."""

    tool: str
    command: tuple[str, ...] = ()
    pid: int = 0
    truncated: str = ""
    findings: list[Finding] = field(default_factory=list)


def read_massif(lines: Iterator[str]) -> Heap:
    """Who had allocated what at the peak, and in the last snapshot that tells.

    What lies below massif's threshold is left without a place.
    """
    heap = Heap("massif")
    trees: dict[str, list[Tree]] = {}
    left = 0
    for line in lines:
        key, _, value = line.rstrip("\n").partition("=")
        if line.startswith("cmd: "):
            heap.command = tuple(line[5:].split())
        elif key == "snapshot":
            left = 1
        elif key == "heap_tree":
            left = 0
            if value != "empty":
                tree, left = _tree(lines)
                trees["end"] = tree
                trees.setdefault("peak", tree)
            if value == "peak":
                trees["peak"] = trees["end"]
    if left:
        heap.truncated = "it ends within a snapshot"
    heap.findings = [
        Finding("", kind, "", stack, bytes=size)
        for kind, tree in sorted(trees.items())
        for stack, size in tree
    ]
    return heap


Tree = tuple[Stack, int]


def _tree(lines: Iterator[str]) -> tuple[list[Tree], int]:
    """The stacks of a tree with their bytes, and how many nodes are missing at its end."""
    found: list[Tree] = []
    path: list[Frame] = []
    missing = 1
    while missing and (node := _NODE.match(next(lines, ""))):
        missing += int(node["children"]) - 1
        depth = len(node["depth"])
        if depth:
            path[depth - 1 :] = [_frame(node["place"])]
        if node["children"] == "0":
            found.append((tuple(frame for frame in path if frame != Frame()), int(node["bytes"])))
    return found, missing


def read_dhat(text: str) -> Heap:
    """How much each place held at the peak, and had not given back at the end."""
    heap = Heap("dhat")
    try:
        document = json.loads(text)
    except ValueError as error:
        heap.truncated = f"it is not whole: {error}"
        return heap
    heap.command, heap.pid = tuple(document["cmd"].split()), int(document["pid"])
    frames = [_frame(place) for place in document["ftbl"]]
    for point in document["pps"]:
        stack = tuple(frames[number] for number in point["fs"])
        for kind, (size, blocks) in _DHAT_KINDS.items():
            if point.get(size):
                found = Finding("", kind, "", stack, bytes=point[size], blocks=point[blocks])
                heap.findings.append(found)
    return heap


def _frame(place: str) -> Frame:
    """A place as both write it; an empty one for anything else."""
    match = _PLACE.fullmatch(place)
    if match is None:
        return Frame()
    function = "" if match["function"] == "???" else match["function"]
    return Frame(match["object"] or "", function, match["file"] or "", int(match["line"] or 0))
