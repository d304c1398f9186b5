"""``screamlab fit``: measurements of a real path become a profile, or judge a replay of them."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from screamlab.errors import BadInput
from screamlab.fit import KNOWN
from screamlab.output import write_output

if TYPE_CHECKING:
    from rich.console import Console


# The value of --check without a run: replay it now.
REPLAY = "replay"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``screamlab fit``."""
    option = parser.add_argument
    option("files", nargs="+", type=Path, metavar="FILE",
           help=f"measurements of one path: {KNOWN}")  # fmt: skip
    option("-o", "--output", type=Path, metavar="PROFILE.yml", help="write the profile here")
    option("--spacing-ms", type=float,
           help="time between the packets the profile is for (default: as those measured; "
           "an L16 stream of the lab: 6)")  # fmt: skip
    option("--mirror", action="store_true",
           help="a direction that was not measured is like the other")  # fmt: skip
    option("--trust-clocks", action="store_true",
           help="irtt: the hosts' clocks agree, take one-way delays as they are")  # fmt: skip
    option("--check", nargs="?", const=REPLAY, metavar="RUN",
           help="replay the fit in the lab and say how close the copy is; or compare with a run "
           "that replayed it, or with another measurement")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Fit, print, and write; or compare. Returns the exit code."""
    from rich.console import Console

    # Where there is no terminal, a table is not squeezed into 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    if arguments.spacing_ms is not None and arguments.spacing_ms <= 0:
        raise BadInput("--spacing-ms: must be above 0")
    if arguments.check:
        return _check(arguments, console)
    write_profile(arguments, arguments.output, console)
    return 0


def write_profile(arguments: argparse.Namespace, output: Path | None, console: Console) -> None:
    """Fit the files, print what was found, and write it to `output`, if that is given."""
    from screamlab.fit.model import as_yaml, fit
    from screamlab.fit.show import show

    found = fit(
        arguments.files,
        _name(output or arguments.files[0]),
        spacing_s=arguments.spacing_ms / 1e3 if arguments.spacing_ms else None,
        mirror=arguments.mirror,
        trust_clocks=arguments.trust_clocks,
    )
    show(found, console)
    if output:
        write_output(output, as_yaml(found.profile))
        console.print(f"profile: {output}", soft_wrap=True, highlight=False)


def _check(arguments: argparse.Namespace, console: Console) -> int:
    from screamlab.fit.compare import compare, table
    from screamlab.fit.read import read_samples
    from screamlab.fit.samples import join

    measured = [
        part
        for file in arguments.files
        for part in read_samples(file, trust_clocks=arguments.trust_clocks)
    ]
    replayed = {part.direction: part for part in read_samples(Path(arguments.check))}
    shown = 0
    for direction in dict.fromkeys(part.direction for part in measured):
        if direction in replayed:
            parts = [part for part in measured if part.direction == direction]
            console.print(table(compare(join(parts), replayed[direction])))
            shown += 1
    if not shown:
        raise BadInput(f"{arguments.check}: has no direction that was measured")
    return 0


def _name(path: Path) -> str:
    """A profile is named as its file."""
    stem = path.name.removesuffix(".gz").rsplit(".", 1)[0] if "." in path.name else path.name
    return re.sub(r"[^a-z0-9-]+", "-", stem.lower()).strip("-") or "measured"
