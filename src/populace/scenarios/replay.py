"""A real log of contacts drives the agents: who turned to whom, and when, as it was recorded.

Each distinct id of the log is an agent. Contacts come to pass at their times; what comes of them is
by the laws: ties, energy, mood, talk remembered and forgotten, reflections, and rumours that travel
along the real network. Nobody walks about, and the run begins with the first contact. How many came
to pass and how many were left when it ended is told.

The log itself is a resource, so a snapshot of the run needs the file no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Contact, Emotion, Mood, Persona, SocialEnergy, Stream
from populace.contacts import UNITS_US, ContactLog, read_contacts
from populace.ecs import Clock, Emit, Res, World, setting, settings, system
from populace.ecs.entities import Ids
from populace.ecs.errors import SettingError
from populace.generate import big_five, names_of
from populace.systems import Texts, add_laws, reclaim_texts

from . import outlook
from .laws import LAWS, insert_laws
from .parameters import Parameters
from .rumours import start_rumours
from .scenario import Scenario
from .town_settings import Rumours

LAWLESS = ("change_activity", "follow_routine", "meet", "perceive", "refresh_positions")
"""Systems of those who walk about."""


UNIX_US = 500_000_000 * 10**6
"""In November 1985: numbers that reach it are unix times; a log that begins at 0 does not."""


@settings
class Replay:
    """What is replayed. A resource."""

    contacts: str = setting("", doc="CSV file of contacts: time, source, target[, weight]")
    columns: str = setting(
        "", doc="roles of its columns in their order, as 'time,source,target'; '' asks the header"
    )
    time_unit: str = setting(
        "s",
        doc="of times that are numbers: us, ms, s, min, h or d; they count from 1970 where they "
        "reach 1985, else from run.start",
    )
    mutual: bool = setting(True, doc="a contact strengthens both ties, as a meeting does")
    traits: bool = setting(
        True, doc="draw traits for everybody, and a name for who is known by a number only"
    )

    def check(self) -> None:
        """Refuse a unit that is none."""
        if self.time_unit not in UNITS_US:
            raise SettingError(
                f"Replay.time_unit must be one of {', '.join(UNITS_US)}, got {self.time_unit!r}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The contacts of a log, by time. A resource.

    source, target: (n,) u8 agents. time: (n,) i8 µs. weight: (n,) f4. with_self: how many rows of
    the log were left out because source and target are the same.
    """

    source: Ids
    target: Ids
    time: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    with_self: int = 0


def build(world: World, parameters: Parameters) -> None:
    """Read the log and spawn an agent for each id in it."""
    replay = parameters.of(Replay)
    if not replay.contacts:
        raise SettingError(
            "replay.contacts is empty: name the CSV file of contacts, by --from FILE or "
            "--set replay.contacts=FILE"
        )
    log = _read(replay, 0)
    if len(log) and log.time.max() < UNIX_US:  # dates stay what they are
        log = _read(replay, world.clock.now)
    insert_laws(world, parameters)
    world.insert(replay)
    world.insert(parameters.of(Texts))
    if len(log):
        world.clock.now = int(log.time[0])
    agents = _people(world, log, replay)
    # A step is of what follows its beginning: what is at the first moment follows by 1 µs.
    time = np.maximum(log.time, world.clock.now + 1)
    source, target = agents[log.source], agents[log.target]
    world.insert(Recorded(source, target, time, log.weight, log.with_self))
    start_rumours(world, agents, parameters.of(Rumours))
    outlook.found_town(world)


def _read(replay: Replay, start: int) -> ContactLog:
    """The log. start: what times that are numbers count from, µs since 1970."""
    return read_contacts(
        Path(replay.contacts),
        columns=[role.strip() for role in replay.columns.split(",")] if replay.columns else None,
        time_unit=replay.time_unit,
        start=start,
    )


def _people(world: World, log: ContactLog, replay: Replay) -> Ids:
    number, names, drawn = np.arange(len(log.names)), np.array(log.names, object), {}
    if replay.traits:
        order = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
        drawn = dict(zip(order, big_five(world.seed, number), strict=True))
        bare = np.array([name.isdigit() for name in log.names], bool)
        names[bare] = world.text.decode(names_of(world, world.seed, number[bare]))
    agents: Ids = world.spawn(
        number.size,
        Persona(number=number, name=names.tolist(), **drawn),
        Stream,
        SocialEnergy,
        Emotion,
        Mood,
    )
    return agents


@system(phase="first")
def replay_contacts(
    recorded: Res[Recorded], replay: Res[Replay], clock: Res[Clock], turn: Emit[Contact]
) -> None:
    """Let the contacts of this step come to pass."""
    begin, end = np.searchsorted(recorded.time, (clock.now - clock.dt, clock.now), side="right")
    if begin < end:
        turn(
            Contact(
                source=recorded.source[begin:end],
                target=recorded.target[begin:end],
                time=recorded.time[begin:end],
                weight=recorded.weight[begin:end],
                mutual=replay.mutual,
            )
        )


def add_systems(world: World) -> None:
    """The recorded contacts, and every law but those of places."""
    world.add_system(replay_contacts)
    add_laws(world, without=LAWLESS)
    world.add_system(reclaim_texts)


def tell(world: World) -> dict[str, Any]:
    """As of a town, and what became of the log."""
    recorded = world.resource(Recorded)
    n_past = int(np.searchsorted(recorded.time, world.clock.now, side="right"))
    return {
        **outlook.tell(world),
        "contacts_replayed": n_past,
        "contacts_left": recorded.time.size - n_past,
        "contacts_with_self": recorded.with_self,
    }


scenario = Scenario(
    name="replay",
    about="A recorded log of messages, calls or meetings drives who meets whom",
    sections={"replay": Replay, "rumours": Rumours, **LAWS, "texts": Texts},
    build=build,
    add_systems=add_systems,
    measure=outlook.measure,
    labels=outlook.labels,
    tell=tell,
    source="replay.contacts",
)
