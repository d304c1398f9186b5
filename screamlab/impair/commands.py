"""Commands of tc(8) and ip(8): told as they are, carried out in batches."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from screamlab.errors import InfraError
from screamlab.impair.table import Table

# tc reads a distribution NAME from TC_LIB_DIR/NAME.dist.
TABLES = Path("/run/screamlab/tables")


@dataclass(frozen=True)
class Command:
    """One command line of tc or ip."""

    program: Literal["tc", "ip"]
    words: tuple[str, ...]

    def __str__(self) -> str:
        where = f"TC_LIB_DIR={TABLES} " if "distribution" in self.words else ""
        return f"{where}{self.program} {' '.join(self.words)}"


def tc(*words: str) -> Command:
    """A command of tc."""
    return Command("tc", words)


def ip(*words: str) -> Command:
    """A command of ip."""
    return Command("ip", words)


def environment() -> dict[str, str]:
    """What tc needs to find the lab's tables."""
    return {**os.environ, "TC_LIB_DIR": str(TABLES)}


def put_tables(tables: Iterable[Table | None]) -> None:
    """Write the tables that are not there yet."""
    TABLES.mkdir(parents=True, exist_ok=True)
    for table in tables:
        file = TABLES / f"{table.name}.dist" if table else None
        if table and file and not file.exists():
            draft = file.with_suffix(".draft")
            draft.write_text(table.text())
            draft.rename(file)


def carry_out(commands: Sequence[Command]) -> None:
    """Carry commands out in order, up to the first that fails; `InfraError` names it."""
    for program, group in groupby(commands, key=lambda command: command.program):
        lines = list(group)
        done = subprocess.run(
            [program, "-batch", "-"],
            input="".join(" ".join(line.words) + "\n" for line in lines),
            capture_output=True,
            text=True,
            env=environment(),
        )
        if done.returncode:
            failed = re.search(r"Command failed -:(\d+)", done.stderr)
            line = lines[int(failed[1]) - 1] if failed else lines[0]
            said = done.stderr.replace(failed[0], "") if failed else done.stderr
            raise InfraError(f"{line}: {' '.join(said.split())}")


def output(*words: str) -> str:
    """What a command says; `InfraError` when it fails."""
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise InfraError(f"{' '.join(words)}: {' '.join(done.stderr.split())}")
    return done.stdout
