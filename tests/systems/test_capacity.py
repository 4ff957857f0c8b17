"""Capacity: who holds too many memories forgets the weakest, down to nine tenths."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from populace.components import Capacity, Memory, Persona, Stream, Trace
from populace.ecs import World, days
from populace.ecs.errors import ColumnValueError, SettingError
from populace.systems import (
    Forgotten,
    Reason,
    Retention,
    Room,
    make_room,
    refresh_strength,
    strengths_of,
)
from populace.systems.capacity import kth_smallest, part, weakest

from . import naive_memory as naive
from .memories import (
    AGENTS,
    DAY_S,
    LAWS,
    NOW,
    Row,
    add_rows,
    by_name,
    gone,
    numbered,
    some_rows,
    world_of,
)

I8 = st.integers(-(2**63), 2**63 - 1)
BOTH = pytest.mark.parametrize("python", [False, True], ids=["compiled", "python"])


def crowded(rows, *resources, systems=(make_room,), **options):
    """A world that makes room, the ids of its memories, and a reader of counts."""
    world, ids = world_of(rows, *resources, systems=systems, **options)
    return world, ids, world.events(Forgotten)


def agents_of(world):
    """The ids of the agents 0 to 3."""
    people = world.query(Persona)
    return people.ids()[np.argsort(people.gather(Persona.number))]


def held(world):
    """How many memories each of the agents has."""
    return world.index(Memory.owner).count(agents_of(world)).tolist()


def equals(n, **fields):
    """n memories of one owner that are all worth the same."""
    return numbered([Row(**fields)] * n)


def by_strength(n, owner=0):
    """n memories, each stronger than the one before."""
    return numbered([Row(owner=owner, importance=(place + 1) / (n + 1)) for place in range(n)])


# -- the kernels ----------------------------------------------------------------------------


@BOTH
@given(st.data(), st.lists(st.one_of(I8, st.integers(-3, 3)), min_size=1, max_size=40))
def test_kth_smallest_is_that_of_the_sorted_keys(python, data, keys):
    """For any i8 keys, the least and the greatest among them, and any k."""
    k = data.draw(st.integers(1, len(keys)))
    find = kth_smallest.py_func if python else kth_smallest
    assert find(np.array(keys, np.int64), k) == sorted(keys)[k - 1]


@pytest.mark.parametrize("keys", [[-(2**63), 2**63 - 1], [2**63 - 1] * 3, [-(2**63)] * 2, [7]])
def test_kth_smallest_at_the_ends_of_i8(keys):
    """Their mean does not overflow."""
    found = [kth_smallest(np.array(keys), k + 1) for k in range(len(keys))]
    assert found == sorted(keys)


members = st.lists(st.tuples(st.one_of(I8, st.integers(0, 2)), st.integers(0, 2)), max_size=12)


@BOTH
@given(st.data(), st.lists(members, max_size=5))
def test_weakest_finds_the_first_by_all_keys(python, data, owners):
    """For any keys, many of them equal, and any number wanted: the first members of each owner;
    and no more are asked for their later keys than are equal by the earlier ones."""
    offsets = np.concatenate([[0], np.cumsum([len(group) for group in owners])]).astype(np.int64)
    n = int(offsets[-1])
    last = data.draw(st.permutations(range(n)))
    drawn = [key for group in owners for key in group]
    keys = np.array([(*key, last[place]) for place, key in enumerate(drawn)], np.int64)
    keys = np.ascontiguousarray(keys.reshape(n, 3).T)
    wanted = [data.draw(st.integers(0, len(group))) for group in owners]
    asked = [[], []]

    def tie(level):
        def keys_of(places):
            asked[level] += places.tolist()
            return keys[level + 1, places]

        return keys_of

    with pytest.MonkeyPatch.context() as patch:
        if python:
            patch.setattr("populace.systems.capacity.kth_smallest", kth_smallest.py_func)
            patch.setattr("populace.systems.capacity.part", part.py_func)
        found = weakest(offsets, np.array(wanted, np.int64), keys[0], tie(0), tie(1)).tolist()
    want, equal = [], [set(), set()]
    for owner, n_wanted in enumerate(wanted):
        own = sorted(range(offsets[owner], offsets[owner + 1]), key=lambda m: keys[:, m].tolist())
        want += own[:n_wanted]
        if 0 < n_wanted < len(own):
            last_in, first_out = own[n_wanted - 1], own[n_wanted]
            for level in range(2):
                shared = keys[: level + 1, last_in]
                if (shared == keys[: level + 1, first_out]).all():
                    equal[level] |= {m for m in own if (keys[: level + 1, m] == shared).all()}
    assert sorted(found) == sorted(want)
    assert [sorted(places) for places in asked] == [sorted(places) for places in equal]


# -- which memories go ----------------------------------------------------------------------

own_capacity = st.lists(st.none() | st.integers(1, 12), min_size=AGENTS, max_size=AGENTS)


@pytest.mark.parametrize("law", LAWS)
@given(some_rows(30), st.integers(1, 12), st.floats(0, 1), own_capacity, st.booleans())
@example([Row(sequence=n, owner=0, importance=0.5) for n in range(9)], 3, 1.0, [None] * 4, True)
def test_the_weakest_of_every_crowded_owner_go(law, rows, capacity, keep, own, floored):
    """In worlds of several tables, with pins and owners' own capacities: those that plain sorting
    by (strength, accessed, sequence, index) names, and so many are told."""
    retention = Retention(law=law, floor=1.0 if floored else 0.0)
    world, ids, reader = crowded(rows, retention, Room(capacity=capacity, keep=keep))
    agents = agents_of(world)
    for agent, limit in zip(agents, own, strict=True):
        if limit:
            world.add([agent], Capacity(memories=limit))
    want = naive.crowded_out(
        rows,
        strengths_of(world, ids).tolist(),
        (ids & np.uint64(0xFFFF_FFFF)).tolist(),
        [limit or capacity for limit in own],
        keep,
    )
    world.step(0)
    assert gone(world, ids) == want
    assert int(reader.read().count.sum()) == len(want)


def test_at_capacity_nothing_goes_and_above_it_a_tenth_does():
    """C = 20: 20 stay; of 21 the weakest 3 go, so that floor(0.9 * 20) = 18 are left."""
    for n, left in ((19, 19), (20, 20), (21, 18), (40, 18)):
        world, ids, reader = crowded(by_strength(n), Room(capacity=20))
        world.step(0)
        assert gone(world, ids) == list(range(n - left))
        events = reader.read()
        assert events.count.tolist() == ([n - left] if n > left else [])
        assert set(events.reason.tolist()) <= {Reason.CROWDED}


def test_it_does_not_run_again_at_once():
    """After room was made an owner may form some tenth of C before it is made again."""
    world, _, _ = crowded(by_strength(21), Room(capacity=20))
    agents = agents_of(world)
    world.step(0)
    for place in range(2):
        add_rows(world, agents, [Row(sequence=21 + place)])
        world.step(0)
    assert held(world) == [20, 0, 0, 0]
    add_rows(world, agents, [Row(sequence=23)])
    world.step(0)
    assert held(world) == [18, 0, 0, 0]


@pytest.mark.parametrize(
    ("capacity", "keep", "left"),
    [(10, 0.9, 9), (11, 0.9, 9), (15, 0.9, 13), (1, 0.9, 0), (1, 1.0, 1), (7, 0.5, 3), (9, 0.0, 0)],
)
def test_how_many_are_left(capacity, keep, left):
    """floor(keep * C), by hand."""
    world, _, _ = crowded(by_strength(16), Room(capacity=capacity, keep=keep))
    world.step(0)
    assert held(world)[0] == left


def test_a_thousand_is_the_default():
    """C = 1000 and nine tenths: of 1,001 memories 900 are left."""
    assert (Room().capacity, Room().keep) == (1_000, 0.9)
    world, ids, _ = crowded(by_strength(1_001))
    world.step(0)
    assert gone(world, ids) == list(range(101))


def test_an_agents_own_capacity_holds_for_it_alone():
    """Larger or smaller than the world's."""
    rows = [row for owner in range(3) for row in by_strength(12, owner)]
    world, _, _ = crowded(rows, Room(capacity=10))
    agents = agents_of(world)
    world.add(agents[:1], Capacity(memories=5))
    world.add(agents[1:2], Capacity(memories=12))
    world.step(0)
    assert held(world) == [4, 12, 9, 0]
    world.set(agents[1:2], Capacity(memories=6))
    world.remove(agents[:1], Capacity)
    world.step(0)
    assert held(world) == [4, 5, 9, 0]


def test_nothing_but_the_memories_of_the_crowded_change():
    """Agents stay, with their count of memories ever formed, and so do others' memories."""
    rows = [*by_strength(11, 0), *by_strength(10, 2)]
    world, ids, _ = crowded(rows, Room(capacity=10), debug=True)
    world.step(0)
    assert gone(world, ids) == [0, 1]
    assert world.query(Persona).count() == AGENTS
    assert world.query(Stream).gather(Stream.formed).tolist() == [11, 0, 10, 0]


def test_an_empty_world_has_room():
    """Without memories, and without agents, nothing happens."""
    world, _, reader = crowded([], Room(capacity=1), debug=True)
    world.step(0)
    bare = World(debug=True)
    for law in (Retention(), Room()):
        bare.insert(law)
    bare.add_system(make_room)
    bare.step(days(1))
    assert (len(reader.read()), len(bare)) == (0, 0)


# -- ties -----------------------------------------------------------------------------------


def test_of_equals_the_older_access_goes_first():
    """With floor 1 strength is importance; what was accessed earlier goes, formed when it may."""
    rows = [
        row.but(accessed=NOW - days((place * 7) % 11), created=NOW - days(40 - place))
        for place, row in enumerate(equals(11))
    ]
    world, ids, _ = crowded(rows, Retention(floor=1.0), Room(capacity=10))
    world.step(0)
    assert sorted(world.get(ids[world.alive(ids)], Trace.accessed).tolist()) == [
        NOW - days(age) for age in range(8, -1, -1)
    ]


def test_of_those_accessed_at_once_the_lower_sequence_goes_first():
    """Whatever the order of spawning, and so of entity indices."""
    rows = equals(50)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(50)
        world, ids, _ = crowded(rows, Room(capacity=49), order=order)
        world.step(0)
        assert gone(world, ids) == [0, 1, 2, 3, 4, 5]


def test_of_the_same_sequence_the_lower_index_goes_first():
    """A world whose memories are not numbered forgets too, the earlier spawned first."""
    rows = [Row() for _ in range(20)]
    order = np.random.default_rng(3).permutation(20)
    world, ids, _ = crowded(rows, Room(capacity=10), order=order)
    world.step(0)
    assert gone(world, ids) == sorted(order[:11].tolist())


def test_many_equal_strengths():
    """A thousand memories worth the same: exactly as many go as must, from the first on."""
    rows = [row.but(table=place % 8 & ~1) for place, row in enumerate(equals(1_000))]
    world, ids, _ = crowded(rows, Room(capacity=600))
    world.step(0)
    assert gone(world, ids) == list(range(460))


def test_worthless_memories_go_first_whatever_the_sign_of_their_zero():
    """An importance of -0.0, as rounding makes it, is as weak as 0.0."""
    rows = by_strength(12)
    rows[5], rows[7] = rows[5].but(importance=-0.0), rows[7].but(importance=0.0)
    world, ids, _ = crowded(rows, Room(capacity=11))
    world.step(0)
    assert gone(world, ids) == [0, 5, 7]


# -- pins -----------------------------------------------------------------------------------


def test_pinned_memories_count_and_stay():
    """Of 12 memories the 5 weakest are pinned: they fill room, and the next 3 go."""
    rows = [row.but(table=int(place < 5)) for place, row in enumerate(by_strength(12))]
    world, ids, reader = crowded(rows, Room(capacity=10))
    world.step(0)
    assert gone(world, ids) == [5, 6, 7]
    assert reader.read().count.tolist() == [3]


def test_more_pinned_memories_than_room():
    """Then all others go, the pinned ones stay, and nobody loses patience over it."""
    rows = [row.but(table=int(place % 4 > 0)) for place, row in enumerate(by_strength(16))]
    world, ids, reader = crowded(rows, Room(capacity=10), debug=True)
    for _ in range(3):
        world.step(days(1))
    assert gone(world, ids) == [0, 4, 8, 12]
    assert reader.read().count.tolist() == [4]


def test_nothing_but_pins():
    """An owner over capacity whose memories are all pinned keeps them, and nothing is told."""
    world, ids, reader = crowded(equals(12, table=1), Room(capacity=10))
    world.step(0)
    assert (gone(world, ids), len(reader.read())) == ([], 0)


def test_pins_of_one_owner_do_not_shift_another():
    """Owners side by side, some with pins and some without, each lose their own weakest."""
    rows = []
    for owner in range(AGENTS):
        rows += [
            row.but(table=int(owner % 2 == 0 and place < 4))
            for place, row in enumerate(by_strength(11, owner))
        ]
    world, ids, _ = crowded(rows, Room(capacity=10))
    world.step(0)
    sequences = world.get(ids[world.alive(ids)], Memory.sequence).reshape(AGENTS, 9)
    pinned, free = [0, 1, 2, 3, *range(6, 11)], list(range(2, 11))
    assert sequences.tolist() == [pinned, free, pinned, free]


# -- what it does not depend on -------------------------------------------------------------


@given(some_rows(30), st.randoms(use_true_random=False), st.integers(1, 2))
def test_row_order_and_threads_do_not_show(rows, shuffle, threads):
    """Spawned one by one in any order: the same memories are left."""
    world, _, _ = crowded(rows, Room(capacity=4))
    world.step(0)
    order = list(range(len(rows)))
    shuffle.shuffle(order)
    other, _, _ = crowded(rows, Room(capacity=4), order=order, threads=threads)
    other.parallel_rows = 1
    other.step(0)
    assert by_name(world) == by_name(other)


@pytest.mark.parametrize("law", LAWS)
@given(some_rows(30), st.integers(1, 6))
def test_how_strengths_are_found_does_not_show(law, rows, capacity):
    """In a sweep of all memories, or for those of the crowded alone: the same ones go."""
    outcomes = []
    for share in (0.0, np.inf):
        world, ids, reader = crowded(rows, Retention(law=law), Room(capacity=capacity))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("populace.systems.capacity.SWEEP_FROM", share)
            world.step(0)
        outcomes.append((gone(world, ids), reader.read().count.tolist()))
    assert outcomes[0] == outcomes[1]


def test_memories_go_in_the_order_of_their_indices():
    """Observers see the same order in a world that was filled in any order of owners."""
    rows = [row for owner in range(AGENTS) for row in by_strength(12, owner)]
    order = np.random.default_rng(4).permutation(len(rows))
    world, _, _ = crowded(rows, Room(capacity=10), order=order)
    seen = []
    world.observe("despawn", Memory, lambda _, ids: seen.extend(ids.tolist()))
    world.step(0)
    assert len(seen) == 3 * AGENTS
    assert seen == sorted(seen)


def test_tables_do_not_show():
    """The same memories with and without tags and statements lose the same ones."""
    plain = by_strength(30)
    mixed = [row.but(table=place % 8 & ~1) for place, row in enumerate(plain)]
    outcomes = []
    for rows in (plain, mixed):
        world, ids, _ = crowded(rows, Room(capacity=20))
        world.step(0)
        outcomes.append(gone(world, ids))
    assert outcomes == [list(range(12))] * 2


def test_slots_used_before_do_not_show():
    """In a world where memories came and went the same sequence numbers are left."""
    rows = equals(30)
    fresh, _, _ = crowded(rows, Room(capacity=20))
    fresh.step(0)
    world, ids, _ = crowded(equals(9, owner=1), Room(capacity=20), debug=True)
    world.despawn(ids[[7, 2, 5]])
    add_rows(world, agents_of(world), rows)
    world.step(0)
    assert {key for key in by_name(world) if key[0] == 0} == by_name(fresh).keys()


@pytest.mark.parametrize("law", LAWS)
def test_it_never_reads_the_cache(law):
    """Swept, never swept, or with any rubbish in `Strength`: the same world afterwards."""
    rows = [
        row.but(accessed=NOW - days(place), created=NOW - days(2 * place), stability=DAY_S * 9)
        for place, row in enumerate(by_strength(30))
    ]
    outcomes = set()
    for systems in ((make_room,), (refresh_strength, make_room)):
        world, ids, _ = crowded(rows, Retention(law=law), Room(capacity=20), systems=systems)
        world.step(days(5))
        outcomes.add((tuple(gone(world, ids)), world.digest()))
    assert len(outcomes) == 1


def test_strength_is_that_of_now():
    """Of an important memory of long ago and a slight one of today the old one is the weaker."""
    row = Row(importance=1.0, accessed=NOW - days(30), created=NOW - days(30), stability=DAY_S)
    rows = numbered([*[Row(importance=0.1)] * 10, row])
    world, ids, _ = crowded(rows, Room(capacity=10))
    world.step(0)
    assert 10 in gone(world, ids)


def test_all_owners_are_looked_at():
    """A thousand owners, every third of them crowded: each of these keeps floor(0.9 * C)."""
    world = World()
    for law in (Retention(), Room(capacity=10)):
        world.insert(law)
    agents = world.spawn(1_000, Persona(number=np.arange(1_000)), Stream)
    counts = np.where(np.arange(1_000) % 3 == 0, 14, 10)
    owner = np.repeat(agents, counts)
    sequence = np.concatenate([np.arange(n) for n in counts])
    mixed = np.random.default_rng(1).permutation(owner.size)
    world.spawn(
        Memory(owner=owner[mixed], sequence=sequence[mixed], created=0),
        Trace(importance=0.5, stability=DAY_S, accessed=0),
    )
    world.add_system(make_room)
    world.step(days(1))
    assert (
        world.index(Memory.owner).count(agents).tolist() == np.where(counts == 14, 9, 10).tolist()
    )
    left = world.query(Memory)
    crowded_ones = np.isin(left.gather(Memory.owner), agents[::3])
    assert sorted(set(left.gather(Memory.sequence)[crowded_ones].tolist())) == list(range(5, 14))


@pytest.mark.parametrize(
    ("name", "value"),
    [("capacity", 0), ("capacity", 2**32), ("capacity", 10.0), ("capacity", True), ("keep", -0.1),
     ("keep", 1.1), ("keep", float("nan"))],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting and the value."""
    with pytest.raises(SettingError, match=rf"Room\.{name} must .* got "):
        Room(**{name: value})


def test_an_own_capacity_of_nothing_is_refused():
    """An agent holds one memory at least."""
    world, _, _ = crowded([])
    with pytest.raises(ColumnValueError, match=r"Capacity\.memories must lie in \[1, 4294967295\]"):
        world.add(agents_of(world), Capacity(memories=0))


def test_memories_that_nobody_values_stay():
    """One without a `Trace` counts, and does not go, however full its owner is."""
    world, ids = world_of([Row(sequence=k, importance=0.5) for k in range(4)], Room(capacity=4))
    owner = world.get(ids[:1], Memory.owner)
    bare = world.spawn(Memory(owner=np.repeat(owner, 3), sequence=[4, 5, 6], created=NOW))
    world.add_system(make_room)
    world.step(0)
    assert world.alive(bare).all()
    assert world.index(Memory.owner).count(owner).tolist() == [3]
