"""Plots of emotion, heredity and kinship, drawn from the project's own code."""

import numpy as np

from populace.components import Contact, Persona, Tie, TieState
from populace.components.emotion import OCC, Appraisal, Emotion, Mood
from populace.components.lineage import Lineage
from populace.ecs import World, hours, minutes
from populace.systems.affect import Emotions
from populace.systems.emotion import feel
from populace.systems.feelings import feelings_of
from populace.systems.heredity import Heredity, births
from populace.systems.kinship import kinship
from populace.systems.rapport import Rapport, outcomes
from populace.systems.temperament import temperament
from populace.systems.ties import Ties, apply_contacts


def plot_emotion(axes):
    """Pleasure of one agent over twelve hours: emotion, mood, temperament."""
    world = World()
    world.insert(Emotions())
    world.add_system(feel)
    person = {"agreeableness": 0.7, "neuroticism": 0.4}
    rest = temperament(**person)[0]
    ann = world.spawn(1, Persona(number=0, **person), Emotion(pleasure=rest), Mood(pleasure=rest))
    happened = [
        (OCC.JOY, 0.8, hours(1)),
        (OCC.ANGER, 0.9, hours(2)),
        *((OCC.FEAR, 0.5, hours(6) + k * minutes(20)) for k in range(3)),
    ]
    moments = np.linspace(0, hours(12), 2_000).astype(np.int64)
    emotion, mood = [], []
    for now in moments.tolist():
        for label, intensity, time in [e for e in happened if e[2] <= now]:
            world.emit(Appraisal(agent=ann, label=label, intensity=intensity, time=time))
        happened = [e for e in happened if e[2] > now]
        world.step(now - world.clock.now)
        felt, in_mood = feelings_of(world, ann)
        emotion.append(felt[0, 0])
        mood.append(in_mood[0, 0])
    axes.plot(moments / hours(1), emotion, lw=1.2, label="emotion")
    axes.plot(moments / hours(1), mood, lw=1.8, label="mood")
    axes.axhline(rest, ls=":", color="grey", label="temperament")
    axes.set(xlabel="h", ylabel="pleasure", ylim=(-1, 1), title="joy, anger, and three frights")
    axes.legend(frameon=False)


def plot_rapport(axes):
    """The valence of 400 pairs over 60 contacts, a day apart, by how agreeable both are."""
    pairs, days_met = 400, 60
    for agreeableness, colour in ((0.2, "tab:red"), (0.5, "tab:grey"), (0.8, "tab:green")):
        world = World(seed=7)
        for law in (Ties(), Rapport()):
            world.insert(law)
        world.add_system(apply_contacts)
        people = world.spawn(
            2 * pairs, Persona(number=np.arange(2 * pairs), agreeableness=agreeableness)
        )
        source, target = people[:pairs], people[pairs:]
        ties, _ = world.ensure(Tie(source=source, target=target))
        valence = [world.get(ties, TieState.valence)]
        for _ in range(days_met):
            now = world.clock.now
            went = outcomes(world, source, target, now)
            world.emit(Contact(source=source, target=target, time=now, outcome=went, mutual=True))
            world.step(hours(24))
            valence.append(world.get(ties, TieState.valence))
        low, middle, high = np.percentile(valence, [10, 50, 90], axis=1)
        axes.plot(middle, color=colour, label=f"agreeableness {agreeableness}")
        axes.fill_between(range(days_met + 1), low, high, color=colour, alpha=0.15, lw=0)
    axes.set(xlabel="contacts", ylabel="valence", title="rapport: median and 80 % of pairs")
    axes.legend(frameon=False)


def plot_heredity(axes):
    """Child against midparent, for two heritabilities."""
    for colour, h2 in (("tab:blue", 0.2), ("tab:orange", 0.8)):
        world = World(seed=1)
        world.insert(Heredity(heritability=h2))
        traits = np.clip(np.random.default_rng(1).normal(0.5, 0.1, 1_000), 0, 1)
        people = world.spawn(1_000, Persona(number=np.arange(1_000), openness=traits))
        first = np.tile(np.arange(1_000), 3)
        second = (first + np.repeat([1, 17, 400], 1_000)) % 1_000
        children = births(world, people[first], people[second])
        midparent = (traits[first] + traits[second]) / 2
        child = world.get(children, Persona.openness)
        slope, intercept = np.polyfit(midparent, child, 1)
        axes.plot(midparent, child, ".", ms=1.5, alpha=0.4, color=colour, rasterized=True)
        ends = np.array([midparent.min(), midparent.max()])
        axes.plot(
            ends, intercept + slope * ends, color=colour, label=f"h² = {h2}: slope {slope:.2f}"
        )
    axes.set(xlabel="midparent", ylabel="child", title="heredity")
    axes.legend(frameon=False)


def plot_kinship(axes):
    """Inbreeding in closed populations of three sizes."""
    for size in (10, 30, 100):
        draw, world, mean = np.random.default_rng(size), World(), []
        before = np.arange(size)
        for generation in range(20):
            numbers = np.arange(size) + size * (generation + 1)
            first, second = draw.choice(before, size), draw.choice(before, size)
            world.spawn(Lineage(person=numbers, first=first, second=second))
            mean.append(2 * kinship(world, numbers, numbers).mean() - 1)
            before = numbers
        (line,) = axes.plot(range(1, 21), mean, label=f"{size} people")
        expected = 1 - (1 - 1 / (2 * size)) ** np.arange(20)
        axes.plot(range(1, 21), expected, ":", color=line.get_color())
    axes.set(xlabel="generation", ylabel="mean inbreeding F", title="kinship (dotted: expected)")
    axes.legend(frameon=False)
