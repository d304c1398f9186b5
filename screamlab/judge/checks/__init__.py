"""All checks, one topic per file; importing this package fills the table."""

from screamlab.judge.checks import (
    agents,
    artifacts,
    audio,
    churn,
    crash,
    impair,
    lab,
    latency,
    leak,
    log,
    net,
    python,
    recovery,
    router,
    valgrind,
    wire,
)
from screamlab.judge.registry import CHECKS, parse_check, validate_check, validate_checks

__all__ = [
    "CHECKS",
    "agents",
    "artifacts",
    "audio",
    "churn",
    "crash",
    "impair",
    "lab",
    "latency",
    "leak",
    "log",
    "net",
    "parse_check",
    "python",
    "recovery",
    "router",
    "validate_check",
    "validate_checks",
    "valgrind",
    "wire",
]
