"""The scenario town: who lives where, whom they know, what happens, and that it is by seed."""

import re
from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from populace.components import (
    Activity,
    Biography,
    Emotion,
    Haunts,
    Knowledge,
    Lineage,
    Memory,
    Mood,
    Motion,
    Persona,
    Place,
    Position,
    SocialEnergy,
    Space,
    Survey,
    Tie,
    TieState,
    Trace,
)
from populace.contacts import read_contacts, replay
from populace.ecs import World
from populace.ecs.errors import SettingError
from populace.minds import export_minds
from populace.runs import live, make_world
from populace.runs.metrics import MetricsTable
from populace.scenarios.newborns import couples, welcome
from populace.scenarios.outlook import acquaintances, density
from populace.scenarios.rumours import Told, shares
from populace.scenarios.streets import EDGE, STREET, along, nearby, side_of
from populace.scenarios.townsfolk import HOUSEHOLD_WEIGHT, OLD, YOUNG
from populace.systems import StateMachine

NAME = r"[A-Z][\w'-]+ [A-Z][\w'-]+"
SENTENCES = {
    "talk": rf"talked with {NAME}( about .+?)?( at .+?)?(; felt [a-z ]+)?",
    "sight": rf"saw {NAME} at .+",
    "doing": rf"{NAME} is .+",
    "insight": rf"{NAME} often thinks about .+",
}
shares_of_the_way = st.floats(0, 1, exclude_max=True)
sides = st.floats(4 * EDGE, 5_000)


def town(threads=1, **given):
    """A town of 60 people for two days, but for what is given: a__b is the parameter a.b."""
    values = {"town.agents": 60, "run.days": 2, "run.seed": 3}
    values |= {name.replace("__", "."): value for name, value in given.items()}
    return make_world("town", values, threads=threads)


def columns(world, *fields):
    """Fields of everybody, in the order of their numbers."""
    people = world.query(Persona, *{field.component for field in fields})
    order = np.argsort(people.gather(Persona.number))
    return [people.gather(field)[order] for field in fields]


def people_of(world):
    """Everybody's id, by number."""
    people = world.query(Persona)
    return people.ids()[np.argsort(people.gather(Persona.number))]


def names_of(world):
    """Everybody's name, by number."""
    ids = people_of(world)
    return world.text.decode(world.get(ids, Persona.name))


def ties(world):
    """{(source, target): weight}."""
    found = world.query(Tie, TieState)
    both = zip(found.gather(Tie.source).tolist(), found.gather(Tie.target).tolist(), strict=True)
    return dict(zip(both, found.gather(TieState.weight).tolist(), strict=True))


# -- the outset ------------------------------------------------------------------------------


def test_everybody_has_a_home_and_a_haunt_and_those_of_the_age_work():
    """Nobody of 67 or more works; the profile is by the age."""
    world = town()
    ids = people_of(world)
    age = world.get(ids, Biography.age)
    home, work, leisure = (
        world.get(ids, getattr(Haunts, at)) for at in ("home", "work", "leisure")
    )
    assert ids.size == 60
    assert (home != 0).all()
    assert (leisure != 0).all()
    assert ((work != 0) == (age < OLD)).all()
    assert set(world.text.decode(world.get(home, Place.kind))) == {"home"}
    kinds = world.text.decode(world.get(work[work != 0], Place.kind))
    assert [kind == "student" for kind in kinds] == (age[work != 0] < YOUNG).tolist()
    profiles = world.resource(StateMachine).profiles
    want = np.select([age < YOUNG, age < OLD], ["student", "worker"], "retired")
    assert [profiles[code] for code in world.get(ids, Activity.profile)] == want.tolist()
    assert set(want) == {"student", "worker", "retired"}


def test_what_people_do_is_where_they_work():
    """Who works is said to do so at a place of that name; who has retired has nothing said."""
    world = town()
    ids = people_of(world)
    work, age = world.get(ids, Haunts.work), world.get(ids, Biography.age)
    said = np.array(world.text.decode(world.get(ids, Biography.learned)))
    at = world.text.decode(world.get(work[work != 0], Place.name))
    assert all(text.endswith(f" at {name}") for text, name in zip(said[work != 0], at, strict=True))
    assert set(said[age >= OLD]) == {""}


def test_homes_hold_as_many_as_they_are_said_to():
    """At 2.5 to a home 60 people have 24, of two or three each."""
    world = town()
    homes = Counter(world.get(people_of(world), Haunts.home).tolist())
    assert len(homes) == 24
    assert set(homes.values()) == {2, 3}


@pytest.mark.parametrize("given", [{}, {"town__agents": 2}, {"town__density": 50_000.0}])
def test_everything_is_within_the_walls_at_every_step(given):
    """Places at the outset and agents at every hour, in the smallest town and the densest too."""
    world = town(**given, run__days=1)
    space = world.resource(Space)
    places = world.query(Place)
    assert places.gather(Place.x).min() >= 0
    assert places.gather(Place.x).max() <= space.width
    assert places.gather(Place.y).min() >= 0
    assert places.gather(Place.y).max() <= space.height
    n = world.query(Persona).count()
    for _ in range(24):
        world.run(3_600_000_000, step=3_600_000_000)
        x, y = (world.query(Position, Motion).gather(getattr(Position, axis)) for axis in "xy")
        assert x.size == n
        assert 0 <= x.min() <= x.max() <= space.width
        assert 0 <= y.min() <= y.max() <= space.height
    world.check()


def test_ties_are_mutual_at_the_outset_and_of_every_household():
    """Each has its opposite of the same weight; no two of a home are strangers."""
    world = town()
    tied = ties(world)
    assert all(tied.get((target, source)) == weight for (source, target), weight in tied.items())
    ids = people_of(world)
    home = world.get(ids, Haunts.home)
    family = set()
    for one in np.unique(home):
        family |= set(combinations(sorted(ids[home == one].tolist()), 2))
    assert family
    assert {pair for pair, weight in tied.items() if pair[0] < pair[1] and
            weight == HOUSEHOLD_WEIGHT} == family  # fmt: skip


@pytest.mark.parametrize("known", [0.0, 2.6, 6.0])
def test_people_know_their_household_and_so_many_neighbours(known):
    """Less those who were drawn twice or live in the same home: at most four in ten here."""
    world = town(town__agents=120, town__acquaintances=known)
    of_home = Counter(world.get(people_of(world), Haunts.home).tolist())
    household = sum(size * (size - 1) for size in of_home.values()) / 120
    assert household + 0.6 * known <= acquaintances(world) <= household + known
    assert density(world) == pytest.approx(acquaintances(world) / 119)


@pytest.mark.parametrize("knowers", [1, 5])
def test_each_rumour_begins_with_its_knowers(knowers):
    """So many know it at the outset, as the shares say."""
    world = town(rumours__told="a flood; a feast; a fair", rumours__appeal="0.1; 0.5; 1",
                 rumours__knowers=knowers)  # fmt: skip
    topics = world.query(Knowledge).gather(Knowledge.topic)
    told = world.resource(Told)
    assert told.texts == ("a flood", "a feast", "a fair")
    assert [np.count_nonzero(topics == topic) for topic in told.topics] == [knowers] * 3
    assert list(shares(world).values()) == pytest.approx([knowers / 60] * 3)


def test_a_town_can_be_without_rumours():
    """Then there are no shares of who knows them."""
    world = town(rumours__told="", run__days=1)
    assert shares(world) == {}
    assert not [name for name in live(world).told if name.startswith("knows")]


@pytest.mark.parametrize(
    ("told", "appeal", "why"),
    [
        ("a flood; a flood", "0.1; 0.2", "names a rumour twice"),
        ("a flood; a feast", "0.1", "for each of the 2 rumours"),
        ("a flood", "0.1; 0.2", "for each of the 1 rumours"),
        ("a flood", "much", "got 'much'"),
        ("a flood", "1.5", "a number from 0 to 1"),
        ("a flood", "nan", "a number from 0 to 1"),
    ],
)
def test_rumours_that_cannot_be_are_refused(told, appeal, why):
    """One told twice, or appeals that are none or not one to each."""
    with pytest.raises(SettingError, match=why):
        town(rumours__told=told, rumours__appeal=appeal)


# -- who moves in ----------------------------------------------------------------------------


def test_personas_move_in_first_and_generated_people_fill_up(bank):
    """Three of a file are the first of ten, and only they have answered a survey."""
    world = town(town__agents=10, town__personas=str(bank))
    ids = people_of(world)
    assert world.get(ids, Persona.number).tolist() == list(range(10))
    assert world.has(ids, Survey).tolist() == [True] * 3 + [False] * 7
    assert names_of(world)[:3] == ["Ethan Robinson"] * 3
    assert world.has(ids, Haunts).all()
    live(world)
    world.check()


@pytest.mark.parametrize("source", ["town", "stream", "log"])
def test_those_of_another_world_move_in(tmp_path, source):
    """With what they feel and are old, where their tables say so; else it is begun here."""
    if source == "log":
        (tmp_path / "log.csv").write_text("time,source,target\n0,a,b\n60,c,a\n")
        before = World()
        replay(before, read_contacts(tmp_path / "log.csv"))
    else:
        given = {f"{source}.agents": 3, "run.days": 1}
        before = make_world(source, given)
        live(before)
    export_minds(before, tmp_path / "minds")
    world = town(town__agents=10, town__personas=str(tmp_path / "minds"))
    ids, guests = people_of(world), people_of(before)
    assert names_of(world)[:3] == names_of(before)
    for inner in (Emotion, Mood, SocialEnergy, Biography):
        assert world.has(ids, inner).all()
    if source == "town":
        for field in (Mood.pleasure, SocialEnergy.level, Biography.age):
            assert world.get(ids[:3], field).tolist() == before.get(guests, field).tolist()
    assert world.get(ids, Biography.age).min() >= 18
    live(world)
    world.check()


def test_more_personas_than_there_is_room_for_are_refused(bank):
    """Nobody is left out unasked; as many as there is room for need no neighbours."""
    with pytest.raises(SettingError, match=r"holds 3 people.* is 2: give --agents 3"):
        town(town__agents=2, town__personas=str(bank))
    world = town(town__agents=3, town__personas=str(bank))
    assert world.has(people_of(world), Survey).tolist() == [True] * 3
    live(world)
    world.check()


# -- days ------------------------------------------------------------------------------------


def test_memories_say_what_happened():
    """Each is of a talk, a sight, one's own doings or a thought; and there are some of each."""
    world = town()
    live(world)
    texts = world.text.decode(world.query(Memory).gather(Memory.text))
    found = Counter()
    for text in texts:
        kinds = [kind for kind, said in SENTENCES.items() if re.fullmatch(said, text)]
        assert kinds, text
        found[kinds[0]] += 1
    assert set(found) == set(SENTENCES)
    assert any(re.fullmatch(rf"talked with {NAME} about .+ at .+", text) for text in texts)
    assert any("; felt " in text for text in texts)
    spoken_of = {
        match[1] for text in texts if (match := re.match(rf"(?:saw|with) ({NAME}) at", text))
    }
    assert spoken_of <= set(names_of(world))


def test_what_was_formed_is_kept_or_forgotten():
    """The counts of the outcome agree with each other, the world and the metrics."""
    world = town()
    table = MetricsTable()
    outcome = live(world, metrics=table)
    assert outcome.formed == outcome.forgotten + outcome.kept > 0
    assert outcome.kept == world.query(Memory).count() == outcome.kept_by_day[-1]
    assert (outcome.agents, outcome.imported, outcome.ticks) == (60, 0, 48)
    assert outcome.ties == world.query(Tie).count() == table["ties"][-1]
    assert sum(table["formed"]) == outcome.formed
    assert table["density"][-1] == density(world) == outcome.told["density"]
    assert outcome.told["density_at_start"] < outcome.told["density"]
    world.check()


def test_metrics_count_everybody_once():
    """At each hour the people of all states are the agents; shares are of them."""
    table = MetricsTable()
    world = town()
    live(world, metrics=table)
    states = [f"state__{name}" for name in world.resource(StateMachine).states]
    assert len(table) == 48
    for tick in range(48):
        assert sum(table[name][tick] for name in states) == table["agents"][tick] == 60
        assert sum(table[f"formed__{tenth}"][tick] for tenth in range(10)) <= table["formed"][tick]
        assert all(0 <= table[f"knows__{k}"][tick] <= 1 for k in range(2))
    assert max(table["state__asleep"]) > 50
    assert max(table["state__working"]) > 20


def test_the_world_is_by_the_parameters_not_by_threads():
    """One thread and two live the same days to the bit; another seed lives others."""
    one, two, other = town(), town(threads=2), town(run__seed=4)
    two.parallel_rows = 1
    for world in (one, two, other):
        live(world)
    assert one.digest() == two.digest() != other.digest()


def test_life_is_the_same_whether_texts_are_given_back():
    """Each night all that nobody remembers, and their codes go to what is said next day; or none
    ever: the same memories, in the same words, as strong."""
    given = dict(run__days=4, room__capacity=15, texts__least=1, texts__share=0.0)
    one, other = town(texts__every=86_400.0, **given), town(texts__every=1e9, **given)
    told = []
    for world in (one, other):
        live(world)
        held = world.query(Memory, Trace)
        order = np.argsort(held.ids())
        told.append(
            [world.text.decode(held.gather(Memory.text)[order]), held.ids()[order].tolist()]
            + [held.gather(field)[order].tolist() for field in
               (Trace.importance, Trace.stability, Trace.accessed, Trace.evidence)]
        )  # fmt: skip
    assert told[0] == told[1]
    assert one.text.reclaims == 4
    assert len(one.text) < len(other.text)


# -- births ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def towns_with_births():
    """Eight towns of 100 people, after three days at 1,000 births to 1,000 people in a year."""
    towns = [
        town(town__agents=100, town__births=1000.0, run__days=3, run__seed=seed)
        for seed in range(8)
    ]
    for world in towns:
        live(world)
    return towns


def test_births_come_as_often_as_is_said(towns_with_births):
    """At 100 / 365 a day, 6.6 in 24 days; each day has one or none."""
    born = [world.query(Persona).count() - 100 for world in towns_with_births]
    assert all(0 <= each <= 3 for each in born)
    assert 2 <= sum(born) <= 13


def test_children_belong_to_their_parents(towns_with_births):
    """They live with them, know the household, bear a parent's name and have a child's day."""
    seen = 0
    for world in towns_with_births:
        world.check()
        ids, names = people_of(world), names_of(world)
        profiles, tied = world.resource(StateMachine).profiles, ties(world)
        births = world.query(Lineage)
        assert births.count() == ids.size - 100
        for person, first, second in zip(
            *(births.gather(getattr(Lineage, of)).tolist() for of in ("person", "first", "second")),
            strict=True,
        ):
            child = ids[person]
            assert person >= 100
            assert len({person, first, second}) == 3
            home = world.get(ids[[person, first, second]], Haunts.home)
            assert (home == home[0]).all()
            assert (world.get(ids[[first, second]], Biography.age) >= 18).all()
            assert world.get(ids[[person]], Biography.age).tolist() == [0]
            assert profiles[world.get(ids[[person]], Activity.profile)[0]] == "child"
            assert names[person].split()[-1] == names[first].split()[-1]
            for other in world.index(Haunts.home).ids(home[0]).tolist():
                if other != child:
                    assert tied[int(child), other] > 0
                    assert tied[other, int(child)] > 0
            seen += 1
    assert seen


@pytest.mark.parametrize(("agents", "kind"), [(400, "teacher"), (20, "student")])
def test_children_go_to_the_nearest_school(agents, kind):
    """Or to a college, where a town has no school; nobody works at home."""
    world = town(town__agents=agents)
    born = welcome(world, *couples(world, 0))
    places = world.query(Place)
    kinds = world.text.decode(places.gather(Place.kind))
    schools = places.ids()[[each == kind for each in kinds]]
    assert ("teacher" in kinds) == (kind == "teacher")
    x, y = (world.get(schools, field) for field in (Place.x, Place.y))
    for child in born:
        home, work = (world.get([child], field) for field in (Haunts.home, Haunts.work))
        (at, beside), (to, past) = ([world.get(p, f)[0] for f in (Place.x, Place.y)]
                                    for p in (home, work))  # fmt: skip
        assert work[0] in schools
        assert np.hypot(to - at, past - beside) == np.hypot(x - at, y - beside).min()


def test_couples_are_two_of_a_home_each_once():
    """Grown up, and in an order that changes by the day."""
    world = town(town__agents=100)
    first, second = couples(world, 0)
    assert first.size
    assert np.unique(np.append(first, second)).size == 2 * first.size
    assert (world.get(first, Haunts.home) == world.get(second, Haunts.home)).all()
    age = world.get(np.append(first, second), Biography.age)
    assert 18 <= age.min() <= age.max() <= 45
    tomorrow, _ = couples(world, 1)
    assert set(tomorrow.tolist()) == set(first.tolist())
    assert tomorrow.tolist() != first.tolist()


def test_without_births_nobody_is_born():
    """As by default."""
    world = town()
    live(world)
    assert world.query(Persona).count() == 60
    assert world.query(Lineage).count() == 0


# -- streets ---------------------------------------------------------------------------------


@given(shares_of_the_way, sides)
def test_what_lies_along_the_way_is_inside(t, side):
    """By `EDGE` from every wall."""
    x, y = along(np.array([t]), side)
    assert EDGE - 1e-9 <= x[0] <= side - EDGE + 1e-9
    assert EDGE - 1e-9 <= y[0] <= side - EDGE + 1e-9


@given(st.lists(shares_of_the_way, min_size=2, max_size=50), sides)
def test_the_way_goes_along_one_street_after_another(ts, side):
    """y never turns back; within a street x goes one way, to and fro by turns."""
    x, y = along(np.sort(ts), side)
    assert (np.diff(y) >= 0).all()
    gap = (side - 2 * EDGE) / max(1, int((side - 2 * EDGE) // STREET))
    street = np.rint((y - EDGE) / gap - 0.5).astype(int)
    for each in np.unique(street):
        ahead = np.diff(x[street == each]) * (1 if each % 2 == 0 else -1)
        assert (ahead >= -1e-9).all()


@given(
    shares_of_the_way, st.integers(1, 100_000), st.floats(-8, 8), st.floats(0, 5e5),
)  # fmt: skip
def test_what_is_nearby_is_there(t, n, drawn, reach):
    """One of n, however far they look; without looking around the one where they are."""
    (found,) = nearby(np.array([t]), n, np.array([drawn]), reach)
    assert 0 <= found < n
    (here,) = nearby(np.array([t]), n, np.array([drawn]), 0.0)
    assert here == min(int(t * n), n - 1)


@given(st.integers(2, 2_000_000), st.floats(10, 100_000))
def test_a_town_is_as_large_as_its_density_says(n, per_km2):
    """But never too small for its edges."""
    side = side_of(n, per_km2)
    assert side >= 4 * EDGE
    if side > 4 * EDGE:
        assert n / (side / 1_000) ** 2 == pytest.approx(per_km2)
