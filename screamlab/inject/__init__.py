"""Faults that a scenario plants into a run, to see whether they are seen."""
