"""Plots of the laws of space, drawn from the project's own code. Each takes matplotlib axes."""

import numpy as np

from populace.components import Contact, Observed, Persona, Stream
from populace.components.place import Haunts, Place
from populace.components.space import Space
from populace.ecs import World, days, hours, minutes
from populace.systems.activity import change_activity, enter_state
from populace.systems.colocation import Colocation, meet
from populace.systems.daily import daily_life
from populace.systems.movement import positions_at
from populace.systems.neighbours import pairs_within
from populace.systems.perception import Perception, perceive
from populace.systems.routine import Routine, Walking, follow_routine, settle

MONDAY = days(4)


def _society(n=300, seed=7, size=600.0):
    """Agents with homes, offices and cafés, asleep on the night before a Monday."""
    draw = np.random.default_rng(seed)
    world = World(seed=seed)
    world.clock.now = MONDAY
    for resource in (
        Space(width=size, height=size), Colocation(), Perception(), Routine(), Walking(),
        daily_life(),
    ):  # fmt: skip
        world.insert(resource)

    def places(k, kind):
        x, y = draw.uniform(20, size - 20, (2, k))
        return world.spawn(k, Place(name=[f"{kind} {i}" for i in range(k)], kind=kind, x=x, y=y))

    kinds = places(max(n // 3, 1), "house"), places(max(n // 20, 2), "office"), places(3, "cafe")
    haunts = {
        name: draw.choice(p, n) for name, p in zip(("home", "work", "leisure"), kinds, strict=True)
    }
    ids = world.spawn(
        n,
        Persona(
            number=np.arange(n), name=[f"Agent {i}" for i in range(n)], extraversion=draw.random(n)
        ),
        Stream,
        Haunts(**haunts),
    )
    enter_state(world, ids, "asleep", profile="worker")
    settle(world, ids)
    world.add_systems(change_activity, follow_routine, meet, perceive)
    return world, ids, kinds


def plot_movement(axes):
    """A working day of five agents, by the minute, between house, office and café."""
    world, ids, kinds = _society(60)
    paths = []
    for _ in range(24 * 60):
        world.step(minutes(1))
        paths.append(positions_at(world, ids[:5]))
    paths = np.array(paths)  # (minutes, axis, agent)
    for agent in range(5):
        axes.plot(paths[:, 0, agent], paths[:, 1, agent], lw=1)
    for kind, marker in zip(kinds, "^so", strict=True):
        x, y = world.get(kind, Place.x), world.get(kind, Place.y)
        axes.scatter(
            x,
            y,
            s=12,
            marker=marker,
            color="0.4",
            label=world.text.decode(world.get(kind, Place.kind)[:1])[0],
        )
    axes.legend(fontsize=7)
    axes.set(xlabel="m", ylabel="m", title="One day of five agents", aspect="equal")


def plot_neighbours(axes):
    """400 points on a torus and their pairs within 6 m; those over the edge are left out."""
    x, y = np.random.default_rng(3).uniform(0, 100, (2, 400)).astype("f4")
    for i, j in zip(*pairs_within(x, y, 6.0, 100, 100, wrapping=True), strict=True):
        over = abs(x[i] - x[j]) > 50 or abs(y[i] - y[j]) > 50
        if not over:
            axes.plot([x[i], x[j]], [y[i], y[j]], color="C0", lw=0.7)
    axes.scatter(x, y, s=4, color="k")
    axes.set(xlabel="m", ylabel="m", title="Pairs within 6 m", aspect="equal")


def _per_hour(event, n_days=5):
    world, *_ = _society()
    reader, batches = world.events(event), []
    for _ in range(24 * n_days):
        world.step(hours(1))
        batches.append(reader.read())
    return batches


def plot_colocation(axes):
    """Contacts of 300 agents by hour of the day, mean of a working week."""
    time = np.concatenate([batch.time for batch in _per_hour(Contact)])
    counts, _ = np.histogram(time % days(1) / hours(1), np.arange(25))
    axes.bar(np.arange(24) + 0.5, counts / 5)
    axes.set(xlabel="hour of the day", ylabel="contacts", title="Contacts of 300 agents")


def plot_perception(axes):
    """Observations of 300 agents by hour of the day: own doings, idle and fresh, and others."""
    law = Perception()
    batches = _per_hour(Observed)
    time = np.concatenate([batch.time for batch in batches]) % days(1) // hours(1)
    worth = np.concatenate([batch.importance for batch in batches])
    own = np.concatenate([np.diff(batch.owner, prepend=0) != 0 for batch in batches])
    idle = own & (worth == np.float32(law.idle))
    parts = {"idle": idle, "fresh": own & ~idle, "others": ~own}
    below = np.zeros(24)
    for name, mask in parts.items():
        counts = np.bincount(time[mask], minlength=24) / 5
        axes.bar(np.arange(24), counts, bottom=below, label=name)
        below += counts
    axes.legend()
    axes.set(xlabel="hour of the day", ylabel="observations", title="What 300 agents observe")
