"""Texts that nothing holds are given back now and then; no cache shows what a code was before."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import Memory, Persona, Statement, Stream, Trace
from populace.ecs import TextPool, World, days, hours
from populace.ecs.errors import SettingError
from populace.ecs.image import capture, restore
from populace.storage.snapshot import load, save
from populace.systems import Texts, reclaim_texts
from populace.systems.archive import archive_memories, attach_archive
from populace.systems.archive_reading import archived
from populace.systems.archiving import find_inactive
from populace.systems.bm25 import bm25
from populace.systems.lexicon import lexicon
from populace.systems.phrases import phrases
from populace.systems.postings import postings
from populace.systems.recollection import recall
from populace.systems.revival import revive
from populace.systems.society_recall import who_remembers
from populace.systems.stemming import COMMON, split
from populace.systems.words import word_index, words

from ..ecs.twins import assert_twins

DAY_S = 86_400.0


def remembering(*texts):
    """(world, the one who remembers, memories with these texts)."""
    world = World(seed=5)
    ann = world.spawn(1, Persona(number=1, name="Ann"), Stream)
    return world, ann, spawned(world, ann, 0, texts)


def spawned(world, ann, first, texts):
    n = len(texts)
    memory = Memory(
        owner=ann.repeat(n), sequence=np.arange(first, first + n), created=0, text=list(texts)
    )
    return world.spawn(n, memory, Trace(importance=0.5, stability=DAY_S, accessed=0))


# -- the system ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [hours(1), hours(5), days(1)])
def test_due_when_a_multiple_is_passed(step):
    """However long the steps are."""
    world, _, _ = remembering("tea")
    world.insert(Texts(every=2 * DAY_S, least=1, share=0))
    world.add_system(reclaim_texts)
    passed = []
    for k in range(days(5) // step):
        before = world.text.reclaims
        world.text.intern([f"lost {k}"])
        world.step(step)
        if world.text.reclaims > before:
            passed.append(world.clock.now // days(2))
            assert "lost 0" not in world.text
    assert passed == [1, 2]
    assert world.text.decode(world.query(Memory).gather(Memory.text)) == ["tea"]


def test_only_where_enough_are_dead():
    """So many, and such a share of all that are there."""
    for law, n_lost, expected in (
        (Texts(every=3600, least=5, share=0), 4, 0),
        (Texts(every=3600, least=5, share=0), 5, 5),
        (Texts(every=3600, least=1, share=0.5), 9, 0),
        (Texts(every=3600, least=1, share=0.5), 11, 11),
    ):
        world, _, _ = remembering(*(f"memory {k}" for k in range(8)))  # with "" and "Ann" 10 texts
        world.insert(law)
        world.add_system(reclaim_texts)
        n = len(world.text)
        world.text.intern([f"lost {k}" for k in range(n_lost)])
        world.step(hours(1))
        assert n + n_lost - len(world.text) == expected


def test_settings_that_make_no_sense():
    """Times and numbers are positive, shares up to 1."""
    for wrong in ({"every": 0}, {"least": 0}, {"share": 1.5}):
        with pytest.raises(SettingError):
            Texts(**wrong)


def test_a_world_that_was_saved_goes_on_as_the_other(tmp_path):
    """Over days of coming and going, with a reclaim each day: the same codes, bit for bit."""
    world, ann, _ = remembering("tea", "bread")
    world.insert(Texts(every=DAY_S, least=1, share=0))

    def live(one, begin, end):
        one.add_system(reclaim_texts)
        for k in range(begin, end):
            ids = one.query(Memory).ids()
            one.despawn(ids[np.random.default_rng(k).random(ids.size) < 0.3])
            spawned(one, ann, 10 * k + 10, [f"{k}: {i}" for i in range(6)])
            one.step(hours(7))

    live(world, 0, 7)
    assert world.text.n_free
    save(world, tmp_path)
    other = load(tmp_path)
    assert_twins(world, other)
    world.schedule.entries.clear()
    for one in (world, other):
        live(one, 7, 20)
    assert world.text.reclaims > other.text.reclaims > 0
    assert_twins(world, other)


# -- caches ----------------------------------------------------------------------------------------


def turned(texts, others):
    """A pool that knew `texts`, all caches filled, and then `others` under the same codes."""
    pool = TextPool()
    codes = pool.intern(texts)
    lexicon(pool, codes)
    word_index(pool, codes)
    postings(pool, codes)
    bm25(pool, "tea", codes)
    phrases(pool, "{} and {}", codes, codes[::-1])
    live_c = np.zeros(len(pool), np.bool_)
    live_c[0] = live_c[len(texts)] = True
    after = pool.reclaimed(live_c)
    again = after.intern(others)
    assert again.tolist() == codes[:-1].tolist()
    return after, np.append(again, codes[-1])


def test_caches_of_words_and_phrases_begin_anew():
    """What they say of a code is what a pool says that never had another string there."""
    texts = ["hot tea", "cold tea", "rain", "kept"]
    others = ["a red book", "tea at dawn", "snow"]
    pool, codes = turned(texts, others)
    fresh = TextPool()
    plain = fresh.intern([*others, "kept"])
    for query in ("tea", "book", "rain", "hot snow", "kept"):
        assert bm25(pool, query, codes).tolist() == bm25(fresh, query, plain).tolist()
        counts = np.ones(len(pool), np.int64)
        found = [postings(p, c).score(query, counts[: len(p)]) for p, c in
                 ((pool, codes), (fresh, plain))]  # fmt: skip
        assert found[0].scores.tolist() == found[1].scores.tolist()
        assert pool.decode(found[0].codes) == fresh.decode(found[1].codes)
    words = [lexicon(p, c) for p, c in ((pool, codes), (fresh, plain))]
    for code, other in zip(codes, plain, strict=True):
        said = [
            [known.word(w) for w in known.words_w[known.start_c[c] : known.end_c[c]]]
            for known, c in zip(words, (code, other), strict=True)
        ]
        assert said[0] == said[1]
    sizes = [
        (index.end_c[c] - index.start_c[c]).tolist()
        for index, c in ((word_index(pool, codes), codes), (word_index(fresh, plain), plain))
    ]
    assert sizes[0] == sizes[1]
    made = [p.decode(phrases(p, "{} and {}", c, c[::-1])) for p, c in
            ((pool, codes), (fresh, plain))]  # fmt: skip
    assert made[0] == made[1]


def sets(pool, codes):
    """The distinct words that count of each code, by `word_index`."""
    index = word_index(pool, codes)
    known = index.lexicon
    return [
        {known.word(w) for w in index.words_w[index.start_c[c] : index.end_c[c]]} for c in codes
    ]


drawn_texts = st.lists(
    st.lists(st.sampled_from("tea book rain red the at snow".split()), max_size=4).map(" ".join),
    min_size=1, max_size=12, unique=True,
)  # fmt: skip


@given(drawn_texts, st.data(), drawn_texts)
def test_words_of_survivors_are_kept_and_right(texts, data, others):
    """After any reclaim, and more texts: what a lexicon and its sets say of each code is what those
    of a pool say that has known no other texts."""
    pool = TextPool()
    codes = pool.intern(texts)
    word_index(pool, codes)
    live_c = np.ones(len(pool), np.bool_)
    for code in codes[codes > 0]:
        live_c[code] = data.draw(st.booleans())
    survivors = codes[live_c[codes]]
    pool = pool.reclaimed(live_c)
    held = np.unique(np.append(pool.intern(others), survivors))
    strings = pool.decode(held)
    assert sets(pool, held) == [words(text) for text in strings]
    known = lexicon(pool, held)
    said = [[known.word(w) for w in known.words_w[known.start_c[c] : known.end_c[c]]] for c in held]
    assert said == [split(text) for text in strings]
    assert known.length_c[held].tolist() == [
        sum(word not in COMMON for word in split(text)) for text in strings
    ]
    assert sorted(known.learnt.tolist()) == held.tolist()


def test_what_survives_is_not_learnt_again():
    """The lexicon goes over to the pool after, as long as half of its words are in use."""
    pool = TextPool()
    codes = pool.intern(["hot tea", "cold tea", "rain"])
    before = lexicon(pool, codes)
    word_index(pool, codes)
    live_c = np.array([True, True, True, False])
    after = pool.reclaimed(live_c)
    assert lexicon(after) is before
    assert before.learnt.tolist() == codes[:2].tolist()
    assert word_index(after, []).start_c[codes].tolist()[:2] == [0, 2]
    assert lexicon(pool) is not before
    last = after.reclaimed(np.array([True, True, False]))
    assert lexicon(last) is before  # hot, tea; not cold, rain
    none = last.reclaimed(np.array([True, False]))
    assert lexicon(none) is not before
    assert not lexicon(none).n_words


def test_recall_finds_what_is_there_now():
    """By words and phrases, of one agent and of a society, cached or not: as a world that has never
    known other texts."""
    world, ann, ids = remembering("hot tea", "cold tea", "rain", "a book on tea", "snow")
    world.add(ids[3:4], Statement)
    queries = [{"query": q, "mode": "words"} for q in ("tea", "book", "fog", "rain")]
    queries += [{"query": "tea", "phrase": "cold tea", "mode": "words"}]

    def told(one):
        mine = [recall(one, ann, k=3, **asked).text for asked in queries]
        return mine, [who_remembers(one, k=3, **asked).text for asked in queries]

    told(world)
    world.despawn(ids[[1, 2]])
    for _ in range(2):
        before = told(world)
        world.reclaim_texts()
        assert told(world) == before
        spawned(world, ann, 10 + world.text.reclaims, ["fog over tea", "a book on rain"][:1])
        twin = restore(capture(world))
        assert told(world) == told(twin)
    assert any("fog over tea" in text for text in told(world)[0])


SAID = st.lists(st.sampled_from("tea teas book rain red the at snow".split()), max_size=4)
COMINGS = st.tuples(st.lists(SAID.map(" ".join), max_size=6), st.integers(0, 2**32), st.booleans())
QUERIES = ({"query": "red tea"}, {"query": "the books"}, {"query": "rain snow", "prefix": "te"},
           {"query": "book", "phrase": "the tea"}, {"query": "tea", "phrase": "at"})  # fmt: skip


@given(st.lists(COMINGS, min_size=1, max_size=5))
def test_any_coming_and_going_is_recalled_as_by_a_world_of_its_own(steps):
    """Words with a common stem, prefixes, phrases with common words, the same text many times, and
    texts that come back: nothing of what the codes were before is found, and all that they are."""
    world, ann, _ = remembering("tea at rain", "red book")
    for k, (texts, kept, reclaims) in enumerate(steps):
        spawned(world, ann, 10 * k + 10, texts)
        ids = world.query(Memory).ids()
        world.despawn(ids[np.random.default_rng(kept).random(ids.size) < 0.5])
        if reclaims:
            world.reclaim_texts()
        twin = restore(capture(world))
        for asked in QUERIES:
            ways = [
                (recall(one, ann, k=9, mode="words", **asked),
                 who_remembers(one, k=9, mode="words", **asked))
                for one in (world, twin)
            ]  # fmt: skip
            for mine, its in zip(*ways, strict=True):
                assert (mine.text, mine.ids.tolist()) == (its.text, its.ids.tolist())
                assert mine.scores.total.tolist() == its.scores.total.tolist()


# -- the archive -----------------------------------------------------------------------------------


def test_archived_memories_come_back_with_their_texts(tmp_path):
    """Their texts lie in the archive as strings, so that a reclaim frees their codes."""
    texts = [f"memory {k}" for k in range(6)]
    world, ann, ids = remembering(*texts)
    with attach_archive(world, tmp_path):
        assert archive_memories(world, ids[:4]) == 4
        assert world.reclaim_texts() == 4
        spawned(world, ann, 10, [f"other {k}" for k in range(4)])
        assert sorted(archived(world)["text"].to_pylist()) == texts[:4]
        found = recall(world, ann, "memory", k=9, mode="words", archived=True)
        assert set(texts) <= set(found.text)
        back = revive(world, [(1, k) for k in range(4)])
    assert world.text.decode(world.get(back, Memory.text)) == texts[:4]
    world.check()


def test_what_is_archived_is_told_by_its_own_text_from_first_to_last(tmp_path):
    """Asked before and after its code has become another's, and by a world that was loaded; where
    it comes back it has a code of its own again."""
    world, ann, ids = remembering("hot tea", "cold tea", "rain")
    world.add_system(find_inactive)

    def told(one):
        found = recall(one, ann, "tea", k=9, mode="words", archived=True)
        return sorted(found.text)

    with attach_archive(world, tmp_path):
        archive_memories(world, ids[:2])
        assert told(world) == ["cold tea", "hot tea", "rain"]
        world.reclaim_texts()
        spawned(world, ann, 10, ["tea and fog", "snow"])  # under the codes of both
        assert told(world) == ["cold tea", "hot tea", "rain", "snow", "tea and fog"]
        save(world, tmp_path)
    other = load(tmp_path)
    with attach_archive(other, tmp_path):
        assert told(other) == ["cold tea", "hot tea", "rain", "snow", "tea and fog"]
        (back,) = revive(other, [(1, 1)])
        assert other.text.decode(other.get([back], Memory.text)) == ["cold tea"]
        assert other.reclaim_texts() == 0
        other.despawn([back])
        assert other.reclaim_texts() == 1
        assert told(other) == ["hot tea", "rain", "snow", "tea and fog"]
        other.check()
