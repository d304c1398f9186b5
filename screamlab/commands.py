"""The commands of the command line: one function each, importing only what it needs.

Each takes the parsed options and returns the exit code.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screamlab import paths
from screamlab.errors import BadInput
from screamlab.fit import command as fit_command

PIPED_COLUMNS = 140
DEFAULT_SCALE = "quick"

if TYPE_CHECKING:
    from rich.console import Console

    from screamlab.judge.model import Verdict


def run(options: argparse.Namespace) -> int:
    """Run a scenario, or a suite of them."""
    from rich.console import Console

    from screamlab.run.drive import take_down
    from screamlab.run.folder import new_run_id
    from screamlab.run.record import was_refused
    from screamlab.run.whole import Asked, run_and_judge
    from screamlab.scenario.model import find_scenario, load_scenario
    from screamlab.suite.command import run_suite, suite_is_meant

    extra = _extra_vars(options.extra_vars)
    if suite_is_meant(options):
        return run_suite(options, extra, _wide_console())
    file = find_scenario(options.scenario, paths.SCENARIOS).resolve()
    scale = options.scale or DEFAULT_SCALE
    scenario = load_scenario(file, scale, options.settings)
    run_id = options.run_id or new_run_id(scenario)
    if (paths.RUNS / run_id).exists():
        raise BadInput(f"{paths.RUNS / run_id}: this run folder exists already")
    console = Console()
    try:
        asked = Asked(file, scale, options.settings, run_id, options.seed)
        verdict = run_and_judge(asked, options.inventory, extra, console)
    finally:
        # A lab that somebody else is at work on is theirs.
        if options.down and not was_refused(paths.RUNS / run_id):
            take_down(options.inventory, extra)
    return _show_verdict(verdict, paths.RUNS / run_id, console)


def canary(options: argparse.Namespace) -> int:
    """Plant faults into runs, and see whether each is seen."""
    from screamlab.canary.command import Lab, list_canaries, try_canaries

    console = _wide_console()
    if options.list:
        return list_canaries(console)
    lab = None if options.judge else Lab(options.inventory, _extra_vars(options.extra_vars))
    return try_canaries(options.names, lab, options.output, console)


def plan(options: argparse.Namespace) -> int:
    """Print what every host would do."""
    from screamlab.inventory import load_hosts
    from screamlab.scenario.compile import compile_scenario
    from screamlab.scenario.model import find_scenario, load_scenario
    from screamlab.scenario.show import show_plans

    file = find_scenario(options.scenario, paths.SCENARIOS)
    scenario = load_scenario(file, options.scale or DEFAULT_SCALE, options.settings)
    hosts = load_hosts(options.inventory, _extra_vars(options.extra_vars))
    seed = options.seed if options.seed is not None else 0
    plan = compile_scenario(scenario, hosts, run_id="plan", seed=seed)
    show_plans(plan, _wide_console())
    return 0


def _wide_console() -> Console:
    """A console that does not squeeze a table into 80 columns where there is no terminal."""
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)


def attach(options: argparse.Namespace) -> int:
    """Take up a run again whose controller is gone."""
    from rich.console import Console

    from screamlab.judge.run import verdict_on
    from screamlab.run.drive import attach

    folder, console = options.run.resolve(), Console()
    attach(folder, options.inventory, _extra_vars(options.extra_vars), console)
    return _show_verdict(verdict_on(folder, paths.KNOWN_ISSUES), folder, console)


def judge(options: argparse.Namespace) -> int:
    """Judge a collected run again."""
    from rich.console import Console

    from screamlab.evidence.verify import altered
    from screamlab.judge.run import judge_run

    folder, console = options.run.resolve(), Console()
    if sentence := altered(folder):
        console.print(f"note: {sentence}", markup=False, highlight=False, soft_wrap=True)
    return _show_verdict(judge_run(folder, paths.KNOWN_ISSUES), folder, console)


def compare(options: argparse.Namespace) -> int:
    """Hold runs against each other."""
    from screamlab.compare.command import compare_runs

    compare_runs(options.runs, paths.RUNS, options.by_version, options.output, _wide_console())
    return 0


def history(options: argparse.Namespace) -> int:
    """Show what runs came out as."""
    from screamlab.history.command import show_history

    show_history(options.folder, options.last, options.output, _wide_console())
    return 0


def prune(options: argparse.Namespace) -> int:
    """Remove old runs."""
    from screamlab.history.prune import Rule, prune

    if options.keep is None and options.older_than is None:
        raise BadInput("say what is to go: --keep N, --older-than AGE, or both")
    rule = Rule(options.keep, options.older_than, options.failed)
    prune(options.folder, rule, _wide_console(), remove=options.yes)
    return 0


def _show_verdict(verdict: Verdict, folder: Path, console: Console) -> int:
    """Print the verdict, as the last line, and where its report is; returns its exit code."""
    from screamlab.judge.table import print_verdict

    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
    print_verdict(verdict, console)
    return verdict.exit_code


def impair(options: argparse.Namespace) -> int:
    """Break the links of hosts by hand."""
    from rich.console import Console

    from screamlab.run.by_hand import impair
    from screamlab.run.impair import Request, new_run_id

    hosts = options.hosts.split(",")
    variables = {
        **_extra_vars(options.extra_vars),
        "impair_profile": options.profile,
        "impair_hosts": hosts,
        "impair_seconds": options.seconds,
    }
    run_id = new_run_id(Request(options.profile, hosts, options.seconds))
    impair(run_id, paths.RUNS, options.inventory, variables, Console())
    return 0


def heal(options: argparse.Namespace) -> int:
    """Make the network of every host whole."""
    from rich.console import Console

    from screamlab.run.by_hand import heal

    heal(options.inventory, _extra_vars(options.extra_vars), Console())
    return 0


def fit(options: argparse.Namespace) -> int:
    """Turn what was measured in the field into a profile."""
    if options.check == fit_command.REPLAY:
        options.check = _replay(options)
    return fit_command.run(options)


def _replay(options: argparse.Namespace) -> Path:
    """Run the fit of what was measured through the lab; the run's folder."""
    import tempfile

    from rich.console import Console

    from screamlab.run.folder import new_run_id
    from screamlab.run.whole import Asked, run_and_judge
    from screamlab.scenario.model import find_scenario, load_scenario

    file, console = find_scenario("replay", paths.SCENARIOS), Console()
    run_id = new_run_id(load_scenario(file, DEFAULT_SCALE))
    with tempfile.TemporaryDirectory() as folder:
        profile = options.output or Path(folder, "measured.yml")
        fit_command.write_profile(options, profile, console)
        settings = [f"impairments.replay.profile={profile.resolve()}"]
        asked = Asked(file, DEFAULT_SCALE, settings, run_id)
        variables = _extra_vars(options.extra_vars)
        verdict = run_and_judge(asked, options.inventory, variables, console)
    _show_verdict(verdict, paths.RUNS / run_id, console)
    return paths.RUNS / run_id


def valgrind(options: argparse.Namespace) -> int:
    """Read reports of Valgrind's tools."""
    from screamlab.judge.valgrind_command import run

    return run(options, _wide_console())


def bench(options: argparse.Namespace) -> int:
    """Measure the lab's own tools."""
    from screamlab.bench import bench

    return bench(options.what)


def agent(options: argparse.Namespace) -> int:
    """Carry out a host's plan, on that host."""
    from screamlab.agent.rejoin import host_goes_down
    from screamlab.agent.supervisor import Agent, release
    from screamlab.scenario.plan import read_plan

    if options.release:
        if not host_goes_down():
            release(read_plan(options.plan))
        return 0
    zero = options.zero if options.zero is not None else time.time() + 5
    Agent(options.plan, zero, rejoins=options.rejoin).run()
    return 0


def follow(options: argparse.Namespace) -> int:
    """Print a run's records as they come, on the host."""
    from screamlab.evidence.follow import print_followed

    print_followed(options.directory)
    return 0


def _extra_vars(pairs: Sequence[str]) -> dict[str, Any]:
    """``key=value`` pairs or JSON objects, as ansible-playbook takes them."""
    import yaml

    variables: dict[str, Any] = {}
    for pair in pairs:
        if pair.lstrip().startswith("{"):
            try:
                variables |= json.loads(pair)
            except ValueError:
                raise BadInput(f"-e {pair}: not valid JSON") from None
            continue
        key, equals, value = pair.partition("=")
        if not equals:
            raise BadInput(f"-e {pair}: expected key=value")
        variables[key] = yaml.safe_load(value)
    return variables
