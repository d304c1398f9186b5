"""``screamlab bench``: the lab's own tools beside their peers, in the same run, as ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from screamlab.errors import BadInput


def bench(wanted: Sequence[str]) -> int:
    """Run the named measurements, or all; prints one table each."""
    for name in wanted:
        if name not in MEASUREMENTS:
            raise BadInput(f"no measurement '{name}'; known: {', '.join(MEASUREMENTS)}")
    for name in wanted or MEASUREMENTS:
        print(f"{name}")
        for label, figure in MEASUREMENTS[name]().items():
            print(f"  {label:<52} {figure:.4g}" if isinstance(figure, float) else
                  f"  {label:<52} {figure}")  # fmt: skip
    return 0


def _senders() -> Mapping[str, float]:
    from screamlab.load.bench import measure

    return measure()


def _oracle() -> Mapping[str, float]:
    from screamlab.signal.bench import measure

    return measure()


def _sampler() -> Mapping[str, float]:
    from screamlab.observe.bench import measure

    return measure()


MEASUREMENTS: dict[str, Callable[[], Mapping[str, float]]] = {
    "senders": _senders,
    "oracle": _oracle,
    "sampler": _sampler,
}
