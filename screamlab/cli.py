"""The command line ``screamlab``: what can be said on it. What follows is in `commands`."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from screamlab import __version__, paths
from screamlab import commands as do
from screamlab.errors import ScreamlabError
from screamlab.fit import command as fit_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors a user can act on are one sentence and their exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except ScreamlabError as error:
        print(f"screamlab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("screamlab: interrupted; the hosts carry on with their plans", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="screamlab",
        description="A test lab for ScreamRouter: load it, watch it, and say whether it is stable.",
        epilog="exit codes: 0 PASS, 1 FAIL, 2 bad input, 3 INVALID (the lab cannot tell), "
        "4 INFRA (hosts or provisioning)",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = _scenario_command(commands, "run", "run a scenario, or a suite, and judge", do.run)
    run.add_argument("--run-id", help="name of the run folder (default: time, scenario, scale)")
    run.add_argument("--down", action="store_true", help="take the local lab down afterwards")
    _suite_options(run)
    _scenario_command(commands, "plan", "print what every host would do, and no more", do.plan)
    canary = commands.add_parser(
        "canary", help="plant faults into runs, and see whether each is seen, and nothing else"
    )
    canary.add_argument("names", nargs="*", metavar="CANARY",
                        help="of lab_tests/canaries.yml (default: all of them)")  # fmt: skip
    canary.add_argument("--list", action="store_true", help="only print them, and what is known")
    canary.add_argument("--judge", action="store_true",
                        help="run nothing: judge what was run last again")  # fmt: skip
    canary.add_argument("-o", "--output", type=Path, metavar="PAGE",
                        help="write the table of all that were run, as Markdown")  # fmt: skip
    _inventory_options(canary)
    canary.set_defaults(command=do.canary)
    attach = commands.add_parser(
        "attach", help="take up a run again whose controller is gone: wait, collect, judge"
    )
    attach.add_argument("run", type=Path, help="a run folder, such as runs/latest")
    _inventory_options(attach)
    attach.set_defaults(command=do.attach)
    judge = commands.add_parser("judge", help="judge a collected run again, without the lab")
    judge.add_argument("run", type=Path, help="a run folder, such as runs/latest")
    judge.set_defaults(command=do.judge)
    compare = commands.add_parser("compare", help="hold runs against each other: more than noise?")
    compare.add_argument("runs", nargs="+", metavar="RUNS",
                         help="a side each: a run, a suite, a folder of runs, or a glob; one alone "
                         "is compared by router version")  # fmt: skip
    compare.add_argument("--by-version", action="store_true",
                         help="sides are the router versions of all these runs")  # fmt: skip
    compare.add_argument("-o", "--output", type=Path, default=Path("compare.html"),
                         help="the page to write (default: compare.html)")  # fmt: skip
    compare.set_defaults(command=do.compare)
    history = commands.add_parser("history", help="what runs came out as, and their trends")
    _folder_of_runs(history)
    history.add_argument("--last", type=_count, default=50, metavar="N",
                         help="only the newest N runs (default: 50)")  # fmt: skip
    history.add_argument("-o", "--output", type=Path, metavar="PAGE",
                         help="write a page with the trends of all metrics")  # fmt: skip
    history.set_defaults(command=do.history)
    prune = commands.add_parser("prune", help="remove old runs; without --yes, only say which")
    _folder_of_runs(prune)
    prune.add_argument("--keep", type=_count, metavar="N", help="keep the newest N runs")
    prune.add_argument("--older-than", type=_seconds, metavar="AGE",
                       help="remove only what is older, as 30d or 12h")  # fmt: skip
    prune.add_argument("--failed", action="store_true", help="runs that ended FAIL go as well")
    prune.add_argument("--yes", action="store_true", help="remove them")
    prune.set_defaults(command=do.prune)
    impair = commands.add_parser("impair", help="break the links of hosts by hand, for some time")
    impair.add_argument("profile", help="name of a profile, or path of a profile file")
    impair.add_argument("--hosts", required=True, metavar="HOST,GROUP,…",
                        help="whose links: hosts or groups of the inventory")  # fmt: skip
    impair.add_argument("--for", required=True, type=_seconds, dest="seconds", metavar="TIME",
                        help="for how long, as 90s, 10m or 2h")  # fmt: skip
    _inventory_options(impair)
    impair.set_defaults(command=do.impair)
    heal = commands.add_parser("heal", help="make the network of every host whole, and verify it")
    _inventory_options(heal)
    heal.set_defaults(command=do.heal)
    fit = commands.add_parser("fit", help="turn what was measured in the field into a profile")
    fit_command.add_arguments(fit)
    _inventory_options(fit)
    fit.set_defaults(command=do.fit)
    valgrind = commands.add_parser("valgrind", help="read reports of Valgrind's tools by hand")
    option = valgrind.add_argument
    option("files", nargs="+", type=Path, metavar="FILE", help="what a tool wrote, as XML or not")
    option("--baseline", type=Path, metavar="FILE", help="show what is new, gone or grown since")
    option("--engine", action="append", metavar="GLOB",
           help="object files that are the engine (default: the router's)")  # fmt: skip
    option("--owner", choices=("engine", "libraries", "python", "system"),
           help="only what belongs to this one")  # fmt: skip
    option("--most", type=int, default=20, metavar="N", help="stacks to show (default: 20)")
    option("--save", type=Path, metavar="FILE", help="write the report, grouped, as a baseline")
    valgrind.set_defaults(command=do.valgrind)
    bench = commands.add_parser("bench", help="measure the lab's own tools against their peers")
    bench.add_argument(
        "what",
        nargs="*",
        help="senders, oracle, sampler, main-job (default: these); clients refreshes costs.yml, "
        "leak docs/leak-calibration.md, valgrind reads a gigabyte",
    )
    bench.set_defaults(command=do.bench)
    agent = commands.add_parser("agent", help="on a host: carry out its plan")
    agent.add_argument("plan", type=Path, help="the host's plan file; its folder is the spool")
    agent.add_argument("--zero", type=float, help="unix time of the plan's zero (default: in 5 s)")
    agent.add_argument("--rejoin", action="store_true", help="after a reboot: do what is left")
    agent.add_argument("--release", action="store_true", help="only undo what the plan changed")
    agent.set_defaults(command=do.agent)
    follow = commands.add_parser("follow", help="on a host: print a run's records as they come")
    follow.add_argument("directory", type=Path, help="the run's spool folder")
    follow.set_defaults(command=do.follow)
    return parser


def _scenario_command(
    commands: Any, name: str, help_text: str, function: Any
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_text)
    option = command.add_argument
    option("scenario", help="name of a scenario, or path of a scenario file",
           nargs="?" if name == "run" else None)  # fmt: skip
    option("--scale", help="a scale of the scenario (default: quick)")
    option("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE",
           help="change one value of the scenario, as senders.NAME.count=5")  # fmt: skip
    option("--seed", type=int, help="seed of everything drawn (default: drawn)")
    _inventory_options(command)
    command.set_defaults(command=function)
    return command


def _suite_options(run: argparse.ArgumentParser) -> None:
    option = run.add_argument
    option("--suite", help="name of a suite, or path of a suite file, instead of a scenario")
    option("--only", action="append", default=[], metavar="GLOB",
           help="of a suite, only the runs whose names match")  # fmt: skip
    option("--resume", nargs="?", const="latest", metavar="SUITE-RUN",
           help="go on with a suite that was interrupted (default: the latest)")  # fmt: skip
    option("--rerun-failed", nargs="?", const="latest", metavar="SUITE-RUN",
           help="run what did not pass in a suite again, with the same seeds")  # fmt: skip


def _folder_of_runs(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", nargs="?", type=Path, default=paths.RUNS,
                         help="a folder of runs (default: runs/)")  # fmt: skip


def _inventory_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--inventory", type=Path, default=paths.INVENTORY,
                         help="Ansible inventory (default: the local lab)")  # fmt: skip
    command.add_argument("-e", "--extra-vars", action="append", default=[], metavar="KEY=VALUE",
                         help="an inventory variable, as ansible-playbook has it")  # fmt: skip


def _seconds(text: str) -> float:
    """A time such as 90s, 10m, 2h or 30d, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h|d)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 90s, 10m, 2h or 30d")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]


def _count(text: str) -> int:
    """A whole number above zero."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number above zero")
    return int(text)
