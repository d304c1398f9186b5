"""What became of canaries, as a table on a terminal and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from screamlab.canary.compare import Found, Seen
from screamlab.canary.model import Canary
from screamlab.judge.table import STYLES

_HEADS = ("canary", "what is planted", "seen by", "seconds after it", "verdict", "as demanded")

_PAGE = """# Whether the detectors detect

Written by `screamlab canary -o docs/canaries.md`: each line is a run of the real router with one
fault in it (`lab_tests/canaries.yml`), and the results by which it was seen. *As demanded* means:
by these, at the right place and time, and by nothing that the fault does not explain. Seconds are
from the fault to what the result tells of; none where a stretch of time is judged as a whole.

{table}
"""


def table(canaries: Iterable[Canary], known: Mapping[str, Found]) -> Table:
    """A line for each canary, whether it was run or not."""
    shown = Table(*_HEADS, box=None, pad_edge=False, header_style="dim")
    for canary in canaries:
        *cells, verdict, ok = _cells(canary, known.get(canary.name))
        style = {"yes": "green", "NO": "bold red"}.get(ok, "dim")
        shown.add_row(*map(Text, cells), Text(verdict, STYLES.get(verdict, "dim")), Text(ok, style))
    return shown


def page(canaries: Iterable[Canary], known: Mapping[str, Found]) -> str:
    """The same as Markdown."""
    rows = [_HEADS, ("---",) * len(_HEADS)]
    rows += [_cells(canary, known.get(canary.name)) for canary in canaries]
    lines = (f"| {' | '.join(cell.replace(chr(10), '<br>') for cell in row)} |" for row in rows)
    return _PAGE.format(table="\n".join(lines))


def _cells(canary: Canary, found: Found | None) -> tuple[str, ...]:
    if found is None:
        return canary.name, canary.plants, "", "", "not run", ""
    seen = "\n".join(f"{one.check} on {one.subject}" for one in found.seen)
    after = "\n".join(map(_after, found.seen))
    ok = "yes" if found.ok else "NO"
    return canary.name, canary.plants, seen or "nothing", after, found.verdict or "none", ok


def _after(one: Seen) -> str:
    return "–" if one.after_s is None else f"{one.after_s:.1f}"
