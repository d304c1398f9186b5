"""The module router_topology against the real ScreamRouter in a network namespace."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.paths import CHECKOUT
from screamlab.python_site import OWN, python_site

pytestmark = pytest.mark.e2e

VERSION = "0.3.75"
CACHE = Path.home() / ".cache" / "screamlab" / "python"
URL = "https://127.0.0.1:8443"
SOURCES = [{"name": "s0", "protocol": "rtp", "address": "198.19.40.11"}]
SINKS = [
    {"name": "l16", "protocol": "rtp", "codec": "l16", "address": "198.19.40.20", "port": 45000},
    {"name": "old", "protocol": "scream", "address": "198.19.40.20", "port": 45020},
]
ROUTES = [{"name": f"s0-{sink['name']}", "source": "s0", "sink": sink["name"]} for sink in SINKS]
FOREIGN = {"name": "somebody's", "ip": "198.19.40.99"}

# Calls of the client and of readiness have to be made inside the namespace.
CALL = """
import json, sys
from screamlab.router.client import RouterClient
name, *arguments = json.loads(sys.argv[1])
with RouterClient("https://127.0.0.1:8443") as client:
    print(json.dumps(getattr(client, name)(*arguments)))
"""
LOOK = """
import sys
from screamlab.router.client import RouterClient
from screamlab.router.readiness import judge_start
class Running:
    def pid(self): return int(sys.argv[1])
with RouterClient("https://127.0.0.1:8443") as client:
    print(judge_start(Running(), client, timeout_s=60, drain_s=5).outcome)
"""


class Router:
    """The real router as a child process in a namespace of its own."""

    def __init__(self, namespace: str, packages: Path, state: Path) -> None:
        self._inside = ["ip", "netns", "exec", namespace, sys.executable]
        self._state = state
        (state / "pulse").mkdir()
        # As the role does it: nothing for the device enumerator to watch.
        (state / "screamrouter").symlink_to("/nonexistent/screamrouter")
        files = {"CONFIG_PATH": "c.yaml", "EQUALIZER_CONFIG_PATH": "e.yaml", "LOGS_DIR": "logs"}
        files |= {"PREFERENCES_PATH": "p.json", "CERTIFICATE": "c.pem", "CERTIFICATE_KEY": "k.pem"}
        self._environment = {
            **os.environ,
            **{variable: str(state / name) for variable, name in files.items()},
            "PYTHONPATH": str(packages),
            "XDG_RUNTIME_DIR": str(state),
            "API_PORT": "8443",
            "SCREAMROUTER_SKIP_INSTANCE_CHECK": "True",
        }

    def start(self) -> None:
        """Start until no receiver was lost on the way."""
        for _ in range(6):
            with (self._state / "output.log").open("ab") as output:
                self._process = subprocess.Popen(
                    [*self._inside, "-m", "screamrouter"],
                    env=self._environment,
                    stdout=output,
                    stderr=output,
                )
            outcome = self.python("-c", LOOK, str(self._process.pid)).strip()
            if outcome == "ready":
                return
            self.stop()
            assert outcome == "race", (self._state / "output.log").read_text()[-2000:]
        pytest.fail("six starts in a row lost the start race")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)

    def python(self, *arguments: str, given: str = "") -> str:
        """What the lab's Python prints inside the namespace."""
        command = [*self._inside, *arguments]
        done = subprocess.run(
            command, input=given, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        return done.stdout or done.stderr

    def call(self, *arguments: Any) -> Any:
        return json.loads(self.python("-c", CALL, json.dumps(arguments)))

    def names(self, kind: str) -> list[str]:
        return [item["name"] for item in self.call("items", kind)]

    def topology(self, *, check: bool = False, **changes: Any) -> dict[str, Any]:
        """Run the module and return its answer."""
        wanted = {"url": URL, "sources": SOURCES, "sinks": SINKS, "routes": ROUTES, **changes}
        given = {"ANSIBLE_MODULE_ARGS": {**wanted, "_ansible_check_mode": check}}
        printed = self.python("library/router_topology.py", given=json.dumps(given))
        answer = json.loads(printed.splitlines()[-1])
        assert isinstance(answer, dict)
        return answer


@pytest.fixture(scope="module")
def namespace() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    name = f"d-test{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for command in (
            "link set lo up",
            "link add data0 type veth peer name data1",
            "addr add 198.19.40.10/24 dev data0",
            "link set data0 up",
            "link set data1 up",
            "route add default dev data0",
        ):
            subprocess.run(["ip", "-n", name, *command.split()], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


@pytest.fixture(scope="module")
def router(namespace: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    lock = CHECKOUT / "requirements.lock"
    site = python_site([f"screamrouter=={VERSION}"], OWN, cache=CACHE, constraints=lock)
    packages = tmp_path_factory.mktemp("packages")
    with tarfile.open(site.archive) as archive:
        archive.extractall(packages, filter="tar")
    router = Router(namespace, packages, tmp_path_factory.mktemp("state"))
    router.start()
    try:
        yield router
    finally:
        router.stop()


@pytest.fixture
def empty(router: Router) -> Iterator[Router]:
    """The router with nothing of the lab's in it."""
    router.topology(sources=[], sinks=[], routes=[])
    yield router


def test_check_mode_tells_what_it_would_do_and_does_nothing(empty: Router) -> None:
    answer = empty.topology(check=True)
    assert answer["changed"], answer
    assert answer["changes"] == [
        "add source lab-s0",
        "add sink lab-l16",
        "add sink lab-old",
        "add route lab-s0-l16",
        "add route lab-s0-old",
    ]
    assert "lab-l16" in answer["diff"]["after"]
    assert "lab-l16" not in answer["diff"]["before"]
    assert empty.names("sources") == []


def test_it_converges_and_then_changes_nothing(empty: Router) -> None:
    assert empty.topology()["changed"]
    assert empty.names("routes") == ["lab-s0-l16", "lab-s0-old"]
    for check in (False, True):
        answer = empty.topology(check=check)
        assert not answer["changed"], answer["changes"]
        assert answer["diff"]["before"] == answer["diff"]["after"]


def test_the_engine_runs_what_was_asked_when_it_returns(empty: Router) -> None:
    empty.topology()
    running = {
        sink["sink_id"]: sink["total_input_streams"] for sink in empty.call("stats")["sink_stats"]
    }
    assert running == {"lab-l16": 1, "lab-old": 1}


def test_it_changes_only_what_differs_and_spares_what_is_not_the_labs(empty: Router) -> None:
    empty.topology()
    empty.call("add", "sources", FOREIGN)
    moved = {"sinks": [{**SINKS[0], "port": 45002, "codec": "opus"}], "routes": ROUTES[:1]}
    assert empty.topology(**moved)["changes"] == [
        "remove route lab-s0-old",
        "remove sink lab-old",
        "update sink lab-l16",
    ]
    sink = empty.call("items", "sinks")[0]
    assert (sink["port"], sink["protocol"]) == (45002, "rtp_opus")
    empty.topology(sources=[], sinks=[], routes=[])
    assert empty.names("sources") == ["somebody's"]


def test_a_failure_is_one_sentence(empty: Router) -> None:
    answer = empty.topology(url="https://127.0.0.1:1")
    assert answer["failed"]
    assert answer["msg"].startswith("GET /sources at https://127.0.0.1:1 failed")
