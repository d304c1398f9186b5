"""``screamlab canary``: plant one fault after the other, and see whether each is seen.

What became of every canary stays in ``runs/canaries.json``, so that single ones can be run again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from screamlab.canary.compare import Found, compare
from screamlab.canary.model import Canary, load_canaries
from screamlab.canary.show import page, table
from screamlab.errors import BadInput, ScreamlabError
from screamlab.evidence.bundle import Bundle
from screamlab.judge.model import Verdict
from screamlab.judge.run import judge_run
from screamlab.judge.view import Run
from screamlab.output import write_output
from screamlab.paths import CANARIES, KNOWN_ISSUES, RUNS
from screamlab.run.whole import Asked, run_and_judge

RECORD = RUNS / "canaries.json"

_FOUND = TypeAdapter(dict[str, Found])


@dataclass(frozen=True)
class Lab:
    """The hosts of an inventory, and what is said of them."""

    inventory: Path
    variables: Mapping[str, Any]


def try_canaries(
    names: Sequence[str], lab: Lab | None, output: Path | None, console: Console
) -> int:
    """Run the canaries of these names, or all, and print what came of each; 1 unless all are well.

    Without a lab, the newest run of each that was ever run is judged again. The table of all that
    were ever run is written to `output`.
    """
    canaries = load_canaries(CANARIES)
    known = _read()
    if not names and lab is None:
        names = [canary.name for canary in canaries.canaries if canary.name in known]
    chosen = canaries.chosen(names)
    for at, canary in enumerate(chosen, start=1):
        console.print(f"[{at}/{len(chosen)}] {canary.name}: {canary.plants}", markup=False,
                      highlight=False)  # fmt: skip
        found = _run(canaries.file, canary, lab, console) if lab else _judge_again(canary, known)
        # Somebody may run others meanwhile.
        known = {**_read(), canary.name: found}
        write_output(RECORD, _FOUND.dump_json(known, indent=1).decode() + "\n")
        for sentence in found.wrong:
            console.print(f"wrong: {sentence}", markup=False, highlight=False, soft_wrap=True)
    console.print(table(chosen, known))
    if output:
        write_output(output, page(canaries.canaries, known))
        console.print(f"page: {output}", soft_wrap=True, highlight=False)
    return 0 if all(known[canary.name].ok for canary in chosen) else 1


def list_canaries(console: Console) -> int:
    """Print which canaries there are, and what is known of each."""
    console.print(table(load_canaries(CANARIES).canaries, _read()))
    return 0


def _read() -> dict[str, Found]:
    try:
        return _FOUND.validate_json(RECORD.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise BadInput(f"{RECORD}: {error.errors()[0]['msg']}; it can be removed") from error


def _run(scenario: Path, canary: Canary, lab: Lab, console: Console) -> Found:
    run_id = f"{time.strftime('%Y%m%d-%H%M%S')}-canary-{canary.name}"
    asked = Asked(scenario, canary.scale, canary.overrides, run_id)
    try:
        verdict = run_and_judge(asked, lab.inventory, lab.variables, console)
    except ScreamlabError as error:
        return Found(name=canary.name, run_id=run_id, wrong=(str(error),))
    return _compared(canary, verdict)


def _judge_again(canary: Canary, known: Mapping[str, Found]) -> Found:
    if canary.name not in known:
        raise BadInput(f"the canary '{canary.name}' was never run")
    return _compared(canary, judge_run(RUNS / known[canary.name].run_id, KNOWN_ISSUES))


def _compared(canary: Canary, verdict: Verdict) -> Found:
    with Bundle(RUNS / verdict.run_id) as bundle:
        begun = Run(bundle).events("fault.begin")
    return compare(canary, verdict, begun[0].at_s if begun else None)
