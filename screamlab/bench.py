"""``screamlab bench``: the lab's own tools beside their peers, in the same run, as ratios."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from screamlab.errors import BadInput

Figures = dict[str, float | str]

ORACLE_SECONDS = 60.0
SAMPLER_SECONDS = 20
SAMPLER_PROCESSES = 50


def bench(wanted: Sequence[str]) -> int:
    """Run the named measurements, or all but `ASKED_FOR`; prints one table each."""
    for name in wanted:
        if name not in MEASUREMENTS:
            raise BadInput(f"no measurement '{name}'; known: {', '.join(MEASUREMENTS)}")
    for name in wanted or [name for name in MEASUREMENTS if name not in ASKED_FOR]:
        print(name, flush=True)
        for label, figure in MEASUREMENTS[name]().items():
            text = figure if isinstance(figure, str) else f"{figure:.4g}"
            print(f"  {label:<60} {text}", flush=True)
    return 0


def _senders() -> Figures:
    from screamlab.load.bench import measure

    result = measure()
    figures: Figures = {
        f"{load.client}, {load.streams} streams: p99 pacing error, CPU per stream": (
            f"{load.pacing_p99_ms:.2f} ms, {100 * load.cpu_per_stream:.2f} % of a core"
        )
        for load in result.loads
    }
    return {
        **figures,
        "native: streams per core at 1 ms p99": result.native_streams_per_core,
        "gst-launch: streams per core at 1 ms p99": result.gst_streams_per_core,
        "ratio of streams per core": result.ratio or "gst-launch was never on time",
        "ratio of CPU per stream, gst-launch over native": result.cpu_ratio,
    }


def _oracle() -> Figures:
    from screamlab.signal.bench import measure

    return dict(measure(ORACLE_SECONDS))


def _sampler() -> Figures:
    from screamlab.observe.bench import measure

    return dict(measure(SAMPLER_SECONDS, SAMPLER_PROCESSES))


def _clients() -> Figures:
    from screamlab.scenario.bench import measure

    return {
        f"{kind}: per client, and once": (
            f"{new.cpu_percent:g} % of a core and {new.mib:g} MiB, "
            f"{new.base_cpu_percent:g} % and {new.base_mib:g} MiB"
            + (f"; processor {new.cpu_percent / old.cpu_percent:.2f} of before" if old else "")
        )
        for kind, (old, new) in measure().items()
    }


def _leak() -> Figures:
    from screamlab.judge.leak_bench import measure_all

    return measure_all()


def _valgrind() -> Figures:
    from screamlab.evidence.valgrind_bench import measure

    return dict(measure())


def _main_job() -> Figures:
    """Wall time of ``make lab`` over the scenario's own length, from the newest such run."""
    from screamlab.run.record import newest_wall_time

    wall_s, scenario_s = newest_wall_time("tc-stress-001")
    return {
        "wall time of the newest main job, s": wall_s,
        "the scenario's own length, s": scenario_s,
        "ratio": wall_s / scenario_s,
    }


MEASUREMENTS: dict[str, Callable[[], Figures]] = {
    "senders": _senders,
    "oracle": _oracle,
    "sampler": _sampler,
    "main-job": _main_job,
    "clients": _clients,
    "leak": _leak,
    "valgrind": _valgrind,
}
# Each takes minutes: clients runs a lab and rewrites costs.yml, leak rewrites
# docs/leak-calibration.md, valgrind writes a gigabyte.
ASKED_FOR = {"clients", "leak", "valgrind"}
