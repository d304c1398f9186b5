"""A package of the tests."""
