"""All checks, one topic per file; importing this package fills the table."""

from screamlab.judge.checks import (
    artifacts,
    audio,
    churn,
    impair,
    lab,
    latency,
    log,
    net,
    recovery,
    router,
    valgrind,
)
from screamlab.judge.registry import CHECKS, parse_check, validate_check, validate_checks

__all__ = [
    "CHECKS",
    "artifacts",
    "audio",
    "churn",
    "impair",
    "lab",
    "latency",
    "log",
    "net",
    "parse_check",
    "recovery",
    "router",
    "validate_check",
    "validate_checks",
    "valgrind",
]
