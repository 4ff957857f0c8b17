"""Knowledge in plain Python, f8, one contact and one topic after the other.

What is known is {(owner number, topic number): Piece}; a law is anything with the fields of
`Learning`.
"""

from dataclasses import dataclass

from populace.ecs import random

NO_SOURCE = 2**32 - 1


@dataclass
class Piece:
    """What an agent holds of one topic."""

    confidence: float
    half_life: float
    rehearsed: int
    learned: int
    exposures: int = 1
    source: int = NO_SOURCE
    hops: int = 0


def left(piece, now):
    """The share of the confidence that is left."""
    return 2.0 ** (-max(now - piece.rehearsed, 0) / 1e6 / piece.half_life)


def known(piece, now, law):
    """What is known of a piece, 0 where it is forgotten or absent."""
    if piece is None:
        return 0.0
    value = piece.confidence * left(piece, now)
    return value if value >= law.threshold else 0.0


def expose(held, key, time, gain, source, hops, law):
    """One telling. Returns whether anything came of it."""
    piece = held.get(key)
    knew = known(piece, time, law)
    if knew == 0 and (gain < law.threshold or gain == 0):
        return False
    if knew == 0:
        now = time if piece is None else max(time, piece.rehearsed)
        held[key] = Piece(gain, law.half_life, now, now, 1, source, min(hops + 1, 2**16 - 1))
        return True
    now = max(time, piece.rehearsed)
    grown = piece.half_life * (1 + law.growth * (1 - left(piece, now)))
    piece.half_life = max(piece.half_life, min(grown, law.longest))
    piece.confidence = knew + gain * (1 - knew)
    piece.rehearsed = now
    piece.exposures += 1
    return True


def meet(held, contact, rates, seed, law, appeal=()):
    """One contact (source, target, time, strength, returned): both tell what they knew before it.

    appeal: of the topics by number, 1 beyond. Returns the tellings, (learner, topic, teacher, time,
    first), and how near to being told or not the nearest draw was.
    """
    source, target, time, strength, returned = contact
    topics = sorted({topic for owner, topic in held if owner in (source, target)})
    planned, margin = [], 1.0
    for topic in topics:
        for teacher, learner, forth, back in (
            (source, target, strength, returned),
            (target, source, returned, strength),
        ):
            piece = held.get((teacher, topic))
            worth = appeal[topic] if topic < len(appeal) else 1.0
            likely = forth * known(piece, time, law) * worth
            drawn = random.uniform(seed, "telling", teacher << 32 | learner, topic, time)[0]
            margin = min(margin, abs(drawn - likely))
            if likely > 0 and drawn < likely:
                trust = law.trust + (1 - law.trust) * back
                first = known(held.get((learner, topic)), time, law) == 0
                planned.append((learner, topic, teacher, rates[learner] * trust, piece.hops, first))
    told = []
    for learner, topic, teacher, gain, hops, first in planned:
        if expose(held, (learner, topic), time, gain, teacher, hops, law):
            told.append((learner, topic, teacher, time, first))
    return told, margin
