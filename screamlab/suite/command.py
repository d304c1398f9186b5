"""``screamlab run --suite``: begin a suite, go on with one, or run its failures again."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from screamlab import paths
from screamlab.errors import BadInput
from screamlab.inventory import load_hosts
from screamlab.judge.model import Verdict
from screamlab.run.drive import take_down
from screamlab.run.whole import Asked, run_and_judge
from screamlab.suite.carry import carry_out, chosen, show, validate_on, with_settings
from screamlab.suite.model import Cell, find_suite, load_suite
from screamlab.suite.record import Record, begin, begin_again, find_record

# For hosts that somebody else has, or a run of its own that was interrupted: a suite can wait.
WAIT_FOR_HOSTS = {"lab_lock_wait_s": 1800}


def suite_is_meant(options: argparse.Namespace) -> bool:
    """Whether a suite is meant; `BadInput` unless exactly one thing is asked for."""
    ways = {"a scenario": options.scenario, "--suite": options.suite, "--resume": options.resume,
            "--rerun-failed": options.rerun_failed}  # fmt: skip
    given = [way for way, value in ways.items() if value]
    if len(given) != 1:
        raise BadInput(f"give one of {', '.join(ways)}, not {' and '.join(given) or 'none'}")
    if options.scenario:
        if options.only:
            raise BadInput("--only chooses runs of a suite")
        return False
    one_run = {"--scale": options.scale, "--seed": options.seed, "--run-id": options.run_id}
    for name, value in one_run.items():
        if value is not None:
            raise BadInput(f"{name} is for one scenario; the suite says it for each of its runs")
    if not options.suite and (options.only or options.settings):
        raise BadInput("--only and --set are for a suite that begins")
    return True


def run_suite(options: argparse.Namespace, variables: dict[str, object], console: Console) -> int:
    """Carry out the suite that is asked for; returns the exit code of its verdict."""
    variables = {**WAIT_FOR_HOSTS, **variables}
    record, folder = _record(options, variables)

    def run(run_id: str, cell: Cell) -> Verdict:
        asked = Asked(cell.scenario, cell.scale, cell.settings, run_id, cell.seed)
        return run_and_judge(asked, options.inventory, variables, console)

    try:
        carry_out(record, folder, paths.RUNS, run, console)
    except KeyboardInterrupt:
        console.print(f"`screamlab run --resume {record.suite_id}` goes on with this suite")
        raise
    finally:
        if options.down:
            take_down(options.inventory, variables)
    console.print(f"suite: {folder}", soft_wrap=True, highlight=False)
    show(record, console)
    return record.exit_code


def _record(options: argparse.Namespace, variables: dict[str, object]) -> tuple[Record, Path]:
    if options.suite:
        suite, cells = load_suite(find_suite(options.suite))
        cells = with_settings(chosen(cells, options.only), options.settings)
        validate_on(cells, load_hosts(options.inventory, variables))
        return begin(suite, cells, paths.RUNS)
    record, folder = find_record(options.resume or options.rerun_failed, paths.RUNS)
    return (record, folder) if options.resume else begin_again(record, paths.RUNS)
