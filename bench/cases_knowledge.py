"""The laws of knowledge: telling, fading, and finding topics by how they begin."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from itertools import cycle

import numpy as np

from populace import World, days, hours
from populace.components import Met, Persona
from populace.components.knowledge import (
    Confidence,
    Knowledge,
    KnowledgeState,
    Provenance,
    Taught,
    Topic,
)
from populace.ecs.random import stream_of
from populace.systems.knowledge import Learning, confidences, refresh_confidence
from populace.systems.telling import STREAM, pass_on
from populace.systems.topics import find_topics

from . import bare_laws as bare
from .cases_minds import moved
from .harness import FULL, SIZES, Contest, Run, case, us
from .parts import tell

AREA = "contacts"

NOW = days(20_000)
PIECES = 10  # that each agent knows
TOPICS = 1_000
CONFIDENCE_BYTES = 20  # confidence, half-life and last exposure read; what is left written
FOUND = 10
WORDS = "tea bread rain book desk paper party music garden school river market".split()


class Rumours:
    """n pieces of knowledge of n / PIECES agents, who know PIECES topics each; the same as arrays,
    by owner."""

    def __init__(self, n: int) -> None:
        self.world = World(seed=1)
        self.law = Learning()
        self.world.insert(self.law)
        self.world.clock.now = NOW
        draw = np.random.default_rng(1)
        n_agents = n // PIECES
        self.agents = self.world.spawn(n_agents, Persona(number=np.arange(n_agents)))
        names = [f"topic {number}" for number in range(TOPICS)]
        topics = self.world.spawn(TOPICS, Topic(number=np.arange(TOPICS), name=names))
        first = draw.integers(0, TOPICS, n_agents)
        spaced = first[:, None] + np.arange(PIECES) * (TOPICS // PIECES)
        self.topic = np.sort(spaced % TOPICS, axis=1).reshape(-1).astype(np.uint32)
        self.offsets = np.arange(n_agents + 1) * PIECES
        self.confidence = draw.uniform(0.3, 1, n).astype(np.float32)
        self.half_life = np.full(n, self.law.half_life, np.float32)
        self.rehearsed = NOW - draw.integers(0, days(30), n)
        self.held = self.world.spawn(
            n,
            Knowledge(owner=np.repeat(self.agents, PIECES), topic=topics[self.topic]),
            self.state(),
        )

    def state(self) -> KnowledgeState:
        """What agents know at the outset."""
        return KnowledgeState(
            confidence=self.confidence,
            half_life=self.half_life,
            rehearsed=self.rehearsed,
            exposures=1,
        )


@case("pass_on", sizes=FULL[1:], bytes_each=600)
def pass_on_hundredth(n: int) -> Contest:
    """Contacts of a fifth of the agents, two by two, at a tie strength of 0.2, where n pieces of
    knowledge are known, 10 by each: n / 100 contacts, n / 5 looks at what one knows; bound: bare
    fading and draw of each piece, which count what is told and teach nobody."""
    rumours = Rumours(n)
    world, held = rumours.world, rumours.held
    run, told = pass_on.bind(world), world.events(Taught)
    k = n // PIECES // 10
    draw = np.random.default_rng(2)
    source, target = draw.permutation(n // PIECES)[: 2 * k].astype(np.uint32).reshape(2, k)
    time = np.sort(NOW + draw.integers(0, hours(1), k))
    strength = np.full(k, 0.2, np.float32)
    columns = rumours.topic, rumours.confidence, rumours.half_life, rumours.rehearsed

    def renew() -> None:
        told.read()
        world.query(Provenance).where(lambda provenance: provenance.hops > 0).despawn()
        world.set(held, rumours.state())
        met = Met(
            source=rumours.agents[source],
            target=rumours.agents[target],
            time=time,
            strength=strength,
            returned_strength=strength,
        )
        tell(world, met)

    stream = np.uint64(stream_of(world.seed, STREAM))
    threshold = np.float32(rumours.law.threshold)

    def by_hand() -> int:
        counted: int = bare.tellings(
            source, target, time, strength, stream, threshold, rumours.offsets, *columns
        )
        return counted

    def verify() -> None:
        renew()
        run.run(None)
        taught = told.read()
        assert len(taught) == by_hand() > k
        assert world.query(Knowledge).count() == n + np.count_nonzero(taught.first)

    subject = Run(partial(run.run, None), renew)
    return Contest({"pass_on": subject}, Run(by_hand), verify, rows=2 * PIECES * k)


@case("sweep", area="sweeps", sizes=FULL, bytes_each=400)
def sweep_confidence(n: int) -> Contest:
    """What is left of n pieces of knowledge, for a new moment each time; bound: a memcpy that moves
    the same 20 bytes a row (10 read, 10 written)."""
    rumours = Rumours(n)
    world, sweep = rumours.world, refresh_confidence.bind(rumours.world)

    def run() -> None:
        world.clock.now += 1_000_000
        sweep.run(None)

    def verify() -> None:
        run()
        some = rumours.held[:: max(1, n // 1000)]
        left = world.get(some, Confidence.value)
        ends = [world.get(some, end) for end in (Knowledge.owner, Knowledge.topic)]
        known = np.where(left < rumours.law.threshold, 0, left)
        assert np.array_equal(known, confidences(world, *ends))

    return Contest({"sweep": Run(run)}, moved(CONFIDENCE_BYTES * n), verify)


@case("find_topics", target=us(1_000), sizes=SIZES, unit="topic", bytes_each=700)
def prefix_search(n: int) -> Contest:
    """The first 10 of n topics that begin with a prefix, 1,000 of these in turn; bound: bisect of
    the standard library on a sorted list of the names, which finds no ids."""
    world = World(seed=1)
    first, second = np.random.default_rng(1).integers(0, len(WORDS), (2, n))
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    names = [f"{WORDS[a]} {number:x} of {WORDS[b]}" for number, (a, b) in enumerate(pairs)]
    world.spawn(n, Topic(number=np.arange(n), name=names))
    names.sort()
    prefixes = [names[place][:8] for place in np.random.default_rng(2).integers(0, n, 1_000)]

    def bisected(prefix: str) -> list[str]:
        at = bisect_left(names, prefix)
        return [name for name in names[at : at + FOUND] if name.startswith(prefix)]

    asked, asked_bare = cycle(prefixes), cycle(prefixes)

    def verify() -> None:
        for prefix in prefixes:
            assert find_topics(world, prefix, FOUND)[1] == bisected(prefix)

    return Contest(
        {"find_topics": Run(lambda: find_topics(world, next(asked), FOUND))},
        Run(lambda: bisected(next(asked_bare))),
        verify,
        rows=1,
    )
