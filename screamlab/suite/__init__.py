"""Suites: many runs asked for in one file, carried out one after the other, and summed up."""
