"""Images that contradict themselves make no world: `restore` raises, never gives a wrong one."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace import Entity, Text, Vector, World, event, f4
from populace.ecs.errors import (
    ColumnValueError,
    ComponentDefinitionError,
    InvariantError,
    PopulaceError,
    QueryError,
    UnknownComponentError,
)
from populace.ecs.image import capture, restore

from .parts import Asleep, Friend, Guarded, Loose, Memory, Position, Tie, Trace
from .twins import assert_twins, differing, state

ONE = 1 << 32


@event
class Heard:
    n: f4
    what: Text = ""
    who: Entity = 0
    at: Vector[2] = 0


def whole():
    """A world with entities, gaps, references, pairs, texts, pending and kept events."""
    world = World(seed=1)
    people = world.spawn(6, Position(x=np.arange(6)))
    world.spawn(5, Memory(owner=people[[0, 0, 1, 2, 2]], text=list("abcab")))
    world.spawn(2, Friend(other=people[:2]))
    world.spawn(1, Guarded(by=people[3]))
    world.spawn(1, Loose(about=people[5]))
    world.ensure(Tie(source=people[[0, 1, 2]], target=people[[1, 2, 0]]))
    world.despawn(people[[4, 5]])
    world.add(people[:1], Asleep)
    world.keep(Heard)
    world.emit(Heard(n=[1, 2], what=["x", "y"]))
    world.step(1)
    world.emit(Heard(n=[3, 4, 5], what="z", who=people[0]))
    return world


def image():
    return capture(whole())


def with_table(image, component, **changed):
    """The image with one table changed: the one with most rows that has a component."""
    tables = list(image.tables)
    having = [k for k, t in enumerate(tables) if component in t.components]
    at = max(having, key=lambda k: tables[k].n)
    new = {name: c(tables[at]) if callable(c) else c for name, c in changed.items()}
    if "columns" in new:
        new["columns"] = {**tables[at].columns, **new["columns"]}
    tables[at] = replace(tables[at], **new)
    return replace(image, tables=tuple(tables))


def put(column, at, value):
    """A copy of a column with one value changed."""
    column = np.array(column)
    column[at] = value
    return column


def columns(made, change):
    return lambda held: {made: change(held.columns[made])}


def test_the_image_itself_is_good():
    """What the tests below damage makes a world that passes every check."""
    world = whole()
    other = restore(capture(world))
    other.check()
    assert_twins(world, other)


# -- entities ------------------------------------------------------------------------------------

IDS = {
    "twice in a table": lambda t: put(t.ids, 1, t.ids[0]),
    "twice, the first row": lambda t: put(t.ids, 0, t.ids[2]),
    "beyond the slots": lambda t: put(t.ids, 0, ONE + 99),
    "far beyond": lambda t: put(t.ids, 0, ONE + 0xFFFF_FFFF),
    "of a later generation": lambda t: put(t.ids, 1, t.ids[1] + np.uint64(ONE)),
    "of an earlier generation": lambda t: put(t.ids, 1, t.ids[1] - np.uint64(ONE)),
    "nobody": lambda t: put(t.ids, 0, 0),
    "of a free slot": lambda t: put(t.ids, 0, 2 * ONE + 4),
    "too few": lambda t: t.ids[:-1],
    "too many": lambda t: np.append(t.ids, ONE + 4),
    "signed": lambda t: t.ids.astype(np.int64),
    "narrow": lambda t: t.ids.astype(np.uint32),
    "other bytes": lambda t: t.ids.astype(">u8"),
    "two-dimensional": lambda t: t.ids.reshape(-1, 1),
    "none at all": lambda t: t.ids[:0],
}


@pytest.mark.parametrize("ids", IDS.values(), ids=IDS)
def test_ids(ids):
    """An id that is there twice, of no slot, of another generation, or not an id column."""
    good = image()
    with pytest.raises(InvariantError):
        restore(with_table(good, Position, ids=ids))


@pytest.mark.parametrize("row", [0, 1])
def test_an_id_in_two_tables(row):
    """Also where both hold it in the same row."""
    good = image()
    (held,) = (t for t in good.tables if Friend in t.components)
    damaged = with_table(good, Memory, ids=lambda t: put(t.ids, row, held.ids[row]))
    with pytest.raises(InvariantError):
        restore(damaged)


def test_a_row_less():
    """A slot without a row is free: an image does not say otherwise which ones are."""
    good = image()
    shorter = with_table(
        good,
        Loose,
        n=lambda t: t.n - 1,
        ids=lambda t: t.ids[:-1],
        columns=lambda t: {k: c[:-1] for k, c in t.columns.items()},
    )
    world = restore(shorter)
    world.check()
    assert len(world) == len(whole()) - 1


GENERATIONS = {
    "too few": lambda g: g[:3],
    "none": lambda g: g[:0],
    "one is later": lambda g: put(g, 1, 2),
    "one is retired": lambda g: put(g, 1, 0),
}


@pytest.mark.parametrize("generations", GENERATIONS.values(), ids=GENERATIONS)
def test_generations(generations):
    """Slots that do not fit the ids of the rows."""
    good = image()
    with pytest.raises(InvariantError):
        restore(replace(good, generations=generations(good.generations)))


def test_no_entity_has_generation_0():
    """A row cannot live in a slot that has used all its generations, nor be called NOBODY."""
    good = image()
    for index in (0, 1):
        (held,) = (t for t in good.tables if index + ONE in t.ids)
        (row,) = np.flatnonzero(held.ids == index + ONE)
        tables = tuple(
            replace(t, ids=put(t.ids, row, index)) if t is held else t for t in good.tables
        )
        damaged = replace(good, tables=tables, generations=put(good.generations, index, 0))
        with pytest.raises(InvariantError):
            restore(damaged)


# -- tables --------------------------------------------------------------------------------------

COLUMNS = {
    "wider": lambda c: c.astype(np.float64),
    "an integer": lambda c: c.view(np.int32),
    "other bytes": lambda c: c.astype(">f4"),
    "shorter": lambda c: c[:-1],
    "longer": lambda c: np.append(c, c),
    "a vector": lambda c: np.stack([c, c], axis=1),
    "one value": lambda c: c[0],
}


@pytest.mark.parametrize("change", COLUMNS.values(), ids=COLUMNS)
def test_columns(change):
    """A column of another dtype, length or number of dimensions."""
    damaged = with_table(image(), Position, columns=columns(Position.x, change))
    with pytest.raises(InvariantError):
        restore(damaged)


@pytest.mark.parametrize("width", [0, 3, 5])
def test_vectors_of_another_width(width):
    """A vector column has its field's width."""
    damaged = with_table(
        image(), Memory, columns=lambda t: {Memory.vector: np.zeros((t.n, width), np.float32)}
    )
    with pytest.raises(InvariantError):
        restore(damaged)


def test_a_derived_column_is_not_read():
    """Caches are filled anew, whatever an image says of them."""
    damaged = with_table(image(), Memory, columns={Trace.strength: "nonsense"})
    assert not restore(damaged).query(Trace).gather(Trace.strength).any()


def test_a_column_is_missing():
    """Every persisted field has its column."""
    good = image()
    for made in (Position.x, Memory.text):
        tables = tuple(
            replace(t, columns={k: c for k, c in t.columns.items() if k is not made})
            for t in good.tables
        )
        with pytest.raises(PopulaceError):
            restore(replace(good, tables=tables))


@pytest.mark.parametrize("numbers", [(0, 0), (1, 1), (-1, 0), (1, 2), (99, 0)])
def test_table_numbers(numbers):
    """Tables are numbered 0, 1, 2, ..., each once."""
    good = image()
    first, second, *others = good.tables
    damaged = (
        replace(first, number=numbers[0]),
        replace(second, number=numbers[1]),
        *others,
    )
    with pytest.raises(InvariantError):
        restore(replace(good, tables=damaged))


def test_table_numbers_may_be_in_any_order():
    """A table that changed hands has the number of another archetype's."""
    good = image()
    n = len(good.tables)
    turned = tuple(replace(t, number=n - 1 - t.number) for t in good.tables)
    world = restore(replace(good, tables=turned))
    world.check()
    assert world.digest() == whole().digest()


def test_two_tables_of_the_same_components():
    """An archetype has one table, in whatever order its components are named."""
    good = image()
    (held,) = (t for t in good.tables if Memory in t.components and t.n)
    more = replace(
        held,
        components=held.components[::-1],
        number=len(good.tables),
        n=0,
        ids=held.ids[:0],
        columns={k: c[:0] for k, c in held.columns.items()},
    )
    with pytest.raises(InvariantError):
        restore(replace(good, tables=(*good.tables, more)))


def test_a_required_component_is_missing():
    """Entities of a component that requires another have both."""
    good = image()
    tables = tuple(
        replace(t, components=tuple(c for c in t.components if c is not Trace)) for t in good.tables
    )
    with pytest.raises((InvariantError, ComponentDefinitionError), match="requires Trace"):
        restore(replace(good, tables=tables))


def test_an_event_among_the_components():
    """Tables hold components."""
    good = image()
    with pytest.raises(QueryError):
        restore(replace(good, components=(*good.components, Heard)))
    with pytest.raises(UnknownComponentError):
        restore(replace(good, components=(*good.components, int)))


# -- references, pairs, texts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [4 + ONE, 4 + 2 * ONE, 5 + ONE, ONE + 99, 1 + 2 * ONE, 1, 2**64 - 1]
)
@pytest.mark.parametrize("made", [Memory.owner, Friend.other, Guarded.by, Tie.source, Tie.target])
def test_references_to_nobody_alive(made, value):
    """An indexed reference names the living: not the dead, the unborn or the never known."""
    damaged = with_table(
        image(), made.component, columns=columns(made, lambda c: put(c, 0, np.uint64(value)))
    )
    with pytest.raises(InvariantError, match=str(made)):
        restore(damaged)


def test_references_to_nobody():
    """NOBODY is a value of a reference, but no end of an edge."""
    for made in (Memory.owner, Friend.other, Guarded.by):
        damaged = with_table(image(), made.component, columns=columns(made, lambda c: c * 0))
        restore(damaged).check()
    for made in (Tie.source, Tie.target):
        damaged = with_table(image(), Tie, columns=columns(made, lambda c: put(c, 1, 0)))
        with pytest.raises(InvariantError, match=str(made)):
            restore(damaged)


def test_a_pair_twice():
    """Pairs are unique, within a table and over tables."""
    good = image()
    (held,) = (t for t in good.tables if Tie in t.components and t.n)
    ends = {Tie.source: held.columns[Tie.source], Tie.target: held.columns[Tie.target]}
    damaged = with_table(good, Tie, columns={k: put(c, 2, c[0]) for k, c in ends.items()})
    with pytest.raises(InvariantError, match="pair of Tie"):
        restore(damaged)
    world = whole()
    world.add(world.query(Tie).ids()[:1], Asleep)
    good = capture(world)
    (one,) = (t for t in good.tables if Tie in t.components and t.n == 1)
    damaged = with_table(
        good, Tie, columns=lambda t: {k: put(t.columns[k], 1, one.columns[k][0]) for k in ends}
    )
    with pytest.raises(InvariantError, match="pair of Tie"):
        restore(damaged)


@pytest.mark.parametrize("code", [99, 2**32 - 1])
def test_text_codes(code):
    """A text column holds codes of strings that are there."""
    damaged = with_table(image(), Memory, columns=columns(Memory.text, lambda c: put(c, 3, code)))
    with pytest.raises(InvariantError, match="text code"):
        restore(damaged)


def test_texts_too_few():
    """The pool of an image holds every string that its columns name."""
    good = image()
    with pytest.raises(InvariantError, match="text code"):
        restore(replace(good, texts=list(good.texts)[:2]))


@pytest.mark.parametrize("texts", [[], ["a"], ["", "a", "a"], ["", ""]])
def test_a_pool_that_is_none(texts):
    """A pool begins with '' and holds each string once."""
    with pytest.raises(ColumnValueError):
        restore(replace(image(), texts=texts))


# -- events ----------------------------------------------------------------------------------------

QUEUES = {
    "a column is shorter": lambda n, c: (n, {**c, "n": c["n"][:-1]}),
    "a column is longer": lambda n, c: (n, {**c, "n": np.append(c["n"], c["n"])}),
    "fewer events than rows": lambda n, c: (n - 1, c),
    "another dtype": lambda n, c: (n, {**c, "n": c["n"].astype(np.float64)}),
    "another width": lambda n, c: (n, {**c, "at": c["at"][:, :1]}),
    "a column is missing": lambda n, c: (n, {k: v for k, v in c.items() if k != "what"}),
    "an unknown text": lambda n, c: (n, {**c, "what": put(c["what"], 0, 99)}),
}


@pytest.mark.parametrize("change", QUEUES.values(), ids=QUEUES)
def test_pending_events(change):
    """A batch of events has a column of the right dtype and length for each field."""
    good = image()
    (queue,) = good.queues
    first, n, held = queue.batches[-1]
    damaged = replace(queue, batches=(*queue.batches[:-1], (first, *change(n, held))))
    with pytest.raises(PopulaceError):
        restore(replace(good, queues=(damaged,)))


@pytest.mark.parametrize("change", [{"next": 3}, {"next": 99}, {"before_step": 99}])
def test_numbers_of_events(change):
    """The next number of a queue is the one after its last event."""
    good = image()
    (queue,) = good.queues
    with pytest.raises(PopulaceError):
        restore(replace(good, queues=(replace(queue, **change),)))


def test_batches_that_overlap():
    """Events are numbered one after the other."""
    good = image()
    (queue,) = good.queues
    with pytest.raises(PopulaceError):
        restore(replace(good, queues=(replace(queue, batches=queue.batches * 2),)))


JOURNALS = {
    "more events than rows": lambda j: replace(j, n=j.n + 1),
    "fewer events than rows": lambda j: replace(j, n=j.n - 1),
    "one value for all": lambda j: replace(j, columns={k: c[:1] for k, c in j.columns.items()}),
    "another dtype": lambda j: replace(
        j, columns={**j.columns, "n": j.columns["n"].astype(np.float64)}
    ),
    "a column is missing": lambda j: replace(j, columns={"n": j.columns["n"]}),
    "an unknown text": lambda j: replace(
        j, columns={**j.columns, "what": put(j.columns["what"], 0, 99)}
    ),
    "read ahead of what there is": lambda j: replace(j, cursor=99),
}


@pytest.mark.parametrize("change", JOURNALS.values(), ids=JOURNALS)
def test_kept_events(change):
    """A journal has a column of the right dtype and length for each field, and has taken up no
    more than there was."""
    good = image()
    (journal,) = good.journals
    with pytest.raises(PopulaceError):
        restore(replace(good, journals=(change(journal),)))


def test_a_journal_twice():
    """The events of a class are kept once."""
    good = image()
    with pytest.raises(PopulaceError):
        restore(replace(good, journals=good.journals * 2))


# -- anything --------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from([0, 1, 4, ONE, ONE + 1, ONE + 4, 2 * ONE + 4, ONE + 6, ONE + 17, ONE + 18]),
    st.integers(0, 20).map(lambda k: k + ONE),
    st.integers(0, 2**64 - 1),
)
REFERENCES = [Memory.owner, Friend.other, Guarded.by, Tie.source, Tie.target, Loose.about]


@given(data=st.data(), n=st.integers(1, 3))
@examples(max_examples=150)
def test_any_wrong_number(data, n):
    """Whatever numbers an image holds in its ids, references, codes and generations: either it
    raises, or the world that it makes passes every check and is the one that the image shows."""
    damaged = image()
    for _ in range(n):
        what = data.draw(st.sampled_from(["ids", "generations", "text", *REFERENCES]))
        value = data.draw(VALUES)
        if what == "generations":
            at = data.draw(st.integers(0, damaged.generations.size - 1))
            damaged = replace(
                damaged, generations=put(damaged.generations, at, value & 0xFFFF_FFFF)
            )
            continue
        made = Memory.text if what == "text" else what
        cls = (
            data.draw(st.sampled_from([Position, Memory, Tie])) if what == "ids" else made.component
        )
        value = np.uint64(value) if what != "text" else np.uint32(value & 0xF)
        row = data.draw(st.integers(0, 20))
        if what == "ids":
            damaged = with_table(damaged, cls, ids=lambda t, r=row, v=value: put(t.ids, r % t.n, v))
        else:
            change = columns(made, lambda c, r=row, v=value: put(c, r % len(c), v))
            damaged = with_table(damaged, cls, columns=change)
    try:
        world = restore(damaged)
    except PopulaceError:
        return
    world.check()
    assert not world.alive([0, 1, 2, 3]).any()
    shown = capture(world)
    for mine, theirs in zip(shown.tables, damaged.tables, strict=True):
        assert mine.ids.tolist() == theirs.ids.tolist()
        for key, column in mine.columns.items():
            assert key.derived or np.array_equal(column, theirs.columns[key])
    world.spawn(30, Position(x=0))
    world.check()


def test_a_refused_image_is_as_it_was():
    """A failed restore writes nothing into the image, nor into the world that it shows."""
    world = whole()
    before = state(world)
    with pytest.raises(InvariantError):
        restore(with_table(capture(world), Friend, columns=columns(Friend.other, lambda c: c + 99)))
    assert differing(state(world), before) == []
