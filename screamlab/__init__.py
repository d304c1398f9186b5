"""screamlab: a test lab for the ScreamRouter audio router."""

__version__ = "0.1.0"
