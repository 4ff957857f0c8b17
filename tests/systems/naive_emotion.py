"""How feelings move and pass, in plain Python and f8: what the kernels are held to."""

import math

import numpy as np

LN2 = math.log(2)


def mood_at(mood, temperament, half_life, elapsed):
    """The mood relaxes to the temperament."""
    return temperament + (mood - temperament) * math.exp(-LN2 * elapsed / half_life)


def emotion_at(emotion, mood, temperament, emotion_half_life, mood_half_life, elapsed):
    """The solution of e' = -a (e - M(t)) with M relaxing from `mood`, as textbooks give it."""
    x, y = LN2 * elapsed / emotion_half_life, LN2 * elapsed / mood_half_life
    difference = abs(x - y)
    ratio = -math.expm1(-difference) / difference if difference else 1.0
    drag = x * math.exp(-min(x, y)) * ratio
    return temperament + (emotion - temperament) * math.exp(-x) + (mood - temperament) * drag


def emotion_by_steps(
    emotion, mood, temperament, emotion_half_life, mood_half_life, elapsed, n=4_000
):
    """The same by stepping through the differential equations (Runge & Kutta, fourth order)."""
    a, b, h = LN2 / emotion_half_life, LN2 / mood_half_life, elapsed / n

    def slope(e, m):
        return -a * (e - m), -b * (m - temperament)

    for _ in range(n):
        e1, m1 = slope(emotion, mood)
        e2, m2 = slope(emotion + h / 2 * e1, mood + h / 2 * m1)
        e3, m3 = slope(emotion + h / 2 * e2, mood + h / 2 * m2)
        e4, m4 = slope(emotion + h * e3, mood + h * m3)
        emotion += h / 6 * (e1 + 2 * e2 + 2 * e3 + e4)
        mood += h / 6 * (m1 + 2 * m2 + 2 * m3 + m4)
    return emotion


class Agent:
    """One agent: what it felt, when, and where its mood rests."""

    def __init__(self, emotion, mood, temperament, since=0, mood_since=0):
        self.emotion, self.mood = np.array(emotion, float), np.array(mood, float)
        self.temperament = np.array(temperament, float)
        self.since, self.mood_since = since, mood_since

    def mood_then(self, now, law):
        """(3,) the mood at `now` in µs."""
        elapsed = max(now - self.mood_since, 0) / 1e6
        return mood_at(self.mood, self.temperament, law.mood_half_life, elapsed)

    def emotion_then(self, now, law):
        """(3,) the emotion at `now` in µs."""
        start = self.mood_then(self.since, law)
        elapsed = max(now - self.since, 0) / 1e6
        return emotion_at(
            self.emotion,
            start,
            self.temperament,
            law.emotion_half_life,
            law.mood_half_life,
            elapsed,
        )


def appraise(agent, vector, intensity, time, law):
    """An appraisal, at its time or that of the state if it is late."""
    if intensity == 0:
        return
    now = max(time, agent.since, agent.mood_since)
    emotion, mood = agent.emotion_then(now, law), agent.mood_then(now, law)
    push = intensity * np.array(vector)
    agent.emotion = np.clip(emotion + push, -1, 1)
    agent.mood = np.clip(mood + law.mood_gain * push, -1, 1)
    agent.since = agent.mood_since = now


def meet(one, other, strength, returned, time, law):
    """A contact: each moves toward the other's emotion as it was before."""
    if one is other:
        return
    then = max(time, one.since), max(time, other.since)
    before = one.emotion_then(then[0], law), other.emotion_then(then[1], law)
    for agent, now, own, its, tie in (
        (one, then[0], *before, strength),
        (other, then[1], *before[::-1], returned),
    ):
        if law.contagion * tie > 0:
            agent.emotion = np.clip(own + law.contagion * tie * (its - own), -1, 1)
            agent.since = now


def feel(agents, events, vectors, law):
    """Events as ("appraisal", agent, label, intensity, time) or ("contact", agent, agent, strength,
    returned, time), in the order of emission of each kind."""
    order = sorted(events, key=lambda event: (event[-1], event[0] == "contact"))
    for kind, *event in order:
        if kind == "appraisal":
            agent, label, intensity, time = event
            appraise(agents[agent], vectors[label], intensity, time, law)
        else:
            one, other, strength, returned, time = event
            meet(agents[one], agents[other], strength, returned, time, law)


def temperament(openness, conscientiousness, extraversion, agreeableness, neuroticism):
    """Mehrabian's regressions on standardised traits, clipped."""
    o, c, e, a = (2 * x - 1 for x in (openness, conscientiousness, extraversion, agreeableness))
    stability = 1 - 2 * neuroticism
    pleasure = 0.21 * e + 0.59 * a + 0.19 * stability
    arousal = 0.15 * o + 0.30 * a - 0.57 * stability
    dominance = 0.25 * o + 0.17 * c + 0.60 * e - 0.32 * a
    return [min(max(x, -1), 1) for x in (pleasure, arousal, dominance)]
