"""Running scenarios in this process, with a directory, and what tests read there."""

from dataclasses import dataclass

import pyarrow.parquet as pq

from populace.components import Knowledge, Memory, Persona, Tie
from populace.ecs import hours
from populace.runs.directory import RunDirectory
from populace.runs.session import Saving, Session
from populace.scenarios.parameters import read_parameters
from populace.scenarios.registry import find_scenario
from populace.storage import Snapshots, load

TOWN = {
    "town.agents": 40,
    "town.births": 1000.0,
    "rumours.knowers": 2,
    "run.days": 2.5,
    "run.seed": 4,
}
"""A small town in which everything happens within days."""
OFTEN = hours(6)
MACHINE = ("wall_s", "cpu_s", "rss_bytes", "pause_s", "ns__")
"""How the columns of the metrics begin that depend on the machine."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over."""

    path: object
    world: object
    outcome: object


def parameters_of(scenario, **values):
    """Parameters of a scenario, whatever the environment says."""
    return read_parameters(find_scenario(scenario), environment={}).updated(values)


def run_in(path, scenario, values, *, every=OFTEN, watch=None):
    """Run a scenario into a directory."""
    given = {} if watch is None else {"watch": lambda *_: [watch]}
    session = Session(find_scenario(scenario), RunDirectory(path), Saving(every=every), **given)
    world, outcome = session.start(parameters_of(scenario, **values))
    return Run(path, world, outcome)


def go_on(path, *, every=OFTEN):
    """Go on with the run in a directory."""
    directory = RunDirectory(path).open()
    scenario = find_scenario(directory.found_as)
    world = load(directory.snapshots)
    return Run(path, world, Session(scenario, directory, Saving(every=every)).go_on(world))


def lose_after(path, number):
    """Lose the snapshots of a run that come after one."""
    for each in Snapshots(path / "snapshots").numbers():
        if each > number:
            (path / "snapshots" / f"snapshot-{each:010}.json").unlink()


def metrics_of(path):
    """The table of a run's metrics."""
    return pq.read_table(path / "metrics.parquet")


def same_anywhere(table):
    """Of metrics the columns that are the same on every machine."""
    return table.select([name for name in table.column_names if not name.startswith(MACHINE)])


def counts(world):
    """How many there are: agents, memories, ties, pieces of knowledge."""
    return [world.query(each).count() for each in (Persona, Memory, Tie, Knowledge)]


class Watching:
    """A watcher that remembers what it was told, and may do something at a step."""

    def __init__(self, at=0, act=lambda tick: None):
        self.at, self.act = at, act
        self.seen, self.closed = [], 0

    def __call__(self, tick):
        self.seen.append((tick.world.clock.tick, tick.row["tick"], tick.share))
        if tick.world.clock.tick == self.at:
            self.act(tick)

    def close(self):
        self.closed += 1
