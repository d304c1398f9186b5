"""Test signals and the oracle that hears them."""

from screamlab.signal.finding import Finding, Status
from screamlab.signal.oracle import Oracle
from screamlab.signal.tones import Signal, signal, signal_count

__all__ = ["Finding", "Oracle", "Signal", "Status", "signal", "signal_count"]
