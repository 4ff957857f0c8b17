"""Perception: what agents notice in a round, in words that are made once."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Observed, Persona, Stream
from populace.components.activity import Activity
from populace.components.place import Place, Whereabouts
from populace.components.space import Motion, Space
from populace.ecs import TextPool, World, component, days, hours, minutes
from populace.ecs.errors import ColumnValueError, ResourceError, SettingError
from populace.systems.daily import daily_life
from populace.systems.movement import go_to
from populace.systems.perception import Perception, perceive
from populace.systems.phrases import phrases
from populace.systems.routine import Routine

NOW = days(20_000)
HOUR = hours(1)
BEGAN = NOW - 2 * HOUR
ASLEEP, WAKING, WORKING, LUNCH, LEISURE, HOME = range(6)
NAMES = ["Maria Lopez", "Klaus Mueller", "Ayesha Khan", "Wolfgang Schulz"]


@component
class Red:
    """Some of the agents."""


def room(n=2, *, states=WORKING, order=None, threads=1, **settings):
    """Agents a metre apart in a row at Oak Hill College, two hours into what they are doing."""
    number = np.arange(n) if order is None else np.array(order)
    world = World(seed=1, threads=threads)
    world.parallel_rows = 1
    world.clock.now = NOW
    for resource in (Space(), Perception(**settings), Routine(), daily_life()):
        world.insert(resource)
    college = world.spawn(1, Place(name="Oak Hill College", x=50, y=50))
    states = np.broadcast_to(np.asarray(states, np.uint8), n)
    ids = world.spawn(
        n,
        Persona(number=number, name=[NAMES[i % 4] for i in number]),
        Stream(),
        Motion(x=50 + number, y=50, since=NOW),
        Activity(state=states[number], since=BEGAN, until=NOW + days(10)),
        Whereabouts(place=college[0]),
    )
    world.add_system(perceive)
    return world, ids[np.argsort(number)]


def observed(world, step=HOUR):
    """[(number of the observer, text, importance), ...] of one step."""
    reader = world.events(Observed)
    reader.read()  # what is still held of earlier steps
    world.step(step)
    batch = reader.read()
    assert (batch.time == world.clock.now // HOUR * HOUR).all()
    number = world.get(batch.owner, Persona.number).tolist()
    importance = [round(float(i), 6) for i in batch.importance]
    return list(zip(number, world.text.decode(batch.text), importance, strict=True))


def texts(world, number=0):
    """What one agent observes in a round."""
    return [text for who, text, _ in observed(world) if who == number]


# -- what is noticed ------------------------------------------------------------------------


def test_what_one_does_and_whom_one_sees():
    """Everybody observes their own doing first, then who is near; in the order of numbers."""
    world, _ = room()
    assert observed(world) == [
        (0, "Maria Lopez is working at Oak Hill College", 0.1),
        (0, "saw Klaus Mueller at Oak Hill College", 0.2),
        (1, "Klaus Mueller is working at Oak Hill College", 0.1),
        (1, "saw Maria Lopez at Oak Hill College", 0.2),
    ]


def test_each_state_has_its_words():
    """As the routine says them; a state that it leaves out by its name."""
    world, _ = room(5, states=[WAKING, WORKING, LUNCH, LEISURE, HOME], others=0)
    world.insert(Routine(words={"lunch": "eating", "leisure": "idling"}), replace=True)
    assert [text for _, text, _ in observed(world)] == [
        "Maria Lopez is waking at Oak Hill College",
        "Klaus Mueller is working at Oak Hill College",
        "Ayesha Khan is eating at Oak Hill College",
        "Wolfgang Schulz is idling at Oak Hill College",
        "Maria Lopez is home at Oak Hill College",
    ]


def test_what_has_just_begun_is_worth_more():
    """Begun within the round 0.2, an hour ago or earlier 0.1."""
    world, ids = room(others=0)
    world.set(ids, Activity(since=[NOW + 1, NOW]))
    assert [value for *_, value in observed(world)] == [0.2, 0.1]


def test_the_nearest_are_noticed_first_and_only_so_many():
    """Of three within sight the two nearest; the lower number where two are as near."""
    world, _ = room(4, sight=3.0)
    assert texts(world, 0)[1:] == [
        "saw Klaus Mueller at Oak Hill College", "saw Ayesha Khan at Oak Hill College"
    ]  # fmt: skip
    assert texts(world, 1)[1:] == [
        "saw Maria Lopez at Oak Hill College", "saw Ayesha Khan at Oak Hill College"
    ]  # fmt: skip


@pytest.mark.parametrize(("sight", "count"), [(0.5, 0), (1.0, 1), (2.5, 2), (9.0, 3)])
def test_nobody_is_seen_beyond_sight(sight, count):
    """Neighbours at 1, 2 and 3 m."""
    world, _ = room(4, sight=sight, others=10)
    assert len(texts(world)) == 1 + count


def test_sleepers_neither_see_nor_take_the_place_of_who_is_seen():
    """Who is left out is left out before the nearest are chosen, not after."""
    world, _ = room(4, states=[WORKING, ASLEEP, WORKING, WORKING], others=2)
    assert texts(world)[1:] == [
        "saw Ayesha Khan at Oak Hill College", "saw Wolfgang Schulz at Oak Hill College"
    ]  # fmt: skip
    assert {who for who, *_ in observed(world)} == {0, 2, 3}


def test_who_cannot_remember_is_seen_but_observes_nothing():
    """Agents without `Stream`, of which no memory could be made."""
    world, ids = room()
    world.remove(ids[1:], Stream)
    assert [(who, text) for who, text, _ in observed(world)] == [
        (0, "Maria Lopez is working at Oak Hill College"),
        (0, "saw Klaus Mueller at Oak Hill College"),
    ]


def test_on_the_way():
    """Who walks is on the way to the place, and seen at none."""
    world, ids = room()
    go_to(world, ids[1:], 60, 50, 1e-4)
    assert texts(world, 1)[0] == "Klaus Mueller is on the way to Oak Hill College"
    assert texts(world, 0)[1] == "saw Klaus Mueller"


def test_nowhere_and_without_a_name():
    """No place, a place that has ended, no name: said without."""
    world, ids = room(3, others=1)
    ruin = world.spawn(1, Place(name="ruin", x=0, y=0))
    world.remove(ids[:1], Whereabouts)
    world.set(ids[1:2], Whereabouts(place=ruin[0]), Persona(name=""))
    world.despawn(ruin)
    found = [text for _, text, _ in observed(world)]
    assert found[:4] == [
        "Maria Lopez is working", "saw somebody", "somebody is working", "saw Maria Lopez"
    ]  # fmt: skip


# -- what changes nothing ---------------------------------------------------------------------


def test_a_round_is_held_at_its_hour_whatever_the_step():
    """In steps of 10 minutes the sixth holds the round, and the others none."""
    world, _ = room()
    counts = [len(observed(world, minutes(10))) for _ in range(12)]
    assert counts == [0, 0, 0, 0, 0, 4] * 2


def test_rows_and_threads_change_nothing():
    """Other rows, other threads: the same observations, in the same order."""
    world, ids = room(30, order=np.random.default_rng(1).permutation(30), threads=2)
    world.add(ids[::3], Red)
    assert observed(world) == observed(room(30)[0])


def test_words_are_made_once():
    """A round in which nothing is new adds no string."""
    world, _ = room(20)
    observed(world)
    held = len(world.text)
    observed(world)
    assert len(world.text) == held


def test_nobody_notices_nothing():
    """No agents; and all asleep."""
    assert observed(room(0)[0]) == []
    assert observed(room(3, states=ASLEEP)[0]) == []


def test_what_is_missing_is_named():
    """A world without its state machine."""
    world = World()
    for resource in (Space(), Perception(), Routine()):
        world.insert(resource)
    world.spawn(1, Persona(number=0), Motion(x=0, y=0), Activity(state=0, since=0, until=1))
    world.add_system(perceive)
    with pytest.raises(ResourceError, match="StateMachine"):
        world.step(hours(1))


@pytest.mark.parametrize(
    ("name", "value"), [("sight", -1), ("others", -1), ("idle", 2), ("fresh", -1), ("seen", 1.1)]
)
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and what is allowed."""
    with pytest.raises(SettingError, match=rf"Perception\.{name} must lie in"):
        Perception(**{name: value})


# -- phrases --------------------------------------------------------------------------------

words = st.sampled_from(["", "Ann", "Bo", "asleep", "at home", "Ann is asleep"])


@given(st.lists(st.lists(st.tuples(words, words), max_size=8), max_size=4))
def test_phrases_are_what_the_pattern_says(batches):
    """For any pairs in any batches; and new strings come in the order of first need."""
    pool, plain = TextPool(), TextPool()
    for batch in batches:
        first, second = ([pair[part] for pair in batch] for part in (0, 1))
        for each in (pool, plain):
            each.intern(first), each.intern(second)
        got = phrases(pool, "{} is {}!", pool.intern(first), pool.intern(second))
        want = plain.intern([f"{a} is {b}!" for a, b in batch])
        assert got.tolist() == want.tolist()
    assert pool.strings == plain.strings


def test_patterns_and_pools_do_not_mix():
    """Each pattern has its own sentences, and each pool."""
    pools = TextPool(["", "a", "b"]), TextPool(["", "b", "a"])
    for pool in pools:
        said = [phrases(pool, pattern, [1], [2]) for pattern in ("{} sees {}", "{} hears {}")]
        a, b = pool.decode([1, 2])
        assert pool.decode(np.concatenate(said)) == [f"{a} sees {b}", f"{a} hears {b}"]


def test_no_two_pairs_share_a_sentence():
    """Not even where the codes are many: 300 by 300 texts."""
    pool = TextPool(["", *(f"t{i}" for i in range(1, 300))])
    first, second = (part.ravel() for part in np.indices((300, 300)))
    assert np.unique(phrases(pool, "{}, {}", first, second)).size == 90_000


def test_a_pool_that_is_gone_takes_its_phrases_along():
    """Nothing is kept alive."""
    pool = TextPool(["", "a"])
    phrases(pool, "{}, {}", [1], [1])
    (known,) = map(weakref.ref, pool.caches.values())
    del pool
    gc.collect()
    assert known() is None


def test_unknown_codes_are_refused_and_leave_nothing():
    """A code that the pool never gave out."""
    pool = TextPool(["", "a"])
    with pytest.raises(ColumnValueError, match="text code 9 is unknown"):
        phrases(pool, "{} is {}", [1], [9])
    assert pool.decode(phrases(pool, "{} is {}", [1], [1])) == ["a is a"]
