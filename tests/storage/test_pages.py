"""Pages of a view: every row once, whatever comes and goes between two pages."""

import base64
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from populace.ecs.errors import SqlError
from populace.storage.pages import MOST, ORDERS, page

from .village import Kind, Note, Starred, Talk, Weight, asked, still, village


def turn(database, view, limit, **wanted):
    """All pages of a list, as rows."""
    rows, after = [], None
    for _ in range(1000):
        found = page(database, view, limit=limit, after=after, **wanted)
        assert len(found.rows) <= limit
        assert found.next is None or len(found.rows) == limit
        rows += found.rows
        after = found.next
        if after is None:
            return rows
    raise AssertionError("the pages have no end")


@settings(max_examples=30)
@given(
    order=st.sampled_from(["newest", "oldest", "important", "key", "strongest", "weakest", None]),
    limit=st.integers(1, 25),
    agent=st.sampled_from([None, 10, 12]),
    kind=st.sampled_from([None, "event", "chat"]),
    importance=st.sampled_from([None, 0.0, 0.5, 1.0]),
    since=st.sampled_from([None, 2 * 10**9, datetime(1970, 1, 1, 1)]),
    until=st.sampled_from([None, 6 * 10**9]),
    contains=st.sampled_from([None, "TEXT", "xt 3", "%"]),
    frozen=st.booleans(),
)
def test_pages_are_the_sorted_list(
    order, limit, agent, kind, importance, since, until, contains, frozen
):
    """Pages, one after the other, are the rows that pass the filters, in order, each once."""
    world, _ = village()
    for weight in world.query(Weight):
        weight.value[:] = np.arange(len(weight)) % 3
    whole = asked(world)
    rows = whole.ask("SELECT * FROM notes").rows()
    whole.close()
    if frozen:
        rows = [{**row, "strength": None} for row in rows]
    column, descending = ORDERS[order or "newest"]
    column = {"(since)": "created", "": None}.get(column, column)
    at = [datetime(1970, 1, 1) + np.timedelta64(since, "us").item() if isinstance(since, int)
          else since, None if until is None else datetime(1970, 1, 1, 1, 40)]  # fmt: skip
    expected = [
        row
        for row in rows
        if (agent is None or row["person"] == agent)
        and (kind is None or row["kind"] == kind)
        and (importance is None or row["importance"] >= importance)
        and (at[0] is None or row["created"] >= at[0])
        and (at[1] is None or row["created"] < at[1])
        and (contains is None or contains.lower() in row["text"].lower())
    ]
    expected.sort(key=lambda row: row["entity"], reverse=descending)
    if column is not None:
        there = [row for row in expected if row[column] is not None]
        there.sort(key=lambda row: row[column], reverse=descending)
        expected = there + [row for row in expected if row[column] is None]
    database = asked(still(world) if frozen else world)
    found = turn(
        database, "notes", limit, order=order, agent=agent, kind=kind,
        importance_at_least=importance, since=since, until=until, contains=contains,
    )  # fmt: skip
    database.close()
    assert found == expected


class Turning(RuleBasedStateMachine):
    """Somebody turns the pages while rows come, go, and move to other tables."""

    order = "newest"

    def __init__(self):
        super().__init__()
        self.world, self.people = village(n_notes=20)
        self.database = asked(self.world)
        self.seen = []
        self.after = None
        self.ended = False
        self.always = set(self.world.query(Note).ids().tolist())

    @precondition(lambda self: not self.ended)
    @rule(limit=st.integers(1, 4))
    def turn(self, limit):
        found = page(
            self.database, "notes", limit=limit, after=self.after, order=self.order,
            columns=["entity", "created", "importance"],
        )  # fmt: skip
        self.seen += [row["entity"] for row in found.rows]
        self.after, self.ended = found.next, found.next is None

    @rule(n=st.integers(1, 5), created=st.integers(0, 10), importance=st.integers(0, 4))
    def come(self, n, created, importance):
        self.world.spawn(
            n,
            Note(
                owner=self.people[0], place=np.arange(n), created=created * 10**9,
                importance=importance / 4,
            ),
        )  # fmt: skip

    @rule(seed=st.integers(0, 99))
    def go(self, seed):
        ids = self.world.query(Note).ids()
        gone = ids[np.random.default_rng(seed).random(ids.size) < 0.15]
        self.world.despawn(gone)
        self.always -= set(gone.tolist())

    @rule(seed=st.integers(0, 99))
    def move(self, seed):
        ids = self.world.query(Note, without=Starred).ids()
        self.world.add(ids[np.random.default_rng(seed).random(ids.size) < 0.3], Starred)
        self.world.cluster(Note.owner)

    @invariant()
    def each_row_once(self):
        assert len(self.seen) == len(set(self.seen))
        if self.ended:
            assert self.always <= set(self.seen)

    def teardown(self):
        while not self.ended:
            self.turn(limit=3)
        self.each_row_once()
        self.database.close()


class TurningImportant(Turning):
    order = "important"


TestTurning = Turning.TestCase
TestTurning.settings = settings(max_examples=25, stateful_step_count=20)
TestTurningImportant = TurningImportant.TestCase
TestTurningImportant.settings = settings(max_examples=25, stateful_step_count=20)


@pytest.fixture
def town():
    world, people = village()
    database = asked(world)
    yield world, people, database
    database.close()


def test_a_log_is_paged_by_its_rows(town):
    """Events are numbered in their log, so that those of one moment have an order too."""
    world, people, database = town
    newest = [row["row"] for row in turn(database, "talks", 3)]
    assert newest == list(range(13, -1, -1))
    first = page(database, "talks", limit=5)
    world.emit(Talk(source=people[0], target=people[1], time=world.clock.now))
    world.step(1)
    rest = page(database, "talks", limit=50, after=first.next)
    assert [row["row"] for row in first.rows + rest.rows] == newest
    own = turn(database, "talks", 2, agent=11, columns=["source", "row"])
    assert {row["source"] for row in own} == {11}
    image = asked(still(world))
    assert [row["row"] for row in turn(image, "talks", 4)] == [14, *newest]
    image.close()


def test_views_without_a_time_go_by_their_key(town):
    """People have no time; their pages follow their ids."""
    _, people, database = town
    assert [row["entity"] for row in turn(database, "people", 2)] == people.tolist()


def test_columns_are_those_asked_for(town):
    """A page has the columns that are named, in that order, or all."""
    _, _, database = town
    assert list(page(database, "notes", columns=["text", "person"]).rows[0]) == ["text", "person"]
    assert list(page(database, "notes").rows[0]) == list(database.views["notes"])


def test_a_cursor_survives_a_url(town):
    """It has letters, digits, - and _ alone."""
    _, _, database = town
    cursor = page(database, "notes", limit=1, contains="text").next
    assert set(cursor) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(data=st.data())
def test_a_damaged_cursor_is_refused(data):
    """Whatever is done to a cursor, it is refused, or it is the same place."""
    cursor = CURSOR
    kind = data.draw(st.sampled_from(["flip", "cut", "any", "bytes"]))
    if kind == "flip":
        at = data.draw(st.integers(0, len(cursor) - 1))
        letter = data.draw(st.sampled_from("abcXYZ019-_=%ä"))
        cursor = cursor[:at] + letter + cursor[at + 1 :]
    elif kind == "cut":
        cursor = cursor[: data.draw(st.integers(0, len(cursor) - 1))]
    elif kind == "any":
        cursor = data.draw(st.text(max_size=40))
    else:
        cursor = base64.urlsafe_b64encode(data.draw(st.binary(max_size=60))).decode()
    try:
        found = page(DATABASE, "notes", limit=3, after=cursor).rows
    except SqlError:
        return
    assert found == page(DATABASE, "notes", limit=3, after=CURSOR).rows


WORLD, _ = village()
DATABASE = asked(WORLD)
CURSOR = page(DATABASE, "notes", limit=3).next


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"view": "clock"}, "no pages of 'clock'"),
        ({"view": "nothing"}, "no pages of 'nothing'"),
        ({"limit": 0}, "1 to 1,000"),
        ({"limit": MOST + 1}, "1 to 1,000"),
        ({"limit": True}, "True"),
        ({"order": "best"}, "newest"),
        ({"order": "newest", "view": "people"}, "no time"),
        ({"order": "important", "view": "links"}, "no column 'importance'"),
        ({"view": "people", "agent": 10}, "belong to nobody"),
        ({"agent": 99}, "none has 99"),
        ({"kind": "dream"}, "event, thought, chat"),
        ({"kind": "event", "view": "people"}, "no column 'kind'"),
        ({"contains": "x", "view": "people"}, "no column 'text'"),
        ({"importance_at_least": 0.5, "view": "links"}, "no column 'importance'"),
        ({"since": "1970"}, "datetime"),
        ({"since": datetime.fromisoformat("1970-01-01T00:00:00+00:00")}, "zone"),
        ({"until": 5, "view": "links"}, "no time"),
        ({"columns": ["colour"]}, "no column 'colour'"),
        ({"after": CURSOR, "order": "oldest"}, "another view, order or filter"),
        ({"after": CURSOR, "agent": 10}, "another view, order or filter"),
        ({"after": CURSOR, "contains": "x"}, "another view, order or filter"),
        ({"after": CURSOR, "view": "talks"}, "another view, order or filter"),
        ({"after": 7}, "damaged"),
    ],
)
def test_what_makes_no_sense_is_refused(wanted, words):
    """The message says what was wrong, and what there is."""
    view = wanted.pop("view", "notes")
    with pytest.raises(SqlError, match=words):
        page(DATABASE, view, **wanted)


def test_kinds_are_the_members_of_the_enum():
    """The filter takes the names that the view shows."""
    for kind in Kind:
        rows = page(DATABASE, "notes", kind=kind.name.lower(), limit=MOST).rows
        assert {row["kind"] for row in rows} == {kind.name.lower()}
