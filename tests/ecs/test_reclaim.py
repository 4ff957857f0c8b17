"""Strings are given back: what is held stays, what is not is free, and nothing mistakes the two."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace import (
    Commands,
    Entity,
    Events,
    Text,
    World,
    component,
    event,
    field,
    hours,
    system,
)
from populace.ecs.errors import (
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    InvariantError,
    StaleViewError,
    StructuralChangeError,
)
from populace.ecs.image import capture, restore
from populace.ecs.text import Prefix, TextPool

from .parts import refused
from .twins import assert_twins


@component
class Note:
    text: Text
    title: Text = "untitled"
    about: Entity = 0


@component
class Label:
    shown: Text = field(derived=True)


@event
class Said:
    words: Text


class NaivePool:
    """The twin: a dict of what has a code."""

    def __init__(self):
        self.held = {0: ""}

    def intern(self, text):
        for code, known in self.held.items():
            if known == text:
                return code
        code = next(c for c in range(len(self.held) + 1) if c not in self.held)
        self.held[code] = text
        return code

    def reclaim(self, dead):
        self.held = {code: text for code, text in self.held.items() if code not in dead}


WORDS = st.sampled_from(["", *"abcdefghijklmnop"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("intern"), st.lists(WORDS, min_size=2, max_size=8)),
        st.tuples(st.just("fail"), st.lists(WORDS, max_size=6)),
        st.tuples(st.just("reclaim"), st.sets(st.integers(1, 8), min_size=1)),
        st.tuples(st.just("look"), st.just(None)),
    ),
    min_size=4,
    max_size=20,
)


@given(STEPS)
def test_codes_are_those_of_the_naive_twin(steps):
    """The lowest free code is given, a failed batch frees what it took, survivors keep theirs, and
    what was looked at before stays what it was."""
    pool, naive, looks = TextPool(), NaivePool(), []
    for doing, given_ in steps:
        if doing == "intern":
            assert pool.intern(given_).tolist() == [naive.intern(text) for text in given_]
        elif doing == "fail":
            mark = pool.mark()
            assert pool.decode(pool.intern(given_)) == given_
            pool.rollback(mark)
        elif doing == "reclaim":
            live_c = np.array([c in naive.held and c not in given_ for c in range(len(pool))])
            former, pool = pool, pool.reclaimed(live_c)
            naive.reclaim(given_)
            assert former.successor is pool
            assert pool.reclaims == former.reclaims + 1
            with pytest.raises(StaleViewError, match=r"world\.text"):
                former.intern(["a"])
        else:
            told = [naive.held.get(code, "") for code in range(len(pool))]
            looks.append((pool.prefix(), told, pool.free.tolist()))
        known, n = naive.held, len(pool)
        assert [pool.find(text) for text in known.values()] == list(known)
        assert pool.decode(list(known)) == list(known.values())
        assert pool.strings == tuple(known.get(code, "") for code in range(n))
        assert set(pool.free.tolist()) == set(range(n)) - set(known)
        assert n - pool.n_free == len(known)
        for code in pool.free.tolist():
            with pytest.raises(ColumnValueError, match=f"text code {code} is free"):
                pool.decode([0, code])
        assert TextPool(pool.prefix(), pool.free).strings == pool.strings
    for prefix, told, free in looks:
        assert (list(prefix), len(prefix), prefix.free.tolist()) == (told, len(told), free)
        assert [prefix[code] for code in range(len(told))] == told
        assert prefix[::-1] == told[::-1]
        assert prefix[1:4] == told[1:4]
        assert prefix[5:1:-2] == told[5:1:-2]


@pytest.mark.parametrize("free", [[], [1]])
def test_a_code_below_zero_is_no_place_from_the_end(free):
    """It is unknown, as one beyond the last is."""
    pool = TextPool(["", "tea", "bread"], free)
    for codes in ([-1], np.array([0, -3], np.int32), [3], np.array([3], np.uint32)):
        with pytest.raises(ColumnValueError, match=r"is unknown: this pool holds codes 0 to 2"):
            pool.decode(codes)
    assert pool.decode(np.array([2, 0])) == ["bread", ""]


@pytest.mark.parametrize("free", [[0], [2], [1, 1], [[1]], [2, 1], [9]])
def test_free_codes_that_make_no_sense(free):
    """They ascend, from 1 on, and the last string has one."""
    with pytest.raises(ColumnValueError):
        TextPool(["", "a"], free)


def test_what_was_given_since_a_moment():
    """So that others can bring up to date what they know of codes; None after a reclaim."""
    pool = TextPool(["", "a", "", "", "b"], [2, 3])
    before = pool.mark()
    first = pool.prefix()
    assert first.given_since(before).tolist() == []
    pool.intern(["c", "d", "e"])
    assert pool.prefix().given_since(before).tolist() == [2, 3]
    assert first.given_since(pool.mark()).tolist() == []
    assert pool.reclaimed(np.ones(len(pool), np.bool_)).prefix().given_since(before) is None
    assert isinstance(first, Prefix)


def test_a_code_that_was_taken_back_is_given_again():
    """At once, without a look at it in between."""
    pool = TextPool(["", "a", "", "b"], [2])
    mark = pool.mark()
    assert pool.decode(pool.intern(["x"])) == ["x"]
    pool.rollback(mark)
    assert pool.decode(pool.intern(["y"])) == ["y"]


# -- what holds a string ---------------------------------------------------------------------------


def notes(*texts):
    world = World(seed=3)
    return world, world.spawn(Note(text=list(texts)))


def held(world):
    return sorted(set(world.text.strings) - {""})


def test_tables():
    """Every text field of every component, derived ones too."""
    world, ids = notes("a", "b", "c")
    shown = int(world.text.intern("shown")[0])
    world.add(ids[:1], Label)
    for label in world.query(Label):
        label.shown[:] = shown
    world.despawn(ids[1:2])
    world.text.intern(["nobody's", "b2"])
    former = world.text
    assert world.reclaim_texts(least=4) == 0
    assert world.text is former
    assert world.reclaim_texts(least=3) == 3
    assert held(world) == ["a", "c", "shown", "untitled"]
    assert world.text.decode(world.get(ids[[0, 2]], Note.text)) == ["a", "c"]
    assert former.strings[2:4] == ("b", "c")  # whoever still reads it, reads it as it was
    world.check()


def test_events_and_journals():
    """Pending ones until all have seen them, kept ones for good."""
    world = World()
    reader = world.events(Said)
    world.emit(Said(words=["a", "b"]))
    world.step(1)
    assert world.reclaim_texts() == 0
    batch = reader.read()
    assert world.text.decode(batch.words) == ["a", "b"]
    world.step(1)
    assert world.reclaim_texts() == 2
    world.keep(Said)
    world.emit(Said(words=["c"]))
    for _ in range(3):
        world.step(1)
    reader.read()
    world.step(1)
    assert world.reclaim_texts() == 0
    assert world.text.decode(world.journal(Said).columns["words"]) == ["c"]


def test_queued_commands_and_templates():
    """Codes that wait to be used."""
    world, ids = notes("a")
    codes = world.text.intern(["spawned", "set", "emitted", "of a template", "string", "lost"])
    world.commands.spawn(2, Note(text=codes[[0, 0]], title="string"))
    world.commands.set(ids, Note(title=codes[1:2]))
    world.commands.emit(Said(words=codes[2]))
    made = world.template("t", Note(text=codes[3]))
    reader = world.events(Said)
    assert world.reclaim_texts() == 2  # a string is interned anew
    world.sync()
    world.spawn(1, made)
    assert world.text.decode(reader.read().words) == ["emitted"]
    assert world.text.decode(world.query(Note).gather(Note.text)) == [
        "a", "spawned", "spawned", "of a template",
    ]  # fmt: skip
    assert world.text.decode(world.get(ids, Note.title)) == ["set"]
    world.check()


@dataclass
class Shelf:
    """A resource that keeps codes."""

    codes: Any

    def text_codes(self):
        return [np.array(self.codes, np.uint32)]


class Beside:
    """What somebody keeps for a world."""

    def __init__(self, codes):
        self.codes = codes

    def text_codes(self):
        return [self.codes]


@pytest.mark.parametrize("dtype", [np.uint32, np.int64, np.uint64, np.int8])
def test_what_says_that_it_holds_codes(dtype):
    """A resource or something beside: arrays of any shape and whole dtype."""
    world, _ = notes("a")
    world.insert(Shelf(world.text.intern(["of a resource"])))
    codes = world.text.intern(["beside", "beside, too", "lost"])[:2].astype(dtype)
    world.beside["x"] = Beside(codes.reshape(1, 2, 1))
    assert world.reclaim_texts() == 1
    assert held(world) == ["a", "beside", "beside, too", "of a resource", "untitled"]
    world.insert(Shelf([]), replace=True)
    world.beside.clear()
    assert world.reclaim_texts() == 3
    assert held(world) == ["a", "untitled"]


@pytest.mark.parametrize("codes", [[99], [1], [-1], [0.5], [2**40]])
def test_codes_that_are_none(codes):
    """Whoever tells of a code without a string, a free one too, is named, and nothing happens."""
    world, ids = notes("a", "b", "c")
    world.despawn(ids[:1])
    assert world.reclaim_texts() == 1
    assert world.text.free.tolist() == [1]
    world.beside["x"] = Beside(np.array(codes))
    former = world.text
    with refused(world, InvariantError, "Beside"):
        world.reclaim_texts()
    assert world.text is former


def test_a_raw_write_of_a_free_code_is_found():
    """`check` and a reclaim say which field holds it; a code from before is refused at the door."""
    world, ids = notes("a", "b", "c")
    code = world.get(ids[:1], Note.text)
    world.despawn(ids[:1])
    world.reclaim_texts()
    for call in (
        lambda: world.spawn(Note(text=code)),
        lambda: world.set(ids[1:2], Note(text=code)),
        lambda: world.emit(Said(words=code)),
    ):
        with refused(world, ColumnValueError, "text code 1 is free"):
            call()
    for note in world.query(Note):
        note.text[0] = code[0]
    for call in (world.check, world.reclaim_texts):
        with pytest.raises(InvariantError, match=r"Note\.text holds a code without a string"):
            call()


# -- when ------------------------------------------------------------------------------------------


def test_a_failed_batch_takes_back_what_it_was_given_again():
    """Codes are free as before, and the next batch gets the same."""
    world, ids = notes("a", "b", "c", "d")
    world.despawn(ids[:2])
    world.reclaim_texts()
    assert world.text.free.tolist() == [1, 2]
    for error, call in (
        (DeadEntityError, lambda: world.spawn(Note(text=["x", "y", "z"], about=[0, 0, 7]))),
        (ColumnTypeError, lambda: world.spawn(Note(text=["x", "y"], title=["u", 1]))),
        (ColumnTypeError, lambda: world.emit(Said(words=["x", 5]))),
    ):
        with refused(world, error):
            call()
        assert world.text.free.tolist() == [1, 2]
        assert "x" not in world.text
    assert len(world.spawn(0, Note(text="x"))) == 0
    assert world.text.free.tolist() == [1, 2]
    assert world.get(world.spawn(Note(text=["x", "y", "z"])), Note.text).tolist() == [1, 2, 6]


def test_not_while_tables_are_in_use():
    """A system that takes the World may; any other, and an observer, may not."""
    world, ids = notes("a", "b")
    world.despawn(ids[:1])
    tried = []

    def attempt():
        with pytest.raises(StructuralChangeError, match="reclaim_texts"):
            world.reclaim_texts()
        tried.append(1)

    @system
    def wrongly(said: Events[Said], commands: Commands):
        attempt()

    @system
    def rightly(world: World):
        tried.append(world.reclaim_texts())

    world.add_systems(wrongly, rightly)
    world.observe("add", Note, lambda world, ids: attempt())
    world.step(1)
    assert tried == [1, 1]
    world.spawn(Note(text="c"))
    assert tried == [1, 1, 1]


@pytest.mark.parametrize("least", [0, -1, 1.5, True, "1", None])
def test_least(least):
    """A whole number from 1 on."""
    with pytest.raises(ColumnValueError, match="least"):
        World().reclaim_texts(least=least)


# -- what comes after ------------------------------------------------------------------------------


def test_a_code_that_comes_back_as_another_string_is_a_change():
    """Bit for bit the column is as it was when it was last compared, and yet the text is not."""
    world, ids = notes("a", "b")
    world.track(Note)
    tick = world.mark()
    world.set(ids[:1], Note(text="b"))
    world.reclaim_texts()
    world.set(ids[:1], Note(text="z"))  # under the code of "a"
    assert world.get(ids[:1], Note.text).tolist() == [1]
    assert world.changed_since(tick, Note).tolist() == ids[:1].tolist()


def churn(world, k):
    """A day: some notes go, others come, some of which fail."""
    draw = np.random.default_rng(k)
    ids = world.query(Note).ids()
    world.despawn(ids[draw.random(ids.size) < 0.4])
    if k % 3 == 2:
        world.reclaim_texts()
    with pytest.raises(DeadEntityError):
        world.spawn(Note(text=[f"failed {k}", f"note {k}"], about=[0, 2**40]))
    world.spawn(Note(text=[f"note {draw.integers(50)}" for _ in range(8)]))
    world.emit(Said(words=f"said {k}"))
    world.step(hours(1))


@pytest.mark.parametrize("at", [2, 3, 4, 8])
def test_an_image_goes_on_as_the_world(at):
    """Free codes are state: what is restored interns into the same codes, through reclaims."""
    world = World(seed=3)
    world.keep(Said)
    for k in range(at):
        churn(world, k)
    other = restore(capture(world))
    assert_twins(world, other)
    for k in range(at, at + 8):
        churn(world, k)
        churn(other, k)
        assert other.text.free.tolist() == world.text.free.tolist()
        assert_twins(world, other)
    world.check()


def test_the_digest_knows_free_codes():
    """Two worlds that would give other codes next are not equal."""
    worlds = []
    for texts in (["a", "b"], ["b", "a"]):
        world, ids = notes(*texts)
        world.despawn(ids[:1])
        world.spawn(Note(text="a"))
        world.query(Note).despawn()
        world.reclaim_texts()
        worlds.append(world)
    assert (
        len({world.digest() for world in worlds}) == 1
    )  # all are gone, none is free below another
    world, ids = notes("a", "b")
    world.despawn(ids[:1])
    before = world.digest()
    world.reclaim_texts()
    assert world.digest() != before


def test_memory_does_not_grow():
    """Codes stay below what has ever been held at once."""
    world = World()
    for k in range(50):
        world.query(Note).despawn()
        world.reclaim_texts()
        world.spawn(Note(text=[f"day {k}, note {i}" for i in range(20)]))
        assert len(world.text) == 22
