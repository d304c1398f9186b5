"""Desired state of a router against captured answers of ScreamRouter 0.3.75."""

import json
from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.router.topology import ADD_ORDER, Change, parse_topology, plan

CAPTURED = json.loads((Path(__file__).parents[1] / "data" / "router_api.json").read_text())
# What the captured router had been given.
TOPOLOGY = {
    "sources": [{"name": "s0", "protocol": "rtp", "address": "198.19.40.11"}],
    "sinks": [
        {
            "name": "l16",
            "protocol": "rtp",
            "codec": "l16",
            "address": "198.19.40.20",
            "port": 45000,
        }
    ],
    "routes": [{"name": "r1", "source": "s0", "sink": "l16"}],
}
EMPTY = {kind: {} for kind in ADD_ORDER}


def captured_state():
    return {kind: {item["name"]: item for item in CAPTURED[kind]} for kind in ADD_ORDER}


def test_the_router_lists_what_it_was_given_so_nothing_is_left_to_do():
    assert plan(captured_state(), parse_topology(TOPOLOGY).wanted()) == []


def test_an_empty_router_is_given_ends_before_routes():
    changes = plan(EMPTY, parse_topology(TOPOLOGY).wanted())
    assert [str(change) for change in changes] == [
        "add source lab-s0",
        "add sink lab-l16",
        "add route lab-r1",
    ]


def test_routes_are_removed_before_their_ends():
    changes = plan(captured_state(), EMPTY)
    assert [str(change) for change in changes] == [
        "remove route lab-r1",
        "remove sink lab-l16",
        "remove source lab-s0",
    ]


def test_only_the_fields_that_differ_are_sent():
    moved = {**TOPOLOGY, "sinks": [{**TOPOLOGY["sinks"][0], "port": 45002, "codec": "opus"}]}
    assert plan(captured_state(), parse_topology(moved).wanted()) == [
        Change("update", "sinks", "lab-l16", {"port": 45002, "protocol": "rtp_opus"})
    ]


def test_two_routes_between_the_same_ends_are_one_input():
    routes = [*TOPOLOGY["routes"], {"name": "again", "source": "s0", "sink": "l16"}]
    assert parse_topology({**TOPOLOGY, "routes": routes}).inputs_per_sink() == {"lab-l16": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"routes": [{"name": "r", "source": "s9", "sink": "l16"}]}, "route r joins"),
        ({"sources": TOPOLOGY["sources"] * 2}, "sources are named twice: s0"),
        ({"sources": [{"name": "s0"}]}, "sources.0: source s0 needs either"),
        ({"sources": [{"name": "a/b", "tag": "x"}]}, "sources.0.name"),
        ({"sinks": [{**TOPOLOGY["sinks"][0], "prot": 1}]}, "sinks.0.prot"),
        (
            {"sinks": [{**TOPOLOGY["sinks"][0], "protocol": "scream", "codec": "opus"}]},
            "scream does not carry opus",
        ),
    ],
)
def test_bad_input_names_the_place(change, message):
    with pytest.raises(BadInput, match=message):
        parse_topology({**TOPOLOGY, **change})
