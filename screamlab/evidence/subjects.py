"""Subjects of series and events that more than one step knows by name."""

from __future__ import annotations

ROUTER = "process/router"
AGENT = "process/agent"
"""A host's agent with its workers and their programs."""
