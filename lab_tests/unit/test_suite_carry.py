"""Carrying a suite out: its verdict, what is asked again, and how it goes on where it broke off."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from junitparser import JUnitXml
from rich.console import Console

from screamlab.cli import main
from screamlab.errors import BadInput, InfraError
from screamlab.inventory import Host
from screamlab.judge.model import Outcome, RouterId, Verdict
from screamlab.suite.carry import carry_out, chosen, show, validate_on, with_settings
from screamlab.suite.model import Cell, Suite, find_suite, load_suite
from screamlab.suite.record import Record, begin, begin_again, find_record, save

NOW = 1_790_000_000.0


def cell(name: str, entry: str = "stress") -> Cell:
    return Cell(name=name, entry=entry, scenario=Path("/s/tc.yml"), scale="quick",
                settings=("router.version=1",), seed=len(name))  # fmt: skip


def suite(retries: int = 0) -> Suite:
    entry = {"name": "stress", "seeds": [1]}
    return Suite.model_validate(
        {"name": "small", "title": "Small", "invalid_retries": retries, "runs": [entry]}
    )


class Router:
    """Stands in for a whole run: answers in turn with verdicts, errors and interruptions."""

    def __init__(self, *answers: Outcome | BaseException) -> None:
        self.answers: Iterator[Outcome | BaseException] = iter(answers)
        self.asked: list[tuple[str, Cell]] = []

    def __call__(self, run_id: str, asked: Cell) -> Verdict:
        self.asked.append((run_id, asked))
        answer = next(self.answers)
        if isinstance(answer, BaseException):
            raise answer
        return verdict(run_id, answer)


def verdict(run_id: str, outcome: Outcome) -> Verdict:
    return Verdict(run_id=run_id, scenario="tc", scale="quick", verdict=outcome,
                   reason=f"because {outcome}", router=RouterId())  # fmt: skip


def carried(
    runs: Path, router: Router, cells: Iterable[str] = ("a", "b", "c"), retries: int = 0
) -> tuple[Record, Path]:
    record, folder = begin(suite(retries), [cell(name) for name in cells], runs, NOW)
    carry_out(record, folder, runs, router, Console(file=StringIO()))
    return record, folder


def test_the_verdict_is_the_worst_and_stands_in_json_junit_and_table(tmp_path: Path) -> None:
    record, folder = carried(tmp_path, Router("PASS", InfraError("no route"), "FAIL"))
    assert (record.verdict, record.exit_code) == ("FAIL", 1)
    told = json.loads((folder / "suite.json").read_text())
    assert (told["schema"], told["verdict"]) == (1, "FAIL")
    assert told["line"] == "FAIL small: 3 of 3 runs, 1 FAIL, 1 INFRA, 1 PASS; first c: because FAIL"
    assert [part["attempts"][0]["reason"] for part in told["parts"]][1] == "no route"
    junit = JUnitXml.fromfile(str(folder / "junit.xml"))
    assert (junit.tests, junit.failures, junit.errors) == (3, 1, 1)
    out = StringIO()
    show(record, Console(file=out, width=120))
    assert out.getvalue().splitlines()[-1] == told["line"]
    assert (tmp_path / "suites/latest").resolve() == folder


@pytest.mark.parametrize(
    ("answers", "worst", "code"),
    [
        (("PASS", "PASS"), "PASS", 0),
        (("PASS", "INVALID"), "INVALID", 3),
        (("INVALID", InfraError("x")), "INFRA", 4),
        (("FAIL", InfraError("x")), "FAIL", 1),
    ],
)
def test_worst_of(tmp_path: Path, answers: tuple[Outcome, ...], worst: str, code: int) -> None:
    record, _ = carried(tmp_path, Router(*answers), "ab")
    assert (record.verdict, record.exit_code) == (worst, code)


def test_invalid_is_asked_again_and_the_last_answer_counts(tmp_path: Path) -> None:
    router = Router("INVALID", "PASS", "INVALID", "INVALID")
    record, _ = carried(tmp_path, router, "ab", retries=1)
    assert [part.verdict for part in record.parts] == ["PASS", "INVALID"]
    ids = [run_id for run_id, _ in router.asked]
    assert ids == [f"{record.suite_id}-{name}" for name in ("a", "a-2", "b", "b-2")]


def test_a_suite_that_was_interrupted_goes_on_with_what_it_was_asked(tmp_path: Path) -> None:
    record, folder = begin(suite(), [cell(name) for name in "abc"], tmp_path, NOW)
    console = Console(file=StringIO())
    with pytest.raises(KeyboardInterrupt):
        carry_out(record, folder, tmp_path, Router("PASS", KeyboardInterrupt()), console)
    found, place = find_record("latest", tmp_path)
    assert place == folder and found.verdict is None and found.exit_code == 4
    assert found.line.startswith("UNFINISHED small: 1 of 3 runs")
    router = Router("FAIL", "PASS")
    carry_out(found, place, tmp_path, router, console)
    assert [run_id for run_id, _ in router.asked] == [
        f"{record.suite_id}-b-2",
        f"{record.suite_id}-c",
    ]
    assert [asked for _, asked in router.asked] == [cell("b"), cell("c")]
    assert find_record(str(folder), tmp_path)[0].verdict == "FAIL"
    # And once more: nothing is left to do.
    carry_out(found, place, tmp_path, Router(), console)


def test_a_run_that_was_judged_and_not_noted_is_not_run_again(tmp_path: Path) -> None:
    record, folder = begin(suite(), [cell("a")], tmp_path, NOW)
    console = Console(file=StringIO())
    with pytest.raises(KeyboardInterrupt):
        carry_out(record, folder, tmp_path, Router(KeyboardInterrupt()), console)
    run = tmp_path / record.parts[0].attempts[0].run_id
    run.mkdir()
    (run / "verdict.json").write_text(verdict(run.name, "PASS").to_json())
    carry_out(record, folder, tmp_path, Router(), console)
    assert record.verdict == "PASS" and len(record.parts[0].attempts) == 1


def test_failures_run_again_with_their_seeds_and_say_what_they_were(tmp_path: Path) -> None:
    old, _ = carried(tmp_path, Router("PASS", "FAIL", "INVALID"))
    again, folder = begin_again(old, tmp_path, NOW + 60)
    router = Router("PASS", "FAIL")
    carry_out(again, folder, tmp_path, router, Console(file=StringIO()))
    assert [asked for _, asked in router.asked] == [cell("b"), cell("c")]
    assert again.rerun_of == old.suite_id
    out = StringIO()
    show(again, Console(file=out, width=120))
    assert "PASS (FAIL before)" in out.getvalue() and "FAIL (INVALID before)" in out.getvalue()


def test_nothing_to_run_again_is_said(tmp_path: Path) -> None:
    old, _ = carried(tmp_path, Router("PASS"), "a")
    with pytest.raises(BadInput, match="no run of it failed"):
        begin_again(old, tmp_path, NOW + 60)


def test_an_unknown_or_broken_suite_run_is_bad_input(tmp_path: Path) -> None:
    _, folder = carried(tmp_path, Router("PASS"), "a")
    with pytest.raises(BadInput, match=f"nope: no suite was run.*known: {folder.name}"):
        find_record("nope", tmp_path)
    (folder / "suite.json").write_text('{"suite": "small"}')
    with pytest.raises(BadInput, match=r"suite\.json: suite_id"):
        find_record("latest", tmp_path)


def test_the_record_reads_back_as_it_was(tmp_path: Path) -> None:
    record, folder = carried(tmp_path, Router("PASS", "FAIL", "PASS"))
    found, _ = find_record("latest", tmp_path)
    assert found == record
    before = (folder / "suite.json").read_bytes()
    save(found, folder)
    assert (folder / "suite.json").read_bytes() == before


def test_only_and_set_choose_and_change_runs() -> None:
    cells = [cell("a-1"), cell("a-2"), cell("b-1")]
    assert [one.name for one in chosen(cells, ["a-*", "b-*"])] == ["a-1", "a-2", "b-1"]
    assert [one.name for one in chosen(cells, ["*-1"])] == ["a-1", "b-1"]
    with pytest.raises(BadInput, match="--only c: no run"):
        chosen(cells, ["a-*", "c"])
    assert with_settings(cells, ["x=1"])[0].settings == ("router.version=1", "x=1")


def test_a_suite_too_large_for_the_hosts_is_refused_before_it_begins(tmp_path: Path) -> None:
    data = {"device": "d0", "address": "198.19.0.11/24", "pool": "198.19.0.64/30"}
    host = {"data": data, "point": {"host": "r", "device": "d0"}, "ssh": {"address": "r"}}
    hosts = [
        Host.model_validate({"name": name, "groups": [group], **host})
        for name, group in (("r", "routers"), ("c", "clients"))
    ]
    _, cells = load_suite(find_suite("nightly"))
    with pytest.raises(BadInput, match="lab-s1: "):
        validate_on(cells, hosts)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "give one of"),
        (["tc-stress-001", "--suite", "nightly"], "give one of"),
        (["tc-stress-001", "--only", "x"], "--only"),
        (["--suite", "nightly", "--seed", "3"], "--seed"),
        (["--suite", "nightly", "--scale", "full"], "--scale"),
        (["--resume", "--set", "x=1"], "--set"),
    ],
)
def test_options_that_do_not_go_together_are_bad_input(
    options: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *options]) == 2
    assert sentence in capsys.readouterr().err
