"""Each subject of a report says what the run's numbers say, and what it has none for."""

import dataclasses
import json

import numpy as np
import pytest

from populace.components import Memory, Persona, Stream, Tie, TieState, Trace
from populace.ecs import World, days, hours
from populace.ecs.errors import SqlError
from populace.reports import parts
from populace.reports.bonds import bonds
from populace.reports.costs import costs
from populace.reports.ending import chosen_agent, read_ending
from populace.reports.forgetting import forgetting
from populace.reports.hours import by_hour, hours_of
from populace.reports.hours import hours as the_day
from populace.reports.life import life
from populace.reports.living import OTHERWISE, REASONS, living, losses, periods
from populace.reports.parts import Chart, Listing, Omission
from populace.reports.rundirectory import RunDirectory
from populace.reports.spreading import spreading
from populace.storage import save
from populace.systems.pruning import Reason

from .synthetic import FRIDAY, RUMOURS


@pytest.fixture(scope="module")
def ending(run):
    with read_ending(run) as (found, why_not):
        assert why_not == ""
        yield found


def run_of(manifest=None, **columns):
    """A run with some columns, in memory."""
    n = len(next(iter(columns.values())))
    time = FRIDAY + hours(1) * np.arange(1, n + 1)
    held = {name: np.asarray(column, float) for name, column in columns.items()}
    told = {"format": 1, "step_us": hours(1), **(manifest or {})}
    return RunDirectory(None, told, "", time, held)


def chart(section, key):
    """A chart of a section by its key."""
    return next(p for p in section.parts if isinstance(p, Chart) and p.key == key)


def left_out(section):
    return {part.what: part.why for part in section.parts if isinstance(part, Omission)}


# -- population and memory -----------------------------------------------------------------------


def test_periods_are_days_and_midnight_ends_one():
    """A tick that ends at 0:00 is of the day before; short runs go by the hour."""
    time = FRIDAY + hours(1) * np.arange(1, 24 * 3 + 1)
    begins, of, length = periods(time)
    assert length == days(1)
    assert begins.tolist() == [FRIDAY, FRIDAY + days(1), FRIDAY + days(2)]
    assert np.bincount(of).tolist() == [24, 24, 24]
    assert periods(time[:5])[2] == hours(1)
    assert periods(FRIDAY + days(1) * np.arange(1, 400))[2] == days(7)


def test_what_counts_do_not_explain_is_told_as_such():
    """Formed less kept less what was counted; and nothing where the counts explain all."""
    formed, weak = [0, 100, 100, 100], [0, 0, 10, 20]
    kept = [0, 100, 150, 180]
    found = losses(run_of(formed=formed, memories=kept, forgotten__weak=weak))
    assert {why: column.sum() for why, column in found.items()} == {OTHERWISE: 90, "weak": 30}
    kept = [0, 100, 190, 270]
    assert list(losses(run_of(formed=formed, memories=kept, forgotten__weak=weak))) == ["weak"]


def test_what_was_archived_is_told_as_such():
    """It has a column of its own, and is not what the counts do not explain."""
    formed, kept, archived = [0, 100, 100], [0, 100, 170], [np.nan, 0, 30]
    run = run_of(formed=formed, memories=kept, archived=archived)
    assert {why: column.sum() for why, column in losses(run).items()} == {"archived": 30}
    finding = chart(living(run), "flows").finding
    assert finding == "Of 100 memories formed 15 are gone, moved to the archive."


def test_every_reason_has_its_words():
    """Those that memories are forgotten for, as their columns are named, and how else they go."""
    assert set(REASONS) == {reason.name.lower() for reason in Reason} | {
        "merged", "archived", OTHERWISE,
    }  # fmt: skip


def test_of_many_reasons_the_commonest_are_told():
    """Three, and that there are others."""
    gone = {"weak": 50, "old": 30, "crowded": 15, "merged": 5}
    lost = {f"forgotten__{why}": [0, n] for why, n in gone.items()}
    finding = chart(living(run_of(formed=[0, 200], memories=[0, 100], **lost)), "flows").finding
    assert finding == (
        "Of 100 memories formed 50 are gone: 50\u202f% grown weak, 30\u202f% grown old, 15\u202f% "
        "crowded out and others."
    )


def test_the_flow_adds_up(run):
    """What the chart's table says was formed is what the metrics say."""
    rows = chart(living(run), "flows").rows
    formed = sum(row[rows.columns.index("formed")] for row in rows.rows)
    assert formed == run["formed"].sum()


def test_what_goes_is_no_negative_number(run):
    """The axis counts up and down from zero, in round steps."""
    axis = chart(living(run), "flows").layout["yaxis"]
    assert "0" in axis["ticktext"]
    assert min(axis["tickvals"]) <= 0 < max(axis["tickvals"])
    assert not any(text.startswith(("-", "−")) for text in axis["ticktext"])
    assert 3 <= len(axis["tickvals"]) <= 8


def test_the_finding_says_how_memories_go_on():
    """By days in a run of days; in a run of hours by hours."""
    n = days(5) // hours(1)
    grown = chart(living(run_of(memories=np.arange(1.0, n + 1))), "memories").finding
    assert "still more from day to day." in grown
    fallen = chart(living(run_of(memories=np.arange(n, 0.0, -1))), "memories").finding
    assert ", fewer from day to day. At most there were 120, on" in fallen
    still = chart(living(run_of(memories=np.full(24, 7.0))), "memories").finding
    assert "hardly more from hour to hour." in still


def test_where_there_is_none_there_is_no_strength():
    """Before the first memory the line of mean strengths has not begun."""
    run = run_of(memories=np.array([0.0, 0, 3, 4]), memory_strength=np.array([0.0, 0, 0.5, 0.4]))
    assert chart(living(run), "strengths").data[0]["y"] == [None, None, 0.5, 0.4]


def test_a_number_that_stays_is_a_sentence_not_a_chart(run):
    """60 agents throughout."""
    assert left_out(living(run))["Agents over time"] == "there were 60 agents from first to last"
    section = living(run_of(agents=np.arange(10, 60)))
    assert "From 10 agents" in chart(section, "agents").finding


# -- forgetting, ties, communities ---------------------------------------------------------------


def test_kept_memories_are_counted_by_tick_and_tenth(run, ending):
    """All that the snapshot holds of this run, each in the tick it was formed in."""
    kept = ending.alive(run.time_us, run.step_us)
    assert kept.sum() == run["memories"][-1]
    formed = np.stack([run[f"formed__{k}"] for k in range(10)], axis=1)
    assert (kept[-1] <= formed[-1] + 1).all()


def test_the_finding_names_a_half_life(run, ending):
    """Or says that none has come to it."""
    finding = chart(forgetting(run, ending, ""), "forgetting-curves").finding
    assert "Half of all memories of importance 0." in finding or "No tenth" in finding


def test_ties_are_counted_once_each(run, ending):
    """The histogram of strengths has every tie, that of degrees every agent."""
    section = bonds(ending, "")
    assert sum(row[2] for row in chart(section, "tie-strengths").rows.rows) == run["ties"][-1]
    assert sum(row[1] for row in chart(section, "degrees").rows.rows) == run["agents"][-1]


def test_numbers_of_agents_may_have_gaps(tmp_path):
    """Whoever nobody knows may have the highest number, however high."""
    world = World(seed=1)
    people = world.spawn(3, Persona(number=[0, 1, 4_000_000_000]), Stream)
    world.spawn(2, Tie(source=people[:2], target=people[1::-1]), TieState())
    save(world, tmp_path / "snapshots")
    with read_ending(dataclasses.replace(run_of(agents=[3]), path=tmp_path)) as (found, _):
        finding = chart(bonds(found, ""), "degrees").finding
        assert finding == "The median agent knows 1 other; the best connected 1; 1 agent nobody."
        assert chosen_agent(found, None) == 0
        far = dataclasses.replace(found.ties, source=np.array([0, 4_000_000_000]))
        assert chosen_agent(dataclasses.replace(found, ties=far), None) == 0
        assert far.degrees() == {0: 1, 4_000_000_000: 1}


def test_a_life_without_laws(tmp_path):
    """Nothing has a strength: memories go by their importance, ties by contacts."""
    world = World(seed=1)
    ann, bo = world.spawn(2, Persona(number=[0, 1], name=["Ann", "Bo"]), Stream)
    world.spawn(
        2, Memory(owner=ann, text=["dull", "a feast"], sequence=[0, 1], created=5),
        Trace(importance=[0.1, 0.9], stability=1.0, accessed=5),
    )  # fmt: skip
    world.spawn(1, Tie(source=ann, target=bo), TieState(contacts=3))
    save(world, tmp_path / "snapshots")
    run = run_of(agents=[2])
    with read_ending(dataclasses.replace(run, path=tmp_path)) as (found, _):
        best, ties = life(run, found, 0, "").parts[:2]
    assert best.rows.columns[3] == "importance"
    assert [row[3] for row in best.rows.rows] == ["0.900", "0.100"]
    assert ties.rows.rows == [["Bo", None, 3]]


class Silent:
    """A database that answers nothing."""

    def ask(self, *given, **more):
        raise SqlError("out of memory")


def test_what_cannot_be_asked_is_said_so(run, ending):
    """And not told as nothing: no memory kept, or none to remember."""
    silent = dataclasses.replace(ending, database=Silent())
    for section in (forgetting(run, silent, ""), life(run, silent, 0, "")):
        (why,) = left_out(section).values()
        assert "cannot be asked for: out of memory" in why


def test_other_columns_of_the_family_are_the_scenarios_own(run, ending):
    """Only tenths are tenths."""
    more = {"formed__talks": run["formed"], "formed__12": run["formed"]}
    with_more = dataclasses.replace(run, columns={**run.columns, **more})
    assert forgetting(with_more, ending, "") == forgetting(run, ending, "")


def test_the_picture_of_the_network_is_the_same_each_time(ending):
    """Seeds are fixed: places, communities and their order."""
    first, second = (chart(bonds(ending, ""), "network") for _ in range(2))
    assert first == second
    drawn = sum(len(trace["x"]) for trace in first.data if trace["mode"] == "markers")
    assert drawn == np.unique(np.concatenate([ending.ties.source, ending.ties.target])).size
    assert all(np.isfinite(np.array(trace["x"], float)).all() for trace in first.data[1:])


def test_a_large_network_is_sampled_and_says_so(ending):
    """400 of 1,000 agents, of which the best connected is one."""
    draw = np.random.default_rng(1)
    source, target = draw.integers(0, 1000, (2, 6000))
    apart = source != target
    hub = np.full(900, 5)
    source = np.concatenate([source[apart], hub])
    target = np.concatenate([target[apart], np.arange(50, 950)])
    ties = dataclasses.replace(
        ending.ties, source=source, target=target, strength=np.full(source.size, 0.4),
        contacts=np.ones(source.size),
    )  # fmt: skip
    many = dataclasses.replace(ending, ties=ties, names={k: f"<i>{k}" for k in range(1000)})
    section = bonds(many, "")
    network = chart(section, "network")
    assert "The 400 best connected" in network.finding
    assert "400 with the strongest are shown" in network.note
    texts = [text for trace in network.data[1:] for text in trace["text"]]
    assert any(text.startswith("<b>&lt;i&gt;5</b>") for text in texts)
    degrees = chart(section, "degrees")
    assert degrees.layout["xaxis"]["type"] == degrees.layout["yaxis"]["type"] == "log"


# -- rumours -------------------------------------------------------------------------------------


def test_a_rumour_that_spreads_has_its_curve_in_words():
    """Rate, middle and reach of a known curve, in the finding and in the table."""
    time = np.arange(1, 481) / 24
    share = 0.8 / (1 + np.exp(-0.7 * (time - 8)))
    told = {"labels": {"knows__0": RUMOURS[1], "knows__1": "nothing much"}}
    section = spreading(run_of(told, knows__0=share, knows__1=np.full(480, 0.1)))
    finding = chart(section, "rumours").finding
    assert f"“{RUMOURS[1]}” had come to 80\u202f%" in finding
    assert "half of its reach of 80\u202f% was there after 8 days" in finding
    assert "doubled every 24 hours" in finding
    (table,) = (part for part in section.parts if isinstance(part, Listing))
    assert table.rows.rows[0][2:5] == ["80\u202f%", "0.7", "8"]
    assert table.rows.rows[1][2:] == ["–"] * 4


def test_rumours_that_begin_alike_have_a_column_each():
    """Beyond what is shown of them they differ."""
    told = {"labels": {"knows__0": "x" * 70 + "a", "knows__1": "x" * 70 + "b"}}
    rows = chart(spreading(run_of(told, knows__0=[0.1, 0.2], knows__1=[0.3, 0.4])), "rumours").rows
    assert len(set(rows.columns)) == 3
    assert [row[1:] for row in rows.rows] == [[0.1, 0.3], [0.2, 0.4]]


def test_texts_of_rumours_are_no_markup_for_plotly(run):
    """What plotly would read as tags is escaped."""
    names = [trace["name"] for trace in chart(spreading(run), "rumours").data]
    assert "&lt;b&gt;Ida&lt;/b&gt; &amp; Gus have eloped" in names


# -- the day -------------------------------------------------------------------------------------


def test_hours_and_weekends():
    """17 Feb 2023 was a Friday; midnight is of the day that ends."""
    time = FRIDAY + np.array([0, hours(23), days(1), days(1) + hours(1), days(3), days(3) + 1])
    hour, weekend = hours_of(time)
    assert hour.tolist() == [0, 23, 0, 1, 0, 0]
    assert weekend.tolist() == [0, 0, 0, 1, 1, 0]
    means = by_hour(np.array([1.0, 2.0, 3.0, np.nan]), np.array([0, 23, 0, 0]))
    assert (means[0], means[23]) == (2.0, 2.0)
    assert np.isnan(means[1:23]).all()


def test_shares_of_activity_sum_to_one(run):
    """At each hour everybody does something."""
    grid = np.array(chart(the_day(run), "activity").data[0]["z"])
    assert grid.shape == (6, 24)
    assert grid.sum(axis=0) == pytest.approx(1, abs=0.01)
    assert "are asleep" in chart(the_day(run), "activity").finding


def test_of_noon_nothing_is_said_where_there_was_none():
    """A run from 0:00 to 6:00."""
    run = run_of(state__asleep=np.full(6, 9.0), state__working=np.full(6, 1.0))
    assert chart(the_day(run), "activity").finding == "At 1:00 90\u202f% are asleep."
    day = run_of(state__asleep=np.full(24, 9.0), state__working=np.full(24, 1.0))
    assert "; at noon 90\u202f% are asleep, more than" in chart(the_day(day), "activity").finding


def test_mood_has_weekdays_and_weekend(run):
    """The run lasts from Friday to Sunday."""
    names = [trace["name"] for trace in chart(the_day(run), "mood").data]
    assert len(names) == 6
    assert "pleasure, weekend" in names


# -- a life, costs -------------------------------------------------------------------------------


def test_the_life_is_of_the_best_connected_or_who_is_asked_for(run, ending):
    """Its strongest memories, ties, and memories by day."""
    who = chosen_agent(ending, None)
    mine = ending.ties.source == who
    assert mine.sum() == np.bincount(ending.ties.source).max()
    section = life(run, ending, who, "")
    assert section.title == f"A life: {ending.name(who)}"
    titles = {part.title for part in section.parts if not isinstance(part, Omission)}
    assert {"What it remembers best", "Whom it knows best"} <= titles
    best = next(
        part for part in section.parts if getattr(part, "title", "") == "Whom it knows best"
    )
    assert float(best.rows.rows[0][1]) == pytest.approx(ending.ties.strength[mine].max(), abs=1e-3)
    formed = chart(section, "life-formed")
    kept = sum(row[1] for row in formed.rows.rows)
    held = ending.rows("SELECT count(*) AS n FROM memories", of=[who])[0]["n"]
    assert kept == held
    assert chosen_agent(ending, 7) == 7


def test_parts_of_time_sum_to_one(run):
    """The systems that are shown, and the others."""
    section = costs(run)
    assert sum(chart(section, "systems").data[0]["x"]) == pytest.approx(1, abs=1e-3)
    assert chart(section, "ticks").data[0]["y"][0] == pytest.approx(
        run["wall_s"][0] * 1e3, rel=1e-3
    )


# -- other scenarios -----------------------------------------------------------------------------


def test_a_run_with_few_columns_says_what_it_has_not(ending):
    """Nothing fails for want of a column."""
    bare = run_of(agents=np.full(48, 3.0))
    sections = [living(bare), spreading(bare), the_day(bare), costs(bare),
                forgetting(bare, ending, "")]  # fmt: skip
    for section in sections:
        assert not [part for part in section.parts if isinstance(part, Chart)]
        assert all(left_out(section).values())


def test_a_run_of_one_tick_is_drawn(ending):
    """Where means, differences and fits have next to nothing."""
    one = run_of(agents=[5], memories=[9], formed=[9], formed__3=[9], ties=[2], knows__0=[0.2],
                 wall_s=[0.01], rss_bytes=[1e8], mood__pleasure=[0.1], mood__arousal=[0.0],
                 mood__dominance=[0.2], state__asleep=[5], ns__meet=[1000])  # fmt: skip
    for section in (living(one), spreading(one), the_day(one), costs(one)):
        assert [part for part in section.parts if isinstance(part, Chart)]


# -- parts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500, 9999])
def test_thinning_keeps_the_mean_and_the_end(n):
    """At most 1,000 points; whole blocks average to what they were."""
    values = np.arange(n, dtype=float)
    thin = parts.thinned(values)
    assert thin.size <= 1000
    assert parts.thinned(np.arange(n))[-1] == n - 1
    assert thin.size == parts.thinned(np.arange(n)).size
    size = -(-n // 1000)
    assert thin[0] == values[:size].mean()
    assert np.isnan(parts.thinned(np.full(n, np.nan))).all()


def test_charts_are_json_with_finite_numbers(run, ending):
    """NaN is no JSON: what was not measured is null."""
    holes = np.where(np.arange(run.n_ticks) % 5 == 0, np.nan, run["memories"])
    spoilt = dataclasses.replace(run, columns={**run.columns, "memories": holes})
    for section in (living(spoilt), bonds(ending, ""), the_day(spoilt)):
        for part in section.parts:
            if isinstance(part, Chart):
                json.dumps([part.data, part.layout], allow_nan=False)
