"""Verbose logging, ``watch: {verbose: true}``: the router writes down all that it does.

Its log files cost it half a core and more, so what such a run says of sound, or of the router's own
cost and pace, is no verdict on the router: those checks are left out, and the report says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

ROUTER = {"log_files": True, "log_level": "DEBUG"}
_DISTURBED = ("audio.*", "router.cpu", "churn.baseline", "churn.time")
# That a stream is heard at all, and no other, holds however late the router is.
_HOLD = ("audio.heard", "audio.crosstalk")


def verbose(router: Mapping[str, Any], checks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What verbose logging makes of a scenario's router and checks, and the ids `left_out`."""
    kept = tuple(check for check in checks if not _is_disturbed(str(check["id"])))
    left_out = tuple(dict.fromkeys(str(item["id"]) for item in checks if item not in kept))
    return {"router": {**router, **ROUTER}, "checks": kept, "left_out": left_out}


def _is_disturbed(check_id: str) -> bool:
    return check_id not in _HOLD and any(fnmatchcase(check_id, glob) for glob in _DISTURBED)
