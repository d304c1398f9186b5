"""Clients that come and go: cycles of connecting, holding and leaving, one worker per kind."""
