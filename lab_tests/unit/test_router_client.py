"""The API client against captured answers and against sockets that misbehave."""

import json
import socket
from pathlib import Path

import pytest

from screamlab.errors import BadInput
from screamlab.router.client import RouterClient, RouterTimeout, RouterUnreachable, refusal_reason

REFUSALS = json.loads((Path(__file__).parents[1] / "data" / "router_api.json").read_text())[
    "refusals"
]


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("unknown_route", "Route x not found"),
        ("double", "Sink name 'lab-l16' already in use"),
        ("wrong_type", "body.port: Input should be a valid integer, unable to parse string"),
        ("in_use", "Source: lab-s0 is in use by Route(s) lab-r1, lab-r2"),
        ("not_found", "Not Found"),
    ],
)
def test_the_reason_of_a_refusal_is_told(case, reason):
    assert reason in refusal_reason(REFUSALS[case][1].encode())


def test_a_refusal_without_json_is_told_as_it_is():
    assert refusal_reason(b"<html>oops") == "<html>oops"


def test_a_router_that_never_answers_is_a_timeout_that_names_the_call():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            RouterClient(url, timeout_s=0.1) as client,
            pytest.raises(RouterTimeout, match="DELETE /routes/lab-r%2F1 at"),
        ):
            client.remove("routes", "lab-r/1")


def test_nobody_listening_is_unreachable():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with RouterClient(f"https://127.0.0.1:{port}") as client, pytest.raises(RouterUnreachable):
        client.stats()


def test_an_url_without_a_host_is_bad_input():
    with pytest.raises(BadInput):
        RouterClient("198.19.0.10:8443")
