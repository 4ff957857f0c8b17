"""The laws of ties: decay and contacts."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from populace import World, days, hours
from populace.components import Contact, Memory, Observed, Persona, Stream, Trace
from populace.components.emotion import Emotion, Mood
from populace.components.energy import SocialEnergy
from populace.components.tie import Tie, TieState, TieStrength
from populace.systems import Forgotten, Room
from populace.systems.curves import exp2_f4
from populace.systems.society import add_laws
from populace.systems.ties import Ties, apply_contacts, refresh_ties, tie_strengths

from . import bare
from .cases_minds import DAY_S, FORGET_BYTES, MEMORIES, moved
from .cases_minds import SWEEP_BYTES as SWEEP_BYTES_MEMORY
from .harness import FULL, Contest, Run, case, ratio, us

AREA = "contacts"

NOW = days(20_000)
SIZES = (*FULL, 100_000_000)  # of sweeps
TIES = 10  # of each agent
SWEEP_BYTES = 16  # weight and last contact read, strength written
CONTACTS = 100_000
OUTER = (
    "change_activity", "follow_routine", "meet", "perceive", "reflect", "consolidate",
    "remember_contacts",
)  # fmt: skip
HALF_LIFE_S, SATURATION = 14 * 86_400.0, 5.0


class Village:
    """n ties of n / TIES agents, who know the TIES next ones; the same in a world and in arrays."""

    def __init__(self, n: int, threads: int = 1) -> None:
        self.world = World(seed=1, threads=threads)
        self.world.insert(Ties())
        self.world.clock.now = NOW
        n_agents = n // TIES
        agents = self.world.spawn(n_agents, Persona(number=np.arange(n_agents)))
        place = np.repeat(np.arange(n_agents), TIES)
        self.source = agents[place]
        self.target = agents[(place + 1 + np.tile(np.arange(TIES), n_agents)) % n_agents]
        self.last = NOW - np.random.default_rng(1).integers(0, days(60), n)
        self.world.spawn(
            n,
            Tie(source=self.source, target=self.target),
            TieState(weight=3, last=self.last, contacts=3),
        )

    def emit(self, place: np.ndarray, time: np.ndarray) -> None:
        """Contacts along these ties."""
        source, target = self.source[place], self.target[place]
        self.world.emit(Contact(source=source, target=target, time=time))
        for queue in self.world.event_queues.held.values():
            queue.end_step()


def swept(n: int, threads: int) -> Contest:
    """`TieStrength` of n ties, for a new moment each time."""
    village = Village(n, threads)
    world, sweep = village.world, refresh_ties.bind(village.world)

    def run() -> None:
        world.clock.now += 1_000_000
        sweep.run()

    def verify() -> None:
        run()
        ties = world.pairs(Tie).find(village.source[:100], village.target[:100])
        expected = tie_strengths(world, village.source[:100], village.target[:100])
        assert np.array_equal(world.get(ties, TieStrength.value), expected)

    return Contest({"sweep": Run(run)}, moved(SWEEP_BYTES * n, threads), verify)


@case(
    "sweep", area="sweeps", target=ratio(1.25, from_size=10_000_000), sizes=SIZES, bytes_each=250,
)  # fmt: skip
def sweep_ties(n: int) -> Contest:
    """Strength of all ties; bound: a memcpy that moves the same 16 bytes a row (8 read, 8
    written)."""
    return swept(n, 1)


@case(
    "sweep", area="sweeps", target=ratio(1.25, from_size=10_000_000), sizes=SIZES, bytes_each=250,
    elsewhere=True,
)  # fmt: skip
def sweep_ties_2_threads(n: int) -> Contest:
    """The same on two threads, and the memcpy too."""
    return swept(n, 2)


@njit(cache=True, nogil=True, error_model="numpy")
def bare_decay(weight_n, last_n, now, out_n):  # type: ignore[no-untyped-def]
    """The sweep."""
    for i in range(weight_n.size):
        left = weight_n[i] * exp2_f4(
            np.float32(now - last_n[i]) * np.float32(-1e-6) / np.float32(HALF_LIFE_S)
        )
        out_n[i] = left / (left + np.float32(SATURATION))


@njit(cache=True, nogil=True, error_model="numpy")
def bare_contacts(row_e, time_e, weight_n, last_n):  # type: ignore[no-untyped-def]
    """Contacts applied to known rows."""
    for e in range(row_e.size):
        i = row_e[e]
        elapsed = np.float32(time_e[e] - last_n[i]) * np.float32(-1e-6)
        weight_n[i] = weight_n[i] * exp2_f4(elapsed / np.float32(HALF_LIFE_S)) + np.float32(1)
        last_n[i] = time_e[e]


@case("apply + sweep", target=ratio(2, from_size=1_000_000), sizes=FULL[1:], bytes_each=400)
def contacts_100k(n: int) -> Contest:
    """100,000 contacts among n ties, then the sweep of all; bound: bare decay, hash find and apply
    on arrays."""
    village = Village(n)
    world = village.world
    apply, sweep = apply_contacts.bind(world), refresh_ties.bind(world)
    draw = np.random.default_rng(2)
    place = draw.integers(0, n, CONTACTS)
    time = np.sort(NOW + draw.integers(0, days(1), CONTACTS))

    keys = ((village.source << np.uint64(32)) | (village.target & np.uint64(0xFFFF_FFFF))) + (
        np.uint64(1)
    )
    capacity = 1 << (n * 5 // 3).bit_length()
    shift = np.uint64(65 - capacity.bit_length())
    key_value = np.zeros((capacity, 2), np.uint64)
    weights, rows = np.full(n, 3, np.float32), np.zeros(max(n, CONTACTS), np.uint32)
    made, last, out = np.zeros(n, np.uint64), village.last.copy(), np.zeros(n, np.float32)
    bare.find_or_insert(key_value, shift, keys, weights.copy(), weights, 0, True, rows, made)
    wanted = keys[place]

    def populace() -> None:
        apply.run(None)
        sweep.run()

    def by_hand() -> None:
        bare.find_or_insert(key_value, shift, wanted, weights, weights, n, False, rows, made)
        bare_contacts(rows[:CONTACTS], time, weights, last)
        bare_decay(weights, last, NOW, out)

    def verify() -> None:
        village.emit(place, time)
        populace()
        by_hand()
        ties = world.pairs(Tie).find(village.source, village.target)
        assert np.allclose(world.get(ties, TieState.weight), weights, rtol=1e-5)

    subject = Run(populace, partial(village.emit, place, time))
    return Contest({"apply + sweep": subject}, Run(by_hand), verify, rows=CONTACTS)


@case("tick", target=us(50_000), sizes=(10_000,), unit="agent", bytes_each=300_000, rounds=15)
def tick_of_a_society(n: int) -> Contest:
    """A step of n agents with 1,000 memories and 10 ties each: n contacts (ties, energy, emotion),
    n memories formed, n forgotten, every sweep; bound: a memcpy that moves the bytes of the sweep
    of memories, and those of the search for weak ones."""
    memories = n * MEMORIES
    world = World(seed=1)
    add_laws(world, Room(capacity=2 * MEMORIES), without=OUTER)
    world.clock.now = NOW
    agents = world.spawn(
        n, Persona(number=np.arange(n)), Stream(formed=MEMORIES), SocialEnergy, Emotion, Mood
    )
    draw = np.random.default_rng(1)
    created = NOW - draw.integers(days(2), days(29), memories)
    world.spawn(
        memories,
        Memory(
            owner=np.repeat(agents, MEMORIES),
            sequence=np.tile(np.arange(MEMORIES), n),
            created=created,
        ),
        Trace(
            importance=draw.integers(2, 10, memories) / 10, stability=60 * DAY_S, accessed=created
        ),
    )
    place = np.repeat(np.arange(n), TIES)
    partner = (place + 1 + np.tile(np.arange(TIES), n)) % n
    world.spawn(
        n * TIES,
        Tie(source=agents[place], target=agents[partner]),
        TieState(weight=3, last=NOW, contacts=3),
    )
    told = world.events(Forgotten)

    def happen() -> None:
        """What the step will find: contacts, observations, and memories about to be too weak."""
        told.read()
        now = world.clock.now
        met = draw.choice(n * TIES, n, replace=False)
        world.emit(
            Contact(
                source=agents[place[met]],
                target=agents[partner[met]],
                time=np.sort(now + draw.integers(0, hours(1), n)),
            )
        )
        world.emit(
            Observed(
                owner=draw.permutation(agents),
                time=np.sort(now + draw.integers(0, hours(1), n)),
                importance=draw.integers(2, 10, n) / 10,
                text=draw.choice(["saw Bo", "the kettle is idle", "had lunch"], n).tolist(),
            )
        )
        ids = world.query(Memory).ids()
        picked = draw.choice(ids.size, n, replace=False)
        world.set(ids[picked], Trace(importance=0.001), Memory(created=NOW - days(2)))

    def verify() -> None:
        happen()
        before = world.query(Memory).count()
        world.step(hours(1))
        assert told.read().count.sum() == n
        assert world.query(Memory).count() == before

    subject = Run(partial(world.step, hours(1)), happen)
    bytes_moved = (SWEEP_BYTES_MEMORY + FORGET_BYTES) * memories
    return Contest({"tick": subject}, moved(bytes_moved), verify)
