"""The history of a folder of runs, and which of them may go."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from screamlab.cli import main
from screamlab.compare.findings import findings
from screamlab.history.listed import list_runs
from screamlab.history.prune import DAY_S, Rule, prune
from screamlab.history.trends import render_trends
from screamlab.judge.canary import CanaryRun
from screamlab.judge.canary_bundle import write
from screamlab.judge.view import Run

NOW = 1_790_000_000.0


def put(runs: Path, name: str, days: float, verdict: str | None) -> Path:
    """A run that ended so many days ago."""
    folder = runs / name
    folder.mkdir()
    record = {"run_id": name, "scenario": "s", "scale": "quick", "zero": NOW - days * DAY_S - 60,
              "duration_s": 60.0, "router": {"version": "0.3.75"}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "big").write_bytes(bytes(2**20))
    if verdict:
        told = {"verdict": verdict, "reason": f"because {verdict}"}
        (folder / "verdict.json").write_text(json.dumps(told))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for days, verdict in ((50, "PASS"), (40, "FAIL"), (35, None), (20, "INVALID"), (10, "PASS"),
                          (0.2, None), (0.1, "PASS")):  # fmt: skip
        put(tmp_path, f"{days:g}-{verdict}", days, verdict)
    (tmp_path / "latest").symlink_to("10-PASS")
    (tmp_path / "suites").mkdir()
    return tmp_path


def pruned(runs: Path, rule: Rule, *, remove: bool = False) -> tuple[list[str], str]:
    out = StringIO()
    gone = prune(runs, rule, Console(file=out, width=120), remove=remove, now=NOW)
    return [path.name for path in gone], out.getvalue()


def test_runs_are_listed_by_time_and_links_are_no_runs(runs: Path) -> None:
    listed = list_runs(runs)
    assert [run.folder.name for run in listed] == [
        "50-PASS", "40-FAIL", "35-None", "20-INVALID", "10-PASS", "0.2-None", "0.1-PASS",
    ]  # fmt: skip
    assert (listed[1].verdict, listed[1].reason, listed[2].verdict) == (
        "FAIL",
        "because FAIL",
        None,
    )


@pytest.mark.parametrize(
    ("rule", "gone"),
    [
        (Rule(older_than_s=30 * DAY_S), ["50-PASS", "35-None"]),
        (Rule(older_than_s=30 * DAY_S, failed=True), ["50-PASS", "40-FAIL", "35-None"]),
        (Rule(keep=3), ["50-PASS", "35-None", "20-INVALID"]),
        (Rule(keep=1), ["50-PASS", "35-None", "20-INVALID"]),
        (Rule(keep=6, older_than_s=30 * DAY_S), ["50-PASS"]),
        (Rule(keep=3, older_than_s=100 * DAY_S), []),
    ],
)
def test_what_goes_by_count_and_age(runs: Path, rule: Rule, gone: list[str]) -> None:
    """Never the newest, nor `latest`, nor a failure unless told, nor what may be under way."""
    assert pruned(runs, rule)[0] == gone
    assert len(list_runs(runs)) == 7


def test_a_dry_run_says_what_would_go_and_why_the_rest_stays(runs: Path) -> None:
    _, said = pruned(runs, Rule(keep=1, older_than_s=60.0))
    assert said.count("would go") == 3
    assert said.count("stays: it ended FAIL; --failed lets it go") == 1
    assert said.count("stays: it is the latest") == 1
    assert said.count("stays: it may still be under way") == 1
    assert "3 runs, 3.0 MiB would be removed, with --yes" in said


def test_told_to_it_removes_them_and_nothing_else(runs: Path) -> None:
    gone, said = pruned(runs, Rule(older_than_s=30 * DAY_S), remove=True)
    assert "2 runs, 2.0 MiB removed" in said
    assert {path.name for path in runs.iterdir()} == {
        "40-FAIL", "20-INVALID", "10-PASS", "0.2-None", "0.1-PASS", "latest", "suites",
    }  # fmt: skip
    assert not any((runs / name).exists() for name in gone)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["prune"], "say what is to go"),
        (["prune", "/nonexistent", "--keep", "3"], "there is no such folder"),
        (["history", "/nonexistent"], "there is no such folder"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-3", "many"])
def test_a_count_is_above_zero(value: str) -> None:
    with pytest.raises(SystemExit):
        main(["prune", f"--keep={value}"])


def test_history_prints_every_run_and_writes_the_trends(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, page = tmp_path / "runs", tmp_path / "history.html"
    runs.mkdir()
    assert main(["history", str(runs)]) == 2
    assert "there is no run here" in capsys.readouterr().err
    for number in (1, 2):
        run = CanaryRun([{"id": "router.alive"}], hold_s=20.0)
        run.meta |= {"run_id": f"night-{number}"}
        write(run, runs / f"night-{number}")
        main(["judge", str(runs / f"night-{number}")])
    capsys.readouterr()
    assert main(["history", str(runs), "-o", str(page)]) == 0
    said = capsys.readouterr().out
    assert said.count("PASS") == 2 and "night-1" in said and "0.3.75" in said
    text = page.read_text()
    assert "night-2" in text and "latency p95" in text


class Page(HTMLParser):
    """What a browser would fetch, and the data of the charts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.data = ""
        self._reading = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href") if given.get(name)]
        self._reading = given.get("id") == "data"

    def handle_data(self, data: str) -> None:
        if self._reading:
            self.data += data


def test_the_page_has_a_line_for_each_metric_and_loads_nothing() -> None:
    runs = []
    for hour, cpu in ((0, 10.0), (1, 20.0)):
        run = CanaryRun([{"id": "router.alive"}])
        run.change("process/router", "cpu_percent", lambda t, v, cpu=cpu: cpu)
        runs.append(replace(findings(Run(run)), began=NOW + hour * 3600))
    page = Page(render_trends(runs))
    assert page.loads == []
    charts = {chart["title"]: chart for chart in json.loads(page.data)["canary quick"]}
    assert charts["verdict"]["traces"][0]["y"] == ["PASS", "PASS"]
    (processor,) = charts["processor"]["traces"]
    assert processor["y"] == [10, 20]
    assert processor["x"] == ["2026-09-21T14:13:20+00:00", "2026-09-21T15:13:20+00:00"]
    assert {trace["name"] for trace in charts["latency p50"]["traces"]} == {"rtp-out", "scream-out"}
