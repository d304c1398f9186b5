"""The command line ``screamlab``: one function per command, importing only what it needs."""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from screamlab import __version__, paths
from screamlab.errors import BadInput, ScreamlabError
from screamlab.fit import command as fit_command

# Where there is no terminal, a table is not squeezed into 80 columns.
PIPED_COLUMNS = 140

if TYPE_CHECKING:
    from rich.console import Console

    from screamlab.judge.model import Verdict


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
    run = _scenario_command(commands, "run", "run a scenario and judge it", _run)
    run.add_argument("--run-id", help="name of the run folder (default: time, scenario, scale)")
    run.add_argument("--down", action="store_true", help="take the local lab down afterwards")
    _scenario_command(commands, "plan", "print what every host would do; no host is touched", _plan)
    judge = commands.add_parser("judge", help="judge a collected run again, without the lab")
    judge.add_argument("run", type=Path, help="a run folder, such as runs/latest")
    judge.set_defaults(command=_judge)
    impair = commands.add_parser("impair", help="break the links of hosts by hand, for some time")
    impair.add_argument("profile", help="name of a profile, or path of a profile file")
    impair.add_argument("--hosts", required=True, metavar="HOST,GROUP,…",
                        help="whose links: hosts or groups of the inventory")  # fmt: skip
    impair.add_argument("--for", required=True, type=_seconds, dest="seconds", metavar="TIME",
                        help="for how long, as 90s, 10m or 2h")  # fmt: skip
    _inventory_options(impair)
    impair.set_defaults(command=_impair)
    heal = commands.add_parser("heal", help="make the network of every host whole, and verify it")
    _inventory_options(heal)
    heal.set_defaults(command=_heal)
    fit = commands.add_parser("fit", help="turn what was measured in the field into a profile")
    fit_command.add_arguments(fit)
    _inventory_options(fit)
    fit.set_defaults(command=_fit)
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
    valgrind.set_defaults(command=_valgrind)
    bench = commands.add_parser("bench", help="measure the lab's own tools against their peers")
    bench.add_argument(
        "what",
        nargs="*",
        help="senders, oracle, sampler, main-job (default: these); clients refreshes costs.yml, "
        "valgrind reads a gigabyte",
    )
    bench.set_defaults(command=_bench)
    agent = commands.add_parser("agent", help="on a host: carry out its plan")
    agent.add_argument("plan", type=Path, help="the host's plan file; its folder is the spool")
    agent.add_argument("--zero", type=float, help="unix time of the plan's zero (default: in 5 s)")
    agent.add_argument("--release", action="store_true", help="only undo what the plan changed")
    agent.set_defaults(command=_agent)
    follow = commands.add_parser("follow", help="on a host: print a run's records as they come")
    follow.add_argument("directory", type=Path, help="the run's spool folder")
    follow.set_defaults(command=_follow)
    return parser


def _scenario_command(
    commands: Any, name: str, help_text: str, function: Any
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=help_text)
    option = command.add_argument
    option("scenario", help="name of a scenario, or path of a scenario file")
    option("--scale", default="quick", help="a scale of the scenario (default: quick)")
    option("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE",
           help="change one value of the scenario, as senders.NAME.count=5")  # fmt: skip
    option("--seed", type=int, help="seed of everything drawn (default: drawn)")
    _inventory_options(command)
    command.set_defaults(command=function)
    return command


def _inventory_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--inventory", type=Path, default=paths.INVENTORY,
                         help="Ansible inventory (default: the local lab)")  # fmt: skip
    command.add_argument("-e", "--extra-vars", action="append", default=[], metavar="KEY=VALUE",
                         help="an inventory variable, as ansible-playbook has it")  # fmt: skip


def _seconds(text: str) -> float:
    """A time such as 90s, 10m or 2h, in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text)
    if not match:
        raise argparse.ArgumentTypeError(f"'{text}' is no time such as 90s, 10m or 2h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _run(options: argparse.Namespace) -> int:
    from rich.console import Console

    from screamlab.judge.run import judge_run
    from screamlab.run.drive import drive, take_down
    from screamlab.run.folder import new_run_id, note
    from screamlab.scenario.model import find_scenario, load_scenario

    file = find_scenario(options.scenario, paths.SCENARIOS).resolve()
    scenario = load_scenario(file, options.scale, options.settings)
    run_id = options.run_id or new_run_id(scenario)
    if (paths.RUNS / run_id).exists():
        raise BadInput(f"{paths.RUNS / run_id}: this run folder exists already")
    extra = _extra_vars(options.extra_vars)
    variables = {
        **extra,
        "scenario": str(file),
        "scale": options.scale,
        "settings": options.settings,
        "run_id": run_id,
    }
    if options.seed is not None:
        variables["seed"] = options.seed
    console, begun = Console(), time.monotonic()
    try:
        folder = drive(run_id, options.inventory, paths.RUNS, variables, console)
        verdict = judge_run(folder, paths.KNOWN_ISSUES)
    finally:
        if options.down:
            take_down(options.inventory, extra)
    note(folder, wall_s=round(time.monotonic() - begun, 1))
    return _show_verdict(verdict, folder, console)


def _plan(options: argparse.Namespace) -> int:
    from rich.console import Console

    from screamlab.inventory import load_hosts
    from screamlab.scenario.compile import compile_scenario
    from screamlab.scenario.model import find_scenario, load_scenario
    from screamlab.scenario.show import show_plans

    file = find_scenario(options.scenario, paths.SCENARIOS)
    scenario = load_scenario(file, options.scale, options.settings)
    hosts = load_hosts(options.inventory, _extra_vars(options.extra_vars))
    seed = options.seed if options.seed is not None else 0
    console = Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS)
    show_plans(compile_scenario(scenario, hosts, run_id="plan", seed=seed), console)
    return 0


def _judge(options: argparse.Namespace) -> int:
    from rich.console import Console

    from screamlab.judge.run import judge_run

    folder = options.run.resolve()
    return _show_verdict(judge_run(folder, paths.KNOWN_ISSUES), folder, Console())


def _show_verdict(verdict: Verdict, folder: Path, console: Console) -> int:
    """Print the verdict, as the last line, and where its report is; returns its exit code."""
    from screamlab.judge.table import print_verdict

    console.print(f"report: {folder / 'report.html'}", soft_wrap=True, highlight=False)
    print_verdict(verdict, console)
    return verdict.exit_code


def _impair(options: argparse.Namespace) -> int:
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


def _heal(options: argparse.Namespace) -> int:
    from rich.console import Console

    from screamlab.run.by_hand import heal

    heal(options.inventory, _extra_vars(options.extra_vars), Console())
    return 0


def _fit(options: argparse.Namespace) -> int:
    if options.check == fit_command.REPLAY:
        options.check = _replay(options)
    return fit_command.run(options)


def _replay(options: argparse.Namespace) -> Path:
    """Run the fit of what was measured through the lab; the run's folder."""
    import tempfile

    from rich.console import Console

    from screamlab.run.folder import new_run_id
    from screamlab.scenario.model import find_scenario, load_scenario

    scenario = load_scenario(find_scenario("replay", paths.SCENARIOS), "quick")
    run_id = new_run_id(scenario)
    with tempfile.TemporaryDirectory() as folder:
        profile = options.output or Path(folder, "measured.yml")
        fit_command.write_profile(options, profile, Console())
        replayed = argparse.Namespace(
            **{**vars(options), "scenario": "replay", "scale": "quick", "seed": None},
            settings=[f"impairments.replay.profile={profile.resolve()}"],
            run_id=run_id,
            down=False,
        )
        _run(replayed)
    return paths.RUNS / run_id


def _valgrind(options: argparse.Namespace) -> int:
    from rich.console import Console

    from screamlab.judge.valgrind_command import run

    return run(options, Console() if sys.stdout.isatty() else Console(width=PIPED_COLUMNS))


def _bench(options: argparse.Namespace) -> int:
    from screamlab.bench import bench

    return bench(options.what)


def _agent(options: argparse.Namespace) -> int:
    from screamlab.agent.supervisor import Agent, release
    from screamlab.scenario.plan import read_plan

    if options.release:
        release(read_plan(options.plan))
        return 0
    Agent(options.plan, options.zero if options.zero is not None else time.time() + 5).run()
    return 0


def _follow(options: argparse.Namespace) -> int:
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
