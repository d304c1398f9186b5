"""Exporting a host's journal into the spool, as it grows.

`journal.export.gz` is a chain of gzip members (RFC 1952, 2.2), one for each export that found
something new; `.journal.json` remembers the cursor to go on from and the length at which the
chain was whole, so that an export killed half way leaves nothing behind that is in the way.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from screamlab.errors import InfraError
from screamlab.evidence.journal import FIELDS, JOURNAL_FILE

_STATE_FILE = ".journal.json"
_CHUNK = 1 << 20
# __CURSOR is the first field of every entry; entries are parted by an empty line.
_CURSOR = re.compile(rb"(?:\A|\n\n)__CURSOR=([^\n]+)\n")
_CURSOR_ROOM = 512


@dataclass(frozen=True)
class _State:
    cursor: str
    length: int


def has_news(spool: Path, since: float, until: float | None = None) -> bool:
    """Whether `export_journal` would find entries it has not exported yet."""
    done = subprocess.run(
        [*_command(_read_state(spool), since, until), "-n", "1"], capture_output=True
    )
    return bool(done.stdout) or done.returncode != 0


def export_journal(spool: Path, since: float, until: float | None = None) -> int:
    """Add the journal's entries of all units from `since` to `until` (unix seconds) to the spool.

    Entries exported before are not exported again. Answers how many bytes (uncompressed) were
    new. `InfraError` when journalctl fails or the disk is full.
    """
    if not spool.is_dir():
        raise InfraError(f"{spool}: no such spool")
    target = spool / JOURNAL_FILE
    state = _read_state(spool)
    draft = spool / f".{JOURNAL_FILE}.part"
    try:
        try:
            size, cursor = _export(_command(state, since, until), draft)
        except InfraError:
            if state is None:
                raise
            # journalctl does not take the cursor any more; its time still tells where to go on.
            size, cursor = _export(_command(None, _after(state.cursor, since), until), draft)
        if size:
            _add(draft, target, state.length if state else 0)
            _write_state(spool, _State(cursor, target.stat().st_size))
    except OSError as error:
        raise InfraError(f"{spool}: cannot export the journal: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
    return size


def _command(state: _State | None, since: float, until: float | None) -> list[str]:
    start = f"--after-cursor={state.cursor}" if state else f"--since=@{since:.6f}"
    end = time.time() if until is None else until
    fields = f"--output-fields={','.join(FIELDS)}"
    return ["journalctl", "--quiet", "--output=export", fields, start, f"--until=@{end:.6f}"]


def _after(cursor: str, since: float) -> float:
    """The time just after the entry that a cursor names (its `t` is in hexadecimal µs)."""
    found = re.search(r"\bt=([0-9a-f]+)", cursor)
    return (int(found[1], 16) + 1) / 1e6 if found else since


def _export(command: list[str], draft: Path) -> tuple[int, str]:
    """Run journalctl into a gzip file; the bytes it gave and the last entry's cursor."""
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except OSError as error:
        raise InfraError(f"journalctl: {error.strerror}") from error
    with process:
        assert process.stdout is not None and process.stderr is not None
        try:
            size, cursor = _compress(process.stdout, draft)
        except OSError:
            process.kill()
            raise
        words = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise InfraError(f"journalctl: {words or f'exit {process.returncode}'}")
    return size, cursor


def _compress(source: IO[bytes], draft: Path) -> tuple[int, str]:
    size = 0
    cursor = b""
    tail = b""
    with gzip.GzipFile(draft, "wb", compresslevel=4, mtime=0) as file:
        while chunk := source.read(_CHUNK):
            file.write(chunk)
            tail = tail[-_CURSOR_ROOM:] + chunk
            for found in _CURSOR.finditer(tail):
                cursor = found[1]
            size += len(chunk)
    return size, cursor.decode(errors="replace")


def _add(draft: Path, target: Path, whole: int) -> None:
    with target.open("ab") as chain, draft.open("rb") as member:
        chain.truncate(whole)
        shutil.copyfileobj(member, chain)
        chain.flush()
        os.fsync(chain.fileno())


def _read_state(spool: Path) -> _State | None:
    try:
        state = _State(**json.loads((spool / _STATE_FILE).read_text()))
        whole = (spool / JOURNAL_FILE).stat().st_size >= state.length
    except (OSError, ValueError, TypeError):
        return None
    return state if whole else None


def _write_state(spool: Path, state: _State) -> None:
    draft = spool / f"{_STATE_FILE}.part"
    draft.write_text(json.dumps(asdict(state)))
    draft.replace(spool / _STATE_FILE)
