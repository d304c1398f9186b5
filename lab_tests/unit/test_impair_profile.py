"""Profiles and traces: every shipped one loads, every mistake is told where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.impair.condition import Condition
from screamlab.impair.profile import find_profile, load_profile
from screamlab.paths import CHECKOUT

PROFILES = CHECKOUT / "lab_tests" / "profiles"
SHIPPED = sorted(PROFILES.glob("*.yml"))
AUDIO_KBIT = 1600

HEAD = "name: tiny\ntitle: A tiny network\nsource: made up for this test\n"
STEPS = HEAD + "steps:\n  - {at_s: 0, both: {delay_ms: 5}}\n  - {at_s: 9, both: {down: true}}\n"
LOSSY = HEAD + "both:\n  loss:\n    model: gilbert_elliott\n    to_bad_percent: 1\n"
TRACE = HEAD + "trace:\n  format: {format}\n  to_host: {{file: t, base: {{delay_ms: 7}}}}\n"
ROWS = "time_s,delay_ms,jitter_ms,loss_percent,rate_kbit\n0,10,1,0,5000\n2,,,5,\n4,30,,0,800\n"


def written(folder: Path, text: str, trace: str = "") -> Path:
    (folder / "t").write_text(trace)
    file = folder / "tiny.yml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_profile_loads_and_lets_audio_through(file: Path) -> None:
    steps = load_profile(file).schedule().steps
    for way in ("from_host", "to_host"):
        rates = [getattr(step, way).rate_kbit for step in steps]
        best = max(rate if rate is not None else float("inf") for rate in rates)
        assert best >= 2 * AUDIO_KBIT


def test_the_issue_names_these_profiles() -> None:
    needed = {"lan", "wifi-busy", "wifi-bad", "dsl-bufferbloat", "lte-moving", "satellite",
              "transatlantic", "link-flap", "asymmetric"}  # fmt: skip
    assert needed <= {file.stem for file in SHIPPED}


def test_a_direction_that_is_left_out_is_perfect(tmp_path: Path) -> None:
    schedule = load_profile(written(tmp_path, HEAD + "to_host: {delay_ms: 5}\n")).schedule()
    assert [(step.at_s, step.from_host) for step in schedule.steps] == [(0, Condition())]
    assert schedule.steps[0].to_host.delay_ms == 5
    assert schedule.repeat_s is None


def test_steps_hold_both_directions_and_repeat(tmp_path: Path) -> None:
    schedule = load_profile(written(tmp_path, STEPS + "repeat_s: 12\n")).schedule()
    assert [(s.at_s, s.from_host.down, s.to_host.down) for s in schedule.steps] == [
        (0, False, False),
        (9, True, True),
    ]
    assert schedule.repeat_s == 12


def test_rows_are_laid_over_the_base(tmp_path: Path) -> None:
    text = TRACE.format(format="rows").replace("file: t", "file: t, queue_bytes: 100000")
    steps = load_profile(written(tmp_path, text, ROWS)).schedule().steps
    down = [step.to_host for step in steps]
    assert [step.at_s for step in steps] == [0, 2, 4]
    assert [one.delay_ms for one in down] == [10, 7, 30]
    assert [one.jitter_ms for one in down] == [1, 0, 0]
    assert [one.loss.percent if one.loss else 0 for one in down] == [0, 5, 0]
    assert [one.rate_kbit for one in down] == [5000, None, 800]
    assert [one.queue_ms for one in down] == [160, None, 1000]
    assert all(step.from_host == Condition() for step in steps)


def test_rows_that_change_nothing_are_no_steps(tmp_path: Path) -> None:
    rows = "time_s,delay_ms\n0,1\n1,1\n2,3\n"
    steps = load_profile(written(tmp_path, TRACE.format(format="rows"), rows)).schedule().steps
    assert [step.at_s for step in steps] == [0, 2]


MISTAKES = [
    (HEAD.replace("source", "sauce") + "both: {}\n", "tiny.yml:3: sauce", "no such key"),
    ("name: tiny\ntitle: t\nboth: {}\n", "tiny.yml:1: source", "required"),
    (HEAD, "tiny.yml:1", "exactly one of"),
    (HEAD + "both: {}\nsteps: [{at_s: 0}]\n", "tiny.yml:1", "exactly one of"),
    (HEAD + "both: {}\nto_host: {}\n", "tiny.yml:1", "either both"),
    (HEAD + "both: {delay: 5}\n", "tiny.yml:4: both.delay", "known here: delay_ms"),
    (HEAD + "both: {delay_ms: -5}\n", "tiny.yml:4: both.delay_ms", "greater than or equal to 0"),
    (HEAD + "both: {queue_ms: 5}\n", "tiny.yml:4: both", "rate_kbit, which is missing"),
    (HEAD + "both: {}\nrepeat_s: 5\n", "tiny.yml:1", "belongs to steps"),
    (HEAD.replace("tiny", "other", 1) + "both: {}\n", "tiny.yml:1: name", "as its file"),
    (LOSSY, "tiny.yml:5: both.loss.to_good_percent", "required"),
    (LOSSY + "    to_god_percent: 1\n", "tiny.yml:8: both.loss.to_god_percent", "to_good_percent"),
    (LOSSY + "    to_good_percent: 200\n", "tiny.yml:8: both.loss.to_good_percent", "100"),
    (STEPS.replace("at_s: 0", "at_s: 1"), "tiny.yml:4: steps", "the first is at 0"),
    (STEPS.replace("at_s: 9", "at_s: nine"), "tiny.yml:6: steps.1.at_s", "number"),
    (STEPS.replace("both: {down", "all: {down"), "tiny.yml:6: steps.1.all", "known here: both"),
    (STEPS + "repeat_s: 9\n", "tiny.yml:4: steps", "repeat_s lies after"),
]


@pytest.mark.parametrize(("text", "where", "what"), MISTAKES)
def test_a_mistake_names_file_line_and_key(
    tmp_path: Path, text: str, where: str, what: str
) -> None:
    refused(written(tmp_path, text), where, what)


BAD_TRACES = [
    ("rows", "", "t:1", "a header is needed"),
    ("rows", "0,10\n1,20\n", "t:1", "no column '0'"),
    ("rows", "time_s,delay\n0,10\n", "t:1", "no column 'delay'"),
    ("rows", "time_s\n0\n", "t:1", "time_s and another"),
    ("rows", "time_s,delay_ms\n", "t", "no row"),
    ("rows", "time_s,delay_ms\n1,10\n", "t:2", "at time_s 0, not 1"),
    ("rows", "time_s,delay_ms\n0,10\n0,10\n", "t:3", "not after"),
    ("rows", "time_s,delay_ms\n0,ten\n", "t:2: delay_ms", "'ten' is not a number"),
    ("rows", "time_s,delay_ms\n0,-1\n", "t:2: delay_ms", "greater than or equal to 0"),
    ("rows", "time_s,delay_ms\n0,nan\n", "t:2: delay_ms", "finite"),
    ("rows", "time_s,rate_kbit\n0,0\n", "t:2: rate_kbit", "greater than 0"),
    ("rows", "time_s,loss_percent\n0,101\n", "t:2: loss_percent", "100"),
    ("rows", "time_s,delay_ms\n0,1,2\n", "t:2", "more cells"),
    ("rows", "time_s,delay_ms\n0\n", "t:2: delay_ms", "no cell"),
    ("mahimahi", "", "t", "a time above 0"),
    ("mahimahi", "0\n0\n", "t", "a time above 0"),
    ("mahimahi", "5\n3\n", "t:2", "3 ms comes before 5 ms"),
    ("mahimahi", "5\n\n7\n", "t:2", "whole milliseconds"),
    ("mahimahi", "5\n6.5\n", "t:2", "'6.5'"),
]


@pytest.mark.parametrize(("kind", "trace", "where", "what"), BAD_TRACES)
def test_a_bad_trace_names_file_and_line(
    tmp_path: Path, kind: str, trace: str, where: str, what: str
) -> None:
    file = written(tmp_path, TRACE.format(format=kind), trace)
    refused(file, f"{tmp_path}/{where}: ", what)


def test_a_trace_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = written(tmp_path, TRACE.format(format="rows").replace("file: t", "file: gone"))
    refused(file, f"{tmp_path}/gone: ", "No such file")


def refused(file: Path, where: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        load_profile(file)
    message = str(caught.value)
    assert where in message
    assert what in message
    assert "\n" not in message


def test_a_profile_is_found_by_name_or_path(tmp_path: Path) -> None:
    file = written(tmp_path, HEAD + "both: {}\n")
    assert find_profile("tiny", tmp_path) == file
    assert find_profile(str(file), PROFILES) == file
    with pytest.raises(BadInput, match="no profile 'huge'.*tiny"):
        find_profile("huge", tmp_path)
