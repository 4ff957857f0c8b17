"""Frames: what a world holds, as Arrow tables that share its memory."""

import enum
from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.ecs import (
    NOBODY,
    Entity,
    Text,
    Vector,
    World,
    component,
    event,
    f2,
    f4,
    field,
    i8,
    schema,
    seconds,
    u1,
    u4,
)
from populace.ecs.errors import InvariantError, QueryError
from populace.ecs.image import TableImage, capture
from populace.storage.arrays import utf8
from populace.storage.frames import (
    Frames,
    Texts,
    frame,
    held_columns,
    image_of,
    schema_of,
    tables_of,
)
from populace.storage.tables import Log, Table

NEVER = 2**63 - 1
LONG_AGO = -(2**62)


class Mood(enum.IntEnum):
    CALM = 0
    MERRY = 3


@component
class Person:
    number: u4 = field(doc="who")
    name: Text = field(default="", doc="full name")


@component
class Note:
    owner: Entity = field(index=True, on_despawn="despawn", doc="whose")
    place: u4
    created: i8 = field(unit="us since 1970", doc="when")
    weight: f4 = field(default=1.5, unit="kg", range=(0, 9))
    mood: Mood = field(default=Mood.CALM)
    text: Text = field(default="")


@component
class Extra:
    score: f4 = field(default=0.0, unit="1")
    until: i8 = field(default=NEVER, unit="us since 1970")
    about: Entity = field(default=NOBODY, doc="on what")
    state: u1 = field(default=0)
    left: u4 = field(default=7)
    worth: f4 = field(derived=True)


@component
class Starred:
    """Somebody liked it."""


@event
class Said:
    who: Entity = field(doc="who spoke")
    at: i8 = field(unit="us since 1970")
    words: Text = field(default="")


PEOPLE = Table("people", (Person,), order=(Person.number,))
NOTES = Table(
    "notes",
    (Note,),
    (Extra, Starred),
    order=(Note.owner, Note.place),
    rename={Note.owner: "person", Note.mood: "mood"},
    references={Note.owner: Person.number},
    labels={
        "person_name": (Note.owner, Person.name),
        "about_text": (Extra.about, Note.text),
        "about_name": (Extra.about, Note.owner, Person.name),
    },
    codes={Extra.state: lambda image: ("idle", "busy")},
    missing={Extra.left: 7},
    docs={"person_name": "full name of whose it is"},
)
SAID = Log("said", Said, references={Said.who: Person.number})

COLUMNS = [
    "entity", "person", "person_entity", "person_name", "place", "created", "weight", "mood",
    "text", "score", "until", "about_entity", "about_text", "about_name", "state", "left", "worth",
    "starred",
]  # fmt: skip


def written(n=6):
    """Three people with n notes of one each in turn; every second has extras, every third a star,
    and what extras are about is the note before."""
    world = World()
    people = world.spawn(3, Person(number=[10, 11, 12], name=["Ann", "Bo", "Cy"]))
    k = np.arange(n)
    notes = world.spawn(
        Note(
            owner=people[k % 3],
            place=k,
            created=k * seconds(1),
            mood=[Mood.MERRY if i % 2 else Mood.CALM for i in k],
            text=[f"note {i}" for i in k],
        )
    )
    if n > 1:
        extra = notes[1::2]
        world.add(
            extra,
            Extra(score=k[1::2] / 8, about=notes[: n - 1 : 2], until=[5] + [NEVER] * (n // 2 - 1)),
        )
        world.add(notes[::3], Starred)
    return world


def naive_row(world, id):
    """A row of NOTES, looked up one value at a time."""

    def component_of(ref, component):
        there = ref != NOBODY and world.alive([ref])[0] and component in world.entity(ref)
        return world.entity(ref)[component] if there else None

    note, extra = component_of(id, Note), component_of(id, Extra)
    owner = component_of(note.owner, Person)
    about = extra and component_of(extra.about, Note)
    about_owner = about and component_of(about.owner, Person)
    far = not extra or abs(int(extra.until)) >= 2**62
    return {
        "entity": int(id),
        "person": owner and owner.number,
        "person_entity": int(note.owner),
        "person_name": owner and owner.name,
        "place": note.place,
        "created": note.created,
        "weight": note.weight,
        "mood": Mood(note.mood).name.lower(),
        "text": note.text,
        "score": extra and extra.score,
        "until": None if far else extra.until,
        "about_entity": int(extra.about) if extra and extra.about else None,
        "about_text": about and about.text,
        "about_name": about_owner and about_owner.name,
        "state": extra and ["idle", "busy", "2", "3"][extra.state],
        "left": extra.left if extra and extra.left != 7 else None,
        "worth": extra and extra.worth,
        "starred": Starred in world.entity(id),
    }


def rows_of(table):
    """The rows of a frame by entity, times as µs."""
    table.validate(full=True)
    times = [f.name for f in table.schema if pa.types.is_timestamp(f.type)]
    for name in times:
        place = table.column_names.index(name)
        table = table.set_column(place, name, table[name].cast(pa.int64()))
    return {row["entity"]: row for row in table.to_pylist()}


# -- what is in a frame -------------------------------------------------------------------------


def test_columns_stand_in_the_order_of_fields():
    """Own id, then the fields; a reference as what stands for it, its id, and its labels."""
    assert [column.name for column in NOTES.columns] == COLUMNS
    assert frame(capture(written()), NOTES).column_names == COLUMNS
    assert frame(capture(written()), NOTES, ["text", "entity"]).column_names == ["text", "entity"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_frame_says_what_looking_up_each_row_says(data):
    """Whatever has which components, names whom, has died since, or is never: the rows of the plain
    twin, in full and for any choice of rows and columns."""
    world = written(data.draw(st.sampled_from([0, 1, 2, 9])))
    notes = world.query(Note).ids()
    people = world.query(Person).ids()
    everybody = [*notes.tolist(), *people.tolist(), NOBODY]
    for id in world.query(Extra).ids().tolist():
        world.set(
            [id],
            Extra(
                about=data.draw(st.sampled_from(everybody)),
                until=data.draw(st.sampled_from([NEVER, LONG_AGO, 0, -5, 10**15])),
                state=data.draw(st.integers(0, 3)),
                left=data.draw(st.integers(6, 8)),
            ),
        )
    for note in (
        data.draw(st.lists(st.sampled_from(notes.tolist()), unique=True)) if len(notes) else []
    ):
        world.despawn([note])
    if data.draw(st.booleans()):
        world.remove(people[:1], Person)
    if data.draw(st.booleans()):
        world.despawn(people[2:])
    frames = Frames(capture(world))
    want = {int(id): naive_row(world, id) for id in world.query(Note).ids().tolist()}
    whole = frames.frame(NOTES)
    assert rows_of(whole) == want
    assert whole.schema.equals(schema_of(NOTES), check_metadata=True)
    some = data.draw(st.lists(st.sampled_from(COLUMNS[1:]), unique=True))
    wanted, expected = {}, []
    for held in tables_of(frames.image, NOTES):
        rows = data.draw(st.lists(st.integers(0, held.n - 1)))
        wanted[held.number] = np.array(rows, data.draw(st.sampled_from([np.int64, np.uint32])))
        expected += held.ids[rows].tolist()
    chosen = frames.frame(NOTES, ["entity", *some], rows=wanted)
    assert chosen["entity"].to_pylist() == expected
    told = rows_of(chosen)
    assert all(told[id] == {k: want[id][k] for k in ("entity", *some)} for id in expected)


def test_the_schema_is_the_same_whatever_there_is():
    """Without rows, without extras, with one row: types, names and metadata do not change."""
    for world in (World(), written(1), written(9)):
        made = frame(capture(world, whole=False), NOTES)
        assert made.schema.equals(schema_of(NOTES), check_metadata=True)
    assert frame(capture(World()), NOTES).num_rows == 0
    assert schema_of(NOTES, ["weight"]).field(0).metadata == {b"unit": b"kg"}
    assert schema_of(NOTES).field("created").metadata == {b"doc": b"when"}
    assert schema_of(NOTES).field("person_name").metadata[b"doc"] == b"full name of whose it is"


def test_a_column_that_there_is_not_is_refused():
    """The error names the table, the column, what there is, and a near miss."""
    with pytest.raises(QueryError, match=r"'notes' has no column 'persn'.*did you mean 'person'"):
        frame(capture(written()), NOTES, ["text", "persn"])


def test_two_columns_of_one_name_are_refused():
    """Unless one is renamed, a reader could not tell them apart."""
    with pytest.raises(QueryError, match=r"two columns 'text'.*`rename`"):
        _ = Table("t", (Note,), labels={"text": (Note.owner, Person.name)}).columns


def test_missing_derived_fields_are_null():
    """An image of a snapshot has none; `held_columns` leaves them out, a frame has them as null."""
    image = capture(written())
    bare = replace(
        image,
        tables=tuple(
            TableImage(
                t.components,
                t.number,
                t.n,
                t.ids,
                {made: column for made, column in t.columns.items() if not made.derived},
            )
            for t in image.tables
        ),
    )
    assert frame(bare, NOTES, ["worth"])["worth"].null_count == 6
    assert "worth" in {column.name for column in held_columns(image, NOTES)}
    assert "worth" not in {column.name for column in held_columns(bare, NOTES)}
    labelled = Table("t", (Extra,), labels={"worth_of": (Extra.about, Extra.worth)})
    assert frame(bare, labelled, ["worth_of"])["worth_of"].null_count == 3


def test_codes_without_a_name_are_shown_by_number():
    """Names are found in the image; an enum's gaps and raw codes beyond it are numbers too."""
    world = written(3)
    world.set(world.query(Extra).ids(), Extra(state=250))
    for note in world.query(Note):
        note.mood[:] = [1] * len(note)
    made = frame(capture(world), NOTES, ["state", "mood"])
    assert set(made["state"].to_pylist()) == {None, "250"}
    assert set(made["mood"].to_pylist()) == {"1"}
    for note in world.query(Note):
        note.mood[:] = 255
    assert set(frame(capture(world), NOTES, ["mood"])["mood"].to_pylist()) == {"255"}


def test_a_text_code_without_a_text_is_refused():
    """A raw write may leave one: an error, and no engine reads beyond the dictionary."""
    world = written()
    for note in world.query(Note):
        note.text[0] = 1_000_000
    for rows in (None, {t.number: [0] for t in capture(world).tables}):
        with pytest.raises(InvariantError, match="text code 1000000 is unknown"):
            frame(capture(world), NOTES, ["text"], rows=rows)


def test_vectors_and_half_floats():
    """(n, d) columns become fixed-size lists of the same memory; f2, which engines refuse, f4."""

    @component
    class Vec:
        v: Vector[3]
        h: f2 = 0

    world = World()
    world.spawn(Vec(v=np.arange(6).reshape(2, 3), h=[0.5, 2]))
    image = capture(world)
    made = frame(image, Table("t", (Vec,)), ["v", "h"])
    assert made["v"].to_pylist() == [[0, 1, 2], [3, 4, 5]]
    assert made.schema.field("h").type == pa.float32()
    assert made["h"].to_pylist() == [0.5, 2]
    column = image.tables[0].columns[Vec.v]
    assert made["v"].chunk(0).values.buffers()[1].address == column.ctypes.data


# -- what it costs ------------------------------------------------------------------------------


def test_columns_of_numbers_share_the_world_s_memory():
    """Ids, numbers, times, enums and text codes are views: a later write is seen."""
    world = written()
    image = capture(world, whole=False)
    made = frame(image, NOTES)
    for chunk, held in enumerate(tables_of(image, NOTES)):
        shared = {
            "entity": held.ids,
            "person_entity": held.columns[Note.owner],
            "created": held.columns[Note.created],
            "weight": held.columns[Note.weight],
            "mood": held.columns[Note.mood],
            "text": held.columns[Note.text],
        }
        for name, column in shared.items():
            array = made[name].chunk(chunk)
            numbers = array.indices if pa.types.is_dictionary(array.type) else array
            assert numbers.buffers()[1].address == column.ctypes.data
    for note in world.query(Note):
        note.weight += 1
    assert set(made["weight"].to_pylist()) == {2.5}


def test_a_slice_of_rows_copies_nothing():
    """As the whole column, from its first row on."""
    image = capture(written(), whole=False)
    held = tables_of(image, NOTES)[0]
    made = frame(image, NOTES, ["weight"], rows={held.number: slice(1, held.n)})
    assert made.num_rows == held.n - 1
    assert made["weight"].chunk(0).buffers()[1].address == held.columns[Note.weight][1:].ctypes.data


class Watched(dict):
    """Columns that say which of them were read."""

    def __init__(self, columns, read):
        super().__init__(columns)
        self.seen = read

    def get(self, key, default=None):
        self.seen.add(key)
        return super().get(key, default)

    def __getitem__(self, key):
        self.seen.add(key)
        return super().__getitem__(key)


def test_columns_that_are_not_asked_for_are_not_read():
    """Of a snapshot each column is a file: only those of the frame are touched."""
    image, read = capture(written()), set()
    image = replace(
        image,
        tables=tuple(
            TableImage(t.components, t.number, t.n, t.ids, Watched(t.columns, read))
            for t in image.tables
        ),
    )
    frames = Frames(image)
    held_columns(image, NOTES)
    assert frames.n_rows(NOTES) == 6
    assert not read
    frames.frame(NOTES, ["weight", "entity", "starred"])
    assert read == {Note.weight}
    frames.frame(NOTES, ["person"])
    assert read == {Note.weight, Note.owner, Person.number}


# -- texts --------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.text(min_size=1))))
def test_texts_grow_with_their_world(batches):
    """After each batch all texts are there by code; arrays given out before are what they were."""
    texts, strings, given_out = Texts(), [""], []
    for batch in batches:
        strings += batch
        given_out.append((texts.upto(strings), list(strings)))
        assert len(texts) == len(strings)
    for array, want in given_out:
        array.validate(full=True)
        assert array.to_pylist() == want


def test_half_a_surrogate_pair_is_shown_escaped():
    """Python holds it, UTF-8 cannot; the other texts stay as they are."""
    assert utf8(["tea", "a\udc80b", "né"]).to_pylist() == ["tea", "a\\udc80b", "né"]
    assert utf8([]).to_pylist() == []
    world = written(2)
    world.set(world.query(Note).ids()[:1], Note(text="\ud83d"))
    assert "\\ud83d" in frame(capture(world), NOTES, ["text"])["text"].to_pylist()


def test_few_rows_get_a_dictionary_of_their_own_texts():
    """An engine that converts dictionaries whole must not convert a million texts for one row."""
    world = written(4)
    world.text.intern(f"elsewhere {k}" for k in range(1_000))
    image = capture(world, whole=False)
    number = tables_of(image, NOTES)[0].number
    for texts in (Texts(), None):
        frames = Frames(image, texts)
        if texts is not None:
            texts.upto(image.texts)
        few = frames.frame(NOTES, ["text"], rows={number: [0]})["text"].chunk(0)
        assert few.dictionary.to_pylist() == few.to_pylist()
        whole = frames.frame(NOTES, ["text"], rows={number: [0]}, whole_texts=True)["text"].chunk(0)
        assert len(whole.dictionary) == len(image.texts)
        assert whole.to_pylist() == few.to_pylist()


# -- journals -----------------------------------------------------------------------------------


def test_a_log_has_a_row_per_kept_event():
    """In the order of emission; who has died since has no number, but had an id."""
    world = written(0)
    world.keep(Said)
    people = world.query(Person).ids()
    for k, words in enumerate(["hello", "bye"]):
        world.emit(Said(who=people[[k, 2]], at=k, words=words))
        world.step(0)
    world.despawn(people[2:])
    made = frame(capture(world), SAID)
    assert made.column_names == ["who", "who_entity", "at", "words"]
    assert made["who"].to_pylist() == [10, None, 11, None]
    assert made["who_entity"].to_pylist() == people[[0, 2, 1, 2]].tolist()
    assert made["words"].to_pylist() == ["hello", "hello", "bye", "bye"]
    assert frame(capture(world), SAID, ["who"], rows={0: [2]})["who"].to_pylist() == [11]
    assert frame(capture(world), SAID, ["who"], rows={}).num_rows == 0


def test_events_that_are_not_kept_give_an_empty_table():
    """With the same schema."""
    made = frame(capture(written()), SAID)
    assert made.num_rows == 0
    assert made.schema.equals(schema_of(SAID), check_metadata=True)
    assert Frames(capture(written())).n_rows(SAID) == 0


# -- who reads it -------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 9])
def test_engines_read_frames(n):
    """DuckDB and polars see the rows that Arrow sees, nulls included; so does pandas, which takes
    codes only decoded."""
    made = frame(capture(written(n)), NOTES)
    want = made.to_pylist()
    with duckdb.connect() as database:
        database.register("notes", made)
        got = database.sql("FROM notes").to_arrow_table().to_pylist()
    assert got == want
    assert pl.from_arrow(made).to_dicts() == want
    plain = pa.table({name: made[name].cast(pa.string()) for name in ("text", "mood", "state")})
    assert plain.to_pandas()["text"].tolist() == [row["text"] for row in want]


def test_an_image_is_taken_as_it_is():
    """Functions that take a world or an image look at the world without copying it."""
    world = written()
    image = capture(world)
    assert image_of(image) is image
    assert image_of(world).tables[0].ids.ctypes.data == image.tables[0].ids.ctypes.data
    assert [made.name for made in schema(Note).fields if made.unit] == ["created", "weight"]
