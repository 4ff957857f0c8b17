"""Queries: which entities match, how they are told, and what is done to all of them."""

import gc
import itertools
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace import World, component, event, f4, i4
from populace.ecs.errors import (
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateComponentError,
    QueryError,
    StaleViewError,
    StructuralChangeError,
    UnknownComponentError,
)

from .parts import Asleep, Friend, Hungry, Memory, Position, Velocity, refused


@component
class A:
    x: i4 = 0


@component
class B:
    x: i4 = 0


@component
class C:
    x: i4 = 0


@component
class T:
    """A tag."""


EVERY = (A, B, C, T)


def mixed_world():
    """One entity of each of the 16 subsets of A, B, C and T; {id: subset}."""
    world, found = World(), {}
    for k in range(5):
        for subset in itertools.combinations(EVERY, k):
            found[int(world.spawn(1, *subset)[0])] = set(subset)
    return world, found


def brute(found, fetch, with_=(), without=(), any_=()):
    return sorted(
        i
        for i, has in found.items()
        if has >= {*fetch, *with_} and not has & {*without} and (not any_ or has & {*any_})
    )


# -- matching ------------------------------------------------------------------------------------

SUBSETS = st.lists(st.sampled_from(EVERY), max_size=2, unique=True).map(tuple)


@settings(max_examples=150)
@given(SUBSETS, SUBSETS, SUBSETS, SUBSETS)
def test_a_query_is_what_its_words_say(fetch, with_, without, any_):
    """Fetched and `with_` components are there, none of `without`, at least one of `any`: the ids
    are those that a search one by one finds."""
    world, found = mixed_world()
    if {*fetch, *with_} & {*without}:
        with pytest.raises(QueryError):
            world.query(*fetch, with_=with_, without=without, any=any_)
        return
    query = world.query(*fetch, with_=with_, without=without, any=any_)
    expected = brute(found, fetch, with_, without, any_)
    assert sorted(query.ids().tolist()) == expected
    assert query.count() == len(query) == len(expected)
    for made in fetch:
        if made is not T:
            assert query.gather(made.x).tolist() == [0] * len(expected)


def test_one_component_comes_alone_several_as_a_tuple():
    """`for position in query(Position)`, `for position, velocity in query(Position, Velocity)`."""
    world = World()
    ids = world.spawn(3, Position(x=[1, 2, 3]), Velocity)
    (position,) = world.query(Position)
    assert isinstance(position, Position)
    assert position.x.tolist() == [1, 2, 3]
    ((position, velocity),) = world.query(Position, Velocity)
    assert isinstance(velocity, Velocity)
    assert position.ids.tolist() == velocity.ids.tolist() == ids.tolist()


def test_with_and_any_are_not_yielded():
    """Only fetched and optional components come out of the loop."""
    world = World()
    world.spawn(2, Position(x=0), Velocity, Asleep)
    (position,) = world.query(Position, with_=Velocity, any=(Asleep, Hungry))
    assert isinstance(position, Position)


def test_optional_components_come_where_they_are():
    """An optional component is a view where the table has it, None where not; it filters
    nothing."""
    world = World()
    with_velocity = world.spawn(2, Position(x=0), Velocity(x=3))
    without = world.spawn(3, Position(x=0))
    found = {len(p): v for p, v in world.query(Position, optional=Velocity)}
    assert found[3] is None
    assert found[2].x.tolist() == [3, 3]
    query = world.query(Position, optional=(Velocity, Asleep))
    assert query.ids().tolist() == [*with_velocity, *without]
    for _, _, asleep in query:
        assert asleep is None


def test_one_class_or_a_tuple_of_them():
    """`without=Asleep` and `without=(Asleep,)` mean the same."""
    world, found = mixed_world()
    for words in ("with_", "without", "any"):
        one, many = world.query(A, **{words: B}), world.query(A, **{words: (B,)})
        assert one.ids().tolist() == many.ids().tolist()
    assert sorted(world.query(with_=A).ids().tolist()) == brute(found, (A,))


def test_every_entity():
    """A query of nothing matches all, those without a component too."""
    world, found = mixed_world()
    assert sorted(world.query().ids().tolist()) == sorted(found)
    assert world.query().count() == 16


def test_the_same_words_give_the_same_query():
    """Queries are cached: asking again in a loop costs a look-up."""
    world = World()
    assert world.query(A, B, without=C) is world.query(A, B, without=C)
    assert world.query(A, B) is not world.query(B, A)
    assert World().query(A) is not world.query(A)


def test_a_tag_can_be_fetched():
    """A tag's view has ids and a length, and no columns."""
    world = World()
    ids = world.spawn(4, T)
    (view,) = world.query(T)
    assert view.ids.tolist() == ids.tolist()
    assert len(view) == 4


# -- following the world -------------------------------------------------------------------------


def test_a_query_sees_archetypes_made_after_it():
    """A query object made before its first entity finds archetypes as they come."""
    world = World()
    query = world.query(A, without=T)
    assert query.count() == 0
    assert list(query) == []
    first = world.spawn(1, A)
    assert query.ids().tolist() == first.tolist()
    second = world.spawn(1, A, B)
    third = world.spawn(1, A, T)
    assert query.ids().tolist() == [*first, *second]
    world.remove(third, T)
    assert set(query.ids().tolist()) == {*first.tolist(), *second.tolist(), *third.tolist()}
    world.query(A).add(T)
    assert query.count() == 0


def test_tables_that_swap_hands_are_followed():
    """After whole tables changed their archetype, and back, older queries still match by what
    entities have now."""
    world = World()
    plain, tagged = world.query(A, without=T), world.query(A, T)
    ids = world.spawn(5, A)
    for _ in range(3):
        assert (plain.ids().tolist(), tagged.count()) == (ids.tolist(), 0)
        world.query(A).add(T)
        assert (plain.count(), tagged.ids().tolist()) == (0, ids.tolist())
        world.query(A).remove(T)
    world.check()


def test_ten_thousand_archetypes():
    """Ten thousand archetypes, one entity each: a query still finds exactly its own, and a new
    archetype is matched without another look at the old ones."""

    def make(number):
        @component
        class Tag:
            pass

        return Tag

    tags = [make(number) for number in range(14)]
    world = World(debug=False)  # a check after each of 10,000 spawns would take minutes
    query = world.query(A)
    looked = []
    matches = query.filter.matches
    for number in range(10_000):
        world.spawn(1, *(tag for bit, tag in enumerate(tags) if number >> bit & 1))
    special = world.spawn(1, A, *tags)
    assert len(world.store.archetypes) >= 10_000
    assert query.ids().tolist() == special.tolist()
    assert world.query(*tags[:13], without=(A, tags[13])).count() == 1
    assert world.query(tags[0], tags[1]).count() == 2_501
    type(query.filter).matches = lambda self, mask: (
        looked.append(mask) or matches.__func__(self, mask)
    )
    try:
        world.spawn(1, A, B)
        assert query.count() == 2
    finally:
        type(query.filter).matches = matches.__func__
    assert len(looked) == 1
    world.check()


def test_empty_tables_are_skipped():
    """A table whose last row has gone is not yielded."""
    world = World()
    ids = world.spawn(3, A)
    world.spawn(2, A, B)
    world.despawn(ids)
    assert [len(view) for view in world.query(A)] == [2]


def test_rows_come_in_one_order_everywhere():
    """ids, gather, where and the loop agree about the order of rows."""
    world = World()
    world.spawn(3, A(x=[1, 2, 3]))
    world.spawn(2, A(x=[4, 5]), B)
    world.spawn(4, A(x=[6, 7, 8, 9]), T)
    query = world.query(A)
    ids, xs = query.ids(), query.gather(A.x)
    assert np.concatenate([v.ids for v in query]).tolist() == ids.tolist()
    assert np.concatenate([v.x for v in query]).tolist() == xs.tolist()
    assert world.get(ids, A.x).tolist() == xs.tolist()
    assert query.where(xs % 2 == 0).ids().tolist() == ids[xs % 2 == 0].tolist()
    assert query.where(xs % 2 == 0).gather(A.x).tolist() == xs[xs % 2 == 0].tolist()


def test_what_a_query_hands_out_is_a_copy():
    """Writing into `ids()` or `gather()` does not touch the world."""
    world = World()
    world.spawn(3, A(x=[1, 2, 3]))
    query = world.query(A)
    query.ids()[:] = 0
    query.gather(A.x)[:] = 0
    assert query.gather(A.x).tolist() == [1, 2, 3]
    world.check()


# -- refusals ------------------------------------------------------------------------------------


def test_impossible_queries():
    """What no entity could match, or what is no component, is refused with a reason."""
    world = World()
    world.spawn(1, A)

    @event
    class Happened:
        x: f4 = 0

    with refused(world, DuplicateComponentError, "A", "twice"):
        world.query(A, A)
    with refused(world, DuplicateComponentError, "A", "twice"):
        world.query(B, without=(A, A))
    with refused(world, QueryError, "each component once"):
        world.query(A, optional=A)
    with refused(world, QueryError, "A"):
        world.query(A, without=A)
    with refused(world, QueryError, "A"):
        world.query(with_=A, without=(B, A))
    with refused(world, UnknownComponentError, "int"):
        world.query(int)
    with refused(world, UnknownComponentError, "pass the class A"):
        world.query(A(x=1))
    with refused(world, QueryError, "Happened"):
        world.query(Happened)
    with refused(world, QueryError, "classes or tuples"):
        world.query(A, without=[A, B])


def test_iterating_a_query_that_fetches_nothing():
    """There would be nothing to yield: the message says what to do instead."""
    world = World()
    world.spawn(1, A)
    for query in (world.query(), world.query(with_=A), world.query(without=A)):
        with refused(world, QueryError, ".ids()"):
            list(query)


def test_gather_of_what_is_not_there():
    """A field that some row lacks cannot be gathered; an optional one only if all have it."""
    world = World()
    world.spawn(2, A, B(x=7))
    assert world.query(A).gather(B.x).tolist() == [7, 7]
    world.spawn(1, A)
    with refused(world, ComponentMissingError, "B.x", "add B to the query"):
        world.query(A, optional=B).gather(B.x)
    with refused(world, QueryError, "field"):
        world.query(A).gather(A)


def test_gather_of_no_rows():
    """An empty query gathers an empty column of the right dtype and shape."""
    world = World()
    assert world.query(Memory).gather(Memory.vector).shape == (0, 4)
    assert world.query(Memory).gather(Memory.owner).dtype == np.uint64
    assert world.query(Memory).ids().shape == (0,)


# -- where ---------------------------------------------------------------------------------------


def test_where_takes_a_mask_or_a_function():
    """A bool array over all rows, a list of bools, or a function of the views of one table."""
    world = World()
    world.spawn(3, A(x=[1, 2, 3]), B(x=[0, 2, 0]))
    world.spawn(3, A(x=[4, 5, 6]), B(x=[4, 0, 6]), T)
    query = world.query(A, B)
    ids = query.ids()
    by_mask = query.where(query.gather(A.x) == query.gather(B.x))
    by_function = query.where(lambda a, b: a.x == b.x)
    by_list = query.where([False, True, False, True, False, True])
    for found in (by_mask, by_function, by_list):
        assert found.ids().tolist() == ids[[1, 3, 5]].tolist()
        assert found.count() == len(found) == 3
        assert found.gather(B.x).tolist() == [2, 4, 6]


def test_asking_again_and_again_holds_nothing():
    """The views that a mask function was given are let go, also when nothing ever changes."""
    world = World()
    world.spawn(3, A(x=[1, 2, 3]))
    given_views = []

    def positive(a):
        given_views.append(weakref.ref(a))
        return a.x > 0

    for _ in range(50):
        assert world.query(A).where(positive).count() == 3
        for view in world.query(A):
            assert view.x.size == 3
    gc.collect()
    assert len({id(view()) for view in given_views if view() is not None}) <= 1


def test_where_with_an_optional_component():
    """The function gets None where the table lacks an optional component."""
    world = World()
    world.spawn(2, A(x=[1, 2]))
    some = world.spawn(2, A(x=[3, 4]), B(x=[0, 9]))
    query = world.query(A, optional=B)
    found = query.where(lambda a, b: np.zeros(len(a), bool) if b is None else b.x > 5)
    assert found.ids().tolist() == some[1:].tolist()


@pytest.mark.parametrize(
    "mask",
    [
        [0, 1, 0],
        np.array([1, 2], np.int64),
        np.ones(4, np.bool_),
        np.ones((3, 1), np.bool_),
        True,
        [True, False],
        "all",
        None,
        lambda a: a.x,
        lambda a: np.ones(2, np.bool_),
        lambda a: True,
    ],
)
def test_what_is_no_mask(mask):
    """Row numbers, masks of another length and other things are no masks."""
    world = World()
    world.spawn(3, A(x=[1, 2, 3]))
    with refused(world, QueryError, "bool"):
        world.query(A).where(mask)


def test_a_selection_is_fixed_when_it_is_made():
    """Values may change afterwards, the selected rows stay; structure may not."""
    world = World()
    ids = world.spawn(4, A(x=[1, 2, 3, 4]))
    found = world.query(A).where(lambda a: a.x > 2)
    world.set(ids, A(x=0))
    assert found.ids().tolist() == ids[2:].tolist()
    assert found.set(A(x=[8, 9])) == 2
    assert world.get(ids, A.x).tolist() == [0, 0, 8, 9]
    world.spawn(1, A)
    for call in (found.ids, found.despawn, lambda: found.add(T), lambda: found.gather(A.x)):
        with refused(world, StaleViewError, "select again"):
            call()


def test_an_empty_selection():
    """A selection of nothing can be asked and acted on, to no effect."""
    world = World()
    world.spawn(3, A)
    digest = world.digest()
    found = world.query(A).where(np.zeros(3, np.bool_))
    assert found.ids().shape == (0,)
    assert (found.count(), found.despawn(), found.add(T), found.set(A(x=1))) == (0, 0, 0, 0)
    assert found.gather(A.x).dtype == np.int32
    assert world.digest() == digest


# -- acting on all rows --------------------------------------------------------------------------


def test_query_set_takes_scalars_and_arrays():
    """Values go to the rows in the query's order, over tables."""
    world = World()
    world.spawn(2, A)
    world.spawn(3, A, T)
    query = world.query(A)
    assert query.set(A(x=5)) == 5
    assert query.gather(A.x).tolist() == [5] * 5
    query.set(A(x=np.arange(5)))
    assert query.gather(A.x).tolist() == [0, 1, 2, 3, 4]


def test_query_add_and_remove():
    """Add and remove reach every row, and say how many."""
    world = World()
    ids = np.concatenate([world.spawn(2, A), world.spawn(3, A, T)])
    assert world.query(A).add(B(x=np.arange(5)), C) == 5
    assert world.get(ids, B.x).tolist() == [0, 1, 2, 3, 4]
    with refused(world, ComponentPresentError, "B", int(ids[0])):
        world.query(A).add(B)
    with refused(world, ComponentPresentError, "T", int(ids[2])):
        world.query(A).add(T)
    with refused(world, ComponentMissingError, "T", int(ids[0])):
        world.query(A).remove(T)
    assert world.query(A, with_=T).remove(T, B) == 3
    assert world.has(ids, B).tolist() == [True, True, False, False, False]
    world.check()


def test_query_despawn_counts_who_follows():
    """Despawn by query brings cascades along and counts them."""
    world = World()
    owners = world.spawn(3, A)
    world.spawn(6, Memory(owner=np.repeat(owners, 2)))
    friend = world.spawn(1, Friend(other=owners[0]))
    assert world.query(A).where(np.array([True, True, False])).despawn() == 2 + 4
    assert world.query(Memory).count() == 2
    assert world.get(friend, Friend.other) == 0
    assert world.query(Memory).despawn() == 2
    assert world.query(A).despawn() == 1
    world.check()


def test_a_selection_acts_on_part_of_each_table():
    """Set, add, remove and despawn of a selection reach exactly the chosen rows."""
    world = World()
    ids = np.concatenate([world.spawn(4, A(x=range(4))), world.spawn(4, A(x=range(4, 8)), T)])
    odd = world.query(A).where(lambda a: a.x % 2 == 1)
    odd.set(A(x=[10, 30, 50, 70]))
    assert world.get(ids, A.x).tolist() == [0, 10, 2, 30, 4, 50, 6, 70]
    assert odd.add(B(x=[1, 3, 5, 7])) == 4
    assert world.has(ids, B).tolist() == [False, True] * 4
    assert world.get(ids[1::2], B.x).tolist() == [1, 3, 5, 7]
    assert world.query(B).where(lambda b: b.x > 4).remove(B) == 2
    assert world.query(A).where(lambda a: a.x < 10).despawn() == 4
    assert world.alive(ids).tolist() == [False, True] * 4
    world.check()


def test_changes_while_iterating():
    """A structural change of a table that is still to come raises StaleViewError; the message says
    to collect ids first."""
    world = World()
    world.spawn(2, A)
    world.spawn(2, A, T)
    loop = iter(world.query(A))
    first = next(loop)
    world.despawn(world.query(A, T).ids()[:1])
    assert len(first) == 2
    with refused(world, StaleViewError, "collect ids first"):
        next(loop)
    seen = 0
    for _ in world.query(A):
        seen += 1
        world.spawn(1, B)
    assert seen == 2


def test_a_mask_function_cannot_change_structure():
    """Despawning inside the function of `where` is an error, not a selection of the wrong rows."""
    world = World()
    ids = world.spawn(4, A(x=range(4)))
    world.spawn(4, A(x=range(4)), T)

    def meddle(a):
        if world.alive(ids[:1])[0]:
            world.despawn(ids[:1])
        return np.ones(len(a), np.bool_)

    with pytest.raises((StaleViewError, StructuralChangeError, QueryError)):
        world.query(A).where(meddle).despawn()
    world.check()


# -- explain -------------------------------------------------------------------------------------


def test_explain_says_every_reason():
    """`explain` names what an entity lacks, what it has too much, and what it has none of."""
    world = World()
    query = world.query(Position, Velocity, without=Asleep, any=(Hungry, Friend))
    wrong = int(world.spawn(1, Position(x=0), Asleep)[0])
    said = world.explain(wrong, query)
    for word in (
        str(wrong),
        "does not match",
        "lacks Velocity",
        "has Asleep",
        "none of",
        "Hungry",
        "Friend",
    ):
        assert word in said
    right = int(world.spawn(1, Position(x=0), Velocity, Hungry)[0])
    assert "does not" not in world.explain(right, query)
    assert "matches" in world.explain(right, query)
    with refused(world, DeadEntityError, "99"):
        world.explain(99, query)


@settings(max_examples=60)
@given(SUBSETS, SUBSETS, SUBSETS)
def test_explain_agrees_with_the_query(fetch, without, any_):
    """For every entity: explained as matching exactly when the query has it."""
    world, found = mixed_world()
    if {*fetch} & {*without}:
        return
    query = world.query(*fetch, without=without, any=any_)
    matching = set(query.ids().tolist())
    for entity in found:
        assert ("does not match" in world.explain(entity, query)) == (entity not in matching)
