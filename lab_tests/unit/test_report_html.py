"""The report: one file, nothing to load, small after a day, and true to its data."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from screamlab.judge.canary import CanaryRun
from screamlab.judge.checks import CHECKS
from screamlab.judge.model import CheckResult
from screamlab.judge.run import judge
from screamlab.judge.samples import Samples
from screamlab.judge.verdict import give_verdict
from screamlab.judge.view import Run
from screamlab.report.downsample import buckets, compact, rate
from screamlab.report.html import render_html
from screamlab.report.junit import render_junit

ALL = [{"id": check_id} for check_id in CHECKS]
DAY_S = 86_400.0
MOST_BYTES = 10_000_000


class Page(HTMLParser):
    """What a browser would load, and the elements that carry data."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.styles = ""
        self.data = ""
        self.ids: set[str] = set()
        self.text = ""
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.loads += [str(given[name]) for name in ("src", "href", "data") if given.get(name)]
        self._in = "data" if given.get("id") == "data" else tag
        if given.get("id"):
            self.ids.add(str(given["id"]))

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "data":
            self.data += data
        elif self._in == "style":
            self.styles += data
        elif self._in != "script":
            self.text += data


def page_of(run: CanaryRun) -> tuple[str, Page]:
    view = Run(run)
    text = render_html(view, judge(view, ()), ())
    return text, Page(text)


def chart(page: Page, name: str) -> dict[str, Any]:
    (found,) = [one for one in json.loads(page.data)["charts"] if one["id"] == name]
    return dict(found)


@pytest.fixture(scope="module")
def day() -> str:
    run = CanaryRun(ALL, hold_s=DAY_S, pairs=5)
    noise = np.random.default_rng(1)
    for subject, metric, spread in (
        ("stream/*", "latency_ms", 9.0), ("process/router", "cpu_percent", 9.0),
        ("process/router", "rss_bytes", 1e6), ("sender/*", "pacing_p99_ms", 0.3),
        ("router", "api_latency_ms", 9.0), ("host", "cpu_percent", 9.0),
    ):  # fmt: skip
        run.change(subject, metric, lambda t, v, s=spread: v + s * noise.random(t.shape))
    for at_s in np.linspace(100, DAY_S, 5_000):
        run.event(at_s, "client2", "audio.click", "stream/rtp-out-01/rtp-in-01", ms=0.1)
    return page_of(run)[0]


def test_a_day_stays_below_ten_megabytes(day: str) -> None:
    assert len(day.encode()) < MOST_BYTES


def test_a_day_keeps_events_countable(day: str) -> None:
    labels = [trace["y"][0] for trace in chart(Page(day), "timeline")["traces"]]
    (clicks,) = [label for label in labels if label.startswith("audio.click")]
    assert clicks.endswith(" of 5000)")


def test_the_page_loads_nothing(day: str) -> None:
    page = Page(day)
    assert page.loads == []
    assert "url(" not in page.styles and "@import" not in page.styles


def test_every_chart_has_its_place_and_a_short_run_keeps_every_sample() -> None:
    run = CanaryRun(ALL)
    _, page = page_of(run)
    drawn = json.loads(page.data)["charts"]
    assert {f"chart-{one['id']}" for one in drawn} <= page.ids
    (trace,) = chart(page, "api")["traces"]
    assert len(trace["y"]) == len(run.data["router1", "router", "api_latency_ms"][0])


def test_a_silence_and_a_dropout_show_in_the_picture_of_sound() -> None:
    run = CanaryRun(ALL)
    subject = "stream/rtp-out-01/rtp-in-01"
    run.change(subject, "heard", lambda t, v: np.where(t == 30, 0, v))
    run.change(subject, "dropout_ms", lambda t, v: v + 250 * (t >= 40))
    _, page = page_of(run)
    (trace,) = chart(page, "sound")["traces"]
    row = trace["z"][trace["y"].index(subject.removeprefix("stream/"))]
    assert (row[30], row[40], row[41], row[2]) == (100, 25, 0, None)


def test_the_reason_stands_first_and_nothing_can_break_out_of_the_page() -> None:
    run = CanaryRun(ALL)
    run.event(30.0, "router1", "process.gone", "process/router", note="</script><b>&")
    run.log(30.0, "Too many open files <img src=x onerror=alert(1)>")
    text, page = page_of(run)
    assert page.loads == []
    assert page.text.index("main process was gone at 30.0 s") < page.text.index("Course of the run")
    told = [line for trace in chart(page, "timeline")["traces"] for line in trace["text"]]
    assert any("</script><b>&" in line for line in told)
    assert "<img src=x" not in text


def test_the_engine_is_told_by_what_it_was_made_of() -> None:
    run = CanaryRun(ALL)
    run.meta["router"]["engine"] = {"build_id": "b1d", "debug_info": False, "build": None}
    assert "build id b1d" in page_of(run)[1].text
    run.meta["router"]["engine"]["build"] = {"commit": "c0ffee" * 7, "flags": ["-g", "-O1"]}
    assert "build id b1d, commit c0ffeec0ffee with -g -O1" in page_of(run)[1].text


def test_a_run_of_which_nothing_is_known_still_has_a_page() -> None:
    run = CanaryRun(ALL)
    run.data.clear()
    run.told.clear()
    run.facts.clear()
    run.plans.clear()
    _, page = page_of(run)
    assert "INFRA" in page.text


def test_buckets_keep_the_extremes_and_the_holes() -> None:
    t = np.arange(0.0, 100.0)
    t = t[(t < 40) | (t >= 60)]
    value = np.where(t == 7, 50.0, 1.0)
    found = buckets(Samples(t, value), 0.0, 100.0, 10)
    assert found.high.tolist()[:2] == [50.0, 1.0] and found.low[0] == 1.0
    assert found.mean[0] == pytest.approx(5.9)
    assert np.isnan(found.mean[4:6]).all() and not np.isnan(found.mean[[3, 6]]).any()
    assert found.t.tolist() == [5.0 + 10 * step for step in range(10)]


def test_a_counter_that_starts_again_has_no_negative_rate() -> None:
    found = rate(Samples(np.array([0.0, 1, 2, 4]), np.array([10.0, 20, 5, 9])))
    assert found.value.tolist() == [10, 5, 2]


def test_numbers_are_short_in_the_page() -> None:
    assert compact(np.array([1.0, 2.34567, np.nan, 1e-9, 123456.0])) == [
        1, 2.346, None, 1e-9, 123500,
    ]  # fmt: skip


def test_junit_maps_every_status() -> None:
    results = [
        CheckResult(id=f"audio.{s}", subject="s", status=s, reason="so")  # type: ignore[arg-type]
        for s in ("pass", "fail", "xfail", "xpass", "unknown", "invalid")
    ]
    text = render_junit(give_verdict(Run(CanaryRun()), results))
    assert 'tests="6"' in text and 'failures="1"' in text
    assert 'errors="2"' in text and 'skipped="1"' in text
