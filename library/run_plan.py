#!/usr/bin/python
"""Ansible module: the run folder of a scenario, compiled for an inventory."""

from __future__ import annotations

DOCUMENTATION = """
module: run_plan
short_description: Compile a scenario, or an impairment by hand, into a run folder
description:
  - Runs on the controller. Reads a scenario or a profile and an inventory, contacts no host, and
    makes the run folder with C(run.json) and one plan per host.
options:
  scenario:
    description: Name of a scenario of this project, or path of a file.
    type: str
  impairment:
    description: Break the network by hand instead.
    type: dict
    suboptions:
      profile:
        description: Name of a profile of this project, or path of a file.
        type: str
        required: true
      hosts:
        description: Hosts or groups whose links it is for.
        type: list
        elements: str
        required: true
      seconds:
        description: How long it lasts.
        type: float
        required: true
  scale:
    description: Scale the scenario is run at.
    type: str
    default: quick
  settings:
    description: Values to change, each as C(key=value).
    type: list
    elements: str
    default: []
  hosts:
    description: The inventory's hosts, as the filter C(plan_hosts) gives them.
    type: list
    elements: dict
    required: true
  runs:
    description: Folder that holds the run folders.
    type: path
    required: true
  run_id:
    description: Name of the run; made from time, scenario and scale when absent.
    type: str
  seed:
    description: Seed of everything drawn; drawn itself when absent.
    type: int
author: [screamlab]
"""

EXAMPLES = """
- name: Plan a quick run
  run_plan:
    scenario: tc-stress-001
    hosts: "{{ groups | plan_hosts(hostvars) }}"
    runs: runs

- name: Plan ten minutes of bad Wi-Fi
  run_plan:
    impairment: {profile: wifi-bad, hosts: [client1], seconds: 600}
    hosts: "{{ groups | plan_hosts(hostvars) }}"
    runs: runs
"""

RETURN = """
run_id:
  description: Name of the run.
  type: str
  returned: always
folder:
  description: The run folder.
  type: str
  returned: always
"""

from pathlib import Path  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.inventory import host_from_vars
    from screamlab.paths import SCENARIOS
    from screamlab.run import impair
    from screamlab.run.folder import Request, plan_run
    from screamlab.scenario.model import find_scenario
except ImportError:
    plan_run = None


def argument_spec() -> dict:
    """The module's options."""
    impairment = {
        "profile": {"type": "str", "required": True},
        "hosts": {"type": "list", "elements": "str", "required": True},
        "seconds": {"type": "float", "required": True},
    }
    return {
        "scenario": {"type": "str"},
        "impairment": {"type": "dict", "options": impairment},
        "scale": {"type": "str", "default": "quick"},
        "settings": {"type": "list", "elements": "str", "default": []},
        "hosts": {"type": "list", "elements": "dict", "required": True},
        "runs": {"type": "path", "required": True},
        "run_id": {"type": "str"},
        "seed": {"type": "int"},
    }


def plan(asked: dict) -> dict:
    """Compile what was asked for; the content of run.json."""
    hosts = [host_from_vars(h["name"], h["groups"], h["variables"]) for h in asked["hosts"]]
    runs = Path(asked["runs"])
    if by_hand := asked["impairment"]:
        names = (by_hand["profile"], by_hand["hosts"], by_hand["seconds"], asked["run_id"])
        return impair.plan_impairment(impair.Request(*names), hosts, runs)
    scenario = find_scenario(asked["scenario"], SCENARIOS)
    request = Request(scenario, asked["scale"], asked["settings"], asked["run_id"], asked["seed"])
    return plan_run(request, hosts, runs)


def main() -> None:
    """Compile and write."""
    either = ("scenario", "impairment")
    module = AnsibleModule(
        argument_spec=argument_spec(), required_one_of=[either], mutually_exclusive=[either]
    )
    if plan_run is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    try:
        record = plan(module.params)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    run_id = record["run_id"]
    folder = Path(module.params["runs"], run_id)
    module.exit_json(changed=True, run_id=run_id, folder=str(folder))


if __name__ == "__main__":
    main()
