"""From measurements to a profile: `fit`, what it found, and the profile as a file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from screamlab.errors import BadInput
from screamlab.fit.change import change_points
from screamlab.fit.direction import DirectionFit, fit_direction
from screamlab.fit.read import read_measurement
from screamlab.fit.router import RouterFit
from screamlab.fit.samples import Samples, join, require
from screamlab.impair.condition import Condition
from screamlab.impair.probe_stream import DIRECTIONS, Direction
from screamlab.impair.profile import Profile

# Lists that fit a line are read more easily on one.
_LINE = 100


@dataclass(frozen=True)
class Stretch:
    """A time between two changes of the path (s), and the fit of each direction in it."""

    from_s: float
    to_s: float
    directions: dict[Direction, DirectionFit]


@dataclass(frozen=True)
class Fit:
    """A profile and what it rests on: the whole of each direction, and its stretches.

    `stretches` has more than one item when the path changed; `router` when the statistics of a
    router were all there was.
    """

    profile: Profile
    whole: dict[Direction, DirectionFit]
    stretches: tuple[Stretch, ...]
    router: RouterFit | None
    notes: tuple[str, ...]


def fit(
    files: Sequence[Path],
    name: str,
    *,
    spacing_s: float | None = None,
    mirror: bool = False,
    trust_clocks: bool = False,
) -> Fit:
    """Fit one path; several files are measurements of it one after the other.

    `spacing_s`: between the packets that the profile is for (default: as those measured).
    `mirror`: a direction that was not measured is like the other. `BadInput` when a file cannot be
    read or holds too little.
    """
    read = [read_measurement(path, trust_clocks=trust_clocks) for path in files]
    routers = [item for item in read if isinstance(item, RouterFit)]
    if routers:
        if len(read) > 1:
            raise BadInput("the statistics of a router are fitted alone: give one file")
        return _of_router(routers[0], name, mirror)
    measured: dict[Direction, list[Samples]] = defaultdict(list)
    for part in (part for item in read if not isinstance(item, RouterFit) for part in item):
        measured[part.direction].append(part)
    paths = {way: require(join(measured[way])) for way in DIRECTIONS if way in measured}
    whole = {way: fit_direction(samples, spacing_s) for way, samples in paths.items()}
    stretches = _stretches(paths, spacing_s)
    notes = dict.fromkeys(note for samples in paths.values() for note in samples.notes)
    for way in DIRECTIONS:
        if way not in paths:
            notes[f"{way} was not measured: {'taken as the other' if mirror else 'perfect'}"] = None
    profile = _profile(name, paths, stretches, tuple(notes), mirror, spacing_s)
    return Fit(profile, whole, stretches, None, tuple(notes))


def _stretches(paths: dict[Direction, Samples], spacing_s: float | None) -> tuple[Stretch, ...]:
    # The last packet belongs to the last stretch, whatever the spacing is taken to be.
    end_s = max(float(samples.send_s[-1]) for samples in paths.values()) + 1e-6
    edges = [0.0, *change_points(list(paths.values())), end_s]
    return tuple(
        Stretch(
            from_s,
            to_s,
            {
                way: fit_direction(samples.between(from_s, to_s), spacing_s)
                for way, samples in paths.items()
            },
        )
        for from_s, to_s in pairwise(edges)
    )


def _profile(
    name: str,
    paths: dict[Direction, Samples],
    stretches: tuple[Stretch, ...],
    notes: tuple[str, ...],
    mirror: bool,
    spacing_s: float | None,
) -> Profile:
    first = next(iter(paths.values()))
    spacing_ms = (spacing_s or first.spacing_s) * 1e3
    data: dict[str, Any] = {
        "name": name,
        "title": f"Measured: {first.source}",
        "source": f"Fitted to {first.source} ({len(first.send_s)} packets, "
        f"{first.duration_s:.0f} s), for packets {spacing_ms:.3g} ms apart; {'; '.join(notes)}.",
    }
    steps = [{"at_s": stretch.from_s, **_directions(stretch, mirror)} for stretch in stretches]
    if len(steps) == 1:
        data |= {key: value for key, value in steps[0].items() if key != "at_s"}
    else:
        data |= {"steps": steps, "repeat_s": round(first.duration_s, 3)}
    return Profile.model_validate(data)


def _directions(stretch: Stretch, mirror: bool) -> dict[str, Condition]:
    found: dict[str, Condition] = {way: done.condition for way, done in stretch.directions.items()}
    conditions = list(found.values())
    if (mirror and len(found) == 1) or (len(found) == 2 and conditions[0] == conditions[1]):
        return {"both": conditions[0]}
    return found


def _of_router(found: RouterFit, name: str, mirror: bool) -> Fit:
    data: dict[str, Any] = {
        "name": name,
        "title": f"Measured: {found.source}",
        "source": f"Fitted to the router's own statistics of {found.stream} in {found.source} "
        f"({found.seconds:.0f} s); {'; '.join(found.notes)}.",
        "both" if mirror else "to_host": found.condition,
    }
    return Fit(Profile.model_validate(data), {}, (), found, found.notes)


def as_yaml(profile: Profile) -> str:
    """The profile as a file that `load_profile` reads."""
    data = profile.model_dump(mode="json", exclude_defaults=True)
    data = {key: data.pop(key) for key in ("name", "title", "source")} | data
    return "---\n" + yaml.dump(
        data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_LINE
    )


class _Dumper(yaml.SafeDumper):
    """Lists of numbers in rows, everything else in lines of its own."""

    def represent_sequence(
        self, tag: str, sequence: Any, flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        plain = all(isinstance(item, int | float) for item in sequence)
        return super().represent_sequence(tag, sequence, plain or flow_style)
