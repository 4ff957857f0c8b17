"""Indexed references: who names whom, always right, and what a despawn does to those who name."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import NOBODY, Entity, World, component, field
from populace.ecs.errors import (
    ColumnTypeError,
    DeadEntityError,
    QueryError,
    ReferencedEntityError,
)

from .parts import Asleep, Friend, Guarded, Hungry, Loose, Memory, Position, refused


@component
class Child:
    """A tree: who despawns, takes the children along."""

    parent: Entity = field(0, index=True, on_despawn="despawn")


@component
class Both:
    """Two references of different rules in one component."""

    home: Entity = field(0, index=True, on_despawn="despawn")
    friend: Entity = field(0, index=True, on_despawn="null")


def low(ids):
    return (np.asarray(ids, np.uint64) & np.uint64(0xFFFF_FFFF)).tolist()


def chain(world, n):
    """n entities, each the child of the one before."""
    ids = [int(world.spawn(1, Child)[0])]
    for _ in range(n - 1):
        ids.append(int(world.spawn(1, Child(parent=ids[-1]))[0]))
    return np.array(ids, np.uint64)


# -- the index -----------------------------------------------------------------------------------


def test_count_ids_and_csr_agree():
    """For any owner its count and its ids; all owners packed, none empty."""
    world = World()
    people = world.spawn(5)
    memories = world.spawn(Memory(owner=people[[3, 0, 3, 3, 1, 0]]))
    index = world.index(Memory.owner)
    assert index.count(people).tolist() == [2, 1, 0, 3, 0]
    assert index.count(people).dtype == np.int64
    assert index.ids(people[3]).tolist() == memories[[0, 2, 3]].tolist()
    assert index.ids(people[2]).tolist() == []
    csr = index.csr()
    assert csr.owners.tolist() == people[[0, 1, 3]].tolist()
    assert csr.offsets.tolist() == [0, 2, 3, 6]
    assert sorted(csr.ids[3:6].tolist()) == memories[[0, 2, 3]].tolist()
    some = index.of(people[[3, 2, 0]])
    assert some.owners.tolist() == people[[3, 2, 0]].tolist()
    assert some.offsets.tolist() == [0, 3, 3, 5]
    assert some.ids.tolist() == memories[[0, 2, 3, 1, 5]].tolist()


def test_an_index_without_references():
    """Nobody named: counts are zero, the packed form is empty."""
    world = World()
    people = world.spawn(2)
    index = world.index(Memory.owner)
    assert index.count(people).tolist() == [0, 0]
    csr = index.csr()
    assert (csr.owners.size, csr.offsets.tolist(), csr.ids.size) == (0, [0], 0)
    assert index.count([]).shape == (0,)


def test_nobody_is_not_indexed():
    """A reference to NOBODY is in no bucket; asking for NOBODY's is an error."""
    world = World()
    people = world.spawn(1)
    ids = world.spawn(3, Child)
    index = world.index(Child.parent)
    assert index.csr().ids.size == 0
    world.set(ids, Child(parent=people[0]))
    assert index.count(people).tolist() == [3]
    world.set(ids[:2], Child(parent=0))
    assert index.ids(people[0]).tolist() == ids[2:].tolist()
    with refused(world, DeadEntityError, "NOBODY"):
        index.ids(0)


def test_the_index_follows_every_change():
    """set, add, remove, moves between tables, cluster and despawn keep the index right."""
    world = World()
    people = world.spawn(4)
    ids = world.spawn(Memory(owner=people[[0, 0, 1, 1]]))
    index = world.index(Memory.owner)

    def owners():
        return [index.ids(p).tolist() for p in people]

    world.set(ids[[0, 2]], Memory(owner=people[[3, 3]]))
    assert owners() == [[ids[1]], [ids[3]], [], [ids[0], ids[2]]]
    world.add(ids[::2], Asleep)
    world.cluster(Memory.owner)
    assert owners() == [[ids[1]], [ids[3]], [], [ids[0], ids[2]]]
    world.remove(ids[2], Memory)
    assert owners() == [[ids[1]], [ids[3]], [], [ids[0]]]
    world.add(ids[2], Memory(owner=people[1]))
    world.despawn(ids[1])
    assert owners() == [[], [ids[2], ids[3]], [], [ids[0]]]
    world.query(Memory).set(Memory(owner=people[2]))
    assert owners() == [[], [], [ids[0], ids[2], ids[3]], []]
    world.query(Memory).remove(Memory)
    assert owners() == [[], [], [], []]
    world.check()


def test_ids_are_in_order_of_their_index():
    """The ids of an owner ascend by entity index, whatever the order in which they came."""
    world = World()
    owner = world.spawn(1)
    first = world.spawn(6, Memory(owner=owner[0]))
    world.despawn(first[[1, 4]])
    world.spawn(2, Memory(owner=owner[0]), Asleep)
    found = world.index(Memory.owner).ids(owner[0])
    assert low(found) == sorted(low(found)) == low(first)
    assert (found != first).tolist() == [False, True, False, False, True, False]


def test_a_recycled_owner_has_no_members():
    """A new entity in the slot of a dead owner is named by nobody."""
    world = World()
    owner = world.spawn(1, Hungry)
    loose = world.spawn(2, Loose(about=owner[0]))
    world.spawn(2, Friend(other=owner[0]))
    world.despawn(owner)
    new = world.spawn(1, Hungry)
    assert low(new) == low(owner)
    assert world.index(Friend.other).count(new).tolist() == [0]
    assert world.get(loose, Loose.about).tolist() == [owner[0]] * 2
    assert not world.alive(world.get(loose, Loose.about)).any()
    world.check()


def test_a_member_may_name_itself():
    """An entity can be its own owner, and despawns once."""
    world = World()
    ids = world.spawn(2, Child)
    world.set(ids, Child(parent=ids))
    assert world.index(Child.parent).ids(ids[0]).tolist() == ids[:1].tolist()
    assert world.despawn(ids[0]) == 1
    world.check()
    assert world.despawn(ids[1]) == 1
    assert len(world) == 0


def test_questions_about_the_dead():
    """Asking who names a dead or unknown entity is an error that names it."""
    world = World()
    people = world.spawn(2)
    world.spawn(Memory(owner=people))
    world.despawn(people[0])
    index = world.index(Memory.owner)
    for ask in (index.count, index.of, lambda ids: index.ids(ids[0])):
        with refused(world, DeadEntityError, int(people[0]), "despawned"):
            ask(people)
    with refused(world, ColumnTypeError, "owners"):
        index.count([0.5])


def test_every_owner_with_its_count():
    """Who is named at all, ascending by index, and how often; nobody else."""
    world = World()
    people = world.spawn(5)
    world.spawn(Memory(owner=people[[3, 0, 3, 3, 1, 0]]))
    owners, counts = world.index(Memory.owner).counts()
    assert owners.tolist() == people[[0, 1, 3]].tolist()
    assert counts.tolist() == [2, 1, 3]
    assert (owners.dtype, counts.dtype) == (np.uint64, np.int64)


def test_no_owner_at_all():
    """In an empty index, and again when the last reference is gone."""
    world = World()
    index = world.index(Memory.owner)
    people = world.spawn(2)
    for _ in range(2):
        owners, counts = index.counts()
        assert (owners.shape, counts.shape) == ((0,), (0,))
        assert (owners.dtype, counts.dtype) == (np.uint64, np.int64)
        ids = world.spawn(Memory(owner=people[[0, 1, 1]]))
        assert [part.tolist() for part in index.counts()] == [people.tolist(), [1, 2]]
        world.despawn(ids)
    world.set(world.spawn(2, Child), Child(parent=0))
    assert world.index(Child.parent).counts()[0].size == 0


def test_counts_of_recycled_owners():
    """An owner in the slot of a dead one is named by its own id."""
    world = World()
    people = world.spawn(3)
    world.spawn(Memory(owner=people[[0, 1, 2]]))
    world.despawn(people[1])
    new = world.spawn(1)
    assert low(new) == low(people[1:2])
    world.spawn(2, Memory(owner=new[0]))
    owners, counts = world.index(Memory.owner).counts()
    assert owners.tolist() == [people[0], new[0], people[2]]
    assert counts.tolist() == [1, 2, 1]


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_counts_and_unsorted_members_after_any_history(seed):
    """After spawns, redirections, moves and despawns `counts` is what a count by hand gives, and
    `of` without sorting has the members that it has with sorting, owner by owner."""
    rng = np.random.default_rng(seed)
    world = World()
    people = world.spawn(int(rng.integers(1, 12)))
    index = world.index(Child.parent)
    for _ in range(8):
        alive = world.query(Child).ids()
        some = alive[rng.random(alive.size) < 0.4]
        act = rng.integers(0, 5)
        if act < 2:
            n = int(rng.integers(0, 30))
            owners = np.append(people, np.uint64(NOBODY))[rng.integers(0, people.size + 1, n)]
            world.spawn(n, Child(parent=owners), *([Asleep] if act else []))
        elif act == 2:
            world.set(some, Child(parent=people[rng.integers(0, people.size, some.size)]))
        elif act == 3 and some.size:
            world.despawn(some)
        elif people.size > 1:
            world.despawn(people[-1])
            people = people[:-1]
    parents = world.query(Child).gather(Child.parent)
    named, expected = np.unique(parents[parents != NOBODY], return_counts=True)
    order = np.argsort(low(named))
    owners, counts = index.counts()
    assert owners.tolist() == named[order].tolist()
    assert counts.tolist() == expected[order].tolist()
    assert index.count(owners).tolist() == counts.tolist()
    asked = people[rng.integers(0, people.size, 6)]
    sorted_, loose = index.of(asked), index.of(asked, sort=False)
    assert loose.owners.tolist() == sorted_.owners.tolist() == asked.tolist()
    assert loose.offsets.tolist() == sorted_.offsets.tolist()
    assert (loose.ids.dtype, loose.offsets.dtype) == (np.uint64, np.int64)
    for begin, end in zip(loose.offsets[:-1], loose.offsets[1:], strict=True):
        members = loose.ids[begin:end]
        assert sorted(low(members)) == low(sorted_.ids[begin:end])
        assert set(members.tolist()) == set(sorted_.ids[begin:end].tolist())
    world.check()


def test_unsorted_members_of_the_largest_bucket():
    """Without sorting too each member of each owner is there once, for buckets of any size."""
    world = World()
    people = world.spawn(3)
    ids = world.spawn(70_000, Memory(owner=people[np.arange(70_000) % 7 % 2]))
    world.despawn(ids[::3])
    index = world.index(Memory.owner)
    found = index.of(people[[1, 2, 0]], sort=False)
    counts = index.count(people)
    assert np.diff(found.offsets).tolist() == [counts[1], 0, counts[0]]
    for k, owner in ((0, people[1]), (2, people[0])):
        members = found.ids[found.offsets[k] : found.offsets[k + 1]]
        assert np.sort(members).tolist() == np.sort(index.ids(owner)).tolist()


def test_unsorted_members_of_nobody_in_particular():
    """No owners give no members; dead ones are an error as ever."""
    world = World()
    people = world.spawn(2)
    world.spawn(Memory(owner=people))
    index = world.index(Memory.owner)
    none = index.of([], sort=False)
    assert (none.owners.size, none.offsets.tolist(), none.ids.size) == (0, [0], 0)
    world.despawn(people[0])
    with refused(world, DeadEntityError, int(people[0])):
        index.of(people, sort=False)


def test_only_indexed_references_have_an_index():
    """A loose reference, a number or a class has none: the message says how to declare one."""
    world = World()
    for wrong in (Loose.about, Position.x, Memory, "owner"):
        with refused(world, QueryError, "index"):
            world.index(wrong)


def test_one_hundred_thousand_members_of_one_owner():
    """A bucket of any size: counted, listed, redirected and despawned exactly."""
    world = World()
    people = world.spawn(2)
    ids = world.spawn(100_000, Memory(owner=people[0]))
    index = world.index(Memory.owner)
    assert index.count(people).tolist() == [100_000, 0]
    world.set(ids[::2], Memory(owner=people[1]))
    assert index.ids(people[1]).tolist() == ids[::2].tolist()
    assert world.despawn(people[0]) == 50_001
    assert index.count(people[1]).tolist() == [50_000]
    world.check()


# -- on_despawn ----------------------------------------------------------------------------------


def test_despawn_cascades():
    """Whoever names the dead with on_despawn="despawn" dies too, and so on down."""
    world = World()
    ids = chain(world, 200)
    other = chain(world, 5)
    assert world.despawn(ids[50]) == 150
    assert world.alive(ids).tolist() == [True] * 50 + [False] * 150
    assert world.alive(other).all()
    world.check()


def test_a_circle_despawns_once():
    """Entities that name each other in a circle all go, each counted once."""
    world = World()
    ids = world.spawn(6, Child)
    world.set(ids, Child(parent=np.roll(ids, 1)))
    assert world.despawn(ids[3]) == 6
    assert len(world) == 0
    world.check()


def test_despawning_owner_and_follower_together():
    """An entity named in the batch and reached by the cascade is despawned once."""
    world = World()
    people = world.spawn(3)
    memories = world.spawn(Memory(owner=people[[0, 0, 1, 2]]))
    assert world.despawn([*people[:2], *memories[:1]]) == 5
    assert world.alive(memories).tolist() == [False, False, False, True]
    assert world.index(Memory.owner).count(people[2:]).tolist() == [1]
    world.check()


def test_null_lets_go():
    """on_despawn="null": survivors' references become NOBODY, the others stay."""
    world = World()
    people = world.spawn(4)
    friends = world.spawn(Friend(other=people[[0, 1, 2, 0]]))
    world.add(friends[3], Asleep)
    assert world.despawn(people[:2]) == 2
    assert world.get(friends, Friend.other).tolist() == [0, 0, people[2], 0]
    assert world.index(Friend.other).csr().ids.tolist() == friends[2:3].tolist()
    world.check()


def test_null_among_those_who_die_too():
    """Who dies in the same batch is not first let go: only survivors are changed."""
    world = World()
    people = world.spawn(2)
    friends = world.spawn(Friend(other=people[[0, 0, 1]]))
    assert world.despawn([*people[:1], *friends[:1]]) == 2
    assert world.get(friends[1:], Friend.other).tolist() == [0, people[1]]
    world.check()


def test_forbid_refuses():
    """on_despawn="forbid": who is still named by a survivor cannot go; both are named."""
    world = World()
    people = world.spawn(3)
    wards = world.spawn(Guarded(by=people[[0, 0, 1]]))
    with refused(
        world, ReferencedEntityError, int(people[0]), "Guarded.by", int(wards[0]), "2 such"
    ):
        world.despawn(people[0])
    with refused(world, ReferencedEntityError, int(people[1])):
        world.despawn([*people[[2, 1]], *wards[:2]])
    with refused(world, ReferencedEntityError, "query.despawn"):
        world.query(without=Guarded).despawn()
    assert world.despawn([*people[:1], *wards[:2]]) == 3
    world.set(wards[2], Guarded(by=0))
    assert world.despawn(people[1]) == 1
    world.check()


def test_forbid_stops_a_cascade():
    """A cascade that would reach somebody who is still named is refused as a whole."""
    world = World()
    ids = chain(world, 10)
    ward = world.spawn(1, Guarded(by=ids[7]))
    with refused(world, ReferencedEntityError, int(ids[7]), int(ward[0])):
        world.despawn(ids[0])
    world.despawn(ward)
    assert world.despawn(ids[0]) == 10


def test_two_rules_in_one_component():
    """Each field follows its own rule."""
    world = World()
    homes, friends = world.spawn(3), world.spawn(3)
    ids = world.spawn(Both(home=homes, friend=friends))
    world.despawn([homes[0], friends[1]])
    assert world.alive(ids).tolist() == [False, True, True]
    assert world.get(ids[1:], Both.friend).tolist() == [0, friends[2]]
    world.check()


def test_a_kept_reference_goes_stale_and_never_lies():
    """on_despawn="keep": the old id stays in the column and never resolves again."""
    world = World()
    people = world.spawn(2, Hungry)
    ids = world.spawn(2, Loose(about=people))
    world.despawn(people[0])
    world.spawn(5, Hungry)
    assert world.get(ids, Loose.about).tolist() == people.tolist()
    assert world.alive(world.get(ids, Loose.about)).tolist() == [False, True]
    world.check()


def test_removing_the_component_is_no_despawn():
    """Losing a reference component ends the reference, nothing else; the owner then goes alone."""
    world = World()
    people = world.spawn(2)
    ids = world.spawn(Child(parent=people[[0, 0, 1]]))
    world.remove(ids[0], Child)
    assert world.despawn(people[0]) == 2
    assert world.alive(ids).tolist() == [True, False, True]


def test_component_removed_from_the_owner():
    """References name entities, not components: an owner may lose all it has."""
    world = World()
    people = world.spawn(1, Position(x=0), Hungry)
    ids = world.spawn(2, Memory(owner=people[0]))
    world.remove(people, Position, Hungry)
    assert world.index(Memory.owner).ids(people[0]).tolist() == ids.tolist()
    world.check()


# -- any history ---------------------------------------------------------------------------------


@settings(max_examples=80)
@given(st.integers(0, 2**32 - 1))
def test_any_forest_despawns_like_a_search_by_hand(seed):
    """Random references of every rule among random entities: a despawn ends exactly those that a
    search by hand finds, or is refused exactly when that finds a survivor that forbids it."""
    rng = np.random.default_rng(seed)
    world = World()
    n = int(rng.integers(1, 25))
    ids = world.spawn(n)
    rules = {Child: "parent", Friend: "other", Guarded: "by"}
    names = {}
    for cls, name in rules.items():
        who = np.flatnonzero(rng.random(n) < (0.6 if cls is Child else 0.2))
        target = rng.integers(0, n, who.size)
        world.add(ids[who], cls(**{name: ids[target]}))
        names[cls] = dict(zip(who.tolist(), target.tolist(), strict=True))
    batch = rng.permutation(n)[: rng.integers(1, n + 1)].tolist()
    dying = set(batch)
    while True:
        more = {a for a, b in names[Child].items() if b in dying} - dying
        if not more:
            break
        dying |= more
    forbidden = any(b in dying and a not in dying for a, b in names[Guarded].items())
    if forbidden:
        with refused(world, ReferencedEntityError):
            world.despawn(ids[batch])
        return
    assert world.despawn(ids[batch]) == len(dying)
    assert world.alive(ids).tolist() == [i not in dying for i in range(n)]
    for a, b in names[Friend].items():
        if a not in dying:
            assert world.get(ids[a], Friend.other) == (0 if b in dying else ids[b])
    world.check()


def test_splitting_a_cascade_changes_nothing():
    """One despawn of many owners leaves the same world as one after the other."""

    def run(parts):
        world = World()
        people = world.spawn(20)
        memories = world.spawn(
            Memory(owner=people[np.arange(60) % 20], text=[f"m{i}" for i in range(60)])
        )
        world.spawn(Friend(other=memories[:10]))
        for some in np.array_split(people[3:9], parts):
            world.despawn(some)
        return world.digest(), world.spawn(30).tolist()

    assert run(1) == run(3) == run(6)


def test_an_observer_sees_the_whole_cascade():
    """Who is reached by a cascade is told as despawned in the same batch as who was named."""
    world = World()
    told = []
    world.observe("despawn", Memory, lambda _, ids: told.append(ids.tolist()))
    people = world.spawn(2)
    memories = world.spawn(Memory(owner=people[[0, 1, 0]]))
    world.despawn(people[0])
    assert [sorted(ids) for ids in told] == [memories[[0, 2]].tolist()]


@pytest.mark.parametrize("cls", [Child, Friend, Guarded])
def test_redirecting_twice_to_the_same(cls):
    """Setting a reference to what it names already changes nothing, also when repeated."""
    world = World()
    people = world.spawn(2)
    name = next(iter(cls.__annotations__))
    ids = world.spawn(cls(**{name: people[[0, 0, 1]]}))
    digest = world.digest()
    for _ in range(3):
        world.set(ids, cls(**{name: people[[0, 0, 1]]}))
        world.check()
    assert world.digest() == digest
    assert world.index(getattr(cls, name)).count(people).tolist() == [2, 1]


# -- rows_of ---------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=30),
    st.lists(st.integers(0, 3), max_size=6),
    st.sets(st.integers(0, 29)),
)
def test_rows_of_are_where_the_members_are(members, asked, gone):
    """Of each owner in the order given, also twice: exactly its members, wherever they lie."""
    world = World()
    people = world.spawn(4)
    ids = np.array([
        world.spawn(1, Memory(owner=people[owner]), *([Asleep] * one), *([Hungry] * two))[0]
        for owner, one, two in members
    ], np.uint64)  # fmt: skip
    left = np.array([place for place in range(ids.size) if place not in gone], int)
    world.despawn(ids[[place for place in gone if place < ids.size]])
    world.add(ids[left][::3][~world.has(ids[left][::3], Asleep)], Asleep)
    offsets, tables, rows = world.index(Memory.owner).rows_of(people[asked])
    assert (offsets.dtype, tables.dtype, rows.dtype) == (np.int64, np.uint32, np.uint32)
    assert offsets[0] == 0
    assert offsets[-1] == tables.size == rows.size
    found = np.array(
        [world.store.tables[t].ids[row] for t, row in zip(tables, rows, strict=True)], np.uint64
    )
    for place, owner in enumerate(asked):
        part = found[offsets[place] : offsets[place + 1]]
        assert sorted(part.tolist()) == sorted(
            int(ids[at]) for at in left if members[at][0] == owner
        )


def test_rows_of_nobody():
    """No owners, no members; the dead raise, and say which."""
    world = World()
    people = world.spawn(2)
    index = world.index(Memory.owner)
    for asked, want in (([], [0]), (people, [0, 0, 0])):
        offsets, tables, rows = index.rows_of(asked)
        assert (offsets.tolist(), tables.size, rows.size) == (want, 0, 0)
    world.despawn(people[1])
    with pytest.raises(DeadEntityError, match=str(int(people[1]))):
        index.rows_of(people)


def test_rows_of_follow_rows_that_move():
    """Hole-fills, tags, clustering, growth: the index itself needs no upkeep."""
    world = World()
    people = world.spawn(3)
    ids = world.spawn(Memory(owner=people[np.arange(90) % 3]))
    for change in (
        lambda: world.despawn(ids[:30]),
        lambda: world.add(ids[40:60], Asleep),
        lambda: world.cluster(Memory.owner),
        lambda: world.spawn(Memory(owner=people[np.zeros(500, int)])),
        lambda: world.set(ids[60:70], Memory(owner=people[2])),
    ):
        change()
        offsets, tables, rows = world.index(Memory.owner).rows_of(people)
        for place, owner in enumerate(people):
            part = slice(offsets[place], offsets[place + 1])
            found = [
                int(world.store.tables[t].ids[row])
                for t, row in zip(tables[part], rows[part], strict=True)
            ]
            assert sorted(found) == sorted(world.index(Memory.owner).ids(owner).tolist())
