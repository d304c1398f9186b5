"""Files a user asks a command to write."""

from __future__ import annotations

from pathlib import Path

from screamlab.errors import BadInput


def write_output(file: Path, text: str) -> None:
    """Write `text` to `file`, making its folder; `BadInput` says why it could not be written."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from error
