"""Consolidation: which memories are the same, what is left of them, and what follows them."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Memory, MemoryKind, Persona, Pinned, Stream, Trace
from populace.components.consolidation import Reviewed
from populace.components.reflection import Evidence, Reflection
from populace.ecs import Vector, World, component, days, f2, field, i1
from populace.ecs.errors import QueryError, SettingError
from populace.systems.consolidation import (
    Consolidated,
    Consolidation,
    Merged,
    consolidate,
    consolidation,
    fuse,
)
from populace.systems.duplicates import (
    groups,
    lead_by_text,
    lead_by_vector,
    rank,
    unit_vectors,
)
from populace.systems.retention import Retention
from populace.systems.strength import strengths_of
from populace.ville import read_ville, spawn_ville

from . import naive_consolidation as naive

DAY_S = 86_400.0
NOW = days(20_000)
FORMS = [pytest.param(False, id="compiled"), pytest.param(True, id="plain")]


@component
class Meaning:
    """An embedding of three dimensions."""

    vector: Vector[3]


@component
class Short:
    """The same in f2."""

    vector: Vector[3, f2]


@component
class Tiny:
    """The same in i1."""

    vector: Vector[3, i1]


@component
class Loose:
    """One that lets through what is not a number."""

    vector: Vector[3] = field(finite=False)


by_meaning = consolidation(Meaning.vector)


def form(kernel, plain):
    """A kernel as compiled, or the Python that it is compiled from."""
    return kernel.py_func if plain else kernel


def memory(text="", owner=0, vector=None, **given):
    """One memory, for `society`; whatever is not said is the same for all."""
    return {
        "owner": owner, "text": text, "vector": vector, "kind": MemoryKind.EVENT, "importance": 0.5,
        "stability": 3 * DAY_S, "accessed": NOW - days(1), "created": NOW - days(2), "accesses": 1,
        "evidence": 1, "pinned": False, **given,
    }  # fmt: skip


def society(memories, n_agents=3, system=consolidate, embedding=Meaning, order=None, **law):
    """A world in which agents have these memories, numbered as they stand; and their ids."""
    world = World(seed=3)
    world.insert(Retention())
    world.insert(Consolidation(**law))
    world.clock.now = NOW
    agents = world.spawn(n_agents, Persona(number=np.arange(n_agents)), Stream)
    ids = np.zeros(len(memories), np.uint64)
    add(world, agents, memories, ids, embedding, order)
    world.add_system(system)
    return world, agents, ids


def add(world, agents, memories, ids=None, embedding=Meaning, order=None):
    """Spawn more memories, one by one, in any order of rows; numbered as they stand."""
    formed = world.get(agents, Stream.formed).astype(int)
    for m in memories:
        m["sequence"] = int(formed[m["owner"]])
        formed[m["owner"]] += 1
    for place in range(len(memories)) if order is None else order:
        m = memories[place]
        parts = [Pinned] if m["pinned"] else []
        if m["vector"] is not None:
            parts.append(embedding(vector=[m["vector"]]))
        (made,) = world.spawn(
            1,
            Memory(
                owner=agents[m["owner"]], sequence=m["sequence"], created=m["created"],
                kind=m["kind"], text=m["text"],
            ),
            Trace(**{
                name: m[name]
                for name in ("importance", "stability", "accessed", "accesses", "evidence")
            }),
            *parts,
        )  # fmt: skip
        if ids is not None:
            ids[place] = made
    world.set(agents, Stream(formed=formed))


def told(world, memories, ids):
    """The memories with their strengths at the next step's end, as the plain twin takes them."""
    strength = strengths_of(world, ids, NOW + days(1)).tolist()
    return [{**m, "strength": s} for m, s in zip(memories, strength, strict=True)]


FIELDS = {
    "sequence": Memory.sequence, "created": Memory.created, "kind": Memory.kind,
    "importance": Trace.importance, "stability": Trace.stability, "accessed": Trace.accessed,
    "accesses": Trace.accesses, "evidence": Trace.evidence,
}  # fmt: skip


def left(world):
    """What the world holds now, in the order of (owner, sequence)."""
    ids = world.query(Memory).ids()
    owners = world.get(world.get(ids, Memory.owner), Persona.number).tolist()
    columns = {name: world.get(ids, field).tolist() for name, field in FIELDS.items()}
    columns["text"] = world.text.decode(world.get(ids, Memory.text))
    columns["pinned"] = world.has(ids, Pinned).tolist()
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    found = [{"owner": owner, **row} for owner, row in zip(owners, rows, strict=True)]
    return sorted(found, key=lambda m: (m["owner"], m["sequence"]))


def same(got, want):
    """Whether two lists of memories agree: floats to f4 rounding."""
    assert [m["sequence"] for m in got] == [m["sequence"] for m in want]
    for one, other in zip(got, want, strict=True):
        for name in ("importance", "stability"):
            assert one[name] == pytest.approx(other[name], rel=1e-6)
        for name in ("owner", "created", "kind", "accessed", "accesses", "evidence", "text",
                     "pinned"):  # fmt: skip
            assert one[name] == other[name], name


drawn = st.builds(
    memory,
    text=st.sampled_from(["", "tea", "rain", "bread"]),
    owner=st.integers(0, 2),
    vector=st.one_of(st.none(), st.tuples(*[st.integers(-3, 3)] * 3)),
    kind=st.sampled_from([MemoryKind.EVENT, MemoryKind.EVENT, MemoryKind.CHAT]),
    importance=st.integers(0, 10).map(lambda tenths: tenths / 10),
    stability=st.sampled_from([DAY_S, 5 * DAY_S]),
    accessed=st.integers(0, 3).map(lambda since: NOW - days(since)),
    created=st.integers(3, 9).map(lambda since: NOW - days(since)),
    accesses=st.sampled_from([1, 2, 2**32 - 2]),
    evidence=st.sampled_from([1, 3, 2**32 - 1]),
    pinned=st.sampled_from([False, False, True]),
)


# -- the law ---------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(drawn, max_size=25))
def test_equal_texts_become_one(memories):
    """For any memories what is left is what the plain twin leaves, with no text twice."""
    world, _, ids = society(memories)
    want = naive.consolidated([{**m, "vector": None} for m in told(world, memories, ids)])
    world.step(days(1))
    same(left(world), want)
    world.check()


@settings(max_examples=60)
@given(st.lists(drawn, max_size=25), st.sampled_from([0.51, 0.77, 0.92, 0.97]))
def test_near_vectors_become_one(memories, tau):
    """The same by cosine, for memories with an embedding, without one, and with a zero one."""
    world, _, ids = society(memories, system=by_meaning, tau=tau)
    want = naive.consolidated(told(world, memories, ids), tau)
    world.step(days(1))
    same(left(world), want)
    world.check()


def test_golden_merge():
    """By hand: 0.5 and 0.2 are 0.6; 2 + 3 accesses; earliest, latest, longest; text and sequence
    of the stronger one."""
    memories = [
        memory("tea", importance=0.2, accesses=2, evidence=4, created=NOW - days(9)),
        memory("tea", accesses=3, accessed=NOW - days(2), stability=7 * DAY_S),
    ]
    world, _, _ = society(memories)
    world.step(days(1))
    assert left(world) == [
        {
            "owner": 0, "sequence": 1, "text": "tea", "kind": 0, "pinned": False,
            "importance": pytest.approx(0.6), "accesses": 5, "evidence": 5,
            "created": NOW - days(9), "accessed": NOW - days(1), "stability": 7 * DAY_S,
        }
    ]  # fmt: skip


def test_the_strongest_stays_not_the_most_important():
    """A weak memory of long ago gives way to a fresher one that matters less but is worth more."""
    memories = [
        memory("tea", importance=0.9, accessed=NOW - days(30)),
        memory("tea", importance=0.3, accessed=NOW),
    ]
    world, _, _ = society(memories)
    world.step(days(1))
    assert [m["sequence"] for m in left(world)] == [1]


def test_of_equals_the_older_access_and_then_the_older_memory_stays():
    """Equal strengths: the memory last accessed longest ago; then the lower sequence."""
    worthless = {"importance": 0.0}
    memories = [
        memory("tea", accessed=NOW, **worthless),
        memory("tea", accessed=NOW - days(1), **worthless),
        memory("tea", accessed=NOW - days(1), **worthless),
    ]
    world, _, _ = society(memories)
    world.step(days(1))
    assert [m["sequence"] for m in left(world)] == [1]


def test_a_chain_has_one_outcome():
    """A ~ B ~ C with A unlike C: where B is strongest all become B, where A is A and C stay."""
    chain = [(10, 0, 0), (9, 4, 0), (6, 8, 0)]  # neighbours 0.91 and 0.87, ends 0.6
    for strong, want in ((1, [1]), (0, [0, 2]), (2, [0, 2])):
        importance = [0.9 if place == strong else 0.5 for place in range(3)]
        memories = [memory(vector=v, importance=i) for v, i in zip(chain, importance, strict=True)]
        world, _, _ = society(memories, system=by_meaning, tau=0.85)
        world.step(days(1))
        assert [m["sequence"] for m in left(world)] == want


def test_all_memories_are_compared():
    """A duplicate is found behind any number of nearer neighbours (published systems look at the
    top few only): 60 near vectors and 60 copies of one text among them leave one memory each."""
    draw = np.random.default_rng(2)
    near = [memory(vector=tuple(v)) for v in np.array([1, 0, 0]) + draw.normal(0, 0.05, (60, 3))]
    far = [memory(vector=(0, 1, 0.01 * i), importance=0.1) for i in range(60)]
    texts = [memory("tea", vector=(0, 0, -1)) for _ in range(60)]
    memories = [m for three in zip(near, far, texts, strict=True) for m in three]
    world, _, _ = society(memories, system=by_meaning)
    world.step(days(1))
    kept = left(world)
    assert sum(m["text"] == "tea" for m in kept) == 1
    assert len(kept) == 1 + 1 + len(naive.leaders(
        [{**m, "strength": 1.0, "sequence": i} for i, m in enumerate(far)], 0.92
    ))  # fmt: skip


def test_owners_and_kinds_are_never_mixed():
    """The same text and vector, of two owners and three kinds: all six stay."""
    memories = [
        memory("tea", owner, (1, 0, 0), kind=kind) for owner in (0, 1) for kind in MemoryKind
    ]
    for system in (consolidate, by_meaning):
        world, _, _ = society(memories, system=system)
        world.step(days(1))
        assert len(left(world)) == 6


def test_what_says_nothing_is_like_nothing():
    """Memories without text, with zero vectors or none at all, are not duplicates; nor are those
    whose vectors are not numbers."""
    nothing = (0, float("nan"), 1)
    memories = [memory(vector=v) for v in (None, None, (0, 0, 0), (0, 0, 0), nothing, nothing)]
    world, _, _ = society(memories, system=consolidation(Loose.vector), embedding=Loose)
    world.step(days(1))
    assert len(left(world)) == 6


def test_a_zero_vector_goes_by_its_text():
    """Equal text counts as cosine 1, whatever the vectors are."""
    memories = [memory("tea", vector=v) for v in ((0, 0, 0), None, (1, 0, 0), (-1, 0, 0))]
    world, _, _ = society(memories, system=by_meaning)
    world.step(days(1))
    assert len(left(world)) == 1


def test_the_threshold_itself_is_near_enough():
    """A cosine of exactly tau merges; of a little less does not. 0.6 is (3, 4) to (1, 0)."""
    for tau, kept in ((0.5999, 1), (0.6001, 2)):
        memories = [memory(vector=(3, 4, 0)), memory(vector=(1, 0, 0))]
        world, _, _ = society(memories, system=by_meaning, tau=tau)
        world.step(days(1))
        assert len(left(world)) == kept


@pytest.mark.parametrize("embedding", [Meaning, Short, Tiny])
def test_embeddings_of_any_dtype(embedding):
    """f4, f2 and i1 vectors are compared by what they hold; their length does not count."""
    vectors = [(100, 0, 0), (50, 1, 0), (0, 100, 0), (0, 0, 0), (1, 99, 1)]
    memories = [memory(vector=v) for v in vectors]
    world, _, _ = society(memories, system=consolidation(embedding.vector), embedding=embedding)
    world.step(days(1))
    assert [m["sequence"] for m in left(world)] == [0, 2, 3]


def test_importance_never_falls_and_never_passes_one():
    """A hundred copies: as important as the most important of them, and at most 1."""
    for importance in (0.0, 0.01, 0.5, 1.0):
        world, _, _ = society([memory("tea", importance=importance) for _ in range(100)])
        world.step(days(1))
        ((kept,),) = [left(world)]
        assert np.float32(importance) <= kept["importance"] <= 1
        assert kept["importance"] == pytest.approx(1 - (1 - importance) ** 100, rel=1e-5)


def test_a_pinned_memory_goes_only_into_one_that_is_pinned():
    """A weak pinned memory merges into the strong one, which is then pinned; alone it stays."""
    memories = [
        memory("tea", importance=0.0, pinned=True), memory("tea"), memory("rain", pinned=True),
    ]  # fmt: skip
    world, _, _ = society(memories)
    world.step(days(1))
    assert [(m["text"], m["pinned"]) for m in left(world)] == [("tea", True), ("rain", True)]


def test_counts_stop_at_the_top():
    """Accesses and evidence do not wrap around."""
    many = memory("tea", accesses=2**32 - 2, evidence=2**31)
    world, _, _ = society([dict(many) for _ in range(3)])
    world.step(days(1))
    assert [(m["accesses"], m["evidence"]) for m in left(world)] == [(2**32 - 1, 2**32 - 1)]


# -- again, and again ------------------------------------------------------------------------


@settings(max_examples=40)
@given(st.lists(drawn, max_size=25), st.booleans())
def test_a_second_run_changes_nothing(memories, meaning):
    """Not even where everything is compared anew."""
    world, agents, _ = society(memories, system=by_meaning if meaning else consolidate)
    world.step(days(1))
    once = left(world)
    world.step(days(1))
    assert left(world) == once
    world.remove(agents[world.has(agents, Reviewed)], Reviewed)
    world.step(days(1))
    assert left(world) == once


@settings(max_examples=40)
@given(st.lists(drawn, max_size=15), st.lists(drawn, max_size=15), st.booleans())
def test_comparing_with_what_is_new_is_enough(old, new, meaning):
    """Old memories need no comparison with each other: the same is left, bit for bit, as where all
    pairs are compared again."""
    found = []
    for anew in (False, True):
        world, agents, _ = society(old, system=by_meaning if meaning else consolidate)
        world.step(days(1))
        add(world, agents, new)
        if anew:
            world.remove(agents[world.has(agents, Reviewed)], Reviewed)
        world.step(days(1))
        found.append(left(world))
    assert found[0] == found[1]


def test_an_agent_without_new_memories_is_not_looked_at():
    """Only the agent with something new is: a duplicate put by hand into the other's past stays."""
    world, agents, ids = society([memory("tea"), memory("rain"), memory("tea", 1)])
    world.step(days(1))
    world.set(ids[1:2], Memory(text="tea"))
    world.step(days(1))
    assert len(left(world)) == 3
    add(world, agents, [memory("tea", 1)])
    world.step(days(1))
    assert [(m["owner"], m["text"]) for m in left(world)] == [(0, "tea"), (0, "tea"), (1, "tea")]
    assert world.get(agents[:2], Reviewed.formed).tolist() == [2, 2]


def test_a_closer_look_is_a_new_look():
    """A lower tau, or embeddings after texts, compares everything again; a higher one does not."""
    memories = [memory("tea", vector=(3, 4, 0)), memory("rain", vector=(1, 0, 0))]
    world, agents, _ = society(memories, system=by_meaning)
    world.step(days(1))
    assert len(left(world)) == 2
    world.insert(Consolidation(tau=0.99), replace=True)
    world.step(days(1))
    assert world.get(agents[:1], Reviewed.threshold) == np.float32(0.92)
    world.insert(Consolidation(tau=0.5), replace=True)
    world.step(days(1))
    assert len(left(world)) == 1
    world, _, _ = society(memories, tau=0.5)
    world.step(days(1))
    assert len(left(world)) == 2
    world.add_system(consolidation(Meaning.vector), name="by_meaning")
    world.step(days(1))
    assert len(left(world)) == 1


@pytest.mark.parametrize("meaning", [False, True])
def test_the_order_of_rows_does_not_show(meaning):
    """The same memories in tables filled in another order, on two threads, leave the same."""
    draw = np.random.default_rng(8)
    memories = [
        memory(
            str(draw.choice(["", "tea", "rain"])), int(draw.integers(3)),
            tuple(draw.integers(-2, 3, 3).tolist()), pinned=bool(draw.random() < 0.3),
            importance=draw.integers(0, 4) / 10,
        )
        for _ in range(60)
    ]  # fmt: skip
    system, found = by_meaning if meaning else consolidate, []
    for order in (None, range(59, -1, -1), draw.permutation(60)):
        world, _, _ = society(memories, system=system, order=order)
        world.threads = 1 if order is None else 2
        world.step(days(1))
        found.append(left(world))
    assert found[0] == found[1] == found[2]


def test_the_length_of_a_step_changes_nothing():
    """24 steps of an hour leave what one of a day leaves: it is done once a day."""
    found = []
    for steps in (1, 24):
        world, _, _ = society([memory("tea", importance=i / 10) for i in range(5)])
        for _ in range(steps):
            world.step(days(1) // steps)
        found.append(left(world))
    assert found[0] == found[1]
    assert len(found[0]) == 1


# -- what follows ----------------------------------------------------------------------------


def test_what_was_merged_is_told():
    """One event names kept and gone, another counts; a run that merges nothing is silent."""
    world, _, ids = society([memory("tea"), memory("tea"), memory("rain"), memory("tea", 1)])
    merged, count = world.events(Merged), world.events(Consolidated)
    world.step(days(1))
    events = merged.read()
    assert (events.kept.tolist(), events.gone.tolist()) == ([ids[0]], [ids[1]])
    assert count.read().count.tolist() == [1]
    world.step(days(1))
    assert len(merged.read()) == len(count.read()) == 0


def thoughts(world, agents, *texts):
    """Thoughts of the first agent, with their ids."""
    ids = np.zeros(len(texts), np.uint64)
    weak = {"kind": MemoryKind.THOUGHT, "importance": 0.3}
    add(world, agents, [memory(text, **weak) for text in texts], ids)
    return ids


def links(world):
    """Who rests on what: pairs of ids, sorted."""
    query = world.query(Evidence)
    pairs = zip(
        query.gather(Evidence.insight).tolist(), query.gather(Evidence.memory).tolist(), strict=True
    )
    return sorted(pairs)


def test_evidence_follows_what_was_merged():
    """Links to a merged memory, and links of a merged insight, name what it was merged into; a
    pair stays once, and nothing rests on itself."""
    world, agents, seen = society([memory("tea"), memory("tea"), memory("rain")])
    a, again, b, c = thoughts(world, agents, "a", "a", "b", "c")
    world.spawn(
        Evidence(
            insight=[a, again, again, b, b, c, again],
            memory=[seen[0], seen[1], seen[2], seen[1], again, b, a],
        )
    )
    world.step(days(1))
    assert links(world) == sorted([(a, seen[0]), (a, seen[2]), (b, seen[0]), (b, a), (c, b)])
    world.check()


def test_a_merged_reflection_is_as_deep_as_the_deepest():
    """Also where the one that stays was no reflection, as a plan of the same words."""
    world, agents, _ = society([])
    plan, one, two, other, plain = thoughts(world, agents, "a", "a", "a", "b", "b")
    world.add([one, two, other], Reflection(depth=[2, 4, 3]))
    world.step(days(1))
    assert world.get([plan, other], Reflection.depth).tolist() == [4, 3]
    assert world.alive([one, two, plain]).tolist() == [False] * 3


def test_the_dead_and_the_empty():
    """A world without agents or memories, and agents that have ended with all they remembered."""
    world, _, _ = society([], n_agents=0)
    world.step(days(1))
    world, agents, _ = society([memory("tea", owner) for owner in (0, 0, 1, 1)])
    world.despawn(agents[:1])
    world.step(days(1))
    assert [m["owner"] for m in left(world)] == [1]
    world.check()


def test_many_owners_are_done_in_parts(monkeypatch):
    """How many memories are copied at once does not show."""
    from populace.systems import consolidation as module

    memories = [memory(f"{i % 4}", i % 3) for i in range(40)]
    found = []
    for most in (2**20, 1, 14):
        monkeypatch.setattr(module, "MOST_AT_ONCE", most)
        world, _, _ = society(memories)
        world.step(days(1))
        found.append(left(world))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 12


@pytest.mark.parametrize("value", [0.0, 1.5, float("nan"), "0.9", True])
def test_a_threshold_that_is_no_cosine_is_refused(value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=r"Consolidation\.tau"):
        Consolidation(tau=value)


@pytest.mark.parametrize("field", [Trace.importance, Meaning, "vector"])
def test_a_field_that_is_no_vector_is_refused(field):
    """When the system is made, not when it runs."""
    with pytest.raises(QueryError, match="takes a Vector field"):
        consolidation(field)


# -- kernels ---------------------------------------------------------------------------------

item = st.tuples(st.integers(0, 3), st.integers(0, 2))


def segments(sizes):
    """Offsets of segments of these sizes."""
    return np.append(0, np.cumsum(np.array(sizes, np.int64))).astype(np.int64)


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=50)
@given(st.lists(st.lists(item, max_size=20), max_size=4), st.randoms())
def test_ranking_is_a_sort(plain, drawn, shuffle):
    """Each segment comes in the order of (strength, falling; access; sequence)."""
    items = [x for part in drawn for x in part]
    offsets, n = segments([len(part) for part in drawn]), len(items)
    strength, accessed = np.array(items, np.int64).reshape(n, 2).T
    sequence = list(range(n))
    shuffle.shuffle(sequence)
    order = np.arange(n)
    form(rank, plain)(
        offsets, strength.astype("f4"), accessed.copy(), np.array(sequence, np.uint32), order
    )
    want = []
    for low, high in pairwise(offsets):
        want += sorted(range(low, high), key=lambda i: (-strength[i], accessed[i], sequence[i]))
    assert order.tolist() == want


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=20), max_size=4))
def test_texts_are_led_by_their_first(plain, drawn):
    """The first item of the segment with the same kind and text; without text, the item itself."""
    items = [x for part in drawn for x in part]
    offsets = segments([len(part) for part in drawn])
    text, kind = np.array(items, np.uint32).reshape(len(items), 2).T
    lead = np.empty(len(items), np.int64)
    with np.errstate(over="ignore"):
        form(lead_by_text, plain)(
            offsets, kind.astype(np.uint8), text.copy(), np.empty(64, np.int64), lead
        )
    for low, part in zip(offsets, drawn, strict=False):
        for at, x in enumerate(part):
            assert lead[low + at] == low + (part.index(x) if x[0] else at)


def test_kinds_are_told_apart_where_their_slots_collide():
    """In a thousand small segments, two texts, the second of two kinds: all three are leaders."""
    text = np.array([[i, j, j] for i in range(1, 41) for j in range(41, 66)], np.uint32).ravel()
    kind = np.tile(np.array([0, 0, 1], np.uint8), 1_000)
    lead = np.empty(3_000, np.int64)
    lead_by_text(segments([3] * 1_000), kind, text, np.empty(16, np.int64), lead)
    assert (lead == np.arange(3_000)).all()


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=40)
@given(
    st.lists(
        st.lists(st.tuples(st.tuples(*[st.integers(-2, 2)] * 5), st.integers(0, 9)), max_size=20),
        max_size=3,
    ),
    st.sampled_from([0.31, 0.56, 0.77, 0.93]),
)
def test_vectors_are_led_by_the_first_that_is_near(plain, drawn, tau):
    """Leaders first, in the order given, as the plain twin has it."""
    items = [x for part in drawn for x in part]
    offsets, n = segments([len(part) for part in drawn]), len(items)
    vectors = np.array([v for v, _ in items], np.float32).reshape(n, 5)
    text = np.array([t for _, t in items], np.uint32)
    lead, unit = np.empty(n, np.int64), np.empty_like(vectors)
    with np.errstate(invalid="ignore"):
        form(unit_vectors, plain)(vectors, unit)
        form(lead_by_vector, plain)(
            offsets, np.arange(n), np.ones(n, bool), text, unit, np.float32(tau), lead
        )
    for low, part in zip(offsets, drawn, strict=False):
        mine = [
            {"vector": v, "text": t, "strength": 0, "accessed": 0, "sequence": i}
            for i, (v, t) in enumerate(part)
        ]
        for first, others in naive.leaders(mine, tau):
            for m in (first, *others):
                assert lead[low + m["sequence"]] == low + first["sequence"]


def test_a_product_does_not_depend_on_its_place():
    """In any block, column and company two vectors have the same product, both ways round, at the
    very edge of the threshold."""
    draw = np.random.default_rng(4)
    vectors = draw.normal(size=(150, 70)).astype("f4")
    vectors[[5, 149]] = vectors[0] + draw.normal(0, 0.3, (2, 70)).astype("f4")
    unit = np.empty_like(vectors)
    unit_vectors(vectors, unit)

    def joined(places, tau):
        lead = np.empty(150, np.int64)
        n = len(places)
        lead_by_vector(
            segments([n]), np.array(places), np.arange(150) % 2 < 2, np.zeros(150, np.uint32),
            unit, tau, lead,
        )  # fmt: skip
        return lead[places[-1]] == lead[places[0]]

    for other in (5, 149):
        edge = np.float32(0)  # the product itself: the largest threshold that still joins the two
        for a, b in zip(unit[0], unit[other], strict=True):
            edge = np.float32(edge + np.float32(a * b))
        rest = [i for i in range(150) if i not in (0, 5, 149)]
        for tau, want in ((edge, True), (np.nextafter(edge, np.float32(2)), False)):
            for places in ([0, other], [other, 0], [0, *rest, other], [other, *rest[:70], 0]):
                assert joined(places, tau) == want


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=50)
@given(st.lists(st.integers(0, 8), max_size=30))
def test_groups_hold_all_that_share_a_leader(plain, keys):
    """Groups of two and more, in the order of their first items, items in theirs."""
    n = len(keys)
    lead = np.array([keys.index(key) for key in keys], np.int64)
    offsets, member = np.empty(n + 1, np.int64), np.empty(n, np.int64)
    g = form(groups, plain)(lead, np.empty(n, np.int64), offsets, member)
    want = [
        [i for i in range(n) if keys[i] == key]
        for key in dict.fromkeys(keys)
        if keys.count(key) > 1
    ]
    got = [member[offsets[i] : offsets[i + 1]].tolist() for i in range(g)]
    assert got == want


@pytest.mark.parametrize("plain", FORMS)
@settings(max_examples=50)
@given(st.lists(st.lists(drawn, min_size=1, max_size=6), max_size=4))
def test_fusing_is_the_formula(plain, drawn):
    """Noisy-or in f8, sums that saturate, extremes."""
    flat = [m for group in drawn for m in group]
    names = ("importance", "stability", "accessed", "accesses", "evidence", "created")
    dtypes = ("f4", "f4", "i8", "u4", "u4", "i8")
    given = [
        np.array([m[name] for m in flat], dtype) for name, dtype in zip(names, dtypes, strict=True)
    ]
    out = [np.empty(len(drawn), dtype) for dtype in dtypes]
    form(fuse, plain)(segments([len(group) for group in drawn]), *given, *out)
    for place, group in enumerate(drawn):
        want = naive.fused(group[0], group[1:])
        for name, column in zip(names, out, strict=True):
            assert column[place] == pytest.approx(want[name], rel=1e-6), name


# -- real streams ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ville():
    """Three real agents' streams of one day, or a skip that says where they were looked for."""
    root = Path(__file__).resolve().parents[2]
    found = Path(os.environ.get("POPULACE_REAL_DATA") or root.parent / "shared" / "data")
    if not (found / "ville").is_dir():
        pytest.skip("no real data: neither POPULACE_REAL_DATA nor ../shared/data holds ville")
    return read_ville(found / "ville")


def test_two_thirds_of_real_streams_are_repeats(ville):
    """Of 912, 593 and 600 nodes 228, 203 and 209 are left: 75, 66 and 65 % repeat a description."""
    world = World()
    world.insert(Retention())
    world.insert(Consolidation())
    spawn_ville(world, ville)
    world.add_system(consolidate)
    weights = world.query(Trace).gather(Trace.accesses).sum()
    world.step(days(1))
    agents = world.query(Persona).ids()
    assert world.index(Memory.owner).count(agents).tolist() == [228, 203, 209]
    assert world.query(Trace).gather(Trace.accesses).sum() == weights == 2_105
    assert world.query(Trace).gather(Trace.evidence).sum() == 2_105
    world.check()
