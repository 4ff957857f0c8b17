"""Emotion: closed forms, appraisal, contagion, temperament, and that time may be cut anyhow."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import Met, Persona
from populace.components.emotion import (
    OCC,
    Appraisal,
    Emotion,
    EmotionNow,
    Mood,
    MoodNow,
    Temperament,
)
from populace.ecs import World, component, days, hours, minutes, seconds
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ComponentMissingError,
    DeadEntityError,
    SettingError,
)
from populace.systems.affect import Emotions, rise
from populace.systems.appraisal import OCC_VECTORS, VECTORS
from populace.systems.emotion import feel, feel_events
from populace.systems.feelings import (
    feelings,
    feelings_of,
    refresh_emotions,
    refresh_tempered_emotions,
)
from populace.systems.temperament import OCTANTS, octant, temperament, temperaments

from . import naive_emotion as naive

FOREVER = 2**62


@component
class Asleep:
    """A tag, to have agents in several tables."""


def society(n=2, *, threads=1, reverse=False, **law):
    """A world of n agents of differing temper; every third has a Temperament of its own, every
    fourth is in a table apart. Returns (world, ids by number)."""
    world = World(seed=3, threads=threads)
    world.parallel_rows = 1
    world.insert(Emotions(**law))
    draw = np.random.default_rng(n)
    traits, own = draw.uniform(0, 1, (n, 5)).astype("f4"), draw.uniform(-1, 1, (n, 3)).astype("f4")
    ids = np.zeros(n, np.uint64)
    for k in reversed(range(n)) if reverse else range(n):
        names = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
        persona = Persona(number=k, **dict(zip(names, traits[k], strict=True)))
        extra = [Temperament(*own[k])] if k % 3 == 0 else []
        extra += [Asleep] if k % 4 == 0 else []
        ids[k] = world.spawn(1, persona, Emotion, Mood, *extra)[0]
    world.add_systems(feel, refresh_emotions, refresh_tempered_emotions)
    return world, ids


def neutral(n=2, **law):
    """A world of n agents whose mood rests at the origin."""
    world = World()
    world.insert(Emotions(**law))
    ids = world.spawn(n, Persona(number=np.arange(n)), Emotion, Mood)
    world.add_systems(feel, refresh_emotions, refresh_tempered_emotions)
    return world, ids


def state(world, ids):
    """Emotion, mood and their times, as bits that can be compared."""
    fields = (Emotion.pleasure, Emotion.arousal, Emotion.dominance, Emotion.since,
              Mood.pleasure, Mood.arousal, Mood.dominance, Mood.since)  # fmt: skip
    return [world.get(ids, field).tobytes() for field in fields]


def emit(world, ids, events):
    """Emit naive events, each kind as one batch."""
    told = [e for e in events if e[0] == "appraisal"]
    if told:
        _, agent, label, intensity, time = zip(*told, strict=True)
        world.emit(
            Appraisal(agent=ids[list(agent)], label=list(label), intensity=intensity, time=time)
        )
    met = [e for e in events if e[0] == "contact"]
    if met:
        _, one, other, strength, returned, time = zip(*met, strict=True)
        world.emit(
            Met(
                source=ids[list(one)],
                target=ids[list(other)],
                time=time,
                strength=strength,
                returned_strength=returned,
            )
        )


def twins(world, ids):
    """The naive agents of a world."""
    agents = []
    for k, one in enumerate(ids):
        row = world.entity(one)
        persona = row[Persona]
        if world.has([one], Temperament)[0]:
            own = row[Temperament]
            rest = [own.pleasure, own.arousal, own.dominance]
        else:
            rest = naive.temperament(
                persona.openness,
                persona.conscientiousness,
                persona.extraversion,
                persona.agreeableness,
                persona.neuroticism,
            )
        assert persona.number == k
        agents.append(naive.Agent([0, 0, 0], [0, 0, 0], rest))
    return agents


def advance(kernel, emotion, mood, rest, law, steps):
    """Emotion and mood of one agent, set at 0, after the steps in µs, re-based at each."""
    e, m, t = (np.full((1, 3), value, np.float32) for value in (emotion, mood, rest))
    now = 0
    for step in steps:
        since = np.array([now])
        now += step
        half_lives = np.float32(law.emotion_half_life), np.float32(law.mood_half_life)
        kernel(np.int64(now), *half_lives, t, e, since, m, since)
    return float(e[0, 0]), float(m[0, 0])


units = st.floats(-1, 1, width=32)
half_lives = st.floats(1, 1e9, width=32) | st.sampled_from([1.0, 600.0, 21_600.0, 1e9])
elapsed_us = st.integers(0, days(30)) | st.integers(0, seconds(5)) | st.just(FOREVER)
FACTORS = [1.0, 1 + 2**-20, 1 + 2**-10, 1.01, 1.5, 0.999, 0.5]


# -- the closed forms -------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [feelings, feelings.py_func], ids=["jit", "python"])
@given(units, units, units, half_lives, half_lives, elapsed_us)
def test_feelings_pass_by_the_closed_form(kernel, emotion, mood, rest, e_half, m_half, elapsed):
    """For any state, half-lives and time the kernel is the solution, to f4 rounding."""
    law = Emotions(emotion_half_life=e_half, mood_half_life=m_half)
    got = advance(kernel, emotion, mood, rest, law, [elapsed])
    s = elapsed / 1e6
    assert got[0] == pytest.approx(
        naive.emotion_at(emotion, mood, rest, e_half, m_half, s), abs=1e-6
    )
    assert got[1] == pytest.approx(naive.mood_at(mood, rest, m_half, s), abs=1e-6)


@given(units, units, units, half_lives, st.sampled_from(FACTORS), st.floats(0, 40))
def test_close_half_lives_are_no_difficulty(emotion, mood, rest, half_life, factor, many):
    """Where emotion and mood pass (nearly) equally fast, no digits are lost."""
    other = min(max(half_life * factor, 1), 1e9)
    law = Emotions(emotion_half_life=half_life, mood_half_life=other)
    elapsed = round(many * half_life * 1e6)
    want = naive.emotion_at(emotion, mood, rest, half_life, other, elapsed / 1e6)
    assert advance(feelings, emotion, mood, rest, law, [elapsed])[0] == pytest.approx(
        want, abs=1e-6
    )


@pytest.mark.parametrize("e_half", [50.0, 600.0, 21_600.0, 40_000.0])
def test_the_closed_form_solves_the_equation(e_half):
    """Stepping through e' = -a (e - M(t)) gives the same, also where emotions outlast moods."""
    for elapsed in (1.0, 300.0, 5_000.0):
        got = naive.emotion_at(0.9, -0.4, 0.3, e_half, 21_600.0, elapsed)
        want = naive.emotion_by_steps(0.9, -0.4, 0.3, e_half, 21_600.0, elapsed)
        assert got == pytest.approx(want, abs=1e-9)


@pytest.mark.parametrize("kernel", [feelings, feelings.py_func], ids=["jit", "python"])
@given(units, units, units, half_lives, half_lives, st.lists(elapsed_us, min_size=1, max_size=4))
def test_time_may_be_cut_anywhere(kernel, emotion, mood, rest, e_half, m_half, steps):
    """To advance by a and then by b is to advance by a + b."""
    steps = [min(step, days(3_650)) for step in steps]
    law = Emotions(emotion_half_life=e_half, mood_half_life=m_half)
    whole = advance(kernel, emotion, mood, rest, law, [sum(steps)])
    parts = advance(kernel, emotion, mood, rest, law, steps)
    assert parts == pytest.approx(whole, abs=2e-6)


@given(units, units, units, half_lives, half_lives)
def test_after_no_time_nothing_has_moved(emotion, mood, rest, e_half, m_half):
    """Bit for bit."""
    law = Emotions(emotion_half_life=e_half, mood_half_life=m_half)
    assert advance(feelings, emotion, mood, rest, law, [0]) == (emotion, mood)


@given(units, units, units)
def test_after_for_ever_only_temperament_is_left(emotion, mood, rest):
    """Of mood and emotion, to the last bit, unless it is zero but for 1e-30."""
    got = advance(feelings, emotion, mood, rest, Emotions(), [FOREVER])
    assert got == pytest.approx((rest, rest), abs=1e-30)


@given(units, units, units, half_lives, half_lives, elapsed_us)
def test_feelings_stay_between_what_they_come_from(emotion, mood, rest, e_half, m_half, elapsed):
    """An emotion is an average of emotion, mood and temperament, a mood of the last two."""
    law = Emotions(emotion_half_life=e_half, mood_half_life=m_half)
    e, m = advance(feelings, emotion, mood, rest, law, [elapsed])
    assert min(emotion, mood, rest) - 1e-6 <= e <= max(emotion, mood, rest) + 1e-6
    assert min(mood, rest) - 1e-6 <= m <= max(mood, rest) + 1e-6
    assert -1 <= e <= 1
    assert -1 <= m <= 1


@given(st.floats(0, 1e6, width=32))
def test_rise_is_exact_near_zero(z):
    """(1 - 2^-z) / z without cancellation; ln 2 at 0."""
    want = -math.expm1(-z * math.log(2)) / z if z else math.log(2)
    assert float(rise(np.float32(z))) == pytest.approx(want, rel=6e-7)
    assert float(rise.py_func(np.float32(z))) == pytest.approx(want, rel=6e-7)


def test_half_lives_are_half_lives():
    """A mood's distance to the temperament halves in 6 h; an emotion's to a steady mood in 10
    min."""
    assert advance(feelings, 0.0, 0.8, 0.0, Emotions(), [hours(6)])[1] == np.float32(0.4)
    law = Emotions(mood_half_life=1e9)
    assert advance(feelings, 0.8, 0.0, 0.0, law, [minutes(10)])[0] == pytest.approx(0.4, abs=1e-7)


# -- appraisal and contagion, by hand -----------------------------------------------------------


def test_an_appraisal_by_hand():
    """Joy of 0.5 makes (.38 .24 .175), moves the mood by three tenths of it, and 10 min later the
    emotion has come halfway down, held up by the mood."""
    world, ids = neutral(1)
    world.emit(Appraisal(agent=ids, label=OCC.JOY, intensity=0.5, time=0))
    world.step(0)
    emotion, mood = feelings_of(world, ids, 0)
    assert emotion[0] == pytest.approx([0.38, 0.24, 0.175], abs=1e-7)
    assert mood[0] == pytest.approx([0.114, 0.072, 0.0525], abs=1e-7)
    emotion, mood = feelings_of(world, ids, minutes(10))
    # 2^-1/36 = .980930; K = .980930 (1 - 2^-35/36) / (35/36) = .494670; .38/2 + .114 K = .246392
    assert emotion[0, 0] == pytest.approx(0.246392, abs=1e-6)
    assert mood[0, 0] == pytest.approx(0.114 * 0.980930, abs=1e-6)


def test_a_contact_by_hand():
    """Strengths 0.5 and 1: the one moves 5 % of the way, the other 10 %, both from before."""
    world, ids = neutral(2)
    world.set(ids, Emotion(pleasure=[0.8, -0.2]))
    world.emit(Met(source=ids[0], target=ids[1], time=0, strength=0.5, returned_strength=1.0))
    world.step(0)
    assert world.get(ids, Emotion.pleasure) == pytest.approx([0.75, -0.1], abs=1e-7)


def test_feelings_are_clipped():
    """Joy upon joy ends at 1, in emotion and in mood."""
    world, ids = neutral(1, mood_gain=1)
    world.emit(Appraisal(agent=ids[[0, 0, 0]], label=OCC.JOY, intensity=1, time=0))
    world.step(0)
    assert world.get(ids, Emotion.pleasure) == 1
    assert world.get(ids, Mood.pleasure) == 1
    world.check()


def test_at_one_moment_appraisals_come_before_contacts():
    """So whom one meets at that moment catches it, however they were emitted."""
    world, ids = neutral(2)
    world.emit(Met(source=ids[0], target=ids[1], time=7, strength=1, returned_strength=1))
    world.emit(Appraisal(agent=ids[0], label=OCC.FEAR, time=7))
    world.step(10)
    assert world.get(ids, Emotion.pleasure) == pytest.approx([-0.576, -0.064], abs=1e-6)


def test_a_contact_leaves_the_mood_alone():
    """Bit for bit, its time too."""
    world, ids = society(4)
    emit(world, ids, [("appraisal", k, OCC.JOY, 0.5, hours(k)) for k in range(4)])
    world.step(hours(5))
    before = state(world, ids)[4:]
    emit(world, ids, [("contact", 0, 1, 1.0, 1.0, hours(6)), ("contact", 2, 3, 0.3, 0.0, hours(7))])
    world.step(hours(5))
    assert state(world, ids)[4:] == before


def test_what_has_no_effect_changes_nothing():
    """Intensity 0, ties of strength 0, contagion 0 and meeting oneself leave the state's bits."""
    world, ids = society(3)
    emit(world, ids, [("appraisal", 1, OCC.ANGER, 0.5, hours(1))])
    world.step(hours(2))
    before = state(world, ids)
    emit(world, ids, [("appraisal", 1, OCC.JOY, 0.0, hours(3)), ("contact", 0, 1, 0, 0, hours(3)),
                      ("contact", 1, 1, 1, 1, hours(3))])  # fmt: skip
    world.step(hours(2))
    assert state(world, ids) == before
    world.insert(Emotions(contagion=0), replace=True)
    emit(world, ids, [("contact", 0, 1, 1.0, 1.0, hours(4))])
    world.step(hours(2))
    assert state(world, ids) == before


def test_late_news_count_at_the_time_of_the_state():
    """An appraisal of an hour ago, met by a state of now, is one of now."""
    late, ids = society(1)
    on_time, same = society(1)
    for world, first in ((late, 2), (on_time, 2)):
        emit(world, ids, [("appraisal", 0, OCC.HOPE, 0.5, hours(first))])
        world.step(hours(2))
    emit(late, ids, [("appraisal", 0, OCC.ANGER, 0.5, hours(1))])
    emit(on_time, same, [("appraisal", 0, OCC.ANGER, 0.5, hours(2))])
    late.step(hours(1))
    on_time.step(hours(1))
    assert state(late, ids) == state(on_time, same)


def test_friends_grow_alike():
    """At every contact two agents come closer, and with strong ties they end as one."""
    world, ids = neutral(2, emotion_half_life=1e9, mood_half_life=1e9)
    world.set(ids, Emotion(pleasure=[0.9, -0.7], arousal=[0.1, 0.6]))
    gap = 1.6
    for _ in range(60):
        world.emit(Met(source=ids[0], target=ids[1], time=0, strength=1, returned_strength=1))
        world.step(0)
        one, other = world.get(ids, Emotion.pleasure)
        assert one - other < gap
        gap = one - other
    assert gap == pytest.approx(1.6 * 0.8**60, abs=1e-5)


# -- against the plain twin -------------------------------------------------------------------

N_AGENTS = 5
intensities = st.integers(0, 64).map(lambda k: k / 64)
moments = st.integers(0, 12).map(lambda k: k * minutes(17)) | st.integers(0, hours(3))
appraisals = st.tuples(
    st.just("appraisal"), st.integers(0, N_AGENTS - 1), st.sampled_from(OCC), intensities, moments
)
contacts = st.tuples(
    st.just("contact"),
    st.integers(0, N_AGENTS - 1),
    st.integers(0, N_AGENTS - 1),
    intensities,
    intensities,
    moments,
)
histories = st.lists(appraisals | contacts, max_size=25)


@settings(max_examples=60)
@given(histories, st.sampled_from([1.0, 600.0, 21_600.0]), intensities, intensities)
def test_events_are_taken_up_as_the_twin_takes_them(events, half_life, gain, contagion):
    """Appraisals and contacts of any agents at any times give the twin's feelings."""
    law = {"emotion_half_life": half_life, "mood_gain": gain, "contagion": contagion}
    world, ids = society(N_AGENTS, **law)
    agents = twins(world, ids)
    emit(world, ids, events)
    world.step(hours(3))
    world.check()
    naive.feel(agents, events, VECTORS, world.resource(Emotions))
    assert world.get(ids, Emotion.since).tolist() == [agent.since for agent in agents]
    assert world.get(ids, Mood.since).tolist() == [agent.mood_since for agent in agents]
    for now in (hours(3), hours(20)):
        emotion, mood = feelings_of(world, ids, now)
        for k, agent in enumerate(agents):
            assert emotion[k] == pytest.approx(agent.emotion_then(now, Emotions(**law)), abs=2e-5)
            assert mood[k] == pytest.approx(agent.mood_then(now, Emotions(**law)), abs=2e-5)


@settings(max_examples=25)
@given(histories)
def test_the_event_kernel_is_the_same_uncompiled(events):
    """`feel_events` without numba gives the same to f4 rounding."""
    order = sorted(range(len(events)), key=lambda k: (events[k][-1], events[k][0] == "contact"))
    told = [event[0] == "appraisal" for event in events]
    first = np.array([event[1] for event in events], np.int32)
    second = np.array([-1 if t else e[2] for t, e in zip(told, events, strict=True)], np.int32)
    label = np.array([e[2] if t else 0 for t, e in zip(told, events, strict=True)], np.uint8)
    time = np.array([event[-1] for event in events], np.int64)
    force = np.array([event[3] for event in events], np.float32)
    returned = np.array([0 if t else e[4] for t, e in zip(told, events, strict=True)], np.float32)
    rest = np.random.default_rng(1).uniform(-1, 1, (N_AGENTS, 3)).astype(np.float32)
    results = []
    for kernel in (feel_events, feel_events.py_func):
        emotion, mood = np.zeros((N_AGENTS, 3), np.float32), np.zeros((N_AGENTS, 3), np.float32)
        since, mood_since = np.zeros(N_AGENTS, np.int64), np.zeros(N_AGENTS, np.int64)
        laws = [np.float32(x) for x in (600, 21_600, 0.3, 0.1)]
        kernel(first, second, time, force, returned, label, np.array(order, np.int64), OCC_VECTORS,
               *laws, np.ones(N_AGENTS, np.bool_), rest, emotion, since, mood,
               mood_since)  # fmt: skip
        results.append((emotion, mood, since, mood_since))
    for one, other in zip(*results, strict=True):
        assert one == pytest.approx(other, abs=1e-6)


# -- time, batches, rows, threads -------------------------------------------------------------


def history(n_agents, n_events, seed=1):
    """Events of a day, in the order of time, some simultaneous."""
    draw = np.random.default_rng(seed)
    times = np.sort(draw.integers(0, 24 * 60, n_events)) * minutes(1)
    events = []
    for time in times.tolist():
        a, b = draw.integers(0, n_agents, 2).tolist()
        x, y = draw.uniform(0, 1, 2).astype("f4").tolist()
        if draw.random() < 0.4:
            events.append(("appraisal", a, OCC(int(draw.integers(16))), x, time))
        else:
            events.append(("contact", a, b, x, y, time))
    return events


def lived(world, ids, events, cuts):
    """The state after a day whose events come in steps that end at `cuts` in hours."""
    begin = 0
    for end in cuts:
        emit(world, ids, [e for e in events if begin <= e[-1] < hours(end)])
        world.step(hours(end) - begin)
        begin = hours(end)
    return state(world, ids)


@pytest.mark.parametrize("cuts", [range(1, 25), [5, 6, 23, 24], [0.25 * k for k in range(1, 97)]])
def test_the_length_of_a_step_changes_nothing(cuts):
    """24 steps of an hour, 96 of a quarter, or one of a day: the same bits."""
    events = history(20, 300)
    whole = lived(*society(20), events, [24])
    assert lived(*society(20), events, cuts) == whole


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("threads", [1, 3])
def test_rows_and_threads_change_nothing(reverse, threads):
    """Agents spawned in another order, and swept by threads, feel the same bits."""
    events = history(20, 300)
    world, ids = society(20)
    want = lived(world, ids, events, [24])
    other, others = society(20, reverse=reverse, threads=threads)
    assert lived(other, others, events, [24]) == want
    for field in (EmotionNow.pleasure, EmotionNow.dominance, MoodNow.arousal):
        assert (world.get(ids, field) == other.get(others, field)).all()


def test_the_order_of_emission_of_unrelated_events_changes_nothing():
    """Two pairs that never meet may be told in any order, and in any batches."""
    one = [e for e in history(2, 60, seed=4)]
    two = [(e[0], e[1] + 2, *((e[2] + 2,) if e[0] == "contact" else (e[2],)), *e[3:])
           for e in history(2, 60, seed=5)]  # fmt: skip
    results = []
    for events in (one + two, two + one):
        world, ids = society(4)
        emit(world, ids, events)
        world.step(days(1))
        results.append(state(world, ids))
    world, ids = society(4)
    for part in (one[:7], two, one[7:]):
        emit(world, ids, part)
        world.step(0)
    assert results[0] == results[1] == state(world, ids)


def test_a_chain_within_one_batch_is_a_chain():
    """Who was frightened frightens the next, who frightens the third, all in one batch."""
    world, ids = neutral(3)
    emit(world, ids, [
        ("contact", 1, 2, 1.0, 1.0, seconds(3)),
        ("contact", 0, 1, 1.0, 1.0, seconds(2)),
        ("appraisal", 0, OCC.FEAR, 1.0, seconds(1)),
    ])  # fmt: skip
    world.step(seconds(4))
    assert world.get(ids, Emotion.pleasure)[2] == pytest.approx(-0.0064, abs=1e-4)


def test_the_clock_is_not_the_time_of_an_event():
    """The same events read at another time leave the same state (no wall clock, no tick)."""
    events = history(6, 80)
    states = []
    for late in (days(1), days(400)):
        world, ids = society(6)
        emit(world, ids, events)
        world.step(late)
        states.append(state(world, ids))
    assert states[0] == states[1]


def test_a_skipped_sweep_loses_nothing():
    """Time without sweeps is made up for by the next one; feelings_of needs none."""
    one, ids = society(8)
    other, others = society(8)
    for world, agents in ((one, ids), (other, others)):
        emit(world, agents, history(8, 50))
        world.step(days(1))
    for _ in range(24):
        one.step(hours(1))
    other.step(days(1))
    assert (one.get(ids, EmotionNow.pleasure) == other.get(others, EmotionNow.pleasure)).all()


def test_the_sweep_and_feelings_of_agree_bit_for_bit():
    """For agents with a Temperament and for those with their Big Five."""
    world, ids = society(50)
    emit(world, ids, history(50, 400))
    world.step(days(1))
    world.step(minutes(123))
    emotion, mood = feelings_of(world, ids)
    for axis, name in enumerate(("pleasure", "arousal", "dominance")):
        assert (world.get(ids, getattr(EmotionNow, name)) == emotion[:, axis]).all()
        assert (world.get(ids, getattr(MoodNow, name)) == mood[:, axis]).all()


@given(units, units, units, half_lives, half_lives, elapsed_us, st.booleans())
@settings(max_examples=40)
def test_the_row_kernels_are_the_twin(emotion, mood, rest, e_half, m_half, elapsed, own):
    """Both sweeps, run on one row, fill what the twin computes."""
    world = World()
    world.insert(Emotions(emotion_half_life=e_half, mood_half_life=m_half))
    extra = [Temperament(arousal=rest)] if own else []
    at_rest = rest if own else naive.temperament(0.5, 0.5, 0.5, 0.5, (rest + 1) / 2)[1]
    one = world.spawn(
        1,
        Persona(number=0, neuroticism=(rest + 1) / 2),
        Emotion(arousal=emotion),
        Mood(arousal=mood),
        *extra,
    )
    world.add_systems(refresh_emotions, refresh_tempered_emotions)
    world.clock.now = elapsed - 1
    world.step(1)
    s = elapsed / 1e6
    want = naive.emotion_at(emotion, mood, at_rest, e_half, m_half, s)
    assert world.get(one, EmotionNow.arousal)[0] == pytest.approx(want, abs=1e-6)
    want = naive.mood_at(mood, at_rest, m_half, s)
    assert world.get(one, MoodNow.arousal)[0] == pytest.approx(want, abs=1e-6)


# -- who feels --------------------------------------------------------------------------------


def test_agents_without_emotions_are_passed_over():
    """One without Mood, one without Emotion, one without temper: their events and contacts with
    them do nothing, and the others go on."""
    world, ids = neutral(1)
    odd = [
        world.spawn(1, Persona(number=7), Emotion)[0],
        world.spawn(1, Persona(number=8), Mood)[0],
        world.spawn(1, Emotion, Mood)[0],
        world.spawn(1)[0],
    ]
    for other in odd:
        world.emit(Appraisal(agent=other, label=OCC.JOY, time=0))
        world.emit(Met(source=ids, target=other, time=0, strength=1, returned_strength=1))
    world.emit(Appraisal(agent=ids, label=OCC.JOY, intensity=0.5, time=0))
    world.step(1)
    assert world.get(ids, Emotion.pleasure) == pytest.approx(0.38)
    assert world.get([odd[0], odd[2]], Emotion.pleasure).tolist() == [0, 0]


def test_the_dead_feel_nothing():
    """Events of agents that died after them are dropped; the living take up theirs."""
    world, ids = neutral(3)
    emit(world, ids, [("appraisal", k, OCC.JOY, 1.0, 0) for k in range(3)])
    emit(world, ids, [("contact", 0, 1, 1.0, 1.0, 1), ("contact", 2, 0, 1.0, 1.0, 1)])
    world.despawn(ids[[1, 2]])
    world.spawn(2, Persona(number=[8, 9]), Emotion, Mood)
    world.step(1)
    assert world.get(ids[:1], Emotion.pleasure) == pytest.approx(0.76)
    assert np.abs(world.query(Emotion).gather(Emotion.pleasure)).sum() == pytest.approx(0.76)


def test_no_events_no_agents():
    """Empty worlds and empty steps are nothing special."""
    world, _ = neutral(0)
    world.step(1)
    emotion, mood = feelings_of(world, [])
    assert emotion.shape == mood.shape == (0, 3)


def test_a_temperament_of_ones_own_holds():
    """With a Temperament the Big Five do not count, without it they do."""
    world, ids = neutral(2)
    world.set(ids, Persona(neuroticism=1.0))
    world.add(ids[:1], Temperament(dominance=-0.5))
    _, mood = feelings_of(world, ids, FOREVER)
    assert mood == pytest.approx(np.array([[0, 0, -0.5], [-0.19, 0.57, 0]]), abs=1e-6)


def test_a_mood_set_later_than_the_emotion_counts_from_then():
    """A mood of the future is neither decayed nor grown backwards."""
    world, ids = neutral(1)
    world.set(ids, Emotion(pleasure=0.0), Mood(pleasure=0.4, since=hours(9)))
    emotion, mood = feelings_of(world, ids, hours(1))
    assert mood[0, 0] == np.float32(0.4)
    assert emotion[0, 0] == pytest.approx(naive.emotion_at(0, 0.4, 0, 600, 21_600, 3_600), abs=1e-6)


def test_feelings_of_refuses_who_does_not_feel():
    """The error names the entity and what it takes; so does that of a dead one."""
    world, ids = neutral(2)
    thing = world.spawn(1, Emotion, Mood)
    with pytest.raises(
        ComponentMissingError, match=rf"entity {thing[0]} does not feel: that takes"
    ):
        feelings_of(world, [ids[0], thing[0]])
    world.despawn(ids[1])
    with pytest.raises(DeadEntityError):
        feelings_of(world, ids)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("emotion_half_life", 0), ("emotion_half_life", math.inf), ("mood_half_life", -1.0),
        ("mood_gain", 1.1), ("contagion", -0.1), ("contagion", math.nan), ("contagion", "much"),
    ],
)  # fmt: skip
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Emotions\.{name} must"):
        Emotions(**{name: value})


@pytest.mark.parametrize("intensity", [-0.1, 1.1, math.nan])
def test_an_appraisal_beyond_its_range_is_refused(intensity):
    """Before anything is queued."""
    world, ids = neutral(1)
    with pytest.raises(ColumnValueError, match="intensity"):
        world.emit(Appraisal(agent=ids, label=OCC.JOY, intensity=intensity, time=0))


# -- labels, temperament, words ---------------------------------------------------------------


def test_the_labels_are_the_sixteen_of_gamygdala():
    """Sixteen points within the cube, joy and anger as published."""
    assert OCC_VECTORS.shape == (16, 3)
    assert np.abs(OCC_VECTORS).max() < 1
    assert VECTORS[OCC.JOY] == (0.76, 0.48, 0.35)
    assert VECTORS[OCC.ANGER] == (-0.51, 0.59, 0.25)
    assert len(set(VECTORS.values())) == 16
    good = {OCC.JOY, OCC.HOPE, OCC.SATISFACTION, OCC.RELIEF, OCC.HAPPY_FOR, OCC.GRATITUDE,
            OCC.GRATIFICATION}  # fmt: skip
    assert {label for label in OCC if OCC_VECTORS[label, 0] > 0} == good
    assert not OCC_VECTORS.flags.writeable


@pytest.mark.parametrize(
    ("trait", "point"),
    [
        ("openness", (0, 0.15, 0.25)),
        ("conscientiousness", (0, 0, 0.17)),
        ("extraversion", (0.21, 0, 0.60)),
        ("agreeableness", (0.59, 0.30, -0.32)),
        ("neuroticism", (-0.19, 0.57, 0)),
    ],
)
def test_temperament_has_mehrabians_coefficients(trait, point):
    """A trait one half above the mean gives its column of the table, one below the opposite."""
    assert temperament(**{trait: 1}) == pytest.approx(point, abs=1e-6)
    assert temperament(**{trait: 0}) == pytest.approx([-x for x in point], abs=1e-6)


@pytest.mark.parametrize("kernel", [temperaments, temperaments.py_func], ids=["jit", "python"])
@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 5), min_size=1, max_size=20))
def test_temperaments_are_the_twins(kernel, traits):
    """For any traits, clipped to the cube."""
    out = np.empty((len(traits), 3), np.float32)
    kernel(np.array(traits, np.float32).T.copy(), out)
    for row, one in zip(out, traits, strict=True):
        assert row == pytest.approx(naive.temperament(*one), abs=1e-6)
        assert np.abs(row).max() <= 1


def test_temperament_takes_arrays_and_clips():
    """The mean person has none; the most dominant is clipped at 1."""
    got = temperament(openness=[[0.5], [1]], conscientiousness=1, extraversion=[1, 1, 1],
                      agreeableness=[0.5, 0, 0.5])  # fmt: skip
    assert got.shape == (2, 3, 3)
    assert got[1, 1, 2] == 1
    assert temperament().tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("trait", "error"),
    [(-0.1, ColumnValueError), (math.nan, ColumnValueError), ("x", ColumnTypeError),
     ([0.1, 0.2, 0.3, 0.4], ColumnShapeError)],
)  # fmt: skip
def test_temperament_refuses_what_is_no_trait(trait, error):
    """With an error that says which."""
    with pytest.raises(error, match="openness"):
        temperament(openness=trait, extraversion=[0.5, 0.6])


def test_octants_have_mehrabians_words():
    """Eight corners, eight words; hardly anything is neutral; scalars give a str."""
    words = {
        (1, 1, 1): "exuberant", (1, 1, -1): "dependent", (1, -1, 1): "relaxed",
        (1, -1, -1): "docile", (-1, 1, 1): "hostile", (-1, 1, -1): "anxious",
        (-1, -1, 1): "disdainful", (-1, -1, -1): "bored",
    }  # fmt: skip
    assert octant(*np.array(list(words)).T).tolist() == list(words.values())
    assert set(words.values()) == set(OCTANTS)
    assert octant(0, 0, 0) == octant(0.01, -0.01, 0.03) == "neutral"
    assert octant(*VECTORS[OCC.FEAR]) == "anxious"
    assert octant(*VECTORS[OCC.ANGER]) == "hostile"
    assert octant(*VECTORS[OCC.JOY]) == "exuberant"
    with pytest.raises(ColumnValueError, match=r"lies in \[-1, 1\]; got 1.5"):
        octant(0.5, [0.1, 1.5], 0)
    with pytest.raises(ColumnShapeError, match="pleasure"):
        octant([0.1, 0.2, 0.3], [0.1, 0.2], 0)
