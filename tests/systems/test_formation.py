"""Formation: what was observed becomes memories, each numbered in its owner's stream."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import (
    Memory,
    MemoryKind,
    Observed,
    Persona,
    Retentiveness,
    Stream,
    Strength,
    Trace,
)
from populace.ecs import NOBODY, World, days, hours
from populace.ecs.errors import (
    CapacityError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
)
from populace.systems import Retention, form_memories, refresh_strength, remember

from . import naive_memory as naive
from .memories import AGENTS, DAY_S, NOW, by_name, empty_world

OBSERVED = st.lists(st.tuples(st.integers(0, AGENTS - 1), st.integers(0, 6)), max_size=24)
"""(agent, hours after NOW): many at the same time."""
TEXTS = [f"note {place}" for place in range(24)]


def observers(*resources, **options):
    """A world where memories form, its four agents, and the texts to come interned."""
    world, agents = empty_world(*resources, **options)
    world.add_system(form_memories)
    world.text.intern(TEXTS)
    return world, agents


def seen(world, agents, observations):
    """Emit (agent, hours, place of its text) in one batch."""
    if observations:
        who, when, which = zip(*observations, strict=True)
        world.emit(
            Observed(
                owner=agents[list(who)],
                time=NOW + hours(1) * np.array(when),
                text=[TEXTS[place] for place in which],
            )
        )


def numbered(observations):
    """The observations with their place, as `seen` takes them."""
    return [(*observation, place) for place, observation in enumerate(observations)]


def texts(world):
    """{(number of the owner, sequence): text}."""
    named = by_name(world, Memory.text)
    return {key: world.text.decode([code])[0] for key, (code,) in named.items()}


# -- numbers --------------------------------------------------------------------------------


@given(OBSERVED)
def test_memories_are_numbered_in_the_order_in_which_they_happened(observations):
    """By time, then by order of emission, within each owner: as plain sorting numbers them."""
    world, agents = observers()
    observations = numbered(observations)
    seen(world, agents, observations)
    world.step(hours(9))
    want = naive.numbered(observations, dict.fromkeys(range(AGENTS), 0))
    assert texts(world) == {key: TEXTS[told[2]] for key, told in want.items()}
    formed = [sum(who == agent for who, *_ in observations) for agent in range(AGENTS)]
    assert world.get(agents, Stream.formed).tolist() == formed


@given(OBSERVED, st.lists(st.integers(0, 24), max_size=3))
def test_several_batches_are_as_one(observations, cuts):
    """Cut anywhere in time, into emissions or into steps: the same memories by the same names."""
    observations = sorted(numbered(observations), key=lambda told: told[1])
    fields = (Memory.created, Memory.text, Memory.kind, Trace.importance, Trace.stability)
    outcomes = []
    for edges, steps in (([], False), (cuts, False), (cuts, True)):
        world, agents = observers()
        edges = [0, *sorted(edges), len(observations)]
        for start, end in pairwise(edges):
            seen(world, agents, observations[start:end])
            if steps:
                world.step(1)
        world.step(1)
        outcomes.append(by_name(world, *fields))
    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(OBSERVED, st.randoms(use_true_random=False))
def test_the_order_of_different_owners_is_irrelevant(observations, shuffle):
    """Owners interleaved in any way, each one's own in order: the same digest, so the same ids."""
    observations = numbered(observations)
    streams = [[told for told in observations if told[0] == agent] for agent in range(AGENTS)]
    mixed = []
    while any(streams):
        mixed.append(shuffle.choice([stream for stream in streams if stream]).pop(0))
    digests = set()
    for order in (observations, mixed):
        world, agents = observers()
        seen(world, agents, order)
        world.step(hours(9))
        digests.add(world.digest())
    assert len(digests) == 1


def test_numbers_go_on_from_where_the_stream_has_come_to():
    """Forgotten memories count: their numbers are not given again."""
    world, agents = observers()
    seen(world, agents, [(0, 0, 0), (0, 1, 1), (1, 0, 2)])
    world.step(hours(2))
    world.query(Memory).despawn()
    seen(world, agents, [(0, 3, 3), (1, 3, 4), (2, 3, 5), (0, 4, 6)])
    world.step(hours(2))
    assert texts(world) == {(0, 2): "note 3", (0, 3): "note 6", (1, 1): "note 4", (2, 0): "note 5"}
    assert world.get(agents, Stream.formed).tolist() == [4, 2, 1, 0]


def test_ids_are_in_the_order_of_number_and_sequence():
    """Whatever the order of events, and of the agents' ids."""
    world, _ = observers()
    late = world.spawn(3, Persona(number=[30, 10, 20]), Stream)
    world.emit(Observed(owner=late[[0, 1, 2, 0, 1]], time=[5, 9, 1, 3, 2], text=TEXTS[:5]))
    world.step(1)
    ids = np.sort(world.query(Memory).ids())
    owner = world.get(world.get(ids, Memory.owner), Persona.number)
    assert owner.tolist() == [10, 10, 20, 30, 30]
    assert world.get(ids, Memory.sequence).tolist() == [0, 1, 0, 0, 1]
    assert world.text.decode(world.get(ids, Memory.text)) == [TEXTS[n] for n in (4, 1, 2, 3, 0)]


def test_news_of_the_past_and_of_the_future():
    """A memory is of the time it was observed at, not of the clock's."""
    world, agents = observers()
    world.emit(Observed(owner=agents[0], time=[NOW + days(3), NOW - days(3)]))
    world.step(hours(1))
    assert by_name(world, Memory.created, Trace.accessed) == {
        (0, 0): [NOW - days(3)] * 2,
        (0, 1): [NOW + days(3)] * 2,
    }


# -- what a memory is made of ---------------------------------------------------------------


def test_a_memory_is_what_was_observed():
    """Text, kind, importance and time go over; it was accessed once, when it was formed."""
    world, agents = observers(debug=True)
    world.emit(
        Observed(
            owner=agents[[2, 2]],
            time=[NOW + 2, NOW + 1],
            text=["lunch", "a plan"],
            kind=[MemoryKind.CHAT, MemoryKind.THOUGHT],
            importance=[0.75, 0.5],
        )
    )
    world.step(5)
    named = by_name(
        world, Memory.created, Memory.kind, Trace.importance, Trace.stability, Trace.accessed,
        Trace.accesses, Trace.evidence,
    )  # fmt: skip
    assert named == {
        (2, 0): [NOW + 1, MemoryKind.THOUGHT, 0.5, 3 * DAY_S, NOW + 1, 1, 1],
        (2, 1): [NOW + 2, MemoryKind.CHAT, 0.75, 3 * DAY_S, NOW + 2, 1, 1],
    }
    assert texts(world) == {(2, 0): "a plan", (2, 1): "lunch"}
    assert world.index(Memory.owner).count(agents).tolist() == [0, 0, 2, 0]


def test_an_idle_observation_is_the_default():
    """Without more it is an event of importance 0.1, without words."""
    world, agents = observers()
    world.emit(Observed(owner=agents[:1], time=NOW))
    world.step(1)
    assert by_name(world, Memory.kind, Trace.importance) == {
        (0, 0): [MemoryKind.EVENT, float(np.float32(0.1))]
    }
    assert texts(world) == {(0, 0): ""}


def test_a_memory_has_a_strength_from_the_first_sweep_on():
    """Formed and swept in one step, it is worth its importance."""
    world, agents = observers()
    world.add_system(refresh_strength)
    world.emit(Observed(owner=agents[:1], time=NOW + hours(1), importance=0.5))
    world.step(hours(1))
    assert world.query(Strength).gather(Strength.value).tolist() == [0.5]


def test_stability_starts_at_the_worlds_or_at_the_agents_own():
    """`Retentiveness` goes before `Retention.half_life`, for its agent alone."""
    world, agents = observers(Retention(half_life=5 * DAY_S))
    world.add(agents[[1, 3]], Retentiveness(half_life=[DAY_S, 9 * DAY_S]))
    seen(world, agents, [(3, 0, 0), (0, 0, 1), (1, 0, 2), (2, 0, 3), (3, 0, 4), (1, 1, 5)])
    world.step(1)
    found = {key: days for key, (days,) in by_name(world, Trace.stability).items()}
    assert found == {
        (0, 0): 5 * DAY_S, (1, 0): DAY_S, (1, 1): DAY_S, (2, 0): 5 * DAY_S, (3, 0): 9 * DAY_S,
        (3, 1): 9 * DAY_S,
    }  # fmt: skip


def test_what_holds_for_new_memories_leaves_the_old_alone():
    """Another half-life of the world or of the agent changes what forms from then on."""
    world, agents = observers()
    seen(world, agents, [(0, 0, 0)])
    world.step(1)
    world.insert(Retention(half_life=7 * DAY_S), replace=True)
    seen(world, agents, [(0, 0, 1)])
    world.step(1)
    world.add(agents[:1], Retentiveness(half_life=DAY_S))
    seen(world, agents, [(0, 0, 2)])
    world.step(1)
    found = [days for _, (days,) in sorted(by_name(world, Trace.stability).items())]
    assert found == [3 * DAY_S, 7 * DAY_S, DAY_S]


# -- who remembers --------------------------------------------------------------------------


def test_the_dead_are_passed_over():
    """Of what an agent saw before it died nothing is formed; the others lose nothing."""
    world, agents = observers(debug=True)
    seen(world, agents, [(1, 0, 0), (0, 1, 1), (1, 2, 2), (2, 0, 3), (0, 0, 4)])
    world.despawn(agents[1:2])
    world.step(1)
    assert texts(world) == {(0, 0): "note 4", (0, 1): "note 1", (2, 0): "note 3"}
    seen(world, agents, [(2, 1, 5)])
    world.despawn(agents[2:3])
    world.step(1)
    assert texts(world) == {(0, 0): "note 4", (0, 1): "note 1"}


def test_nobody_remembers_nothing():
    """What `NOBODY` observed is passed over."""
    world, agents = observers()
    world.emit(Observed(owner=[NOBODY, agents[0]], time=NOW))
    world.step(1)
    assert by_name(world).keys() == {(0, 0)}


def test_without_observations_nothing_changes():
    """An empty batch, and a step without any, form nothing."""
    world, agents = observers(debug=True)
    world.emit(Observed(owner=agents[:0], time=np.empty(0, np.int64)))
    world.step(1)
    assert len(world) == AGENTS


def nothing_formed(world, error, match, act):
    """An act that fails leaves the world as it was, but for the clock."""
    before = [world.query(Memory).count(), world.query(Stream).gather(Stream.formed).tolist()]
    size = len(world)
    with pytest.raises(error, match=match):
        act()
    assert [world.query(Memory).count(), world.query(Stream).gather(Stream.formed).tolist()] == (
        before
    )
    assert len(world) == size
    world.check()


@pytest.mark.parametrize(("has", "lacks"), [(Persona(number=9), "Stream"), (Stream, "Persona")])
def test_an_owner_without_a_stream_is_passed_over(has, lacks):
    """It cannot remember; the others' observations become memories all the same. Asked outright,
    `remember` names the entity and what it lacks, and forms nothing."""
    world, agents = observers(debug=True)
    seen(world, agents, [(0, 0, 0)])
    world.step(1)
    odd = world.spawn(1, has)
    world.emit(Observed(owner=[agents[0], odd[0], agents[3]], time=NOW))
    held = world.events(Observed).read()
    nothing_formed(
        world,
        ComponentMissingError,
        f"entity {int(odd[0])} has no {lacks}",
        lambda: remember(world, held),
    )
    before = world.query(Memory).count()
    world.step(1)
    assert world.query(Memory).count() == before + 2
    assert world.index(Memory.owner).count(odd).tolist() == [0]


def test_a_full_stream_is_an_error_and_nothing_is_formed():
    """The last sequence number is that of the 2^32 - 1st memory: then no more, for nobody."""
    world, agents = observers(debug=True)
    world.set(agents[:1], Stream(formed=2**32 - 2))
    world.emit(Observed(owner=agents[[0, 3]], time=NOW))
    world.step(1)
    assert world.get(agents[:1], Stream.formed).tolist() == [2**32 - 1]
    world.emit(Observed(owner=agents[[0, 3]], time=NOW))
    nothing_formed(world, CapacityError, "a stream holds 4,294,967,295", lambda: world.step(1))


def test_owners_that_share_a_number_lose_nothing():
    """Numbers are to differ; where two agents share one, each has its own stream all the same."""
    world, _ = observers(debug=True)
    twins = world.spawn(2, Persona(number=77), Stream)
    world.emit(Observed(owner=twins[[0, 1, 0, 1]], time=[4, 3, 2, 1]))
    world.step(1)
    memories = world.query(Memory)
    rows = zip(
        memories.gather(Memory.owner).tolist(), memories.gather(Memory.sequence).tolist(),
        memories.gather(Memory.created).tolist(), strict=True,
    )  # fmt: skip
    first, second = twins.tolist()
    assert sorted(rows) == [(first, 0, 2), (first, 1, 4), (second, 0, 1), (second, 1, 3)]
    assert world.get(twins, Stream.formed).tolist() == [2, 2]


def columns(owner, **others):
    """Observations as columns, for `remember`."""
    n = len(owner)
    given = {
        "time": np.full(n, NOW), "text": np.zeros(n, np.uint32), "kind": np.zeros(n, np.uint8),
        "importance": np.full(n, 0.5, np.float32),
    }  # fmt: skip
    return SimpleNamespace(owner=np.asarray(owner, np.uint64), **(given | others))


def test_remember_says_what_was_formed_from_what():
    """Ids in the order of forming, and for each the row of the batch that it comes from."""
    world, agents = observers()
    importance = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    time = NOW + np.array([9, 5, 7, 5])
    ids, order = remember(world, columns(agents[[1, 0, 1, 0]], importance=importance, time=time))
    assert order.tolist() == [1, 3, 2, 0]
    assert ids.dtype == np.uint64
    assert world.get(ids, Trace.importance).tolist() == importance[order].tolist()
    assert world.get(ids, Memory.created).tolist() == time[order].tolist()
    assert world.get(ids, Memory.owner).tolist() == agents[[0, 0, 1, 1]].tolist()
    assert world.get(ids, Memory.sequence).tolist() == [0, 1, 0, 1]


def test_remember_nothing():
    """No rows, no memories."""
    world, agents = observers(debug=True)
    ids, order = remember(world, columns(agents[:0]))
    assert (ids.size, order.size, len(world)) == (0, 0, AGENTS)


def test_remember_refuses_the_dead_and_the_impossible():
    """A dead owner and an importance that is none are errors, and nothing is formed."""
    world, agents = observers(debug=True)
    world.despawn(agents[3:])
    nothing_formed(world, DeadEntityError, str(int(agents[3])),
                   lambda: remember(world, columns(agents)))  # fmt: skip
    wrong = columns(agents[:2], importance=np.array([0.5, 1.5], np.float32))
    nothing_formed(world, ColumnValueError, r"Trace\.importance", lambda: remember(world, wrong))


def test_a_world_without_retention_says_so():
    """The stability of a new memory is asked of the resource by name, and nothing is formed."""
    world = World()
    agent = world.spawn(1, Persona(number=0), Stream)
    nothing_formed(world, LookupError, "Retention", lambda: remember(world, columns(agent)))
