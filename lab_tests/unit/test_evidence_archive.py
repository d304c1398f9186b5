"""A spool's way to the controller: packed, checked, unpacked, and only then perhaps removed."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from pathlib import Path

import pytest

from screamlab.errors import InfraError
from screamlab.evidence.pack import Packed, is_packed, pack, remove_packed, sha256_of, trim
from screamlab.evidence.spool import Spool, read_lines
from screamlab.evidence.unpack import unpack


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    folder = tmp_path / "spool"
    writer = Spool(folder, writer="w", host="h1")
    writer.event("a.b", "x")
    writer.close()
    (folder / ".journal.json").write_text("{}")
    return folder


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return tmp_path / "out/r1.tar.gz"


def arrived(packed: Packed, host_dir: Path) -> list[str]:
    return unpack(Path(packed.archive), host_dir, sha256=packed.sha256).changed


def test_a_spool_and_further_files_arrive(spool: Path, archive: Path, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    (logs / "deep").mkdir(parents=True)
    (logs / "deep/router.log").write_text("hello")
    (logs / "link").symlink_to("/etc/shadow")
    os.mkfifo(logs / "pipe")
    packed = pack(spool, [logs, Path("/nonexistent/log")], archive)
    assert packed.missing == ["/nonexistent/log"]
    assert packed.archive_bytes == archive.stat().st_size
    assert archive.stat().st_mode & 0o777 == 0o600
    host_dir = tmp_path / "run/hosts/h1"
    log = f"files{logs}/deep/router.log"
    assert arrived(packed, host_dir) == ["events-w.jsonl", log, "series-w.jsonl"]
    assert (host_dir / log).read_text() == "hello"


def test_packing_again_is_needed_only_when_there_is_more(spool: Path, archive: Path) -> None:
    assert is_packed(spool, [], archive) is None
    packed = pack(spool, [], archive)
    assert is_packed(spool, [], archive) == packed
    with (spool / "events-w.jsonl").open("a") as file:
        file.write("{}\n")
    assert is_packed(spool, [], archive) is None
    archive.write_bytes(b"")
    assert is_packed(spool, [], archive) is None


def test_a_second_collection_adds_what_is_new(spool: Path, archive: Path, tmp_path: Path) -> None:
    host_dir = tmp_path / "hosts/h1"
    arrived(pack(spool, [], archive), host_dir)
    writer = Spool(spool, writer="w", host="h1")
    writer.event("a.b", "y")
    assert arrived(pack(spool, [], archive), host_dir) == ["events-w.jsonl"]
    assert len(read_lines(host_dir / "events-w.jsonl").records) == 2
    assert arrived(pack(spool, [], archive), host_dir) == []


def test_a_host_that_lost_its_spool_takes_nothing_away(
    spool: Path, archive: Path, tmp_path: Path
) -> None:
    host_dir = tmp_path / "hosts/h1"
    arrived(pack(spool, [], archive), host_dir)
    before = (host_dir / "events-w.jsonl").read_bytes()
    (spool / "events-w.jsonl").write_bytes(b"{}\n")
    packed = pack(spool, [], archive)
    unpacked = unpack(archive, host_dir, sha256=packed.sha256)
    assert unpacked.kept == ["events-w.jsonl"]
    assert (host_dir / "events-w.jsonl").read_bytes() == before


def test_packing_beside_a_busy_writer(spool: Path, archive: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        writer = Spool(spool, writer="busy", host="h1")
        number = 0
        while not stop.is_set():
            writer.event("a.b", "x", number=(number := number + 1))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while not (spool / "events-busy.jsonl").exists():
            assert thread.is_alive()
        for attempt in range(5):
            host_dir = tmp_path / f"hosts/{attempt}"
            arrived(pack(spool, [], archive), host_dir)
            lines = read_lines(host_dir / "events-busy.jsonl")
            assert lines.broken <= 1
            assert [line["number"] for line in lines.records] == list(
                range(1, len(lines.records) + 1)
            )
    finally:
        stop.set()
        thread.join()


def test_damage_on_the_way_is_seen(spool: Path, archive: Path, tmp_path: Path) -> None:
    packed = pack(spool, [], archive)
    whole = archive.read_bytes()
    archive.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(InfraError, match="damaged"):
        unpack(archive, tmp_path / "h", sha256=packed.sha256)
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InfraError, match="cannot unpack"):
        unpack(archive, tmp_path / "h", sha256=sha256_of(archive))
    with pytest.raises(InfraError, match="did not arrive"):
        unpack(tmp_path / "nothing", tmp_path / "h", sha256="")
    assert not (tmp_path / "h").exists()


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "evil.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = 1
        tar.addfile(member, io.BytesIO(b"x"))
    host_dir = tmp_path / "run/hosts/h1"
    with pytest.raises(InfraError, match="cannot unpack"):
        unpack(archive, host_dir, sha256=sha256_of(archive))
    assert not Path("/evil").exists()
    assert not list(tmp_path.rglob("evil"))


def test_a_full_disk_is_one_sentence_and_leaves_nothing(spool: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    (spool / "noise.log").write_bytes(os.urandom(100_000))
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", disk], check=True)
    try:
        with pytest.raises(InfraError, match=r"disk full while packing 0\.1 MiB"):
            pack(spool, [], disk / "r1.tar.gz")
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", disk], check=True)


def test_only_what_has_arrived_is_removed(spool: Path, archive: Path) -> None:
    packed = pack(spool, [], archive)
    with pytest.raises(InfraError, match="not the archive that was collected"):
        remove_packed(spool, [], archive, "0" * 64)
    with (spool / "events-w.jsonl").open("a") as file:
        file.write("{}\n")
    with pytest.raises(InfraError, match="collect again"):
        remove_packed(spool, [], archive, packed.sha256)
    assert spool.exists() and archive.exists()
    packed = pack(spool, [], archive)
    remove_packed(spool, [], archive, packed.sha256, dry=True)
    assert spool.exists() and archive.exists()
    remove_packed(spool, [], archive, packed.sha256)
    assert not spool.exists() and list(archive.parent.iterdir()) == []


def test_of_a_run_that_goes_on_only_what_is_complete_and_has_arrived_is_removed(
    spool: Path, archive: Path, tmp_path: Path
) -> None:
    for name in ("events-w.jsonl", "events-w.0001.jsonl"):
        (spool / name).write_text('{"whole": 1}\n')
    packed = pack(spool, [], archive)
    unpack(archive, tmp_path / "host", sha256=packed.sha256)
    (spool / "events-w.0002.jsonl").write_text('{"newer": 1}\n')
    assert trim(spool, archive, "0" * 64) == []
    with (spool / "events-w.0001.jsonl").open("a") as file:
        file.write('{"late": 1}\n')
    assert trim(spool, archive, packed.sha256, dry=True) == ["events-w.jsonl"]
    assert trim(spool, archive, packed.sha256) == ["events-w.jsonl"]
    assert not (spool / "events-w.jsonl").exists()
    again = pack(spool, [], archive)
    unpack(archive, tmp_path / "host", sha256=again.sha256)
    assert trim(spool, archive, again.sha256) == ["events-w.0001.jsonl"]
    names = sorted(path.name for path in (tmp_path / "host").glob("events-w*.jsonl"))
    assert names == ["events-w.0001.jsonl", "events-w.0002.jsonl", "events-w.jsonl"]
    assert "late" in (tmp_path / "host" / "events-w.0001.jsonl").read_text()


def test_no_spool_no_archive(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(InfraError, match="no such spool"):
        pack(tmp_path / "nothing", [], archive)
