"""The journal's way into the spool, from a journald of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screamlab.evidence.export import export_journal
from screamlab.evidence.journal import JOURNAL_FILE, read_journal
from screamlab.paths import CHECKOUT

pytestmark = pytest.mark.e2e

# A mount namespace with an empty /run of its own, in which journald keeps its sockets and files.
# The kernel's messages are the machine's: what another test makes it say is not for this journal.
START = """
mount --make-rprivate / && mount -t tmpfs none /run && mkdir -p /run/systemd/journal \
    /run/log/journal /run/systemd/journald.conf.d && \
    printf '[Journal]\\nReadKMsg=no\\nAudit=no\\n' >/run/systemd/journald.conf.d/test.conf && \
    exec /lib/systemd/systemd-journald
"""
RUN = """
import json, runpy, sys
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    runpy.run_path(sys.argv[1], run_name="__main__")
"""


class Journald:
    """A journald in a mount namespace; journalctl and modules run in there."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", START], stderr=subprocess.DEVNULL
        )
        self._inside = ["nsenter", "--mount", "--target", str(self._process.pid)]
        deadline = time.monotonic() + 30
        while self._run("journalctl", "--sync", check=False).returncode:
            assert self._process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)

    def log(self, *messages: str) -> None:
        for message in messages:
            self._run("systemd-cat", "-t", "test", text=message)
        self._run("journalctl", "--sync")

    def export(self, spool: Path, *, check: bool = False) -> dict[str, Any]:
        params = {"path": str(spool), "since": 0.0, "_ansible_check_mode": check}
        module = CHECKOUT / "library/spool_journal.py"
        done = self._run(
            sys.executable, "-c", RUN, str(module), text=json.dumps(params), check=False
        )
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.wait()

    def _run(
        self, *command: str, text: str = "", check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._inside, *command], input=text, text=True, capture_output=True, check=check
        )


@pytest.fixture(scope="module")
def journald() -> Iterator[Journald]:
    if os.geteuid() != 0:
        pytest.skip("mount namespaces need root")
    journald = Journald()
    yield journald
    journald.end()


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    folder.mkdir()
    return folder


def messages(spool: Path) -> list[str]:
    entries = read_journal(spool / JOURNAL_FILE)
    return [entry.message for entry in entries if entry.identifier == "test"]


def test_each_export_adds_what_is_new(journald: Journald, spool: Path) -> None:
    journald.log("one", "two")
    assert journald.export(spool, check=True)["changed"] and not list(spool.iterdir())
    first = journald.export(spool)
    assert first["changed"] and first["new_bytes"] > 0
    assert messages(spool)[-2:] == ["one", "two"]
    before = messages(spool)
    assert not journald.export(spool)["changed"]
    assert not journald.export(spool, check=True)["changed"]
    journald.log("three")
    assert journald.export(spool, check=True)["changed"]
    assert journald.export(spool)["changed"]
    assert messages(spool) == [*before, "three"]


def test_an_export_killed_half_way_is_no_obstacle(journald: Journald, spool: Path) -> None:
    journald.log("kept")
    journald.export(spool)
    before = messages(spool)
    with (spool / JOURNAL_FILE).open("ab") as file:
        file.write(b"\x1f\x8b half a member")
    journald.log("after")
    journald.export(spool)
    assert messages(spool) == [*before, "after"]


def test_a_cursor_journalctl_no_longer_takes(journald: Journald, spool: Path) -> None:
    journald.log("old")
    journald.export(spool)
    before = messages(spool)
    state = spool / ".journal.json"
    known = json.loads(state.read_text())
    _, _, rest = known["cursor"].partition(";")
    state.write_text(json.dumps(known | {"cursor": f"s=zz;{rest}"}))
    journald.log("new")
    assert not journald.export(spool).get("failed")
    assert messages(spool) == [*before, "new"]


def test_without_a_spool_it_fails_in_one_sentence(journald: Journald, tmp_path: Path) -> None:
    answer = journald.export(tmp_path / "none")
    assert answer["failed"] and answer["msg"] == f"{tmp_path / 'none'}: no such spool"


def test_the_window_is_kept(spool: Path) -> None:
    assert export_journal(spool, since=0.0, until=1.0) == 0
    assert not (spool / JOURNAL_FILE).exists()
