"""The whole lab: observe it, plan what it lacks, and do that; or remove all of it.

`lab.json` is written before anything else is made and says what may be there, so that a lab that
was left half up can be taken down, also by an inventory that no longer names all of its hosts.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from screamlab.errors import BadInput, InfraError
from screamlab.local_lab import hosts, network, seen
from screamlab.local_lab.data_plane import networks
from screamlab.local_lab.model import MIDDLE, Host, HostSpec, Lab, Place

# A host that lives but does not answer is given this long before it is started again.
_GRACE_S = 5.0


@dataclass(frozen=True)
class State:
    """What there is; `running` has the spec text of each host that lives, "" if it is silent."""

    recorded: tuple[str, ...]
    running: dict[str, str]
    network: seen.Observed
    known_hosts: str


@dataclass(frozen=True)
class Plan:
    """What `apply` does; empty for a lab that is as it should be."""

    surplus: tuple[Place, ...]
    starts: tuple[tuple[Host, str], ...]
    commands: tuple[network.Command, ...]
    new_keys: tuple[Path, ...]
    record: bool

    def describe(self) -> list[str]:
        """One line per step, for a person; empty when there is nothing to do."""
        return [
            *(f"remove host {place.host}" for place in self.surplus),
            *(f"generate {key}" for key in self.new_keys),
            *(str(command) for command in self.commands),
            *(f"start host {host.name}: {reason}" for host, reason in self.starts),
            *(["write the lab's record"] if self.record else []),
        ]


@contextmanager
def changing() -> Iterator[None]:
    """Let one process at a time change labs on this machine; they share folders and /run/netns."""
    descriptor = os.open("/var/lib", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def observe(lab: Lab) -> State:
    """Look at everything that belongs to the lab; a host that lives is asked whether it answers."""
    recorded = _recorded(lab)
    known = lab.known_hosts.read_text() if lab.known_hosts.exists() else ""
    with ThreadPoolExecutor(max_workers=max(1, len(lab.hosts))) as pool:
        specs = list(pool.map(lambda host: _running_spec(lab, host), lab.hosts))
    running = {
        host.name: spec for host, spec in zip(lab.hosts, specs, strict=True) if spec is not None
    }
    names = {host.name for host in lab.hosts}.union(recorded)
    links = seen.observe([lab.wan, *(lab.place(name).namespace for name in names)])
    _check_free(lab, links)
    return State(recorded, running, links, known)


def plan(lab: Lab, state: State) -> Plan:
    """What is missing. A running host's cables are mended; a host that starts plugs in itself."""
    wanted = {host.name for host in lab.hosts}
    surplus = tuple(lab.place(name) for name in state.recorded if name not in wanted)
    starts = []
    for host in lab.hosts:
        reason = _reason_to_start(lab, host, state)
        if reason:
            starts.append((host, reason))
    starting = {host.name for host, _ in starts}
    namespaces = tuple(lab.place(host.name).namespace for host in lab.hosts)
    links = network.Network(namespaces) + networks(
        lab, [host for host in lab.hosts if host.name not in starting]
    )
    aliases = (lab.alias, *(lab.place(host.name).alias for host in lab.hosts))
    strays = network.strays(networks(lab, lab.hosts), aliases, [lab.wan], state.network)
    keys = [lab.key, *(lab.place(host.name).host_key for host in lab.hosts)]
    new_keys = tuple(key for key in keys if not key.exists())
    record = bool(new_keys) or set(state.recorded) != wanted
    return Plan(
        surplus=surplus,
        starts=tuple(starts),
        commands=(*strays, *network.plan(links, state.network)),
        new_keys=new_keys,
        record=record or state.known_hosts != _known_hosts(lab),
    )


def apply(lab: Lab, wanted: Plan, boot_timeout_s: float) -> None:
    """Carry the plan out and wait until every host answers; `InfraError` says what did not work."""
    lab.folder.mkdir(parents=True, exist_ok=True)
    lab.control_path.mkdir(mode=0o700, exist_ok=True)
    names = [host.name for host in lab.hosts]
    _write_record(lab, [*names, *(place.host for place in wanted.surplus)])
    for key in wanted.new_keys:
        _generate(key, f"{lab.name}/{key.parent.name}")
    starting = [(host, lab.place(host.name)) for host, _ in wanted.starts]
    if starting or wanted.surplus:
        _close_connections(lab)
        hosts.stop([place for _, place in starting] + list(wanted.surplus))
    network.apply(_removal(lab, wanted.surplus))
    for place in wanted.surplus:
        shutil.rmtree(place.folder, ignore_errors=True)
    network.apply(wanted.commands)
    for host, _ in starting:
        hosts.start(spec(lab, host))
    lab.known_hosts.write_text(_known_hosts(lab))
    _write_record(lab, names)
    hosts.wait_until_up(starting, boot_timeout_s)


def remains(lab: Lab) -> list[str]:
    """Everything of the lab that is there, one line each; empty when it is down."""
    places = _places(lab)
    commands = _removal(lab, places, whole=True)
    return [
        *(f"host {place.host}" for place in places if hosts.supervisor_pid(place)),
        *(f"control group of {place.host}" for place in places if hosts.leftovers(place)),
        *(f"{command.words[0]} {command.words[2]}" for command in commands),
        *([f"folder {lab.folder}"] if lab.folder.exists() else []),
    ]


def remove(lab: Lab) -> None:
    """Take down whatever there is of the lab, and leave nothing."""
    places = _places(lab)
    _close_connections(lab)
    hosts.stop(places)
    network.apply(_removal(lab, places, whole=True))
    if lab.folder.exists():
        shutil.rmtree(lab.folder)
    _tidy(lab)


def spec(lab: Lab, host: Host) -> HostSpec:
    """What the host is to be started with. Its machine id follows from lab and host name.

    An end does not know whether there is a middle, and so stays when one comes or goes.
    """
    known = lab if host.name == MIDDLE else replace(lab, hosts=lab.ends)
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, f"{host.name}.{lab.name}.screamlab.test")
    keys = (lab.key, lab.place(host.name).host_key)
    return HostSpec(known, host, identity.hex, *(_public(key) for key in keys))


def _reason_to_start(lab: Lab, host: Host, state: State) -> str | None:
    if host.name not in state.running:
        return "it does not run" if host.name in state.recorded else "it is new"
    if not state.running[host.name]:
        return "it does not answer"
    if state.running[host.name] != spec(lab, host).to_json():
        return "it runs with other settings"
    return None


def _running_spec(lab: Lab, host: Host) -> str | None:
    place = lab.place(host.name)
    if hosts.supervisor_pid(place) is None:
        return None
    return place.spec.read_text() if hosts.answers(host.address, _GRACE_S) else ""


def _check_free(lab: Lab, observed: seen.Observed) -> None:
    prefix = str(lab.management.network_address).rsplit(".", 1)[0] + "."
    for link in observed.namespaces[None].links.values():
        taken = link.name == lab.bridge or any(text.startswith(prefix) for text in link.addresses)
        if taken and link.alias != lab.alias:
            raise BadInput(
                f"lab {lab.name}: {lab.management} is on {link.name} ({link.alias or 'not a lab'}) "
                "already: choose another local_lab_subnet"
            )


def _recorded(lab: Lab) -> tuple[str, ...]:
    try:
        return tuple(json.loads((lab.folder / "lab.json").read_text())["hosts"])
    except (OSError, ValueError):
        return ()


def _write_record(lab: Lab, names: Sequence[str]) -> None:
    record = {"name": lab.name, "subnet": lab.subnet, "hosts": list(names)}
    written = lab.folder / "lab.json.new"
    written.write_text(json.dumps(record) + "\n")
    written.rename(lab.folder / "lab.json")


def _generate(key: Path, comment: str) -> None:
    key.parent.mkdir(parents=True, exist_ok=True)
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(key)]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise InfraError(f"ssh-keygen: {done.stderr.strip()}")


def _known_hosts(lab: Lab) -> str:
    keys = {host.address: _public(lab.place(host.name).host_key) for host in lab.hosts}
    return "".join(
        f"{address} {' '.join(key.split()[:2])}\n" for address, key in keys.items() if key
    )


def _public(key: Path) -> str:
    public = key.with_suffix(".pub")
    return public.read_text() if key.exists() and public.exists() else ""


def _close_connections(lab: Lab) -> None:
    """End the controller's SSH masters: they speak to hosts that are about to go."""
    for path in lab.control_path.glob("*"):
        command = ["ssh", "-q", "-O", "exit", "-o", f"ControlPath={path}", "lab"]
        subprocess.run(command, capture_output=True)
        path.unlink(missing_ok=True)


def _places(lab: Lab) -> list[Place]:
    names = {host.name for host in lab.hosts}.union(_recorded(lab))
    if (lab.folder / "hosts").is_dir():
        names |= {path.name for path in (lab.folder / "hosts").iterdir()}
    return [lab.place(name) for name in sorted(names)]


def _removal(lab: Lab, places: Sequence[Place], whole: bool = False) -> list[network.Command]:
    """The commands that unplug these hosts for good; `whole` takes what they plug into as well."""
    own = {place.namespace for place in places} - {lab.wan}
    namespaces = sorted(own) + ([lab.wan] if whole else [])
    aliases = [place.alias for place in places] + ([lab.alias] if whole else [])
    return network.removal(aliases, namespaces, seen.observe(namespaces))


def _tidy(lab: Lab) -> None:
    """Remove what labs share, once the last one is gone: folders and /run/netns.

    A folder that is gone takes with it what the hosts of another lab have mounted on it.
    """
    if lab.folder.parent.is_dir() and any(lab.folder.parent.iterdir()):
        return
    if seen.NETNS.is_dir() and not any(seen.NETNS.iterdir()):
        subprocess.run(["umount", str(seen.NETNS)], capture_output=True)
    shared = [seen.NETNS, Path("/run/systemd/nspawn"), *lab.folder.parents[:2]]
    for folder in shared:
        with suppress(OSError):
            folder.rmdir()
