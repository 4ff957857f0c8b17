"""What notebooks show: valid HTML of bounded size, whatever is in a world or what it is called."""

import math
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace import (
    Emit,
    Entity,
    Events,
    Read,
    Text,
    Vector,
    World,
    Write,
    component,
    days,
    event,
    f4,
    field,
    i8,
    seconds,
    setting,
    settings,
    system,
)
from populace.ecs import html
from populace.ecs.entities import LAST_GENERATION

from .pages import Page, shown
from .parts import Asleep, Hungry, Kind, Memory, Position, Trace, Velocity

EVIL = "<script>alert('x')</script> & \"quotes\" $x^2$ \x00\x1b[31m\ud800\u202e"
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters()), st.binary()
)


@settings
class Thirst:
    rate: float = setting(259_200.0, range=(0, 1e9), unit="1/h", doc=f"of drying out {EVIL}")
    kind: Kind = setting(Kind.CHAT, doc="which")
    name: str = setting(EVIL, doc="a name")


@event
class Shout:
    who: Entity


@component
class Dated:
    born: i8 = field(0, unit="us since 1970")
    big: Vector[300] = 0
    note: Text = ""


def village(n=3):
    """A world with everything in it that can be shown."""
    world = World(seed=5)
    people = world.spawn(n, Position(x=np.arange(n)), Asleep)
    world.spawn(1, Position(x=math.pi), Velocity)
    world.spawn(n, Memory(owner=people, kind="chat", text=EVIL), Trace)
    world.spawn(2, Dated(born=[days(1), 2**63 - 1], note=["x" * 10_000, ""]))
    world.insert(Thirst())
    world.keep(Shout)

    @system
    def walk(position: Write[Position]):
        position.x += 1

    @system(every=seconds(60))
    def shout(position: Read[Position], asleep: Read[Asleep], emit: Emit[Shout]):
        emit(Shout(who=people[0]))

    @system
    def everything(world: World, heard: Events[Shout]):
        pass

    world.add_systems(walk, shout, everything)
    return world, people


# -- the renderer --------------------------------------------------------------------------------


@given(
    st.text(st.characters()),
    st.lists(st.tuples(st.text(st.characters()), VALUES, VALUES), max_size=8),
    st.integers(0, 10**12),
)
def test_any_values_make_a_valid_page(title, rows, more):
    """Texts of any characters, numbers of any size: the page is well formed and says no markup."""
    body = html.table([title, (title, title), "c"], rows, more)
    page = Page(html.page(title, html.section(title, body), html.note(title)))
    assert len(page.rows) == 1 + len(rows)
    assert all(len(row) == 3 for row in page.rows)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), max_size=html.LONGEST))
def test_a_short_text_is_shown_as_it_is(text):
    """Escaping loses nothing."""
    assert Page(html.page(text)).text == text


def test_long_texts_are_cut():
    """A cell has a greatest length, and says that there is more."""
    (_, (cell,)) = Page(html.page("", html.table(["a"], [["y" * 10_000]]))).rows
    assert cell == "y" * html.LONGEST + "…"


def test_many_columns_are_counted():
    """No table is wider than `MOST_COLUMNS`; the others are counted."""
    page = Page(html.page("", html.table([str(k) for k in range(1_000)], [range(1_000)], 7)))
    assert [len(row) for row in page.rows] == [html.MOST_COLUMNS] * 2
    assert "… 7 more, … 968 more columns" in page.text


def test_numbers_stand_right():
    """A column of numbers is aligned right, one with a text in it left."""
    body = html.table(["n", "x"], [[1, "a"], [None, 2]])
    assert body.count("text-align: right") == 3
    assert body.count("text-align: left") == 3


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "1"), (1 / 3, "0.333333"), (math.nan, "nan"), (-math.inf, "-inf"), (1e300, "1e+300"),
     (None, "–"), (True, "True"), (2**70, str(2**70)), ("a<b", "a&lt;b")],
)  # fmt: skip
def test_plain(value, said):
    """A value as a reader wants it."""
    assert html.plain(value) == said


# -- what is shown -------------------------------------------------------------------------------


def test_a_world():
    """Its tables with components, rows and bytes; resources, clock, kept events and systems."""
    world, _ = village()
    world.step(seconds(90))
    page = shown(world)
    assert page.titles[0].startswith("World, seed 5: 9 entities in ")
    assert "tick 1, clock at 1970-01-01 00:01:30 (90 s)" in page.text
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["Position + Asleep"][0] == "3"
    assert rows["Position + Asleep"][1].endswith("kB")
    assert rows["Asleep"][0] == "a tag"
    assert "rate=259200" in rows["Thirst"][0]
    assert "now=90000000" in rows["Clock"][0]
    assert rows["Shout"] == ["1"]
    assert rows["walk"][:2] == ["1", "4"]


def test_systems_that_have_not_run():
    """They are shown with the others."""
    world, _ = village()
    assert ["everything", "0", "0", "–", "–"] in shown(world).rows


def test_a_table():
    """Columns with types, units and bytes, then the first rows."""
    world, people = village(30)
    table = world.query(Position, Asleep).tables()[0]
    page = shown(table)
    assert page.titles[0].startswith("Table of Position + Asleep: 30 rows, room for ")
    assert [str(people[0]), "0", "0"] in page.rows
    assert "… 20 more" in page.text
    assert shown(table.archetype).text == page.text


def test_a_query():
    """What it asks for, the tables that match, how many rows, and the first of them."""
    world, people = village()
    page = shown(world.query(Position, without=Hungry, optional=Velocity))
    assert (
        page.titles[0] == "Query(Position; without Hungry; optional Velocity): 4 rows in 2 tables"
    )
    assert ["Position + Asleep", "3"] in page.rows
    assert [str(people[2]), "2", "0", "–", "–"] in page.rows
    bare = shown(world.query(with_=Asleep, any=(Position, Trace)))
    assert bare.titles[0] == "Query(with Asleep; any of Position, Trace): 3 rows in 1 tables"
    assert [str(people[0])] in bare.rows
    assert repr(world.query(Position)) == "<Query(Position): 4 rows>"


def test_values():
    """Text is decoded, an enum named, a date a date, a vector begun."""
    world, people = village()
    (_, first, *_) = shown(world.query(Memory)).rows[2:]
    assert first[1:3] == [str(people[0]), "chat"]
    assert first[3].startswith("<script>alert('x')</script> & \"quotes\" $x^2$ \ufffd")
    assert first[4] == "[0, 0, 0, 0]"
    rows = shown(world.query(Dated)).rows
    assert rows[-2][1:3] == ["1970-01-02 00:00:00", "[0, 0, 0, 0, …]"]
    assert rows[-1][1] == str(2**63 - 1)


def test_formulas_are_not_typeset():
    """A notebook leaves `$...$` in a memory alone."""
    assert '<div class="tex2jax_ignore mathjax_ignore"' in village()[0]._repr_html_()


def test_an_entity():
    """Each value with its unit; a dead one is said to be dead."""
    world, people = village()
    page = shown(world.entity(world.spawn(1, Velocity(x=2), Asleep)[0]))
    assert ["Velocity", "x", "2", "m/s", ""] in page.rows
    assert ["Asleep", "", "", "", "a tag"] in page.rows
    row = world.entity(people[1])
    world.despawn(people[1])
    assert "despawned" in shown(row).text or "dead" in shown(row).text


def test_a_view():
    """The first rows of one component; a stale one says that it is."""
    world, people = village()
    view = next(iter(world.query(Position)))
    assert [str(people[1]), "1", "0"] in shown(view).rows
    world.despawn(people[1])
    assert "stale" in shown(view).text


def test_telemetry():
    """Steps, times and counts."""
    world, _ = village()
    world.step(1)
    world.telemetry.count(EVIL, 12_345)
    page = shown(world.telemetry)
    assert page.titles[0].startswith("Telemetry: 1 steps, ")
    assert page.rows[-1][1] == "12,345"


def test_a_schedule():
    """Stages, what each system touches, and when it runs."""
    world, _ = village()
    rows = shown(world.schedule).rows
    assert ["1", "walk", "-", "Position", "every step"] in rows
    assert ["2", "shout", "Asleep, Position", "Shout", "every 60 s"] in rows
    assert ["3", "everything", "the whole World", "the whole World", "every step"] in rows


def test_settings():
    """Name, value, range, unit and meaning of each; escaped like anything else."""
    page = shown(Thirst())
    assert page.titles == ["Thirst"]
    assert page.rows[1][:4] == ["rate", "259200", "0 to 1e+09", "1/h"]
    assert page.rows[2] == ["kind", "CHAT", "", "", "which"]
    assert page.rows[3][1].startswith("<script>")


# -- odd worlds ----------------------------------------------------------------------------------


def test_an_empty_world():
    """Nothing yet, nothing wrong."""
    world = World()
    for thing in (world, world.telemetry, world.schedule, world.query(Position)):
        shown(thing)
    assert shown(world).titles[0] == "World, seed 0: 0 entities in 0 tables, 1.0 kB without texts"


def test_empty_tables():
    """A table whose rows are gone, an entity without components, a query that matches nobody."""
    world, _ = village()
    bare = world.spawn(1)
    world.query(Position).despawn()
    for archetype in world.store.archetypes:
        shown(archetype.table)
    shown(world.query(Position))
    assert shown(world.entity(bare[0])).titles == [f"Entity {bare[0]}: (no component)"]


def test_clocks_beyond_the_calendar():
    """A clock before 1970, or after all years that have a name."""
    world = World()
    for now in (-1, -(2**63), 2**63 - 1):
        world.clock.now = now
        shown(world)


def test_retired_slots():
    """A world whose slots are used up."""
    world = World()
    (entity,) = world.spawn(1, Position(x=1))
    slots = world.store.entities.slots
    index = int(entity) & 0xFFFF_FFFF
    row = slots[index, 0] & np.uint64(0xFFFF_FFFF)
    slots[index, 0] = np.uint64(LAST_GENERATION) << np.uint64(32) | row
    world.store.tables[0].buffers[0][0] = np.uint64(LAST_GENERATION) << np.uint64(32) | index
    shown(world)
    world.query(Position).despawn()
    assert shown(world).titles[0].startswith("World, seed 0: 0 entities")


def test_an_order_that_cannot_be_met():
    """A schedule that waits for a system of that name shows what there is, and what is wrong."""
    world = World()

    @system(after="nobody")
    def waits(position: Read[Position]):
        pass

    world.add_system(waits)
    page = shown(world.schedule)
    assert "nobody" in page.text
    assert "waits" in page.text
    shown(world)


def test_values_that_no_member_has():
    """Codes that a raw write left behind are shown as numbers."""
    world, _ = village()
    for memory in world.query(Memory):
        memory.kind[:] = 99
        memory.text[:] = 99_999
    page = shown(world.query(Memory))
    assert "99" in page.rows[-1]
    assert "(text 99999)" in page.rows[-1]


def test_inside_a_system():
    """A system may look, whether it has the world for itself or shares it."""
    world, _ = village()
    seen = []

    @system
    def look(position: Read[Position]):
        seen.append(shown(world))

    @system
    def look_alone(world: World):
        seen.append(shown(world.query(Position)))

    world.add_systems(look, look_alone)
    world.step(1)
    assert len(seen) >= 2


def test_beside_a_running_world():
    """Another thread sees columns of one moment, and disturbs nothing."""
    world, _ = village()
    stop = threading.Event()
    wrong = []

    def look():
        try:
            while not stop.is_set():
                shown(world)
                shown(world.query(Position, Asleep))
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    for _ in range(50):
        world.step(1)
        world.despawn(world.spawn(100, Position(x=1), Asleep))
    stop.set()
    thread.join()
    assert wrong == []
    assert len(world) == 9


def test_looking_is_no_handing_out():
    """What is shown counts as neither written nor changed."""
    world, _ = village()
    tables = world.query(Position).tables()
    for table in tables:
        table.look()
    before = world.digest()
    for thing in (world, world.query(Position), tables[0]):
        shown(thing)
    assert not any(any(table.look()) for table in tables)
    assert world.digest() == before


def test_the_cost_does_not_follow_the_rows():
    """A million rows are shown in less memory than a tenth of one of their columns."""
    world = World()
    world.spawn(1_000_000, Position(x=np.arange(1_000_000)))
    (table,) = world.query(Position).tables()
    for thing in (world, table, world.query(Position)):
        tracemalloc.start()
        try:
            shown(thing)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 400_000


def test_the_size_does_not_follow_the_archetypes():
    """A thousand tables, systems and components still make one page."""
    world = World()
    made = []
    for number in range(300):
        made.append(component(type(f"Part{number}", (), {"__annotations__": {"x": f4}, "x": 0})))
        world.spawn(1, made[-1])

        @system
        def work(position: Read[Position]):
            pass

        world.add_system(work, name=f"work {number}")
    for thing in (world, world.schedule, world.query(any=tuple(made)), world.telemetry):
        shown(thing)
    assert "… 280 more" in shown(world).text
    wide = world.spawn(1, *made)
    shown(world.entity(wide[0]))
    shown(world.query(*made))
