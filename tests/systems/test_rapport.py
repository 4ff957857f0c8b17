"""Rapport: how meetings go, what that stirs, and that nothing else moves it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from populace.components import (
    Appraisal,
    Contact,
    Emotion,
    Met,
    Mood,
    Persona,
    Temperament,
    Tie,
    TieState,
)
from populace.components.emotion import OCC
from populace.components.space import Motion, Space
from populace.ecs import World, component, days, hours, minutes
from populace.ecs.errors import (
    ColumnShapeError,
    ComponentMissingError,
    DeadEntityError,
    ResourceError,
    SettingError,
)
from populace.systems import Colocation, meet
from populace.systems.affect import Emotions
from populace.systems.emotion import feel
from populace.systems.feelings import feelings_of
from populace.systems.rapport import (
    Rapport,
    appraise_contacts,
    draw_outcomes,
    emotions_of,
    name_emotions,
    outcomes,
)
from populace.systems.temperament import temperament

from . import naive_rapport as naive

NOW = days(20_000)
cheap = settings(max_examples=60)


@component
class Red:
    """A tag that puts agents into another table."""


def people(n=6, *, order=None, threads=1, seed=7, **law):
    """Agents whose traits, moods and ties follow from their numbers; their ids by number. The last
    one does not feel."""
    draw = np.random.default_rng(4)
    traits, moods = draw.random((2, n)), draw.uniform(-1, 1, n)
    number = np.arange(n) if order is None else np.array(order)
    world = World(seed=seed, threads=threads)
    world.clock.now = NOW
    world.insert(Rapport(**law))
    world.insert(Emotions())
    ids = world.spawn(
        n,
        Persona(number=number, agreeableness=traits[0][number], neuroticism=traits[1][number]),
        Emotion,
        Mood(pleasure=moods[number], since=NOW - hours(3)),
    )[np.argsort(number)]
    world.remove(ids[-1], Emotion)
    ends = [(i, j) for i in range(n) for j in range(n) if i != j and (i + j) % 3]
    source, target = zip(*ends, strict=True)
    valence = [(3 * i + 5 * j) % 7 / 3 - 1 for i, j in ends]
    world.ensure(Tie(source=ids[list(source)], target=ids[list(target)]), TieState(valence=valence))
    return world, ids


def want(world, ids, i, j, time):
    """What the plain twin makes of a meeting."""
    pair = ids[[i, j]]
    numbers, agreeableness = (
        world.get(pair, field).tolist() for field in (Persona.number, Persona.agreeableness)
    )
    ties = world.pairs(Tie).find(pair, pair[::-1])
    valences = [float(world.get(tie, TieState.valence)[0]) if tie else 0.0 for tie in ties]
    pleasures = [
        float(feelings_of(world, one, time)[1][0, 0]) if world.has(one, Emotion)[0] else 0.0
        for one in pair
    ]
    law = world.resource(Rapport)
    return naive.outcome(law, world.seed, numbers, agreeableness, valences, pleasures, time)


# -- how it goes ------------------------------------------------------------------------------

laws = st.fixed_dictionaries(
    {
        "base": st.sampled_from([-1.0, 0.0, 0.1]),
        "warmth": st.sampled_from([0.0, 0.6, 2.0]),
        "liking": st.sampled_from([0.0, 0.4, 1.0]),
        "mood": st.sampled_from([0.0, 0.3, 1.0]),
        "spread": st.sampled_from([0.0, 0.3, 1.0]),
    }
)
pairs = st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] != pair[1])
moments = st.integers(NOW - hours(2), NOW + days(2))


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@cheap
@given(laws, st.lists(st.tuples(pairs, moments), max_size=6))
def test_outcomes_are_what_the_plain_twin_says(compiled, law, met):
    """Whoever meets when: traits, ties, moods, and chance, clipped."""
    world, ids = people(**law)
    source, target = (ids[[pair[side] for pair, _ in met]] for side in (0, 1))
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr("populace.systems.rapport.draw_outcomes", draw_outcomes.py_func)
        got = outcomes(world, source, target, [time for _, time in met])
    assert got.dtype == np.float32
    assert got.tolist() == pytest.approx(
        [want(world, ids, *pair, time) for pair, time in met], abs=2e-6
    )


def test_it_goes_the_same_whoever_turned_to_whom():
    """Bit for bit, though both have different ties, moods and traits."""
    world, ids = people()
    for time in range(NOW, NOW + hours(1), minutes(7)):
        forth = outcomes(world, ids[[0, 1, 2]], ids[[3, 5, 4]], time)
        assert forth.tolist() == outcomes(world, ids[[3, 5, 4]], ids[[0, 1, 2]], time).tolist()


def test_neither_rows_nor_batches_nor_threads_matter():
    """Spawned in another order, in two tables, alone or together: the same bits."""
    source, target = np.triu_indices(6, 1)
    time = NOW + np.arange(source.size)
    world, ids = people()
    whole = outcomes(world, ids[source], ids[target], time)
    world, ids = people(order=[3, 1, 4, 0, 5, 2], threads=2)
    world.add(ids[::2], Red)
    single = [
        outcomes(world, ids[i], ids[j], t)[0] for i, j, t in zip(source, target, time, strict=True)
    ]
    assert whole.tolist() == [float(one) for one in single]
    assert whole.tolist() != outcomes(people(seed=8)[0], ids[source], ids[target], time).tolist()


def test_average_strangers_get_on_slightly_well():
    """10,000 meetings: a mean of 0.1 and a deviation of 0.3; a liked partner, an agreeable one, and
    good mood each make it better."""
    n = 10_000
    world = World(seed=3)
    world.insert(Rapport())
    world.insert(Emotions())
    ids = world.spawn(2, Persona(number=[0, 1]), Emotion, Mood)
    time = np.arange(n) * minutes(1)

    def mean():
        return outcomes(world, np.repeat(ids[0], n), np.repeat(ids[1], n), time)

    plain = mean()
    assert plain.mean() == pytest.approx(0.1, abs=0.01)
    assert plain.std() == pytest.approx(0.3, abs=0.01)
    world.set(ids[1], Persona(agreeableness=0.9))
    world.add(ids, Temperament)  # so that agreeableness leaves their moods alone
    assert mean().mean() == pytest.approx(0.1 + 0.6 * 0.2, abs=0.01)
    world.set(ids[1], Persona(agreeableness=0.5))
    world.ensure(Tie(source=ids, target=ids[::-1]), TieState(valence=0.5))
    assert mean().mean() == pytest.approx(0.1 + 0.4 * 0.5, abs=0.01)
    world.set(ids[0], Temperament(pleasure=0.4))
    assert mean()[n // 2 :].mean() == pytest.approx(0.1 + 0.4 * 0.5 + 0.3 * 0.2, abs=0.01)


def test_worlds_that_do_not_feel_have_outcomes_too():
    """Without `Emotions` a mood counts for nothing."""
    world = World()
    world.insert(Rapport(spread=0))
    ids = world.spawn(2, Persona(number=[0, 1]), Emotion, Mood(pleasure=1.0))
    assert outcomes(world, ids[0], ids[1], 0).tolist() == pytest.approx([0.1])


def test_misuse_is_refused():
    """No law, no persona, the dead, and columns of different lengths."""
    world, ids = people()
    with pytest.raises(ColumnShapeError, match="2 sources, 1 targets"):
        outcomes(world, ids[:2], ids[:1], NOW)
    with pytest.raises(ColumnShapeError, match=r"times of shape \(3,\)"):
        outcomes(world, ids[:2], ids[2:4], [NOW] * 3)
    with pytest.raises(ComponentMissingError, match="Persona"):
        outcomes(world, ids[0], world.spawn(1), NOW)
    world.despawn(ids[0])
    with pytest.raises(DeadEntityError):
        outcomes(world, ids[0], ids[1], NOW)
    with pytest.raises(ResourceError, match="Rapport"):
        outcomes(World(), [], [], NOW)


@pytest.mark.parametrize(
    ("name", "value"), [("base", 2), ("liking", 1.5), ("spread", -1), ("threshold", 1.1)]
)
def test_settings_that_make_no_law_are_refused(name, value):
    """The error names the setting."""
    with pytest.raises(SettingError, match=rf"Rapport\.{name} must lie in"):
        Rapport(**{name: value})


# -- meetings ---------------------------------------------------------------------------------


def crowd(*laws):
    """Twenty agents close together who meet each hour."""
    world = World(seed=7)
    world.clock.now = NOW
    for law in (Space(width=20, height=20), Colocation(chance=0.8), *laws):
        world.insert(law)
    ids = world.spawn(20, Persona(number=range(20)), Motion(x=range(20), y=5, since=NOW))
    world.add_system(meet)
    reader = world.events(Contact)
    world.step(hours(1))
    return world, ids, reader.read()


def test_meetings_go_as_rapport_has_it():
    """The contacts are those of a world without rapport; only the outcomes differ from neutral."""
    world, _, contacts = crowd(Rapport())
    *_, plain = crowd()
    assert contacts.source.tolist() == plain.source.tolist()
    assert contacts.time.tolist() == plain.time.tolist()
    assert not plain.outcome.any()
    went = outcomes(world, contacts.source, contacts.target, contacts.time)
    assert contacts.outcome.tolist() == went.tolist()
    assert np.unique(went).size == len(contacts) > 5


# -- what it stirs ----------------------------------------------------------------------------


def met(world, ids, drawn):
    """Emit contacts (pair, time, outcome, strength, returned) as `Met`."""
    pair, time, outcome, strength, returned = zip(*drawn, strict=True)
    source, target = (ids[[each[side] for each in pair]] for side in (0, 1))
    world.emit(
        Met(source=source, target=target, time=time, outcome=outcome, strength=strength,
            returned_strength=returned)
    )  # fmt: skip


def stirred(world, reader):
    """(number of the agent, label, intensity, time) of each appraisal."""
    batch = reader.read()
    number = world.get(batch.agent, Persona.number)
    columns = (number, batch.label, batch.intensity, batch.time)
    return list(zip(*(column.tolist() for column in columns), strict=True))


histories = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 5), st.integers(0, 5)),
        moments,
        st.floats(-1, 1, width=32),
        st.sampled_from([0.0, 0.5, 1.0]),
        st.sampled_from([0.0, 0.3, 1.0]),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "plain"])
@cheap
@given(histories, st.floats(0, 1, width=32), st.floats(0, 1, width=32))
def test_appraisals_are_what_the_plain_twin_says(compiled, drawn, threshold, intensity):
    """Of both parties, side by side, where it went beyond the threshold and the party feels."""
    world, ids = people(threshold=threshold, intensity=intensity)
    world.add_system(appraise_contacts)
    reader = world.events(Appraisal)
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr("populace.systems.rapport.name_emotions", name_emotions.py_func)
        met(world, ids, drawn)
        world.step(0)
    expected = []
    for (i, j), time, outcome, strength, returned in drawn:
        if i == j or abs(outcome) <= threshold:
            continue
        for one, other, tie in ((i, j, strength), (j, i, returned)):
            neuroticism = float(world.get(ids[one], Persona.neuroticism)[0])
            label = naive.emotion(7, one, other, time, outcome, tie, neuroticism)
            if one != 5:
                force = pytest.approx(intensity * abs(outcome), abs=1e-6)
                expected.append((one, int(label), force, time))
    assert stirred(world, reader) == expected


def test_friends_are_thanked_and_the_unstable_suffer():
    """Golden: gratitude and distress at 1, joy and anger at 0, for certain."""
    world = World(seed=1)
    world.insert(Rapport())
    ids = world.spawn(2, Persona(number=[0, 1], neuroticism=[0, 1]), Emotion, Mood)
    world.add_system(appraise_contacts)
    reader = world.events(Appraisal)
    met(world, ids, [((0, 1), 5, 0.5, 1.0, 0.0), ((0, 1), 6, -1.0, 1.0, 0.0),
                     ((1, 0), 7, 0.25, 1.0, 1.0)])  # fmt: skip
    world.step(0)
    assert stirred(world, reader) == [
        (0, OCC.GRATITUDE, 0.5, 5), (1, OCC.JOY, 0.5, 5),
        (0, OCC.ANGER, 1.0, 6), (1, OCC.DISTRESS, 1.0, 6),
    ]  # fmt: skip


def test_only_the_living_who_feel_are_stirred():
    """The dead, things, and those who meet them are passed over; those beside them count; who has
    no `Persona` but a `Temperament` feels, and nothing is drawn for it."""
    world, ids = people()
    cat, stone = world.spawn(1, Temperament, Emotion, Mood), world.spawn(1)
    world.add_system(appraise_contacts)
    reader = world.events(Appraisal)
    source = np.array([ids[0], ids[1], ids[2], ids[3], ids[5]])
    target = np.array([ids[4], cat[0], stone[0], ids[3], ids[1]])
    world.emit(Met(source=source, target=target, time=NOW, outcome=0.9, strength=0.6))
    world.despawn(ids[4])
    world.step(0)
    batch = reader.read()
    assert batch.agent.tolist() == [ids[1], cat[0], ids[2], ids[1]]
    assert batch.label[:3].tolist() == [OCC.GRATITUDE, OCC.JOY, OCC.GRATITUDE]


def test_nothing_stirred_nothing_told():
    """No contact, neutral ones, or nobody who feels: no event."""
    world, ids = people()
    world.add_system(appraise_contacts)
    reader = world.events(Appraisal)
    world.step(0)
    met(world, ids, [((0, 1), NOW, 0.0, 1.0, 1.0), ((2, 1), NOW, -0.25, 1.0, 1.0)])
    world.step(0)
    world.remove(ids, Mood)
    met(world, ids, [((0, 1), NOW, 1.0, 1.0, 1.0)])
    world.step(0)
    assert len(reader) == 0


@cheap
@given(histories, st.integers(0, 12))
def test_batches_change_no_feeling(drawn, cut):
    """One step or two, contacts by time: the same appraisals, and the same moods to the bit."""
    drawn = sorted(drawn, key=lambda row: row[1])
    seen = []
    for parts in ([drawn], [drawn[:cut], drawn[cut:]]):
        world, ids = people()
        world.add_systems(appraise_contacts, feel)
        reader, told = world.events(Appraisal), []
        for part in filter(None, parts):
            met(world, ids, part)
            world.step(0)
            told += stirred(world, reader)
        feelings = feelings_of(world, ids[:5], NOW + days(2))
        seen.append((told, *(each.tolist() for each in feelings)))
    assert seen[0] == seen[1]


def test_a_good_talk_moves_the_mood_in_the_same_step():
    """`feel` takes the appraisal up: the mood moves by mood_gain * |outcome| * the vector."""
    world = World(seed=1)
    world.insert(Rapport())
    world.insert(Emotions())
    pair = world.spawn(2, Persona(number=[0, 1]), Emotion, Mood)
    world.add_systems(appraise_contacts, feel)
    met(world, pair, [((0, 1), hours(1), 0.5, 0.0, 0.0)])
    world.step(hours(1))
    _, mood = feelings_of(world, pair)
    assert mood[:, 0].tolist() == pytest.approx([0.3 * 0.5 * 0.76] * 2, abs=1e-6)
    assert temperament().tolist() == [0, 0, 0]


def test_places_name_the_parties():
    """2 * contact for the source, 2 * contact + 1 for the target; nothing where nobody is moved."""
    world, ids = people()
    reader = world.events(Met)
    met(world, ids, [((0, 1), NOW, 0.1, 0.0, 0.0), ((5, 2), NOW, 0.5, 0.0, 0.0),
                     ((3, 4), NOW, -0.5, 0.0, 0.0)])  # fmt: skip
    batch = reader.read()
    place, label = emotions_of(world, batch, 0.25)
    assert place.tolist() == [3, 4, 5]
    assert label[0] == OCC.JOY
    assert emotions_of(world, batch, 0.5)[0].size == 0
