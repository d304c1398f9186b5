"""Sides of made-up runs: what differs is told, what does not is noise, and few runs say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from screamlab.cli import main
from screamlab.compare.findings import Findings, Metric, findings, kind_of
from screamlab.compare.page import render_page
from screamlab.compare.rows import Comparison, Row, compare
from screamlab.compare.show import show
from screamlab.compare.sides import Side, make_sides, run_folders
from screamlab.errors import BadInput
from screamlab.judge.canary import CanaryRun
from screamlab.judge.canary_bundle import write
from screamlab.judge.view import Run

CHECKS = [
    {"id": check_id}
    for check_id in ("lab.agents", "lab.pacing", "router.alive", "router.cpu", "audio.heard",
                     "audio.dropouts", "audio.latency")
]  # fmt: skip
SCREAM = "stream/scream-out-01/scream-in-01"
Change = Callable[[CanaryRun], None]


def made(seed: int, version: str, *changes: Change) -> CanaryRun:
    """A healthy run as it comes out with a little chance, then changed."""
    run, draw = CanaryRun(CHECKS), np.random.default_rng(seed)
    run.meta |= {"run_id": f"{version}-{seed}", "seed": seed}
    run.meta["router"] = {"version": version, "method": "wheel"}
    by = draw.normal(0, 1)
    run.change("stream/*", "latency_ms", lambda t, v: v + 0.5 * by + draw.normal(0, 1, t.shape))
    run.change("process/router", "cpu_percent", lambda t, v: v + by + draw.normal(0, 1, t.shape))
    for change in changes:
        change(run)
    return run


def silent_scream(run: CanaryRun) -> None:
    run.change(SCREAM, "heard", lambda t, v: 0 * v)
    run.told = [e for e in run.told if (e["kind"], e["subject"]) != ("stream.heard", SCREAM)]


def busy(run: CanaryRun) -> None:
    run.change("process/router", "cpu_percent", lambda t, v: 2 * v)


def side(version: str, seeds: Sequence[int], *changes: Change) -> Side:
    runs = (findings(Run(made(seed, version, *changes))) for seed in seeds)
    return Side(version, tuple(runs))


@pytest.fixture(scope="module")
def old() -> Side:
    return side("0.3.60", range(5))


@pytest.fixture(scope="module")
def worse() -> Comparison:
    return compare(side("0.3.60", range(6)), side("0.3.75", range(6, 12), silent_scream, busy))


def row(comparison: Comparison, subject: str, name: str) -> Row:
    (found,) = [r for r in (*comparison.checks, *comparison.metrics)
                if (r.subject, r.name) == (subject, name)]  # fmt: skip
    return found


def test_the_figures_of_a_run_are_those_of_its_hold() -> None:
    found = findings(Run(made(1, "0.3.75")))
    assert found.checks["audio.heard"] == [False, False] and "lab.pacing" not in found.checks
    assert found.figures[Metric("rtp-out", "heard", "share", "higher")].value == 1
    assert found.figures[Metric("rtp-out", "latency p50", "ms")].value == pytest.approx(160, abs=3)
    processor = found.figures[Metric("router", "processor", "%")]
    assert processor.value == pytest.approx(34, abs=4) and len(processor.parts) == 4


def test_what_no_series_tells_is_taken_from_the_checks() -> None:
    run = made(1, "0.3.75")
    run.meta["checks"] = [{"id": "router.stop"}, {"id": "router.memory"}]
    run.event(999.0, "router1", "router.stopped", "router", outcome="ended", seconds=3.5)
    found = {metric.name: figure.value for metric, figure in findings(Run(run)).figures.items()}
    assert found["router.stop"] == 3.5 and "router.memory" not in found


def test_subjects_go_by_their_groups() -> None:
    assert kind_of("stream/out-l16-gst-02/rtp-l16-01") == "out-l16-gst"
    assert kind_of("receiver/web-01") == "web" and kind_of("router") == "router"


def test_what_got_worse_is_called_so_and_nothing_else(worse: Comparison) -> None:
    assert {(r.subject, r.name) for r in worse.metrics if r.says == "worse"} == {
        ("scream-out", "heard"), ("router", "processor"),
    }  # fmt: skip
    assert [r.name for r in worse.checks if r.says == "worse"] == ["audio.heard"]
    heard = row(worse, "", "audio.heard")
    assert (heard.a, heard.b) == ("0 of 6 failed", "6 of 6 failed")
    assert row(worse, "rtp-out", "latency p50").says == "noise"
    # A stream that is not heard has no latency to compare.
    assert row(worse, "scream-out", "latency p50").says == "unknown"
    assert worse.line.startswith("0.3.75 against 0.3.60: 3 worse, ")


def test_the_other_way_round_it_is_better(worse: Comparison) -> None:
    back = compare(worse.b, worse.a)
    assert [r.name for r in back.checks if r.says == "better"] == ["audio.heard"]
    assert not any(r.says == "worse" for r in (*back.checks, *back.metrics))


def test_two_sides_of_the_same_router_differ_by_noise(old: Side) -> None:
    same = compare(old, side("0.3.61", range(20, 25)))
    assert {r.says for r in (*same.checks, *same.metrics)} <= {"noise", "hint"}
    assert not any(r.says == "hint" for r in same.checks)


def test_a_lab_that_was_busier_is_told_and_not_charged(old: Side) -> None:
    def late(run: CanaryRun) -> None:
        run.change("sender/*", "pacing_p99_ms", lambda t, v: v + 2)

    found = compare(old, side("0.3.61", range(30, 35), late))
    assert any("the lab itself was not alike: pacing" in caveat for caveat in found.caveats)
    assert "worse" not in found.line


def test_a_stream_whose_hold_was_the_labs_fault_says_nothing() -> None:
    def stalled(run: CanaryRun) -> None:
        run.change("sender/*", "pacing_p99_ms", lambda t, v: np.where(t % 3 < 2, 50.0, v))

    found = findings(Run(made(1, "0.3.75", stalled)))
    assert not any(metric.name == "dropouts" for metric in found.figures)


def test_one_run_a_side_says_what_it_cannot_tell(old: Side) -> None:
    one = compare(Side("a", old.runs[:1]), Side("b", old.runs[1:2]))
    assert any("fewer than 4 runs" in caveat for caveat in one.caveats)
    # Two streams a side tell nothing; four stretches of ten seconds may.
    assert row(one, "", "audio.heard").says == "unknown"
    assert row(one, "router", "processor").p is not None
    assert one.advice and "runs a side" in one.advice


def test_runs_of_other_scenarios_or_scales_are_refused(old: Side) -> None:
    full = Side("full", tuple(replace(run, scale="full") for run in old.runs))
    with pytest.raises(BadInput, match="cannot be compared: canary quick on one side, canary full"):
        compare(old, full)


def test_what_is_shared_is_compared_and_the_rest_is_told(old: Side) -> None:
    other = tuple(replace(run, scenario="other") for run in old.runs)
    found = compare(Side("a", old.runs), Side("b", (*old.runs, *other)))
    assert "only b has runs of other quick" in found.caveats
    assert {r.topic for r in found.checks} == {""}


def test_what_was_asked_differently_is_told(old: Side) -> None:
    def asked(run: Findings) -> Findings:
        settings = frozenset({"phases.hold.seconds=9", "router.version=1", "senders.*.announce=1"})
        return replace(run, settings=settings, phases=(("hold", 9.0),), streams=frozenset("x"))

    found = compare(old, Side("b", tuple(asked(run) for run in old.runs)))
    told = "\n".join(found.caveats)
    assert "only b was run with phases.hold.seconds=9" in told and "router.version" not in told
    assert "not of the same length" in told and "neither is the load" in told


def test_a_run_of_a_broken_lab_is_told_and_not_counted(old: Side) -> None:
    broken = findings(Run(made(9, "0.3.60", lambda run: run.missing_reasons.update(client1="off"))))
    assert broken.verdict == "INFRA" and not broken.checks
    found = compare(Side("a", (*old.runs, broken)), old)
    assert any("0.3.60-9 says nothing: client1" in caveat for caveat in found.caveats)
    assert row(found, "", "audio.heard").a == "0 of 5 failed"


class Loads(HTMLParser):
    """What a browser would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [str(value) for name, value in attrs if name in ("src", "href")]


def test_table_and_page_tell_the_same(worse: Comparison) -> None:
    out = StringIO()
    show(worse, Console(file=out, width=160))
    lines = out.getvalue().splitlines()
    assert lines[-1] == worse.line
    page = render_page([worse])
    assert Loads(page).found == [] and "url(" not in page
    for one in worse.metrics:
        assert one.name in page and one.interval in page
        assert one.interval in out.getvalue() or one.says in ("unknown", "noise")
    assert page.count("<circle") == sum(len(part) for r in worse.metrics for part in r.values)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two small runs on disk, one of each version, and a suite that has both."""
    runs = tmp_path_factory.mktemp("runs")
    write(made(1, "0.3.60"), runs / "0.3.60-1")
    write(made(2, "0.3.75", silent_scream), runs / "0.3.75-2")
    suite = runs / "suites/s"
    suite.mkdir(parents=True)
    cell = {"entry": "e", "scenario": "/s.yml", "scale": "quick", "settings": [], "seed": 1}
    parts = [
        {"cell": {"name": run, **cell}, "attempts": [{"run_id": run, "verdict": "PASS"}]}
        for run in ("0.3.60-1", "0.3.75-2")
    ]
    record = {"schema": 1, "suite": "s", "suite_id": "s", "title": "S", "parts": parts}
    (suite / "suite.json").write_text(json.dumps(record))
    (runs / "latest").symlink_to("0.3.75-2")
    return runs


def test_the_command_writes_a_page(
    bundles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "c.html"
    sides = [str(bundles / "0.3.60-1"), str(bundles / "0.3.75-2")]
    assert main(["compare", *sides, "-o", str(page)]) == 0
    told = capsys.readouterr().out
    assert "0.3.75 against 0.3.60" in told and "1 of 2 failed" in told
    assert "1 of 2 failed" in page.read_text()


def test_a_run_a_suite_a_folder_and_a_glob_name_runs(bundles: Path) -> None:
    both = [bundles / "0.3.60-1", bundles / "0.3.75-2"]
    assert run_folders("0.3.60-1", bundles) == both[:1]
    assert run_folders("latest", bundles) == both[1:]
    assert run_folders(str(bundles / "suites/s"), bundles) == both
    assert run_folders("suites/s", bundles) == both
    assert run_folders(str(bundles), bundles) == both
    assert run_folders(f"{bundles}/0.3.6*", bundles) == both[:1]
    with pytest.raises(BadInput, match="nothing: there is no run here"):
        run_folders("nothing", bundles)


def test_sides_are_arguments_or_versions(bundles: Path) -> None:
    def read(folder: Path) -> Findings:
        version, _, seed = folder.name.rpartition("-")
        return findings(Run(made(int(seed), version)))

    everything = [str(bundles)]
    sides = make_sides(everything, bundles, read, by_version=True)
    assert [one.name for one in sides] == ["0.3.60", "0.3.75"]
    with pytest.raises(BadInput, match="needs two sides; there is one, all of 0.3.60"):
        make_sides(["0.3.60-1"], bundles, read, by_version=True)
    with pytest.raises(BadInput, match="0.3.75-2 stands on two sides: latest, 0.3.75-2"):
        make_sides(["latest", "0.3.75-2"], bundles, read, by_version=False)
