"""Ties: the law, its kernel against its plain twin, and that time may be cut in any way."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from populace.components import Contact, Met, Persona
from populace.components.tie import HEAVIEST, Tie, TiesEnded, TieState, TieStrength
from populace.ecs import NOBODY, World, component, days, f4, hours, schema, seconds
from populace.ecs.errors import DeadEntityError, ResourceError, SettingError
from populace.systems.ties import (
    ABSENT,
    Ties,
    apply_contacts,
    contact_ties,
    decayed,
    end_ties,
    moved,
    refresh_ties,
    saturated,
    tie_strengths,
    valences,
)

from . import naive_ties as naive

START = days(19_000)
N = 6
LAW = {"half_life_s": 14 * 86_400.0, "gain": 1.0, "rate": 0.1}
cheap = settings(max_examples=60)


@component
class Kinship:
    """Makes some ties live in another table."""


def society(n_agents=N, now=START, reverse=False, **law):
    """A world of n agents, its ids by number, and the law of ties."""
    world = World(seed=3)
    world.clock.now = now
    world.insert(Ties(**law))
    world.add_systems(apply_contacts, refresh_ties)
    numbers = np.arange(n_agents)[:: -1 if reverse else 1]
    agents = world.spawn(n_agents, Persona(number=numbers))
    return world, agents[numbers]


def contact(agents, drawn):
    """Drawn contacts (source, target, time, weight, outcome, mutual) as an event batch."""
    source, target, time, weight, outcome, mutual = (np.array(c) for c in zip(*drawn, strict=True))
    return Contact(
        source=agents[source],
        target=agents[target],
        time=time,
        weight=weight.astype(f4),
        outcome=outcome.astype(f4),
        mutual=mutual.astype(bool),
    )


MONTH = days(40)


def live(drawn, cuts=(), end=MONTH, **law):
    """A world that has lived through contacts, emitted in the step in which they happen; its ids;
    all that was told of them."""
    world, agents = society(**law)
    reader = world.events(Met)
    told, left = [], drawn
    for until in sorted({*(START + int(cut * end) for cut in cuts), START + end}):
        due, left = ([c for c in left if (c[2] <= until) == now] for now in (True, False))
        if due:
            world.emit(contact(agents, due))
        world.step(until - world.clock.now)
        batch = reader.read()
        told += zip(*(getattr(batch, f.name).tolist() for f in schema(Met).fields), strict=True)
    world.check()
    return world, agents, told


def states(world, agents):
    """(source number, target number) -> (weight, valence, last, contacts, strength) of every tie,
    as they are in memory."""
    number = dict(zip(agents.tolist(), range(len(agents)), strict=True))
    ties = world.query(Tie, TieState, TieStrength)
    columns = [
        ties.gather(f).tolist()
        for f in (TieState.weight, TieState.valence, TieState.last, TieState.contacts,
                  TieStrength.value)
    ]  # fmt: skip
    ends = zip(*(ties.gather(f).tolist() for f in (Tie.source, Tie.target)), strict=True)
    found = {(number[s], number[t]): row for (s, t), *row in zip(ends, *columns, strict=True)}
    assert len(found) == ties.count()
    return found


def clear_of_the_threshold(drawn, half_life, threshold):
    """Whether no tie is, at a contact or after 40 days, so near the threshold that f4 and f8 may
    differ about whether it is over."""
    ties = {}
    for contact in sorted(drawn, key=lambda c: c[2]):
        naive.apply_contacts([contact], ties, half_life, 1.0, 5.0, 0.1, threshold)
        for tie in ties.values():
            for moment in {contact[2], *(c[2] for c in drawn), START + MONTH}:
                left = naive.decayed(tie.weight, moment - tie.last, half_life)
                if abs(left - threshold) <= 1e-4 * threshold:
                    return False
    return True


moments = st.integers(0, days(40)).map(lambda t: START + t)
drawn_contacts = st.tuples(
    st.integers(0, N - 1),
    st.integers(0, N - 1),
    moments | st.sampled_from([START + days(d) for d in (1, 2, 20)]),
    st.floats(0, 10, width=32),
    st.floats(-1, 1, width=32),
    st.booleans(),
)
histories = st.lists(drawn_contacts, min_size=1, max_size=40)


# -- the law ---------------------------------------------------------------------------------


@cheap
@given(
    histories, st.sampled_from([1.0, 3600.0, 14 * 86_400.0, 1e9]), st.sampled_from([0.0, 0.3, 2.0])
)
def test_contacts_do_what_the_law_says(drawn, half_life, threshold):
    """Weight, valence, last, count and strength of every tie, and what is told of every contact,
    are those of the plain twin; also where ties end in between."""
    assume(clear_of_the_threshold(drawn, half_life, threshold))
    world, agents, told = live(drawn, half_life=half_life, threshold=threshold)
    ties = {}
    want = naive.apply_contacts(drawn, ties, half_life, 1.0, 5.0, 0.1, threshold)
    got = states(world, agents)
    assert set(got) == set(ties)
    now = world.clock.now
    for pair, tie in ties.items():
        weight, valence, last, contacts, strength = got[pair]
        assert (last, contacts) == (tie.last, tie.contacts)
        assert weight == pytest.approx(tie.weight, rel=2e-5, abs=1e-30)
        assert valence == pytest.approx(tie.valence, abs=1e-5)
        assert strength == pytest.approx(
            naive.strength(tie, now, half_life, 5.0, threshold), rel=5e-5
        )
    assert len(told) == len(want)
    for row, (source, target, time, strength, returned) in zip(told, want, strict=True):
        assert row[:3] == (int(agents[source]), int(agents[target]), time)
        tie, back, forth_strength, back_strength = row[5:]
        assert forth_strength == pytest.approx(strength, rel=5e-5)
        assert tie == world.pairs(Tie).find(agents[source], agents[target])[0]
        assert (back == NOBODY) == (returned is None)
        assert back_strength == pytest.approx(returned or 0.0, rel=5e-5)


@pytest.mark.parametrize("kernel", [contact_ties, contact_ties.py_func])
@cheap
@given(drawn=histories, threshold=st.sampled_from([0.0, 0.3, 2.0]))
def test_the_kernel_is_its_plain_twin(kernel, drawn, threshold):
    """Compiled and not, on columns of its own: rows are pairs, those of another table are left."""
    assume(clear_of_the_threshold(drawn, LAW["half_life_s"], threshold))
    drawn = sorted((c for c in drawn if c[0] != c[1]), key=lambda c: c[2])
    n = len(drawn)
    row = np.array([[s * N + t, t * N + s] for s, t, *_ in drawn] or np.empty((0, 2)), np.uint32)
    table = np.where(row % 5 == 0, 7, 3).astype(np.uint32)
    columns = [
        np.zeros(N * N, f4), np.zeros(N * N, f4), np.full(N * N, START), np.zeros(N * N, np.uint32)
    ]  # fmt: skip
    strength, returned = np.full((2, n), -1, f4)
    time, weight, outcome = (np.array([c[i] for c in drawn]) for i in (2, 3, 4))
    mutual = np.array([c[5] for c in drawn], bool)
    kernel(
        row[:, 0].copy(), table[:, 0].copy(), row[:, 1].copy(), table[:, 1].copy(),
        time.astype(np.int64), weight.astype(f4), outcome.astype(f4), mutual, np.uint32(3),
        LAW["half_life_s"], 1.0, 5.0, threshold, 0.1, *columns, strength, returned,
    )  # fmt: skip
    ties = {(s, t): naive.Tie(last=START) for s in range(N) for t in range(N)}
    want = naive.apply_contacts(drawn, ties, 14 * 86_400.0, 1.0, 5.0, 0.1, threshold)
    for (source, target), tie in ties.items():
        place = source * N + target
        if place % 5 == 0:
            tie = naive.Tie(last=START)
        assert columns[0][place] == pytest.approx(tie.weight, rel=2e-5)
        assert columns[1][place] == pytest.approx(tie.valence, abs=1e-5)
        assert (columns[2][place], columns[3][place]) == (tie.last, tie.contacts)
    for e, (source, target, _, forth, back) in enumerate(want):
        here = (source * N + target) % 5, (target * N + source) % 5
        assert strength[e] == (pytest.approx(forth, rel=5e-5) if here[0] else -1)
        assert returned[e] == (pytest.approx(back, rel=5e-5) if here[1] else -1)


@given(st.floats(0, 1e6, width=32), st.integers(-days(9), days(36_500)), st.floats(1, 1e9))
def test_a_weight_halves_in_each_half_life(weight, elapsed, half_life):
    """It is w 2^(-t / half_life), to f4 rounding; compiled or not the same bits."""
    arguments = f4(weight), np.int64(elapsed), half_life
    got = decayed(*arguments)
    want = naive.decayed(float(f4(weight)), elapsed, half_life)
    halvings = min(max(elapsed, 0) / 1e6 / half_life, 126)
    assert got == pytest.approx(want, rel=1e-6 + 3e-7 * halvings, abs=1e-31)
    assert got == decayed.py_func(*arguments)


def test_golden_numbers():
    """A contact is worth 1, half of it after 14 days, when the next makes 1.5; that is 1.5 / 6.5 of
    a whole tie. Two good contacts move the valence to 0.1 and 0.19."""
    world, (ann, bo, *_) = society()
    told = world.events(Met)
    time = START + days(14) * np.arange(2)
    world.emit(Contact(source=ann, target=bo, time=time, outcome=1.0))
    world.step(days(14))
    tie = world.entity(world.query(Tie).ids()[0])[TieState]
    assert (tie.weight, tie.last, tie.contacts) == (1.5, START + days(14), 2)
    assert tie.valence == pytest.approx(0.19)
    assert told.read().strength.tolist() == pytest.approx([1 / 6, 1.5 / 6.5])
    assert tie_strengths(world, ann, bo) == pytest.approx([1.5 / 6.5])
    assert tie_strengths(world, ann, bo, START + days(28)) == pytest.approx([0.75 / 5.75])


def test_decay_is_exponential_not_linear():
    """What is left after equal spans is in equal proportion (a published system is linear, and says
    exponential)."""
    left = [float(decayed(f4(1), np.int64(days(7 * i)), 14 * 86_400.0)) for i in range(6)]
    ratios = [later / earlier for earlier, later in pairwise(left)]
    assert ratios == pytest.approx([0.5**0.5] * 5, rel=1e-6)


def test_an_old_tie_is_weak_but_not_nothing():
    """After a year without contact a strong tie still can be told from a stranger, and after ten
    thousand years it is finite and all but 0."""
    world, (ann, bo, cy, *_) = society()
    world.ensure(Tie(source=ann, target=bo), TieState(weight=20, last=START))
    now = START + np.array([days(365), days(3_650_000)])
    year, ages = (float(tie_strengths(world, ann, bo, int(t))[0]) for t in now)
    assert 1e-8 < year < 1e-6
    assert 0 <= ages < 1e-36
    assert tie_strengths(world, ann, cy)[0] == 0


@given(st.floats(0, HEAVIEST, width=32), st.floats(0, HEAVIEST, width=32))
def test_strength_lies_between_0_and_1_and_grows_with_weight(one, other):
    """0 at 0, 1/2 at the saturation, never above 1, and monotone."""
    low, high = sorted([one, other])
    strengths = [saturated(f4(w), 5.0) for w in (0, low, high)]
    assert strengths[0] == 0 <= strengths[1] <= strengths[2] <= 1
    assert saturated(f4(5), 5.0) == 0.5
    assert saturated(f4(low), 5.0) == saturated.py_func(f4(low), 5.0)


@given(st.integers(0, days(3_650)), st.integers(1, days(365)))
def test_ties_only_fade_between_contacts(elapsed, more):
    """A thousandth of a half-life later a tie is never stronger."""
    half_life = 14 * 86_400.0
    later = elapsed + max(more, int(half_life * 1e3))
    earlier, last = (decayed(f4(3), np.int64(t), half_life) for t in (elapsed, later))
    assert last <= earlier


@given(st.lists(st.floats(-1, 1, width=32), max_size=30), st.floats(0, 1))
@example([1.0, -0.08151529729366302], 1.0)
def test_valence_is_a_moving_average(outcomes, rate):
    """It stays in [-1, 1] and within what it has seen, whatever the rate."""
    drawn = [(0, 1, START + i, 1.0, outcome, False) for i, outcome in enumerate(outcomes)]
    world, agents = society(valence_rate=rate)
    if drawn:
        world.emit(contact(agents, drawn))
    world.step(1)
    valences = [row[1] for row in states(world, agents).values()]
    assert all(min([0, *outcomes]) <= v <= max([0, *outcomes]) for v in valences)
    if rate == 1 and outcomes:
        assert valences == [pytest.approx(outcomes[-1], abs=1e-6)]


near_one = st.floats(0.5, 1, width=32) | st.sampled_from([1.0, 1 - 2.0**-24, 2.0**-25, 2.0**-24])
signed = st.builds(lambda x, sign: f4(x) * f4(sign), near_one, st.sampled_from([-1, 1]))


@given(signed, signed, near_one)
def test_rounding_keeps_valence_in_its_range(valence, outcome, rate):
    """Also from one end to the other, at rates next to 1, where f4 has no room to spare."""
    got = moved(valence, outcome, f4(rate))
    assert -1 <= got <= 1
    assert got == moved.py_func(valence, outcome, f4(rate))


def test_settings_are_the_published_ones():
    """14 days, 1, 5 and 0.1; a second is a second."""
    law = Ties()
    assert (law.half_life, law.gain, law.saturation, law.valence_rate) == (1_209_600, 1, 5, 0.1)
    assert decayed(f4(1), np.int64(seconds(3)), 3.0) == 0.5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("half_life", 0), ("half_life", math.nan), ("half_life", "14d"), ("gain", -1),
        ("saturation", 0), ("valence_rate", 1.1), ("valence_rate", None),
    ],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Ties\.{name} must "):
        Ties(**{name: value})


# -- time, order, place ----------------------------------------------------------------------


@cheap
@given(histories, st.lists(st.floats(0, 1), max_size=6))
def test_the_length_of_a_step_changes_nothing(drawn, cuts):
    """However time is cut, the same bits, the same ids, and the same is told: contacts of one batch
    that depend on each other do so as if they had come one by one."""
    one, agents, told = live(drawn)
    other, _, told_by_parts = live(drawn, cuts=cuts)
    assert states(one, agents) == states(other, agents)
    assert told == told_by_parts
    assert (np.sort(one.query(Tie).ids()) == np.sort(other.query(Tie).ids())).all()


def test_24_hours_are_a_day():
    """24 steps of an hour are one of a day, bit for bit, and of a quarter of an hour too."""
    draw = np.random.default_rng(5)
    drawn = [
        (int(s), int(t), START + int(when), 1.0, float(f4(o)), bool(m))
        for s, t, when, o, m in zip(
            draw.integers(0, N, 300), draw.integers(0, N, 300), draw.integers(0, days(1), 300),
            draw.uniform(-1, 1, 300), draw.integers(0, 2, 300), strict=True,
        )
    ]  # fmt: skip
    whole, agents, told = live(drawn, end=days(1))
    for n in (24, 96):
        parts, _, told_by_parts = live(drawn, cuts=np.arange(1, n) / n, end=days(1))
        assert states(whole, agents) == states(parts, agents)
        assert told == told_by_parts


@cheap
@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_emission_counts_only_among_simultaneous_contacts(drawn, random):
    """Contacts at different times may be emitted in any order."""
    drawn = list({c[2]: c for c in drawn}.values())
    shuffled = random.sample(drawn, len(drawn))
    (one, agents, told), (other, _, retold) = live(drawn), live(shuffled)
    assert states(one, agents) == states(other, agents)
    assert told == retold


@cheap
@given(histories)
def test_the_rows_and_tables_of_ties_change_nothing(drawn):
    """Ties that lie in other rows, and in two tables, take up the same contacts in the same way."""
    plain, agents = society()
    mixed, _ = society()
    pairs = [(s, t) for s in range(N) for t in range(N) if s != t and (s + t) % 2]
    for world, order in ((plain, pairs), (mixed, pairs[::-1])):
        source, target = (agents[[p[i] for p in order]] for i in (0, 1))
        world.ensure(Tie(source=source, target=target), TieState(weight=1, last=START))
    mixed.add(mixed.query(Tie).ids()[::3], Kinship)
    told = [world.events(Met) for world in (plain, mixed)]
    for world in (plain, mixed):
        world.emit(contact(agents, drawn))
        world.step(days(40))
    assert states(plain, agents) == states(mixed, agents)
    batches = [reader.read() for reader in told]
    assert batches[0].strength.tolist() == batches[1].strength.tolist()
    assert batches[0].returned_strength.tolist() == batches[1].returned_strength.tolist()


@cheap
@given(st.lists(moments, min_size=1, max_size=30), st.randoms(use_true_random=False))
def test_late_news_count_for_what_is_left_of_them(times, random):
    """Contacts that come in any order, each in a step of its own, give the closed form; so they are
    added exactly."""
    world, agents = society()
    for time in random.sample(times, len(times)):
        world.emit(contact(agents, [(0, 1, time, 1.0, 0.0, False)]))
        world.step(1)
    weight, _, last, contacts, _ = states(world, agents)[0, 1]
    assert (last, contacts) == (max(times), len(times))
    assert weight == pytest.approx(naive.closed_form(times, last, 14 * 86_400.0), rel=1e-5)


def test_late_news_bring_back_nothing_that_was_over():
    """With a threshold, the middle one of three contacts keeps the tie from ending if it comes in
    time; after the third it finds a tie that has begun anew, and adds to that."""
    seen = []
    for order in ((0, 50, 100), (0, 100, 50)):
        world, agents = society(threshold=0.05)
        for day in order:
            world.emit(contact(agents, [(0, 1, days(day), 1.0, 0.0, False)]))
            world.step(1)
        weight, _, _, contacts, _ = states(world, agents)[0, 1]
        seen.append((round(float(weight), 4), int(contacts)))
    assert seen == [(1.0912, 3), (1.0841, 2)]


def test_new_ties_get_ids_by_time_and_number():
    """Simultaneous first contacts are in the order of the agents' numbers, however they are emitted
    and wherever the agents' rows are."""
    drawn = [(s, t, START, 1.0, 0.0, False) for s in range(4) for t in range(4) if s != t]
    order = []
    for reverse in (False, True):
        world, agents = society(reverse=reverse)
        world.emit(contact(agents, drawn[::-1] if reverse else drawn))
        world.step(1)
        ids = np.sort(world.query(Tie).ids())
        ends = (
            world.get(world.get(ids, f), Persona.number).tolist() for f in (Tie.source, Tie.target)
        )
        order.append(list(zip(*ends, strict=True)))
    assert order[0] == order[1] == [(s, t) for s in range(4) for t in range(4) if s != t]


def test_a_strength_does_not_depend_on_its_row_or_on_when_it_was_swept():
    """The sweep is the law at the clock's time, bit for bit: in any row, on any thread, after any
    number of sweeps or none."""
    draw = np.random.default_rng(1)
    weight, age = draw.exponential(3, 1_000).astype(f4), draw.integers(0, days(99), 1_000)
    swept = []
    for threads, part in ((1, slice(None)), (3, slice(None)), (1, slice(7, 900))):
        world = World(threads=threads)
        world.parallel_rows = 1
        world.clock.now = START
        world.insert(Ties())
        world.add_system(refresh_ties)
        agents = world.spawn(1_001)
        ties, _ = world.ensure(
            Tie(source=agents[0], target=agents[1:][part]),
            TieState(weight=weight[part], last=START - age[part]),
        )
        for _ in range(threads):
            world.step(hours(6) // threads)
        swept.append(world.get(ties, TieStrength.value))
        assert (swept[-1] == tie_strengths(world, agents[0], agents[1:][part])).all()
    assert (swept[0] == swept[1]).all()
    assert (swept[0][7:900] == swept[2]).all()
    want = [
        naive.strength(naive.Tie(START - int(a), float(w)), START + hours(6), 14 * 86_400.0, 5.0)
        for w, a in zip(weight, age, strict=True)
    ]
    assert swept[0] == pytest.approx(want, rel=1e-5)


# -- who has ties ----------------------------------------------------------------------------


def test_contacts_with_oneself_and_of_the_dead_are_dropped():
    """They make no tie, strengthen none and are not told."""
    world, agents = society()
    told = world.events(Met)
    drawn = [(s, t, START, 1.0, 0.0, True) for s, t in ((0, 0), (0, 1), (1, 2), (2, 3), (3, 3))]
    world.emit(contact(agents, drawn))
    world.despawn(agents[1:2])
    world.step(1)
    assert set(states(world, agents)) == {(2, 3), (3, 2)}
    assert told.read().source.tolist() == [agents[2]]


def test_a_slot_that_is_used_again_is_not_the_dead_one():
    """A newcomer in the slot of a dead agent inherits neither its ties nor its contacts."""
    world, agents = society()
    world.emit(contact(agents, [(0, 1, START, 1.0, 0.0, True)]))
    world.step(1)
    world.emit(contact(agents, [(0, 1, START, 1.0, 0.0, True)]))
    world.despawn(agents[1:2])
    newcomer = world.spawn(1, Persona(number=99))
    assert newcomer[0] & 0xFFFF_FFFF == agents[1] & 0xFFFF_FFFF
    world.step(1)
    assert world.query(Tie).count() == 0
    assert tie_strengths(world, agents[0], newcomer) == [0]


def test_a_contact_of_one_side_strengthens_one_tie():
    """The source's; a mutual one both alike."""
    world, agents = society()
    world.emit(contact(agents, [(0, 1, START, 1.0, 1.0, False), (2, 3, START, 2.0, 1.0, True)]))
    world.step(1)
    found = states(world, agents)
    assert set(found) == {(0, 1), (2, 3), (3, 2)}
    assert found[2, 3] == found[3, 2]


@pytest.mark.parametrize("told", [False, True])
def test_a_mutual_contact_makes_the_tie_that_is_lacking(told):
    """One side knows the other already: only the other's tie is new, told or not."""
    world, agents = society()
    reader = world.events(Met) if told else None
    for moment, mutual in ((START, False), (START + 1, True), (START + 2, True)):
        world.emit(contact(agents, [(0, 1, moment, 1.0, 0.0, mutual)]))
        world.step(1)
    assert {pair: row[3] for pair, row in states(world, agents).items()} == {(0, 1): 3, (1, 0): 2}
    assert reader is None or (reader.read().returned != NOBODY).tolist() == [False, True, True]


def test_contacts_before_1970_are_like_any_other():
    """Time 0 is nothing special: a tie begins with its first contact, not then."""
    world, agents = society(now=-days(9))
    world.emit(contact(agents, [(0, 1, t, 1.0, 0.0, False) for t in (-days(9), -days(2))]))
    world.step(days(9))
    weight, _, last, _, _ = states(world, agents)[0, 1]
    assert (weight, last) == (pytest.approx(1 + 2**-0.5), -days(2))


def test_a_tie_that_begins_later_is_not_there_yet():
    """Bo writes back an hour after Ann wrote: at Ann's message there is no tie of his, at his there
    is hers."""
    world, agents = society()
    told = world.events(Met)
    drawn = [(0, 1, START, 1.0, 0.0, False), (1, 0, START + hours(1), 1.0, 0.0, False)]
    world.emit(contact(agents, drawn))
    world.step(days(1))
    batch = told.read()
    assert batch.returned.tolist() == [NOBODY, batch.tie[0]]
    assert batch.returned_strength[0] == 0 < batch.returned_strength[1] < batch.strength[0]


@pytest.mark.parametrize(
    ("drawn", "there"),
    [
        (((1, 0, False), (0, 1, True), (1, 0, False)), [False, True, True]),
        (((0, 1, True), (0, 1, False), (1, 0, False)), [True, True, True]),
        (((0, 1, False), (0, 1, False), (1, 0, True)), [False, False, True]),
    ],
)
def test_simultaneous_contacts_begin_ties_in_the_order_of_emission(drawn, there):
    """A mutual contact makes the target's tie at once, so a simultaneous one after it finds it, and
    one before it does not."""
    world, agents = society()
    told = world.events(Met)
    world.emit(contact(agents, [(s, t, START, 1.0, 0.0, mutual) for s, t, mutual in drawn]))
    world.step(1)
    batch = told.read()
    assert (batch.returned != NOBODY).tolist() == there
    assert (batch.returned_strength > 0).tolist() == there


def test_agents_without_a_persona_have_ties_too():
    """Their ties are numbered by entity index, after those of agents with a number."""
    world, agents = society()
    shops = world.spawn(2)
    sources = np.append(shops[::-1], agents[0])
    world.emit(Contact(source=sources, target=agents[1], time=START))
    world.step(1)
    ids = np.sort(world.query(Tie).ids())
    assert world.get(ids, Tie.source).tolist() == [agents[0], *shops]
    assert tie_strengths(world, shops, agents[1]) == pytest.approx([1 / 6, 1 / 6])


def test_ties_end_with_either_agent():
    """Nothing is left that names a dead one."""
    world, agents = society()
    drawn = [(s, t, START, 1.0, 0.0, False) for s in range(4) for t in range(4) if s != t]
    world.emit(contact(agents, drawn))
    world.step(1)
    world.despawn(agents[:1])
    world.check()
    assert world.query(Tie).count() == 6


def test_ensure_makes_a_tie_from_its_ends_alone():
    """State and strength come along, and a tie of weight 0 has strength 0."""
    world, agents = society()
    (tie,), _ = world.ensure(Tie(source=agents[0], target=agents[1]))
    world.step(1)
    assert world.entity(tie)[TieStrength].value == 0
    assert tie_strengths(world, agents[:1], agents[1:]).tolist() == [0] * (N - 1)


def test_the_last_contact_is_saved():
    """`last` is state (a published system saves none, so a reload makes everything recent); only
    the strength is a cache."""
    saved = {f.name for c in (Tie, TieState, TieStrength) for f in schema(c).persisted}
    assert saved == {"source", "target", "weight", "valence", "last", "contacts"}


# -- what it costs nobody --------------------------------------------------------------------


def test_no_contact_changes_nothing():
    """An empty batch makes no tie, no event and no change; one of nobody but the dead neither."""
    world, agents = society()
    told = world.events(Met)
    world.step(hours(1))
    world.emit(Contact(source=agents[:0], target=agents[:0], time=np.empty(0, np.int64)))
    world.emit(contact(agents, [(0, 1, START, 1.0, 0.0, True)]))
    world.despawn(agents[:2])
    world.step(hours(1))
    assert (len(told.read()), world.query(Tie).count()) == (0, 0)


def test_contacts_are_told_only_where_somebody_asked():
    """Without a reader there is no queue of them; the ties are the same."""
    drawn = [(0, 1, START, 1.0, 0.5, False), (1, 0, START + 5, 1.0, -0.5, True)]
    world, agents = society()
    world.emit(contact(agents, drawn))
    world.step(days(40))
    assert Met not in world.event_queues.held
    told, _, rows = live(drawn)
    assert states(world, agents) == states(told, agents)
    assert len(rows) == 2


def test_what_is_told_cannot_be_changed_by_a_reader():
    """The columns of `Met` are shared by all its readers, so they are read-only."""
    world, agents = society()
    told = world.events(Met)
    world.emit(contact(agents, [(0, 1, START, 1.0, 0.0, False)]))
    world.step(1)
    batch = told.read()
    assert {f.name for f in schema(Met).fields} <= set(batch.__dict__)
    for field in schema(Met).fields:
        column = getattr(batch, field.name)
        assert (column.dtype, column.flags.writeable) == (field.dtype, False)


def test_changes_of_ties_are_seen():
    """A tie that had a contact is among the changed ones, others are not."""
    world, agents = society()
    ties, _ = world.ensure(Tie(source=agents[:3], target=agents[3:]), TieState(last=START))
    world.track(TieState)
    mark = world.mark()
    world.emit(contact(agents, [(1, 4, START, 1.0, 0.0, False)]))
    world.step(1)
    assert world.changed_since(mark, TieState).tolist() == [ties[1]]


def test_tie_strengths_refuses_the_dead_and_a_world_without_law():
    """As every look-up of pairs does."""
    world, agents = society()
    world.despawn(agents[:1])
    with pytest.raises(DeadEntityError):
        tie_strengths(world, agents[0], agents[1])
    with pytest.raises(ResourceError, match="Ties"):
        tie_strengths(World(), [], [])
    assert tie_strengths(world, [], []).size == 0
    assert ABSENT == 2**32 - 1


# -- ties that end ---------------------------------------------------------------------------


def test_by_default_no_tie_ends():
    """However far it has faded."""
    world, (ann, bo, *_) = society()
    world.add_system(end_ties)
    world.ensure(Tie(source=ann, target=bo), TieState(weight=1, last=START))
    world.step(days(10_000))
    assert world.query(Tie).count() == 1


def test_a_tie_below_the_threshold_is_over():
    """Its strength is 0 from that moment on, whether or not it has been swept out yet."""
    world, (ann, bo, *_) = society(half_life=86_400.0, threshold=0.25)
    world.ensure(Tie(source=ann, target=bo), TieState(weight=1, valence=0.5, last=START))
    at = START + days(2)
    assert tie_strengths(world, ann, bo, at)[0] == f4(0.25) / f4(5.25)
    assert tie_strengths(world, ann, bo, at + seconds(2))[0] == 0
    moments = np.array([at, at + seconds(2)])
    assert valences(world, [ann, ann], [bo, bo], moments).tolist() == [0.5, 0]


def test_a_contact_begins_a_tie_anew_that_was_over():
    """Nothing is left of weight, valence and count."""
    world, agents = society(half_life=86_400.0, threshold=0.25)
    ann, bo = agents[:2]
    ties, _ = world.ensure(
        Tie(source=ann, target=bo), TieState(weight=1, valence=-1, last=START, contacts=9)
    )
    world.emit(Contact(source=ann, target=bo, time=START + days(3), outcome=1))
    world.step(days(3))
    found = [world.get(ties, field)[0] for field in (TieState.weight, TieState.contacts)]
    assert found == [1, 1]
    assert world.get(ties, TieState.valence)[0] == f4(0.1)


def test_what_is_over_is_swept_out_once_a_day_and_told():
    """Ties go, agents stay; those that are not over stay too."""
    world, agents = society(half_life=86_400.0, threshold=0.25)
    world.add_system(end_ties)
    reader = world.events(TiesEnded)
    source, target = agents[[0, 1, 2]], agents[[1, 2, 0]]
    world.ensure(Tie(source=source, target=target), TieState(weight=[1, 4, 0.1], last=START))
    left = []
    for _ in range(6):
        world.step(days(1))
        told = reader.read()
        left.append((world.query(Tie).count(), told.count.tolist(), told.time.tolist()))
    assert left == [
        (2, [1], [START + days(1)]),
        (2, [], []),
        (1, [1], [START + days(3)]),
        (1, [], []),
        (0, [1], [START + days(5)]),
        (0, [], []),
    ]
    assert world.alive(agents).all()
    world.check()


@cheap
@given(histories, st.lists(st.floats(0, 1), max_size=6), st.sampled_from([0.3, 2.0]))
def test_when_ties_are_swept_out_changes_nothing(drawn, cuts, threshold):
    """At each step or never: strength, valence and count of those that are not over are the same
    bits, if contacts come in time."""
    law = {"half_life": 3 * 86_400.0, "threshold": threshold}
    kept = []
    for system in ((), (end_ties,)):
        world, agents = society(**law)
        for each in system:
            world.add_system(each, every=None)
        left = drawn
        for until in sorted({*(START + int(cut * MONTH) for cut in cuts), START + MONTH}):
            due, left = ([c for c in left if (c[2] <= until) == now] for now in (True, False))
            if due:
                world.emit(contact(agents, due))
            world.step(until - world.clock.now)
        world.check()
        kept.append({pair: row for pair, row in states(world, agents).items() if row[-1] > 0})
    assert kept[0] == kept[1]


def test_a_world_without_the_law_has_valences():
    """No tie is over there."""
    world = World()
    ann, bo = world.spawn(2)
    world.ensure(Tie(source=ann, target=bo), TieState(valence=0.5))
    assert valences(world, [ann, bo], [bo, ann], np.zeros(2, np.int64)).tolist() == [0.5, 0]
