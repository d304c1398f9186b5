"""The report's view of the logs: small, honest about what it leaves out, and free of markup."""

from __future__ import annotations

import json
import re

from screamlab.judge.canary import CanaryRun
from screamlab.judge.run import judge
from screamlab.judge.view import Run
from screamlab.report.html import render_html
from screamlab.report.logs import LONGEST_LINE, MOST_LINES, logs


def test_what_is_counted_is_shown_whole_and_the_rest_is_thinned() -> None:
    run = CanaryRun()
    for number in range(400):
        run.log(20 + number / 100, f"[ERROR:x][a.py:1:2]lost sink {number}")
    for number in range(4 * MOST_LINES):
        run.log(20 + number / 1000, f"INFO: request {number} {'x' * 2 * LONGEST_LINE}")
    found = logs(Run(run))
    assert len(found.rows) <= MOST_LINES
    assert [row[0] for row in found.rows] == sorted(row[0] for row in found.rows)
    shown = {name: (some, all_) for name, some, all_ in found.classes}
    assert shown["phases, impairments, and what a check counts"] == (400, 400)
    some, all_ = shown["other lines of journals"]
    assert all_ == 4 * MOST_LINES + 1 and 0 < some <= MOST_LINES - 400
    assert sum(some for some, _ in shown.values()) == len(found.rows)
    assert max(len(row[-1]) for row in found.rows) == LONGEST_LINE + 1


def test_the_page_says_what_was_seen_and_carries_the_lines_as_data() -> None:
    run = CanaryRun()
    run.log(30.0, "</script><script>alert(1)</script> Too many open files")
    view = Run(run)
    page = render_html(view, judge(view, ()), ())
    assert "<script>alert(1)" not in page
    (data,) = re.findall(r'id="log-data">(.*?)</script>', page, re.DOTALL)
    told = [row[-1] for row in json.loads(data)]
    assert any("<script>alert(1)</script> Too many" in text for text in told)
    assert "no descriptor is left" in page


def test_a_run_without_a_timeline_says_so() -> None:
    run = CanaryRun()
    run.logged.clear()
    run.meta |= {"verbose": True, "left_out": ["audio.dropouts"]}
    view = Run(run)
    page = render_html(view, judge(view, ()), ())
    assert "There is no timeline in the run folder" in page
    assert "these checks were left out: <code>audio.dropouts</code>" in page
