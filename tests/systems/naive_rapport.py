"""How a meeting goes and what it stirs in plain Python, f8, one meeting at a time."""

from populace.components.emotion import OCC
from populace.ecs import random


def key(one, other):
    """Of two agents' numbers, whoever comes first."""
    return min(one, other) << 32 | max(one, other)


def outcome(law, seed, numbers, agreeableness, valences, pleasures, time):
    """How it goes; of each pair of values the first is the source's."""
    chance = random.normal(seed, "rapport", key(*numbers), 0, time)[0]
    went = (
        law.base
        + law.warmth * (sum(agreeableness) / 2 - 0.5)
        + law.liking * sum(valences) / 2
        + law.mood * sum(pleasures) / 2
        + law.spread * chance
    )
    return min(max(went, -1.0), 1.0)


def emotion(seed, number, other, time, outcome, strength, neuroticism):
    """What a party feels."""
    chance = random.uniform(seed, "contact emotions", number << 32 | other, 0, time)[0]
    if outcome > 0:
        return OCC.GRATITUDE if chance < strength else OCC.JOY
    return OCC.DISTRESS if chance < neuroticism else OCC.ANGER


def topic(tellings, source, target, time):
    """What a contact was about, of tellings (learner, teacher, time, topic, confidence, first) in
    the order told; None where nothing was told."""
    told = [t for t in tellings if {t[0], t[1]} == {source, target} and t[2] == time]
    return max(told, key=lambda t: (t[5], t[4]), default=(None,) * 6)[3]
