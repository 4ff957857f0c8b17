"""What contacts do to those who meet: emotion, energy; and the sweep of what all feel."""

from __future__ import annotations

from functools import partial

import numpy as np

from populace import World, days, hours
from populace.components import Met, Persona
from populace.components.emotion import Emotion, EmotionNow, Mood, MoodNow
from populace.components.energy import SocialEnergy
from populace.systems.affect import Emotions
from populace.systems.emotion import feel
from populace.systems.energy import Energy, spend_energy
from populace.systems.feelings import feelings_of, refresh_emotions

from . import bare_laws as bare
from .cases_minds import moved
from .harness import FULL, Contest, Run, case
from .parts import tell

AREA = "contacts"

NOW = days(20_000)
CONTACTS = 100_000
EMOTION_BYTES = 84  # two states of 20 and five traits of 4 read; two of 12 written
AXES = ("pleasure", "arousal", "dominance")


@case("sweep", area="sweeps", sizes=FULL, bytes_each=400)
def sweep_emotions(n: int) -> Contest:
    """Emotion and mood of n agents, for a new moment each time; bound: a memcpy that moves the same
    84 bytes a row (42 read, 42 written)."""
    world = World(seed=1)
    world.insert(Emotions())
    world.clock.now = NOW
    draw = np.random.default_rng(1)
    ids = world.spawn(
        n,
        Persona(number=np.arange(n), neuroticism=draw.random(n), extraversion=draw.random(n)),
        Emotion(pleasure=draw.uniform(-1, 1, n), since=NOW - draw.integers(0, hours(1), n)),
        Mood(arousal=draw.uniform(-1, 1, n), since=NOW - draw.integers(0, days(1), n)),
    )
    sweep = refresh_emotions.bind(world)

    def run() -> None:
        world.clock.now += 1_000_000
        sweep.run(None)

    def verify() -> None:
        run()
        some = ids[:: max(1, n // 1000)]
        for now, expected in zip((EmotionNow, MoodNow), feelings_of(world, some), strict=True):
            found = [world.get(some, getattr(now, axis)) for axis in AXES]
            assert np.array_equal(np.stack(found, axis=1), expected)

    return Contest({"sweep": Run(run)}, moved(EMOTION_BYTES * n), verify)


class Party:
    """n agents at rest, and contacts of an hour among them; rows are places in `ids`."""

    def __init__(self, n: int) -> None:
        draw = np.random.default_rng(2)
        self.world = World(seed=1)
        self.world.clock.now = NOW
        self.pleasure = draw.uniform(-1, 1, n).astype(np.float32)
        self.ids = self.world.spawn(
            n,
            Persona(number=np.arange(n)),
            Emotion(pleasure=self.pleasure, since=NOW),
            Mood(since=NOW),
            SocialEnergy(since=NOW),
        )
        self.source = draw.integers(0, n, CONTACTS)
        self.target = (self.source + draw.integers(1, n, CONTACTS)) % n
        self.time = np.sort(NOW + draw.integers(0, hours(1), CONTACTS))
        self.strength = draw.uniform(0.1, 1, CONTACTS).astype(np.float32)

    def meet(self) -> None:
        """The contacts, as ties tell of them."""
        met = Met(
            source=self.ids[self.source],
            target=self.ids[self.target],
            time=self.time,
            strength=self.strength,
            returned_strength=self.strength,
        )
        tell(self.world, met)


@case("feel", sizes=FULL[1:], bytes_each=400)
def feel_100k(n: int) -> Contest:
    """100,000 contacts of random pairs of n agents infect both; bound: a bare loop over the
    contacts by known rows, without moods and temperaments."""
    party, law = Party(n), Emotions()
    world, ids = party.world, party.ids
    world.insert(law)
    run = feel.bind(world)
    emotion, since = np.zeros((3, n), np.float32), np.zeros(n, np.int64)
    pull = party.strength * np.float32(law.contagion)
    rows = party.source.astype(np.uint32), party.target.astype(np.uint32)

    def renew() -> None:
        world.set(ids, Emotion(pleasure=party.pleasure, arousal=0, dominance=0, since=NOW))
        party.meet()

    def renew_bare() -> None:
        emotion[0], emotion[1:], since[:] = party.pleasure, 0, NOW

    def by_hand() -> None:
        bare.infect(*rows, party.time, pull, pull, law.emotion_half_life, emotion, since)

    def verify() -> None:
        renew()
        renew_bare()
        run.run(None)
        by_hand()
        assert np.allclose(world.get(ids, Emotion.pleasure), emotion[0], atol=1e-5)
        assert np.array_equal(world.get(ids, Emotion.since), since)

    subject = Run(partial(run.run, None), renew)
    return Contest({"feel": subject}, Run(by_hand, renew_bare), verify, rows=CONTACTS)


@case("spend_energy", sizes=FULL[1:], bytes_each=400)
def spend_energy_100k(n: int) -> Contest:
    """100,000 contacts of random pairs of n agents cost both energy; bound: a bare loop over the
    contacts by known rows, at one cost for all."""
    party, law = Party(n), Energy()
    world, ids = party.world, party.ids
    world.insert(law)
    run = spend_energy.bind(world)
    level, since = np.ones(n, np.float32), np.zeros(n, np.int64)
    rows = party.source.astype(np.uint32), party.target.astype(np.uint32)

    def renew() -> None:
        world.set(ids, SocialEnergy(level=1, since=NOW))
        party.meet()

    def renew_bare() -> None:
        level[:], since[:] = 1, NOW

    def by_hand() -> None:
        bare.tire(*rows, party.time, law.cost * 0.75, law.recovery, level, since)

    def verify() -> None:
        renew()
        renew_bare()
        run.run(None)
        by_hand()
        assert np.allclose(world.get(ids, SocialEnergy.level), level, atol=1e-5)
        assert np.array_equal(world.get(ids, SocialEnergy.since), since)

    subject = Run(partial(run.run, None), renew)
    return Contest({"spend_energy": subject}, Run(by_hand, renew_bare), verify, rows=CONTACTS)
