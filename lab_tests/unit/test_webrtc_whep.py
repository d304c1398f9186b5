"""WHEP calls against answers captured from ScreamRouter 0.3.75."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from screamlab.load.webrtc.whep import Candidate, Whep
from screamlab.paths import CHECKOUT
from screamlab.router.client import RouterAnswerInvalid, RouterRefused, RouterUnreachable

SAID = json.loads((CHECKOUT / "lab_tests/data/webrtc/whep.json").read_text())
OFFER = "/api/whep/lab-web"
LISTENER = SAID["answer"]["location"]


class Router:
    """Answers by method and path; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], dict[str, Any]] = {
            ("POST", OFFER): SAID["answer"],
            ("GET", f"{LISTENER}/candidates"): SAID["candidates"],
            ("PATCH", LISTENER): SAID["nothing"],
            ("POST", LISTENER): SAID["nothing"],
            ("DELETE", LISTENER): SAID["nothing"],
            ("GET", "/sinks"): SAID["sinks"],
        }
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        router = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                router.asked.append((f"{self.command} {self.path}", dict(self.headers), body))
                said = router.answers.get((self.command, self.path), SAID["refused"])
                self.send_response(said["status"])
                if "location" in said:
                    self.send_header("Location", said["location"])
                self.end_headers()
                self.wfile.write(said["body"].encode())

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def router() -> Iterator[Router]:
    router = Router()
    yield router
    router.close()


def test_a_listeners_life_in_calls(router: Router) -> None:
    listener = Whep(router.url, "lab-web", "198.18.0.9")
    answer = listener.offer("v=0")
    found = listener.candidates(answer.location)
    listener.trickle(answer.location, found[0])
    listener.beat(answer.location)
    listener.leave(answer.location)

    assert answer.sdp == SAID["answer"]["body"]
    assert found == [Candidate("candidate:1 1 UDP 2122317823 198.18.72.1 34874 typ host", "0")]
    assert [call for call, _, _ in router.asked] == [
        f"POST {OFFER}",
        f"GET {LISTENER}/candidates",
        f"PATCH {LISTENER}",
        f"POST {LISTENER}",
        f"DELETE {LISTENER}",
    ]
    assert all(headers["X-Forwarded-For"] == "198.18.0.9" for _, headers, _ in router.asked)
    assert router.asked[0][1]["Content-Type"] == "application/sdp"
    assert json.loads(router.asked[2][2]) == {"candidate": found[0].candidate, "sdpMid": "0"}


def test_a_sink_that_is_not_there_is_named(router: Router) -> None:
    with pytest.raises(RouterRefused, match=r"^the router has no sink 'lab-nowhere'$"):
        Whep(router.url, "lab-nowhere", "198.18.0.9").offer("v=0")


def test_a_refusal_for_another_reason_says_the_routers_words(router: Router) -> None:
    router.answers["POST", OFFER] = SAID["refused"]
    with pytest.raises(RouterRefused, match=r"refused \(500\): Failed to create WebRTC session"):
        Whep(router.url, "lab-web", "198.18.0.9").offer("v=0")


def test_a_forgotten_listener_is_refused_its_heartbeat(router: Router) -> None:
    router.answers["POST", LISTENER] = SAID["forgotten"]
    with pytest.raises(RouterRefused) as refused:
        Whep(router.url, "lab-web", "198.18.0.9").beat(LISTENER)
    assert refused.value.status == 404


def test_candidates_of_another_shape_are_no_candidates(router: Router) -> None:
    router.answers["GET", f"{LISTENER}/candidates"] = {"status": 200, "body": '{"no": "list"}'}
    with pytest.raises(RouterAnswerInvalid, match="is not a list of candidates"):
        Whep(router.url, "lab-web", "198.18.0.9").candidates(LISTENER)


def test_a_router_that_is_not_there_is_one_sentence() -> None:
    with pytest.raises(RouterUnreachable, match="Connection refused"):
        Whep("http://127.0.0.1:1", "lab-web", "198.18.0.9").offer("v=0")
