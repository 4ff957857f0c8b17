"""Embedding: every memory gets the vector of its text, and no text is asked about twice."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.components import Memory, Observed, Persona, Stream, Trace
from populace.components.embedding import embedding
from populace.ecs import World, hours
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    ResourceError,
    SettingError,
    StructuralChangeError,
)
from populace.storage.dots import decode, encode
from populace.storage.snapshot import load, save
from populace.systems import Retention, add_laws, form_memories
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.embedders import (
    CallableEmbedder,
    EmbedderWarning,
    HashedEmbedder,
    vectors_of,
)
from populace.systems.embedding import (
    AttachedEmbedder,
    Embeddings,
    attach_embedder,
    embed,
    embed_memories,
    embedder_of,
)
from populace.systems.revival import revive

WORDS = st.sampled_from(["", " ", "tea", "bread", "Klaus reads", "the sea", "a", "b", "c"])


class Counting:
    """A hashed embedder that counts what it is asked, and fails when it is told to."""

    def __init__(self, dimensions=16, name="counting"):
        self.hashed, self.dimensions, self.name = HashedEmbedder(dimensions), dimensions, name
        self.asked, self.sizes, self.fail_after = [], [], None

    def __call__(self, texts):
        if self.fail_after is not None:
            if not self.fail_after:
                raise OSError("the service is asleep")
            self.fail_after -= 1
        self.asked += texts
        self.sizes.append(len(texts))
        return self.hashed(texts)


def town(*texts, embedder=None, **options):
    """(world, embedder, ids of memories with these texts)."""
    world = World()
    made = embedder or Counting()
    attach_embedder(world, made, **options)
    return world, made, remembering(world, texts)


def remembering(world, texts, *others):
    """Memories of somebody."""
    owner = world.spawn(1, Persona(number=len(world)), Stream)
    n = len(texts)
    if not n:
        return np.empty(0, np.uint64)
    memory = Memory(owner=owner.repeat(n), sequence=np.arange(n), created=0, text=list(texts))
    trace = Trace(importance=0.5, stability=86_400.0, accessed=0)
    return world.spawn(n, memory, trace, *others)


def check_vectors(world, made):
    """Every memory has the vector of its text."""
    law = world.resource(Embeddings)
    query = world.query(Memory, law.component)
    assert query.count() == world.query(Memory).count()
    texts = world.text.decode(query.gather(Memory.text))
    stored, scale = encode(vectors_of(made.hashed, texts), law.dtype)
    np.testing.assert_array_equal(query.gather(law.component.vector), stored)
    np.testing.assert_array_equal(query.gather(law.component.scale), scale)
    world.check()


# -- memories --------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.lists(WORDS, max_size=6), st.sampled_from(["all", "some", "none"]))),
    st.sampled_from(["i1", "f2", "f4"]),
    st.integers(1, 4),
)
@examples(max_examples=60)
def test_every_memory_gets_the_vector_of_its_text(batches, dtype, batch):
    """However memories come, whatever the batches; each text is asked about once."""
    world, made, _ = town(dtype=dtype, batch=batch)
    for texts, which in batches:
        ids = remembering(world, texts)
        if which == "some":
            embed(world, ids[::2].repeat(2))
        elif which == "all":
            embed(world)
    embed(world)
    assert embed(world) == 0
    check_vectors(world, made)
    assert sorted(made.asked) == sorted(set(made.asked))
    assert not {"", " "} & set(made.asked)
    assert max(made.sizes, default=0) <= batch


def test_memories_of_several_tables_are_embedded_at_once():
    """Whatever else they have."""
    world, made, _ = town("tea")
    remembering(world, ["bread", "tea"], Persona(number=3))
    assert embed(world) == 3
    check_vectors(world, made)
    assert sorted(made.asked) == ["bread", "tea"]


def test_empty_texts_mean_nothing():
    """They have a vector of zeros with scale 0, and nobody is asked."""
    world, made, ids = town("", "  ")
    embed(world)
    component = world.resource(Embeddings).component
    assert not world.get(ids, component.vector).any()
    assert world.get(ids, component.scale).tolist() == [0, 0]
    assert made.asked == []


def test_embed_tells_how_many_got_one():
    """Those named, each once; those that have one are left alone."""
    world, _, ids = town("a", "b", "c")
    assert embed(world, [ids[0], ids[0]]) == 1
    assert embed(world, ids[:2]) == 1
    assert embed(world, []) == 0
    assert embed(world) == 1


def test_a_changed_text_is_embedded_again_with_replace():
    """Without it a memory keeps its vector."""
    world, made, ids = town("tea", "bread")
    embed(world)
    world.set(ids[:1], Memory(text="wine"))
    assert embed(world) == 0
    heard = []
    component = world.resource(Embeddings).component
    world.observe("remove", component, lambda world, gone: heard.extend(gone.tolist()))
    assert embed(world, ids[:1], replace=True) == 1
    assert heard == [ids[0]]
    check_vectors(world, made)
    assert embed(world, replace=True) == 2
    check_vectors(world, made)
    assert made.asked == ["tea", "bread", "wine"]


def test_who_is_no_memory_cannot_be_embedded():
    """Nor who is dead, nor anybody without an embedder."""
    world, _, ids = town("tea")
    world.despawn(ids)
    with pytest.raises(DeadEntityError):
        embed(world, ids)
    with pytest.raises(ComponentMissingError):
        embed(world, world.spawn(1, Persona(number=1)))
    with pytest.raises(ResourceError, match=r"attach_embedder\(world\) gives it one"):
        embed(World())


def test_embedding_is_a_structural_change():
    """So not inside a system that holds views."""
    world, _, _ = town("tea")
    with world.store.moment, world.store.lock("a test"), pytest.raises(StructuralChangeError):
        embed(world)
    with world.store.moment, world.store.lock("a test"), pytest.raises(StructuralChangeError):
        attach_embedder(world, "hashed")


def test_memories_that_change_while_the_embedder_works_are_no_harm():
    """It may take long, and another thread goes on with the world."""
    world = World()
    made = Counting()
    ids = remembering(world, ["dies", "changes", "gets", "stays"])
    attach_embedder(world, made)
    component = world.resource(Embeddings).component

    def meanwhile(texts):
        vectors = made(texts)

        def act():
            world.despawn(ids[:1])
            world.set(ids[1:2], Memory(text="wine"))
            world.add(ids[2:3], component(vector=[[1] * 16], scale=0.25))

        other = threading.Thread(target=act)
        other.start()
        other.join(10)
        assert not other.is_alive()
        return vectors

    embedder_of(world).embedder = CallableEmbedder(meanwhile, "counting", 16)
    assert embed(world) == 1
    embedder_of(world).embedder = made
    assert world.has(ids[1:], component).tolist() == [False, True, True]
    assert world.get(ids[2:3], component.scale).tolist() == [0.25]
    assert embed(world) == 1
    world.check()


# -- the system ------------------------------------------------------------------------------------


def test_who_remembers_remembers_with_a_vector():
    """`embed_memories` stands right after `form_memories`, and moves nothing else."""
    world = World()
    add_laws(world)
    plan = [entry.name for entry in world.schedule._plan()]
    attach_embedder(world, Counting())
    with_it = [entry.name for entry in world.schedule._plan()]
    assert with_it.index("embed_memories") == with_it.index("form_memories") + 1
    assert [name for name in with_it if name != "embed_memories"] == plan
    ann = world.spawn(1, Persona(number=1), Stream)
    world.emit(Observed(owner=ann.repeat(2), time=[1, 2], text=["tea", "bread"]))
    world.step(hours(1))
    assert world.query(world.resource(Embeddings).component, with_=Memory).count() == 2


@pytest.mark.parametrize("first", [True, False])
def test_a_world_without_laws_embeds_too(first):
    """And one that gets them later, a step later."""
    world = World()
    made = Counting()
    if first:
        attach_embedder(world, made)
    world.insert(Retention())
    world.add_system(form_memories)
    if not first:
        attach_embedder(world, made)
    ann = world.spawn(1, Persona(number=1), Stream)
    world.emit(Observed(owner=ann, time=[1], text=["tea"]))
    world.step(1)
    assert len(made.asked) == (0 if first else 1)
    world.step(1)
    check_vectors(world, made)


def test_before_reflect_where_nobody_forms_memories():
    """So that thoughts rest on what has a vector."""
    world = World()
    add_laws(world, without="form_memories")
    attach_embedder(world, Counting())
    plan = [entry.name for entry in world.schedule._plan()]
    assert plan.index("embed_memories") == plan.index("reflect") - 1


def test_the_system_can_be_left_out():
    """Then `embed` alone embeds."""
    world, made, _ = town("tea", embedding=False)
    world.step(1)
    assert made.asked == []
    assert "embed_memories" not in world.schedule.entries


def test_a_failing_service_does_not_stop_the_world():
    """It goes on with a warning, and the next step tries again; a wrong embedder stops it."""
    world, made, _ = town("tea", "bread", batch=1)
    made.fail_after = 1
    with pytest.warns(EmbedderWarning, match="go without vectors for now: OSError: the service"):
        world.step(1)
    assert world.query(world.resource(Embeddings).component).count() == 0
    made.fail_after = None
    world.step(1)
    check_vectors(world, made)
    assert made.asked == ["tea", "bread"]
    remembering(world, ["wine"])
    embedder_of(world).embedder = CallableEmbedder(lambda texts: np.ones((9, 9)), "counting", 16)
    with pytest.raises(ColumnShapeError):
        world.step(1)


def test_a_system_without_an_embedder_does_nothing():
    """Of a world whose systems were added by hand: its memories stay as they are."""
    world = World()
    world.add_system(embed_memories)
    ann = world.spawn(1)
    world.spawn(Memory(owner=ann, sequence=[0], created=0, text=["tea"]))
    before = world.query(Memory).tables()[0].archetype.components
    world.step(1)
    assert world.query(Memory).tables()[0].archetype.components == before
    assert Embeddings not in world.resources


# -- faults ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("fail_after", [0, 1, 2])
def test_a_call_that_fails_changes_nothing(replace, fail_after):
    """In whatever batch; what was answered before it is not asked again."""
    world, made, ids = town("a", "b", "c", batch=1)
    component = world.resource(Embeddings).component
    if replace:
        world.add(ids, component(vector=[[1] * 16] * 3, scale=0.25))
    before = world.digest()
    made.fail_after = fail_after
    with pytest.raises(OSError, match="asleep"):
        embed(world, replace=replace)
    assert world.digest() == before
    made.fail_after = None
    embed(world, replace=replace)
    check_vectors(world, made)
    assert made.asked == ["a", "b", "c"]


def test_a_query_that_fails_keeps_what_was_answered():
    """And does not put anything in place of the rest."""
    world, made, _ = town(batch=1)
    held = embedder_of(world)
    made.fail_after = 1
    with pytest.raises(OSError, match="asleep"):
        held.query(["tea", "bread"])
    made.fail_after = None
    np.testing.assert_array_equal(
        held.query(["tea", "bread"]), vectors_of(made.hashed, ["tea", "bread"])
    )
    assert made.asked == ["tea", "bread"]


def test_a_code_that_was_taken_back_has_no_stale_vector():
    """A failed batch takes its strings back, and the next gives their codes to others."""
    world, made, _ = town()
    held = embedder_of(world)
    before = world.text.mark()
    code = world.text.intern(["taken back"])
    held.codes(code)
    world.text.rollback(before)
    assert world.text.intern(["bread"]).tolist() == code.tolist()
    stored, scale = held.codes(code)
    expected = encode(vectors_of(made.hashed, ["bread"]), "i1")
    np.testing.assert_array_equal(stored, expected[0])
    np.testing.assert_array_equal(scale, expected[1])
    np.testing.assert_array_equal(held.query(["bread"]), decode(*expected))
    assert made.asked == ["taken back", "bread"]


def test_after_a_reclaim_survivors_are_not_asked_about_again():
    """What was given back is let go; a code that is given again has the vector of its new text."""
    world, made, ids = town("tea", "bread", "the sea")
    held = embedder_of(world)
    assert embed(world) == 3
    before, size = held.query(["tea", "the sea"]), held.nbytes
    code = int(world.get(ids[1:2], Memory.text)[0])
    world.despawn(ids[1:2])
    assert world.reclaim_texts() == 1
    made.asked.clear()
    np.testing.assert_array_equal(held.query(["tea", "the sea"]), before)
    assert held.nbytes < size
    assert repr(held) == "<AttachedEmbedder counting: 2 texts>"
    assert int(world.text.intern("fog")[0]) == code
    np.testing.assert_array_equal(
        decode(*held.codes([code])), decode(*encode(vectors_of(made.hashed, ["fog"]), "i1"))
    )
    assert made.asked == ["fog"]
    assert "bread" not in held._strings


def test_a_reclaim_while_an_embedder_is_asked():
    """Another thread reclaims meanwhile: memories that are still there get the vectors of their
    own texts, whatever has become of the codes."""
    world, made, ids = town("tea", "bread", "sea")

    class Meddling(Counting):
        def __call__(self, texts):
            if world.text.reclaims == 0:
                world.set(ids[:1], Memory(text=""))
                world.despawn(ids[1:2])
                assert world.reclaim_texts() == 2
                world.set(ids[:1], Memory(text="fog"))  # under the code that "tea" had
            return super().__call__(texts)

    attach_embedder(world, Meddling(name="counting"))
    assert embed(world) == 1
    assert embed(world) == 1
    found = world.query(Memory, embedder_of(world).law.component)
    assert sorted(world.text.decode(found.gather(Memory.text))) == ["fog", "sea"]
    again = embedder_of(world).law.component
    stored = dict(
        zip(
            world.text.decode(found.gather(Memory.text)),
            decode(found.gather(again.vector), found.gather(again.scale)),
            strict=True,
        )
    )
    for text, vector in stored.items():
        expected = decode(*encode(vectors_of(made.hashed, [text]), "i1"))[0]
        np.testing.assert_array_equal(vector, expected)


# -- texts and queries -----------------------------------------------------------------------------


@given(st.lists(st.lists(WORDS, max_size=6), max_size=6), st.integers(0, 3), st.integers(1, 3))
@examples(max_examples=60)
def test_answers_do_not_depend_on_what_is_cached(calls, queries, batch):
    """Queries and codes: as the embedder has them, or as memories do, with whatever bounds."""
    world, made, _ = town(queries=queries, batch=batch)
    held = embedder_of(world)
    for place, texts in enumerate(calls):
        expected = vectors_of(made.hashed, texts)
        if place % 2 == 0:
            said = np.array([text in world.text for text in texts], bool)[:, None]
            want = np.where(said, decode(*encode(expected, "i1")), expected)
            np.testing.assert_array_equal(held.query(texts), want)
            assert len(held._recent) <= queries
            continue
        stored, scale = held.codes(world.text.intern(texts))
        for got, right in zip((stored, scale), encode(expected, "i1"), strict=True):
            np.testing.assert_array_equal(got, right)
        assert stored.shape == (len(texts), 16)


def test_the_latest_queries_are_kept():
    """Those that were asked longest ago go first."""
    world, made, _ = town(queries=2)
    held = embedder_of(world)
    for text in ["a", "b", "a", "c", "a", "b"]:
        held.query([text])
    assert made.asked == ["a", "b", "c", "b"]
    assert held.query("a").shape == (1, 16)
    assert held.query([]).shape == (0, 16)


def test_a_query_that_is_a_memory_is_as_the_memory_has_it():
    """And the embedder is not asked about it again; any other query is exact."""
    world, made, ids = town("Klaus reads")
    embed(world)
    held = embedder_of(world)
    query = held.query(["Klaus reads", "Klaus"])
    component = world.resource(Embeddings).component
    near = decode(world.get(ids, component.vector), world.get(ids, component.scale))
    np.testing.assert_array_equal(query[0], near[0])
    np.testing.assert_array_equal(query[1:], vectors_of(made.hashed, ["Klaus"]))
    assert made.asked == ["Klaus reads", "Klaus"]


def test_a_memory_that_was_a_query_is_not_asked_about_again():
    """What was asked of late is known when it is remembered."""
    world, made, _ = town()
    held = embedder_of(world)
    held.query(["Klaus reads"])
    ids = remembering(world, ["Klaus reads", "rain"])
    embed(world, ids)
    assert made.asked == ["Klaus reads", "rain"]
    component = world.resource(Embeddings).component
    expected = encode(vectors_of(made.hashed, ["Klaus reads", "rain"]), "i1")[0]
    np.testing.assert_array_equal(world.get(ids, component.vector), expected)


def test_what_is_asked_is_checked():
    """Texts are strings, codes those of the pool."""
    world, _, _ = town("tea")
    held = embedder_of(world)
    with pytest.raises(ColumnTypeError, match="must be a str, got int"):
        held.query(["a", 3])
    with pytest.raises(ColumnTypeError, match="must be a str"):
        held.query([b"tea"])
    for unknown in (99, 2**32 + 1):
        with pytest.raises(ColumnValueError, match="unknown"):
            held.codes([unknown])
    for wrong in ([-1], [0.5], [[1]]):
        with pytest.raises(ColumnValueError, match="whole numbers"):
            held.codes(wrong)
    assert held.codes([])[0].shape == (0, 16)
    assert held.nbytes == 0
    assert repr(held) == "<AttachedEmbedder counting: 0 texts>"


def test_rows_are_there_for_texts_that_were_embedded():
    """A pool may hold a million names and a few memories."""
    world, _, ids = town()
    world.text.intern(map(str, range(10_000)))
    ids = remembering(world, ["tea", "bread"])
    embed(world, ids)
    held = embedder_of(world)
    assert len(held._stored) == 2
    assert 2 * 20 < held.nbytes < 2 * 20 + 4 * 15_100


def test_threads_ask_as_one():
    """Each text once, and each thread gets what is right."""
    world, made, _ = town(batch=3)
    held = embedder_of(world)
    texts = [f"text {n}" for n in range(40)]
    codes = world.text.intern(texts)
    expected = vectors_of(made.hashed, texts)
    rounded = decode(*encode(expected, "i1"))
    wrong = []

    def ask(seed):
        random = np.random.default_rng(seed)
        for _ in range(30):
            places = random.integers(0, 40, 5)
            if not np.array_equal(held.query([texts[p] for p in places]), rounded[places]):
                wrong.append(places)
            if not np.array_equal(held.codes(codes[places])[0], encode(expected, "i1")[0][places]):
                wrong.append(places)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
    assert len(made.asked) == 40


# -- attaching -------------------------------------------------------------------------------------


def test_a_world_says_which_embedder_it_has():
    """A resource, with the component that its vectors are in."""
    world = World()
    assert embedder_of(world) is None
    held = attach_embedder(world, "hashed-64", dtype="f2")
    assert isinstance(held, AttachedEmbedder)
    assert embedder_of(world) is held
    law = world.resource(Embeddings)
    assert law == Embeddings(embedder="hashed-64", dimensions=64, dtype="f2") == held.law
    assert law.component is embedding(64, "f2")


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (Counting(16, "other"), {}),
        (Counting(17), {}),
        (Counting(), {"dtype": "f4"}),
        ("hashed", {}),
    ],
)
def test_vectors_of_two_embedders_do_not_mix(other, options):
    """The message names both and the way out; nothing has changed."""
    world, _, _ = town("tea")
    embed(world)
    held, before = embedder_of(world), world.digest()
    with pytest.raises(SettingError, match=r"'counting', 16 .*replace=True") as caught:
        attach_embedder(world, other, **options)
    assert getattr(other, "name", "hashed-256") in str(caught.value)
    assert (embedder_of(world), world.digest()) == (held, before)
    attach_embedder(world, other, replace=True, **options)
    assert world.query(embedding(16, "i1"), with_=Memory).count() == 0
    assert embed(world) == 1
    if isinstance(other, Counting):
        check_vectors(world, other)


@pytest.mark.parametrize(
    "options",
    [{"batch": 0}, {"batch": True}, {"queries": -1}, {"queries": 1.5}, {"dtype": "f8"}],
)
def test_what_is_no_setting_is_refused(options):
    """Before anything is changed."""
    world = World()
    with pytest.raises(SettingError):
        attach_embedder(world, "hashed", **options)
    assert Embeddings not in world.resources
    assert "embed_memories" not in world.schedule.entries


def test_attached_again_the_world_goes_on():
    """With a new cache, and one system."""
    world, made, _ = town("tea")
    embed(world)
    other = Counting()
    attach_embedder(world, other)
    assert embed(world) == 0
    remembering(world, ["tea"])
    world.step(1)
    assert other.asked == ["tea"]
    check_vectors(world, made)


def test_a_loaded_world_keeps_its_vectors(tmp_path):
    """Attached again it continues; with nothing named, with the embedder that it had."""
    world = World()
    attach_embedder(world, "hashed-48")
    ids = remembering(world, ["tea", "bread"])
    embed(world)
    save(world, tmp_path)
    again = load(tmp_path)
    component = again.resource(Embeddings).component
    assert component is embedding(48)
    np.testing.assert_array_equal(
        again.get(ids, component.vector), world.get(ids, component.vector)
    )
    assert embedder_of(again) is None
    with pytest.raises(SettingError, match="'hashed-48'"):
        attach_embedder(again, "hashed")
    assert attach_embedder(again).embedder.name == "hashed-48"
    remembering(again, ["tea", "wine"])
    again.step(1)
    assert again.query(component, with_=Memory).count() == 4
    again.check()


def test_a_world_with_an_embedder_of_ones_own_asks_for_it(tmp_path):
    """Populace cannot make it from its name."""
    world, _, _ = town("tea")
    save(world, tmp_path)
    again = load(tmp_path)
    with pytest.raises(SettingError, match="'counting', which Populace does not have; pass"):
        attach_embedder(again)
    attach_embedder(again, Counting())
    assert embed(again) == 1


def test_vectors_go_to_the_archive_and_come_back(tmp_path):
    """With the memory, bit for bit; nobody is asked again."""
    world, made, _ = town("tea", "bread")
    ids = world.query(Memory).ids()
    embed(world)
    with attach_archive(world, tmp_path, archiving=False):
        owner = world.get(world.get(ids, Memory.owner), Persona.number)
        assert archive_memories(world, ids) == 2
        revive(world, np.stack([owner, [0, 1]], 1))
        assert embed(world) == 0
        check_vectors(world, made)
    assert made.asked == ["tea", "bread"]
