"""Attention: when memories form, however time and agents are cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.ecs import days, hours
from populace.ecs.errors import ColumnValueError
from populace.systems import (
    AWAKE,
    DAY,
    Span,
    memories_formed,
    moments,
    waking_times,
)
from populace.systems.attention import attention

START = days(19_401)


@given(
    st.integers(0, 2**63 - 1),
    st.integers(1, 40),
    st.integers(0, 60),
    st.integers(hours(1), days(9)),
    st.lists(st.floats(0, 1), max_size=8),
)
def test_any_cutting_of_the_span_gives_the_same_memories(seed, n_agents, memories, length, cuts):
    """Windows side by side form what the whole span forms: exactly n per agent, in order."""
    span = Span(START, START + length, memories)
    number = np.arange(n_agents)
    row, share, created = memories_formed(seed, span, number, span.start, span.end)
    assert share.tolist() == list(range(memories)) * n_agents
    assert row.tolist() == np.repeat(number, memories).tolist()
    edges = sorted({span.start, span.end, *(START + int(cut * length) for cut in cuts)})
    parts = set()
    for start, end in pairwise(edges):
        r, s, c = memories_formed(seed, span, number, start, end)
        assert ((start <= c) & (c < end)).all()
        parts |= set(zip(r.tolist(), s.tolist(), c.tolist(), strict=True))
    assert parts == set(zip(row.tolist(), share.tolist(), created.tolist(), strict=True))


def test_windows_as_small_as_can_be_find_what_forms_in_them():
    """A µs around a memory at the very edge of its share holds that memory, and the µs before and
    after do not: rounding loses nothing where shares meet."""
    span, number = Span(START, START + days(9), 200_000), np.array([3])
    wakes = waking_times(1, number)
    _, share, created = memories_formed(1, span, number, span.start, span.end)
    spent = np.array([attention(wakes, int(t))[0] for t in (span.start, span.end)])
    size = (spent[1] - spent[0]) / span.memories
    at = np.array([attention(wakes, t)[0] for t in created.tolist()]) - spent[0]
    edges = np.argsort(at / size - share)[np.r_[0:60, -60:0]]
    alone = (np.diff(created, prepend=0) > 1) & (np.diff(created, append=2**62) > 1)
    for t in created[edges[alone[edges]]].tolist():
        found = [memories_formed(1, span, number, t + i, t + i + 1)[2] for i in (-1, 0, 1)]
        assert [times.tolist() for times in found] == [[], [t], []]


@given(st.integers(0, 2**63 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_an_agent_forms_the_same_memories_in_any_company(seed, numbers):
    """What an agent forms depends on its number, not on who else is in the batch, or where."""
    span = Span(START, START + days(2), 7)
    row, _, created = memories_formed(seed, span, np.array(numbers), span.start, span.end)
    alone = memories_formed(seed, span, np.array(numbers[-1:]), span.start, span.end)[2]
    assert created[row == len(numbers) - 1].tolist() == alone.tolist()


@given(st.integers(0, hours(8)), st.integers(-days(3), days(40_000)))
def test_a_moment_inverts_attention(wakes, t):
    """The moment at which A(t) is spent is t: attention never stands still."""
    spent = attention(np.array([wakes]), t)
    assert moments(np.array([wakes]), spent).tolist() == [t]


def test_memories_form_by_day():
    """Of each agent's memories some 97 % (32 in 33) form in its 16 waking hours."""
    span = Span(START, START + days(30), 100)
    number = np.arange(500)
    row, _, created = memories_formed(3, span, number, span.start, span.end)
    waking = (created - waking_times(3, number)[row]) % DAY < AWAKE
    assert waking.mean() == pytest.approx(32 / 33, abs=0.005)


def test_agents_get_up_at_different_times():
    """Waking times fill 5:30 to 8:00."""
    wakes = waking_times(1, np.arange(10_000))
    assert hours(5.5) <= wakes.min() < hours(5.51)
    assert hours(7.99) < wakes.max() < hours(8)


def test_nothing_forms_outside_the_span():
    """Windows before, after and across its ends hold only what is inside."""
    span = Span(START, START + days(1), 10)
    number = np.arange(3)
    for start, end in ((0, START), (span.end, span.end + DAY), (START, START)):
        assert memories_formed(1, span, number, start, end)[0].size == 0
    assert memories_formed(1, span, number, 0, span.end + DAY)[0].size == 30


@pytest.mark.parametrize(("end", "memories"), [(START, 1), (START - 1, 1), (START + 1, -1)])
def test_an_impossible_span_is_refused(end, memories):
    """An empty span and a negative count are errors that say so."""
    with pytest.raises(ColumnValueError, match="span"):
        Span(START, end, memories)
