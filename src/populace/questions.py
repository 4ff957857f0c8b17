"""Ready questions about a society, as functions and as presets of `populace sql --preset`.

    top_memories(world, "Ann Berg", n=5).rows()
    ask_preset("runs/town", "rumour-spread", {"topic": "the fire"})

Each takes what `sql` takes (a world, a snapshot, a directory of snapshots) and gives a `Result`. Of
a directory the newest snapshot is asked, but for `forgetting_curve` and `mood_by_hour`, which look
at all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from populace.ecs.errors import SqlError
from populace.storage.results import Result

from .ask import Askable, asking, moment_of, sql

Question = TypeVar("Question", bound=Callable[..., Result])

FEWEST, MOST = 1, 1_000_000


@dataclass(frozen=True, slots=True)
class Parameter:
    """What a preset takes. kinds: what its value may be, in the order in which text is tried."""

    name: str
    kinds: tuple[type, ...]
    required: bool
    default: Any
    doc: str


@dataclass(frozen=True, slots=True)
class Preset:
    """A ready question by its name. about: what it tells, in a line."""

    name: str
    about: str
    parameters: tuple[Parameter, ...]
    ask: Callable[..., Result]


PRESETS: dict[str, Preset] = {}
"""Every ready question, by its name."""


def preset(**docs: str) -> Callable[[Question], Question]:
    """Make a question a preset, called as it is with hyphens. docs: of each of its parameters."""

    def make(question: Question) -> Question:
        hints = get_type_hints(question)
        parameters = [
            Parameter(
                name,
                tuple(kind for kind in get_args(hints[name]) or (hints[name],)),
                one.default is inspect.Parameter.empty,
                None if one.default is inspect.Parameter.empty else one.default,
                docs[name],
            )
            for name, one in list(inspect.signature(question).parameters.items())[1:]
        ]
        name = question.__name__.replace("_", "-")
        about = " ".join((question.__doc__ or "").split("\n\n")[0].split())
        PRESETS[name] = Preset(name, about, tuple(parameters), question)
        return question

    return make


def ask_preset(source: Askable, name: str, arguments: Mapping[str, str]) -> Result:
    """Ask a ready question by name, with arguments as text.

    Raises SqlError for a name or an argument that there is not, one that is missing, and a value
    that cannot be read; and what the question raises.
    """
    if name not in PRESETS:
        raise SqlError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    found = PRESETS[name]
    known = {one.name: one for one in found.parameters}
    for given in arguments:
        if given not in known:
            raise SqlError(f"preset {name} takes {_told(found)}, not {given!r}")
    for one in found.parameters:
        if one.required and one.name not in arguments:
            raise SqlError(f"preset {name} needs {one.name}: {one.doc}")
    values = {given: _read(name, known[given], text) for given, text in arguments.items()}
    return found.ask(source, **values)


def _told(found: Preset) -> str:
    return ", ".join(one.name for one in found.parameters) or "no arguments"


def _read(preset: str, parameter: Parameter, text: str) -> Any:
    """Text as the first kind of value that it can be."""
    for kind in parameter.kinds:
        if kind is type(None):
            continue
        try:
            return kind(text)
        except ValueError:
            continue
    names = " or ".join(kind.__name__ for kind in parameter.kinds if kind is not type(None))
    raise SqlError(f"{parameter.name} of preset {preset} is {names}, got {text!r}")


# -- what the questions share --------------------------------------------------------------------


def agent_number(source: Askable, agent: int | str) -> int:
    """The number of an agent that is named by number, id or full name.

    Raises SqlError where there is none, or several of that name.
    """
    if isinstance(agent, str):
        wanted, meant = "name = $agent", f"is called {agent!r}"
    else:
        wanted, meant = "agent = $agent OR entity = $agent", f"has the number or id {agent!r}"
    query = f"SELECT agent FROM agents WHERE {wanted} ORDER BY agent"
    found = [row["agent"] for row in sql(source, query, {"agent": agent})]
    if len(found) > 1:
        raise SqlError(f"{len(found)} agents are called {agent!r}; give a number: {found[:10]}")
    if not found:
        raise SqlError(f"no agent {meant}; SELECT agent, name FROM agents shows them all")
    number: int = found[0]
    return number


def _span(every: str | int) -> str:
    """A span of time as DuckDB reads it."""
    return every if isinstance(every, str) else f"{every} microseconds"


def _count(value: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not FEWEST <= value <= MOST:
        raise SqlError(f"{name} is a whole number from {FEWEST} to {MOST:,}, got {value!r}")
    return value


def _is_run(source: Askable) -> bool:
    """Whether a source shows many moments, so that its views have a time."""
    with asking(source) as asked:
        return "tick" in asked.views["memories"]


# -- the questions -------------------------------------------------------------------------------


@preset(agent="whose, by number or name", n="how many")
def top_memories(source: Askable, agent: int | str, n: int = 10) -> Result:
    """What an agent remembers best: its strongest memories."""
    source = moment_of(source)
    return sql(
        source,
        """
        SELECT sequence, text, kind, created, importance, strength FROM memories
        ORDER BY strength DESC NULLS LAST, importance DESC, sequence LIMIT $n
        """,
        {"n": _count(n, "n")},
        of=agent_number(source, agent),
    )


@preset(cohort="memories formed in the same span are one cohort, such as '1 day'")
def forgetting_curve(source: Askable, cohort: str | int = "1 day") -> Result:
    """How memories of the same age fade: how many of a cohort are kept, and how well.

    Of a run there is a row for each cohort and snapshot, and `share` is what is kept of the most
    that a snapshot has had of the cohort; else it is null. `retrievability` is strength by
    importance, averaged; a run's are worked out snapshot by snapshot, as long as loading takes.
    """
    run = _is_run(source)
    return sql(
        source,
        f"""
        WITH cohorts AS (
            SELECT time_bucket($cohort::INTERVAL, created) AS cohort, time, count(*) AS kept,
                avg(importance) AS importance, avg(strength) AS strength,
                avg(strength / nullif(importance, 0)) AS retrievability
            FROM memories{"" if run else ", clock"} GROUP BY cohort, time)
        SELECT cohort, time, epoch(time - cohort) / 3600 AS age_h, kept,
            {"kept / max(kept) OVER (PARTITION BY cohort)" if run else "NULL::DOUBLE"} AS share,
            importance, strength, retrievability
        FROM cohorts ORDER BY cohort, time
        """,
        {"cohort": _span(cohort)},
    )


@preset(bins="how many intervals from 0 to 1")
def tie_strengths(source: Askable, bins: int = 20) -> Result:
    """How strong ties are: how many lie in each interval of strength, from 0 to 1."""
    return sql(
        moment_of(source),
        """
        WITH counts AS (
            SELECT least(floor(strength * $bins), $bins - 1)::BIGINT AS bin, count(*) AS ties
            FROM ties WHERE strength IS NOT NULL GROUP BY bin)
        SELECT bin / $bins AS low, (bin + 1) / $bins AS high, coalesce(ties, 0) AS ties,
            coalesce(ties / sum(ties) OVER (), 0) AS share
        FROM range($bins) AS every(bin) LEFT JOIN counts USING (bin) ORDER BY bin
        """,
        {"bins": _count(bins, "bins")},
    )


@preset(agent="in the middle, by number or name")
def ego_network(source: Askable, agent: int | str) -> Result:
    """An agent, those it is tied to or who are tied to it, and all ties among them.

    `own` ties, those of the agent itself, come first, then by strength.
    """
    source = moment_of(source)
    return sql(
        source,
        """
        WITH near AS (
            SELECT target AS agent FROM ties WHERE source = $agent
            UNION SELECT source FROM ties WHERE target = $agent)
        SELECT source, source_name, target, target_name, strength, weight, valence, contacts, last,
            source = $agent OR target = $agent AS own
        FROM ties
        WHERE (source = $agent OR source IN (SELECT agent FROM near))
            AND (target = $agent OR target IN (SELECT agent FROM near))
        ORDER BY own DESC, strength DESC NULLS LAST, source, target
        """,
        {"agent": agent_number(source, agent)},
    )


@preset(topic="name or number of the topic", every="span of time of a row, such as '1 hour'")
def rumour_spread(source: Askable, topic: int | str, every: str | int = "1 hour") -> Result:
    """How something became known: who learned it when, of those who know it by now.

    `learners` are those of a span, `knowers` all until its end, `share` that of all agents, `hops`
    the mean number of tellings from whoever had it first hand.
    """
    source = moment_of(source)
    column = "name" if isinstance(topic, str) else "topic"
    found = sql(source, f"SELECT topic FROM topics WHERE {column} = $topic", {"topic": topic})
    if not len(found):
        known = sql(source, "SELECT name FROM topics ORDER BY topic LIMIT 10")
        told = ", ".join(row["name"] for row in known) or "none"
        raise SqlError(f"there is no topic {topic!r}; there are {told}")
    return sql(
        source,
        """
        WITH spans AS (
            SELECT time_bucket($every::INTERVAL, learned) AS time, count(*) AS learners,
                avg(hops) AS hops
            FROM knowledge WHERE topic = $topic GROUP BY time)
        SELECT time, learners, sum(learners) OVER (ORDER BY time) AS knowers,
            knowers / (SELECT count(*) FROM agents) AS share, hops
        FROM spans ORDER BY time
        """,
        {"topic": found.one()["topic"], "every": _span(every)},
    )


@preset(
    view="whose rows: memories, ties, knowledge, contacts, metrics, ...",
    column="a column of numbers",
    every="span of time of a row, such as '15 minutes'",
    agent="whose rows alone, by number or name",
)
def time_buckets(
    source: Askable,
    view: str = "memories",
    column: str = "importance",
    every: str | int = "15 minutes",
    agent: int | str | None = None,
) -> Result:
    """A column over time: least, greatest, mean and last value of each span, and how many.

    Rows go by the time that says how new they are: memories by `created`, ties by `last`, contacts
    and metrics by `time`. Spans without rows are left out.
    """
    source = moment_of(source)
    with asking(source) as asked, asked.source.hold():
        spec = asked.source.specs.get(view)
        if spec is None or spec.since is None or column not in spec.by_name:
            timed = {one.name: one for one in asked.source.specs.values() if one.since is not None}
            if spec is None or spec.since is None:
                raise SqlError(f"time buckets are of {', '.join(timed)}, not of {view!r}")
            raise SqlError(f"{view} has no column {column!r}; it has {', '.join(spec.by_name)}")
        time = spec.column(spec.since)
    return sql(
        source,
        f"""
        SELECT time_bucket($every::INTERVAL, "{time}") AS time, min("{column}") AS min,
            max("{column}") AS max, avg("{column}") AS mean, arg_max("{column}", "{time}") AS last,
            count("{column}") AS count
        FROM "{view}" WHERE "{time}" IS NOT NULL GROUP BY 1 ORDER BY 1
        """,
        {"every": _span(every)},
        of=None if agent is None else agent_number(source, agent),
    )


@preset(n="how many")
def busiest_agents(source: Askable, n: int = 10) -> Result:
    """Who has had most contacts, by the ties there are: made, received, and with how many."""
    return sql(
        moment_of(source),
        """
        WITH made AS (
            SELECT source AS agent, sum(contacts) AS made, count(*) AS partners
            FROM ties GROUP BY source),
        received AS (
            SELECT target AS agent, sum(contacts) AS received FROM ties GROUP BY target)
        SELECT agent, name, coalesce(made, 0) AS made, coalesce(received, 0) AS received,
            coalesce(partners, 0) AS partners
        FROM agents LEFT JOIN made USING (agent) LEFT JOIN received USING (agent)
        ORDER BY coalesce(made, 0) + coalesce(received, 0) DESC, agent LIMIT $n
        """,
        {"n": _count(n, "n")},
    )


@preset()
def mood_by_hour(source: Askable) -> Result:
    """The mean mood of all agents that have one, for each hour of simulated time.

    Of a run by the snapshots made in that hour, of anything else at its moment.
    """
    run = _is_run(source)
    moods = ", ".join(
        f"avg(coalesce(mood_{axis}_now, mood_{axis})) AS {axis}"
        for axis in ("pleasure", "arousal", "dominance")
    )
    return sql(
        source,
        f"""
        SELECT time_bucket(INTERVAL '1 hour', time) AS hour, {moods},
            count(DISTINCT agent) AS agents
        FROM agents{"" if run else ", clock"} WHERE mood_pleasure IS NOT NULL
        GROUP BY hour ORDER BY hour
        """,
    )
