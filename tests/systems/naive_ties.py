"""Ties, energy and encounters in plain Python, one contact at a time, in f8."""

from dataclasses import dataclass


@dataclass
class Tie:
    """The state of one tie."""

    last: int
    weight: float = 0.0
    valence: float = 0.0
    contacts: int = 0


def decayed(weight, elapsed_us, half_life_s):
    """What is left of a weight."""
    return weight * 2.0 ** (-max(elapsed_us, 0) / 1e6 / half_life_s)


def strength(tie, now, half_life_s, saturation, threshold=0.0):
    """The strength of a tie at `now`; 0 of none, and of one that is over."""
    if tie is None or over(tie, now, half_life_s, threshold):
        return 0.0
    weight = decayed(tie.weight, now - tie.last, half_life_s)
    return weight / (weight + saturation)


def over(tie, now, half_life_s, threshold):
    """Whether a tie has faded below the threshold."""
    return decayed(tie.weight, now - tie.last, half_life_s) < threshold


def take_up(tie, time, weight, outcome, half_life_s, gain, rate, threshold=0.0):
    """One contact of one tie."""
    if over(tie, time, half_life_s, threshold):
        tie.weight, tie.valence, tie.contacts = 0.0, 0.0, 0
    if time >= tie.last:
        tie.weight = decayed(tie.weight, time - tie.last, half_life_s) + gain * weight
        tie.last = time
    else:
        tie.weight += decayed(gain * weight, tie.last - time, half_life_s)
    tie.valence += rate * (outcome - tie.valence)
    tie.contacts += 1


def apply_contacts(contacts, ties, half_life_s, gain, saturation, rate, threshold=0.0):
    """contacts: (source, target, time, weight, outcome, mutual) of one batch. ties: (source,
    target) -> Tie, changed. Returns (source, target, time, strength, returned or None) of each."""
    met = []
    for source, target, time, weight, outcome, mutual in sorted(contacts, key=lambda c: c[2]):
        if source == target:
            continue
        there = [(source, target), (target, source)] if mutual else [(source, target)]
        for pair in there:
            tie = ties.setdefault(pair, Tie(last=time))
            take_up(tie, time, weight, outcome, half_life_s, gain, rate, threshold)
        forth, back = ties[source, target], ties.get((target, source))
        asked = time, half_life_s, saturation, threshold
        met.append(
            (
                source,
                target,
                time,
                strength(forth, *asked),
                None if back is None else strength(back, *asked),
            )
        )
    return met


def closed_form(times, now, half_life_s, weights=None):
    """The weight at `now` of a tie that had contacts at these times."""
    weights = [1.0] * len(times) if weights is None else weights
    return sum(
        w * 2.0 ** (-(now - t) / 1e6 / half_life_s) for t, w in zip(times, weights, strict=True)
    )


def spend(contacts, energy, extraversion, recovery, cost):
    """contacts: (source, target, time). energy: agent -> [level, since], changed; agents that are
    not in it never tire. extraversion: agent -> trait."""
    for source, target, time in sorted(contacts, key=lambda c: c[2]):
        for agent in (source, target):
            if agent not in energy:
                continue
            level, since = energy[agent]
            level = rested(level, time - since, recovery)
            level = max(level - cost * (1 - 0.5 * extraversion.get(agent, 0.5)), 0.0)
            energy[agent] = [level, max(since, time)]


def rested(level, elapsed_us, recovery):
    """Energy after a while without contacts."""
    return min(1.0, level + recovery * max(elapsed_us, 0) / 1e6)


def sentence(name, place, topic=None, word=""):
    """What a party remembers of a contact."""
    said = f"talked with {name or 'somebody'}"
    if topic:
        said += f" about {topic}"
    if place:
        said += f" at {place}"
    return f"{said}; felt {word}" if word else said
