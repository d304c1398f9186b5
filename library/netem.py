#!/usr/bin/python
"""Ansible module: what the network does to packets of one direction of one device."""

from __future__ import annotations

DOCUMENTATION = """
module: netem
short_description: Delay, lose, reorder or slow down the selected packets of a device
description:
  - Puts C(netem), and C(tbf) where a rate is asked for, on the selected packets alone, under a
    root qdisc of the lab's own handle, or on an C(ifb) device for packets that come in.
  - A device that has somebody else's root or ingress qdisc is refused, and so is one that carries
    the controller's connection, unless a selector leaves that alone.
  - Before anything changes, a timer on the host itself is armed that heals the device.
  - What differs in numbers only is changed in place; no packet is lost by that.
  - Needs the lab's virtual environment as interpreter, and root.
options:
  device:
    description: The network interface.
    type: str
    required: true
  direction:
    description: Which packets of the device are meant; those that leave it, or that come in.
    type: str
    choices: [egress, ingress]
    default: egress
  state:
    description: Whether the packets of this direction are to be disturbed.
    type: str
    choices: [present, absent]
    default: present
  revert_after_s:
    description:
      - The device is healed by itself after this time, in both directions; needed to disturb.
      - Each task that disturbs the device sets the time anew, also when nothing else changes.
    type: float
  facing:
    description:
      - C(network) when the device is the host's own, C(host) when it is the far end of a host's
        link. It decides whether the peers are the destinations or the sources of what leaves.
    type: str
    choices: [network, host]
    default: network
  selector:
    description: The only packets that are touched; all IPv4 packets when absent.
    type: dict
    suboptions:
      peers:
        description: IPv4 networks at the other end.
        type: list
        elements: str
        required: true
      ports:
        description: Source or destination ports; all when empty.
        type: list
        elements: int
        default: []
      protocol:
        description: The protocol on top of IPv4.
        type: str
        choices: [udp, tcp, any]
        default: udp
  controller:
    description: An address whose connections to this host must not be touched either.
    type: str
  packets_per_s:
    description:
      - How many packets are selected in a second. With it, delays are those asked after order was
        kept; without it, they are those asked before, and longer after.
    type: float
  delay_ms:
    description: Delay of every packet.
    type: float
  jitter_ms:
    description: Scale of the distribution around the delay; half its width when uniform.
    type: float
  distribution:
    description: Shape of the delay's distribution.
    type: str
    choices: [uniform, normal, pareto, paretonormal]
  delay_quantiles_ms:
    description: Measured delays at evenly spaced probabilities from 0 to 1, in place of the above.
    type: list
    elements: float
  delay_correlation_percent:
    description: Handed to netem, whose delays show nothing of it.
    type: float
  keep_order:
    description: Whether packets stay in order whatever their delays.
    type: bool
  loss:
    description: How packets are lost.
    type: dict
    suboptions:
      model:
        description: C(independent), or a Markov chain of two or four states.
        type: str
        choices: [independent, gilbert_elliott, four_state]
        required: true
      percent:
        description: Share of packets lost; independent.
        type: float
      correlation_percent:
        description: Correlation of a packet's loss with that of the one before; independent.
        type: float
      to_bad_percent:
        description: Probability of going to the bad state; gilbert_elliott.
        type: float
      to_good_percent:
        description: Probability of going back; gilbert_elliott.
        type: float
      bad_loss_percent:
        description: Loss in the bad state; gilbert_elliott.
        type: float
      good_loss_percent:
        description: Loss in the good state; gilbert_elliott.
        type: float
      p13_percent:
        description: From receiving into a burst; four_state.
        type: float
      p31_percent:
        description: From a burst to receiving; four_state.
        type: float
      p32_percent:
        description: From a burst to receiving within it; four_state.
        type: float
      p23_percent:
        description: From receiving within a burst to losing again; four_state.
        type: float
      p14_percent:
        description: From receiving to the loss of one packet; four_state.
        type: float
  duplicate_percent:
    description: Share of packets that come twice.
    type: float
  corrupt_percent:
    description: Share of packets with one bit turned over.
    type: float
  reorder:
    description: Packets that are sent at once, past the delay; needs I(keep_order=false).
    type: dict
    suboptions:
      percent:
        description: Share of the packets that may be.
        type: float
        required: true
      correlation_percent:
        description: Correlation with the packet before.
        type: float
      gap:
        description: Only every so many packets may one be.
        type: int
  rate_kbit:
    description: Rate of the link, in kbit/s of whole Ethernet frames.
    type: float
  queue_ms:
    description: Depth of the queue at the rate; 100 when absent.
    type: float
  slot:
    description: Packets leave in slots, as on Wi-Fi.
    type: dict
    suboptions:
      min_ms:
        description: Shortest time between slots.
        type: float
        required: true
      max_ms:
        description: Longest time between slots.
        type: float
        required: true
      packets:
        description: Packets per slot.
        type: int
      bytes:
        description: Bytes per slot.
        type: int
  limit_packets:
    description: Packets that netem holds; computed from rate and delay when absent.
    type: int
  seed:
    description: Seed of netem's random numbers; needs Linux and iproute2 of 6.6 or later.
    type: int
  down:
    description: The link is cut; every selected packet is lost.
    type: bool
author: [screamlab]
"""

EXAMPLES = """
- name: A bad link to one peer for ten minutes
  netem:
    device: eth1
    selector: {peers: [192.0.2.0/24], ports: [40000], protocol: udp}
    delay_ms: 40
    jitter_ms: 8
    loss: {model: gilbert_elliott, to_bad_percent: 1, to_good_percent: 25}
    rate_kbit: 8000
    queue_ms: 200
    revert_after_s: 600

- name: A good one again
  netem:
    device: eth1
    state: absent
"""

RETURN = """
commands:
  description: The exact command lines that were, or in check mode would be, carried out.
  type: list
  elements: str
  returned: success
tree:
  description: What the direction of the device holds, with its counters; as it was in check mode.
  type: dict
  returned: success
watcher:
  description: The timer, or the process, that will heal the device.
  type: str
  returned: when something is to be present, and not in check mode
"""

import dataclasses  # noqa: E402

from ansible.module_utils.basic import AnsibleModule, missing_required_lib  # noqa: E402

try:
    from screamlab.errors import ScreamlabError
    from screamlab.impair import apply
    from screamlab.impair.asked import half_asked
except ImportError:
    apply = None

CONDITION = {
    "delay_ms": {"type": "float"},
    "jitter_ms": {"type": "float"},
    "distribution": {"type": "str", "choices": ["uniform", "normal", "pareto", "paretonormal"]},
    "delay_quantiles_ms": {"type": "list", "elements": "float"},
    "delay_correlation_percent": {"type": "float"},
    "keep_order": {"type": "bool"},
    "loss": {
        "type": "dict",
        "options": {
            "model": {
                "type": "str",
                "choices": ["independent", "gilbert_elliott", "four_state"],
                "required": True,
            },
            "percent": {"type": "float"},
            "correlation_percent": {"type": "float"},
            "to_bad_percent": {"type": "float"},
            "to_good_percent": {"type": "float"},
            "bad_loss_percent": {"type": "float"},
            "good_loss_percent": {"type": "float"},
            "p13_percent": {"type": "float"},
            "p31_percent": {"type": "float"},
            "p32_percent": {"type": "float"},
            "p23_percent": {"type": "float"},
            "p14_percent": {"type": "float"},
        },
    },
    "duplicate_percent": {"type": "float"},
    "corrupt_percent": {"type": "float"},
    "reorder": {
        "type": "dict",
        "options": {
            "percent": {"type": "float", "required": True},
            "correlation_percent": {"type": "float"},
            "gap": {"type": "int"},
        },
    },
    "rate_kbit": {"type": "float"},
    "queue_ms": {"type": "float"},
    "slot": {
        "type": "dict",
        "options": {
            "min_ms": {"type": "float", "required": True},
            "max_ms": {"type": "float", "required": True},
            "packets": {"type": "int"},
            "bytes": {"type": "int"},
        },
    },
    "limit_packets": {"type": "int"},
    "seed": {"type": "int"},
    "down": {"type": "bool"},
}


def argument_spec() -> dict:
    """The module's options."""
    selector = {
        "peers": {"type": "list", "elements": "str", "required": True},
        "ports": {"type": "list", "elements": "int", "default": []},
        "protocol": {"type": "str", "choices": ["udp", "tcp", "any"], "default": "udp"},
    }
    return {
        "device": {"type": "str", "required": True},
        "direction": {"type": "str", "choices": ["egress", "ingress"], "default": "egress"},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "revert_after_s": {"type": "float"},
        "facing": {"type": "str", "choices": ["network", "host"], "default": "network"},
        "selector": {"type": "dict", "options": selector},
        "controller": {"type": "str"},
        "packets_per_s": {"type": "float"},
        **CONDITION,
    }


def main() -> None:
    """Observe, plan, arm, apply, observe again."""
    module = AnsibleModule(
        argument_spec=argument_spec(),
        supports_check_mode=True,
        required_if=[("state", "present", ("revert_after_s",))],
    )
    if apply is None:
        module.fail_json(msg=missing_required_lib("screamlab"))
    asked, answer = module.params, {}
    try:
        half, selector = half_asked(asked, CONDITION)
        wanted = {asked["direction"]: half}
        prepared = apply.prepare(asked["device"], wanted, selector, asked["controller"])
        device = prepared.device
        if half and not module.check_mode:
            answer["watcher"] = apply.arm(prepared, asked["revert_after_s"])
            device = apply.carry_out(prepared)
        elif not module.check_mode:
            device = apply.remove(prepared)
    except ScreamlabError as error:
        module.fail_json(msg=str(error))
    lines = [str(command) for command in prepared.commands]
    tree = dataclasses.asdict(device.seen(asked["direction"]))
    diff = {"prepared": "".join(f"{line}\n" for line in lines)}
    module.exit_json(changed=bool(lines), commands=lines, tree=tree, diff=diff, **answer)


if __name__ == "__main__":
    main()
