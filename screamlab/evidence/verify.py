"""Whether a bundle is as it was built: every file there, with the checksum of the manifest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from screamlab.evidence.bundle import Bundle
from screamlab.evidence.pack import sha256_of


def altered(run_dir: Path) -> str | None:
    """One sentence about the files that are not as the manifest has them; None when all are.

    A run without a manifest was not collected, which is for the judge to say. `BadInput` when the
    folder is no run.
    """
    with Bundle(run_dir) as bundle:
        listed = bundle.manifest.get("files", ())
        found = list(_altered(run_dir, listed))
    if not found:
        return None
    more = f" (and {len(found) - 1} more of {len(listed)} files)" if len(found) > 1 else ""
    return f"the evidence is not as it was collected: {found[0]}{more}"


def _altered(run_dir: Path, listed: list[dict[str, str]]) -> Iterator[str]:
    for entry in listed:
        path = run_dir / entry["path"]
        try:
            if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
                yield f"{entry['path']} does not match its checksum"
        except FileNotFoundError:
            yield f"{entry['path']} is gone"
        except OSError as error:
            yield f"{entry['path']} cannot be read: {error.strerror}"
