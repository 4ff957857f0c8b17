"""Plots of the laws of activity and knowledge, drawn from the project's own code."""

import numpy as np

from populace.components.activity import Activity
from populace.components.contact import Met
from populace.components.knowledge import KnowledgeState
from populace.components.persona import Persona
from populace.ecs import World, days, hours, minutes
from populace.systems.activity import change_activity, enter_state
from populace.systems.daily import daily_life
from populace.systems.knowledge import Learning, confidences, forget_knowledge, learn, share_knowing
from populace.systems.machine import StateMachine
from populace.systems.telling import pass_on
from populace.systems.topics import intern_topics


def plot_activity(axes, n=5_000):
    """Share of workers in each state, Thursday to Sunday."""
    world = World(seed=1)
    world.insert(daily_life())
    workers = world.spawn(n, Persona(number=np.arange(n)))
    enter_state(world, workers, "asleep", profile="worker")
    world.add_system(change_activity)
    machine = world.resource(StateMachine)
    shares = []
    for _ in range(4 * 24 * 4):
        world.step(minutes(15))
        shares.append(
            np.bincount(world.get(workers, Activity.state), minlength=len(machine.states)) / n
        )
    hour = np.arange(1, len(shares) + 1) / 4
    axes.stackplot(hour, np.array(shares).T, labels=machine.states)
    axes.set(
        xlabel="hour (0 is Thursday, 0:00)", ylabel="share of workers", xlim=(0, 96), ylim=(0, 1)
    )
    axes.legend(loc="lower left", fontsize="small")


def rumour(half_life_days, hours_long=24 * 14, n=2_000, seed=2):
    """(hours,) the share of a well-mixed population that knows a rumour."""
    world = World(seed=seed)
    world.insert(
        Learning(half_life=half_life_days * 86_400.0, longest=max(half_life_days, 1) * 86_400.0)
    )
    people = world.spawn(n, Persona(number=np.arange(n)))
    topic = intern_topics(world, "rumour")
    learn(world, people[:5], topic)
    world.add_systems(pass_on, forget_knowledge)
    draw, shares = np.random.default_rng(seed), []
    for _ in range(hours_long):
        source = draw.integers(0, n, n // 10)
        target = (source + draw.integers(1, n, source.size)) % n
        world.emit(
            Met(
                source=people[source],
                target=people[target],
                time=world.clock.now,
                strength=0.5,
                returned_strength=0.5,
            )
        )
        world.step(hours(1))
        shares.append(share_knowing(world, topic)[0])
    return np.array(shares)


def plot_rumour(axes):
    """The S-curve, and what forgetting makes of it."""
    for half_life, label in (
        (10_000, "no forgetting"),
        (30, "half-life 30 days"),
        (2, "half-life 2 days"),
    ):
        share = rumour(half_life)
        axes.plot(np.arange(share.size) / 24, share, label=label)
    axes.set(xlabel="days", ylabel="share that knows", ylim=(0, 1.02))
    axes.legend(loc="lower right", fontsize="small")


def plot_forgetting_knowledge(axes):
    """Confidence over 90 days, with exposures on days 0, 10 and 40."""
    world = World(seed=1)
    world.insert(Learning(rate=0.5))
    teacher, learner = world.spawn(2, Persona(number=[0, 1]))
    topic = intern_topics(world, "rumour")
    known = learn(world, teacher, topic)
    world.set(known, KnowledgeState(half_life=1e9))
    world.add_system(pass_on)
    times, left = [], []
    for day in np.arange(0, 90, 0.25):
        now = days(day)
        world.clock.now = now
        if day in (0, 10, 40):
            world.emit(Met(source=teacher, target=learner, time=now, strength=1.0))
        world.step(0)
        times.append(day)
        left.append(confidences(world, learner, topic, now)[0])
    axes.plot(times, left)
    axes.set(xlabel="days", ylabel="confidence", ylim=(0, 1))
