"""Errors a user can act on, each with the exit code the command ends with.

Verdicts own the exit codes 0, 1, 3 and 4 (see docs and `screamlab.judge.verdict`);
2 is a request that could not be understood, as argparse has it.
"""

from __future__ import annotations


class ScreamlabError(Exception):
    """One clear sentence for the user; `exit_code` is what the command ends with."""

    exit_code = 2


class BadInput(ScreamlabError):
    """A file, key, option or value that cannot be accepted; names where it stands."""

    exit_code = 2


class InfraError(ScreamlabError):
    """A host, a service or the provisioning of one failed; nothing is known of the router."""

    exit_code = 4
