"""Rendering: what a language model is told of memories, whole lines, within its budget."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.components import Memory, MemoryKind, Persona, Stream, Trace
from populace.ecs import NOBODY, World, days, hours, minutes
from populace.ecs.errors import (
    ColumnShapeError,
    ComponentMissingError,
    DeadEntityError,
    SettingError,
)
from populace.systems import RecallScore
from populace.systems.recollection import recall
from populace.systems.rendering import age_phrase, estimated_tokens, memories_as_text

NOW = days(20_000)
TEXTS = st.text(st.sampled_from("ab \n\t\u2028é7."), max_size=12)


def town(*texts, created=NOW, kind=MemoryKind.EVENT):
    """(world, ids of memories with these texts)."""
    world = World()
    world.insert(RecallScore())
    world.clock.now = NOW
    owner = world.spawn(1, Persona(number=7), Stream)
    n = len(texts)
    memory = Memory(
        owner=np.repeat(owner, n), sequence=np.arange(n), created=created, kind=kind,
        text=list(texts),
    )  # fmt: skip
    return world, world.spawn(n, memory, Trace(importance=0.5, stability=1e6, accessed=NOW))


class Found:
    """What came to mind, some of it in the archive."""

    def __init__(self, ids, text, **others):
        self.ids, self.text = np.array(ids, np.uint64), text
        self.__dict__.update(others)


def shown(world, *arguments, **options):
    """The lines, without their times."""
    text = memories_as_text(world, *arguments, times=False, **options)
    return text.split("\n") if text else []


# -- lines -----------------------------------------------------------------------------------------


def test_a_line_says_when_and_what():
    """And how long ago, and of what kind, if asked."""
    world, ids = town("tea", created=NOW - hours(3))
    assert memories_as_text(world, ids) == "[2024-10-03 21:00] tea"
    assert memories_as_text(world, ids, ages=True) == "[2024-10-03 21:00, 3 hours ago] tea"
    assert memories_as_text(world, ids, times=False, ages=True) == "[3 hours ago] tea"
    assert memories_as_text(world, ids, times=False, kinds=True) == "(event) tea"
    assert memories_as_text(world, ids, kinds=True) == "[2024-10-03 21:00] (event) tea"
    assert memories_as_text(world, ids, times=False) == "tea"


@pytest.mark.parametrize(
    ("created", "stamp"),
    [
        (-(2**63) + 1, "-290308-12-21 19:59"), (-1, "1969-12-31 23:59"),
        (minutes(1) - 1, "1970-01-01 00:00"), (2**63 - 1, "294247-01-10 04:00"),
    ],
)  # fmt: skip
def test_any_time_has_a_stamp(created, stamp):
    """Before 1970 and far from it too."""
    world, ids = town("tea", created=created)
    assert memories_as_text(world, ids) == f"[{stamp}] tea"
    assert " ago]" in memories_as_text(world, ids, ages=True) or created > NOW


def test_the_order_is_that_of_what_was_found():
    """A recollection's, the best first, or that of the ids."""
    world, ids = town("the sea", "tea is hot", "bread and tea")
    assert shown(world, ids[[2, 0]]) == ["bread and tea", "the sea"]
    owner = world.get(ids[:1], Memory.owner)
    found = recall(world, owner, "hot tea?", k=2)
    assert shown(world, found) == found.text == ["tea is hot", "bread and tea"]


def test_white_space_is_folded_and_blanks_are_left_out():
    """So that a memory is a line."""
    world, ids = town("a\nb\r\n\tc ", "", " \n", "d\u2028e\x85f")
    assert shown(world, ids) == ["a b c", "d e f"]


def test_memories_in_the_archive_have_no_id():
    """Their times are told if what was found has them."""
    world, ids = town("tea", created=NOW)
    found = Found([ids[0], NOBODY], ["tea", "bread"])
    assert memories_as_text(world, found, ages=True, kinds=True) == (
        "[2024-10-04 00:00, just now] (event) tea\nbread"
    )
    told = Found([NOBODY], ["bread"], created=[NOW - minutes(2)], kind=[2])
    assert memories_as_text(world, told, ages=True, kinds=True) == (
        "[2024-10-03 23:58, 2 minutes ago] (chat) bread"
    )


def test_nothing_comes_to_mind():
    """An empty text."""
    world, ids = town("tea")
    assert memories_as_text(world, []) == memories_as_text(world, ids, 0) == ""
    assert memories_as_text(world, Found([], [])) == ""


@pytest.mark.parametrize(
    ("past", "phrase"),
    [
        (0, "just now"), (minutes(1) - 1, "just now"), (minutes(1), "1 minute ago"),
        (hours(1) - 1, "59 minutes ago"), (days(1), "1 day ago"), (days(13), "1 week ago"),
        (days(29), "4 weeks ago"), (days(30), "1 month ago"), (days(364), "12 months ago"),
        (days(730), "2 years ago"), (days(500_000), "1,369 years ago"), (-hours(2), "in 2 hours"),
    ],
)  # fmt: skip
def test_ages_are_as_people_say_them(past, phrase):
    """In whole units, the largest that fits."""
    assert age_phrase(past) == phrase


# -- budgets ---------------------------------------------------------------------------------------

COUNTERS = [None, len, lambda text: len(text.split()), lambda text: 7 * len(text.split("\n"))]


@given(st.lists(TEXTS, max_size=12), st.integers(0, 60), st.sampled_from(COUNTERS), st.booleans())
@example([""] * 3, 0, len, True)
@examples(max_examples=150)
def test_a_budget_is_kept(texts, budget, tokens, skip):
    """What is counted of the text is at most the budget, and no further line would fit."""
    world, ids = town(*texts)
    count = tokens or estimated_tokens
    lines = [" ".join(text.split()) for text in texts if text.strip()]
    got = shown(world, ids, budget, tokens=tokens, skip=skip)
    assert not got or count("\n".join(got)) <= budget
    if skip:
        naive = []
        for line in lines:
            if count("\n".join([*naive, line])) <= budget:
                naive.append(line)
    else:
        n = 0
        while n < len(lines) and count("\n".join(lines[: n + 1])) <= budget:
            n += 1
        naive = lines[:n]
    assert got == naive


@given(st.lists(TEXTS, max_size=12), st.integers(0, 40), st.integers(0, 40))
@examples(max_examples=100)
def test_a_smaller_budget_gives_the_beginning(texts, one, other):
    """Lines do not come and go."""
    world, ids = town(*texts)
    small, large = (memories_as_text(world, ids, n) for n in sorted([one, other]))
    assert large.startswith(small)


def test_what_does_not_fit_ends_the_text_unless_it_is_skipped():
    """A weaker memory does not take a stronger one's place by itself."""
    world, ids = town("one", "a very long story", "two")
    assert shown(world, ids, 3, tokens=lambda text: len(text.split())) == ["one"]
    assert shown(world, ids, 3, tokens=lambda text: len(text.split()), skip=True) == ["one", "two"]
    assert len(shown(world, ids)) == 3


def test_long_lists_are_counted_a_few_times():
    """Not once a line: a counter may be slow."""
    world, ids = town(*[f"memory {n}" for n in range(1000)])
    calls = []
    got = shown(world, ids, 200, tokens=lambda text: calls.append(text) or len(text.split()))
    assert len(got) == 100
    assert len(calls) < 20
    assert max(text.count("\n") for text in calls) < 200


class Encoding:
    """As tiktoken's: `encode` refuses some texts, `encode_ordinary` none."""

    def encode(self, text):
        raise ValueError("disallowed special token")

    def encode_ordinary(self, text):
        return text.split()


class Encoder:
    """As a tokenizer of the package `tokenizers`."""

    def encode(self, text):
        return text.split()


def test_tokenizers_count_tokens():
    """Whatever can encode."""
    world, ids = town("<|endoftext|> a", "b")
    for tokens in (Encoding(), Encoder()):
        assert shown(world, ids, 2, tokens=tokens) == ["<|endoftext|> a"]


@pytest.mark.parametrize("budget", [-1, 1.5, True, "10"])
def test_a_budget_is_a_number_of_tokens(budget):
    """Whole, and not below 0."""
    world, ids = town("tea")
    with pytest.raises(SettingError, match="a whole number of tokens >= 0"):
        memories_as_text(world, ids, budget)


@pytest.mark.parametrize("tokens", ["gpt-4o", 3, Encoder])
def test_what_cannot_count_is_refused(tokens):
    """The name of a model too: a class or a name counts nothing."""
    world, ids = town("tea")
    with pytest.raises(SettingError, match=r"tiktoken.get_encoding"):
        memories_as_text(world, ids, 10, tokens=tokens)


@pytest.mark.parametrize("n", [-1, 1.5, None, True])
def test_a_counter_returns_a_number(n):
    """Whole, and not below 0."""
    world, ids = town("tea")
    with pytest.raises(SettingError, match="must return a whole number"):
        memories_as_text(world, ids, 10, tokens=lambda text: n)


def test_ids_are_those_of_living_memories():
    """Each with its text."""
    world, ids = town("tea", "bread")
    with pytest.raises(ComponentMissingError):
        memories_as_text(world, world.get(ids, Memory.owner))
    with pytest.raises(ColumnShapeError, match="1 texts and 2 ids"):
        memories_as_text(world, Found(ids, ["tea"]))
    world.despawn(ids[:1])
    with pytest.raises(DeadEntityError):
        memories_as_text(world, ids)


# -- the estimate ----------------------------------------------------------------------------------

LINES = [
    "[2023-02-13 21:11] bed is being used",
    "[2023-02-14 00:00] This is Isabella Rodriguez's plan for Tuesday February 14: wake up and "
    "complete the morning routine at 6:00 am, open Hobbs Cafe at 8:00 am.",
    "[2023-02-13 15:40] Klaus Mueller is conversing about the impact of gentrification",
    "Caroline: Hey Mel! Good to see you! How have you been?",
    "Привет, как дела? 日本語のテキスト naïve café",
]


def test_the_estimate_is_rather_too_high():
    """For the tokenizer of a language model with few tokens; not by more than a half."""
    embedders = pytest.importorskip("populace.systems.embedders")
    pytest.importorskip("wordllama")
    real = [embedders.StaticEmbedder().count_tokens(line) for line in LINES]
    for line, n in zip(LINES[:4], real, strict=False):
        assert n <= estimated_tokens(line) <= 1.5 * n
    assert real[4] <= estimated_tokens(LINES[4])
    assert estimated_tokens("\n".join(LINES)) == sum(map(estimated_tokens, LINES)) + 4
    assert estimated_tokens("") == 0
    assert estimated_tokens("\ud800") >= 1
