"""Canaries: runs with a planted fault each, and whether that which must see it does."""
