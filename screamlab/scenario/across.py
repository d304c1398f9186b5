"""Whether the sections of a scenario fit each other: what none of them can tell by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from screamlab.judge.checks import validate_check
from screamlab.scenario.instrument import instrumented
from screamlab.scenario.yaml_lines import Source

if TYPE_CHECKING:
    from screamlab.scenario.model import Scenario


def validate_across(scenario: Scenario, source: Source) -> None:
    """`BadInput` names line and key of what does not fit the rest of the scenario."""
    for part in ("phases", "senders", "receivers", "devices", "churn", "impairments", "faults"):
        names: set[str] = set()
        for at, item in enumerate(getattr(scenario, part)):
            if item.name in names:
                raise source.error((part, at, "name"), f"'{item.name}' is taken already")
            names.add(item.name)
    if scenario.phases[0].kind != "null_path":
        raise source.error(("phases", 0, "kind"), "the first phase is the null path")
    if not any(phase.kind == "hold" for phase in scenario.phases):
        raise source.error(("phases",), "there is no phase of kind hold, so nothing to judge")
    senders = {group.name: group for group in scenario.senders}
    for at, receiver in enumerate(scenario.receivers):
        if receiver.hears not in senders:
            raise source.error(
                ("receivers", at, "hears"), f"there is no sender group '{receiver.hears}'"
            )
        if receiver.mix > max(1, senders[receiver.hears].count):
            raise source.error(
                ("receivers", at, "mix"), f"'{receiver.hears}' has fewer senders than that"
            )
    _validate_impairments(scenario, source)
    _validate_churn(scenario, source)
    _validate_instrument(scenario, source)
    _validate_faults(scenario, source)
    for at, check in enumerate(scenario.checks):
        try:
            validate_check(check)
        except ValueError as error:
            raise source.error(("checks", at), str(error)) from error


def _validate_impairments(scenario: Scenario, source: Source) -> None:
    kinds = {phase.name: phase.kind for phase in scenario.phases}
    broken = set()
    for at, item in enumerate(scenario.impairments):
        if kinds.get(item.phase) != "impaired":
            raise source.error(
                ("impairments", at, "phase"), f"there is no phase '{item.phase}' of kind impaired"
            )
        if (item.phase, item.links) in broken:
            raise source.error(
                ("impairments", at, "links"),
                f"the links of {item.links} are impaired already in phase '{item.phase}'",
            )
        broken.add((item.phase, item.links))
    for at, phase in enumerate(scenario.phases):
        if phase.kind == "impaired" and phase.name not in {name for name, _ in broken}:
            raise source.error(("phases", at), f"no impairment names the phase '{phase.name}'")


def _validate_churn(scenario: Scenario, source: Source) -> None:
    phases = {phase.name for phase in scenario.phases if phase.kind in ("churn", "hold")}
    senders = {group.name for group in scenario.senders}
    for at, group in enumerate(scenario.churn):
        if group.phase not in phases:
            message = f"there is no phase '{group.phase}' of kind churn or hold"
            raise source.error(("churn", at, "phase"), message)
        if (group.hears is not None) != (group.kind == "webrtc"):
            raise source.error(("churn", at), "a group of kind webrtc, and no other, hears senders")
        if group.hears is not None and group.hears not in senders:
            message = f"there is no sender group '{group.hears}'"
            raise source.error(("churn", at, "hears"), message)
        if not 0 < group.hold_seconds[0] <= group.hold_seconds[1]:
            raise source.error(("churn", at, "hold_seconds"), "is not [least, most] above zero")


def _validate_faults(scenario: Scenario, source: Source) -> None:
    phases = {phase.name for phase in scenario.phases}
    for at, fault in enumerate(scenario.faults):
        if fault.phase not in phases:
            raise source.error(("faults", at, "phase"), f"there is no phase '{fault.phase}'")
        if fault.of_link and not scenario.impairments:
            raise source.error(("faults", at), "no link is broken, so it has no place")


def _validate_instrument(scenario: Scenario, source: Source) -> None:
    if scenario.instrument is None:
        return
    try:
        instrumented(scenario.router, scenario.instrument)
    except ValueError as error:
        raise source.error(("instrument",), str(error)) from error
    phases = [phase.name for phase in scenario.phases]
    if mistake := scenario.instrument.mistake(phases, source.path.parent):
        key, message = mistake
        raise source.error(("instrument", key), message)
