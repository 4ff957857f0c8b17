"""A small run directory, as a headless run leaves it: a real society, its metrics and snapshots.

python -P -m tests.face.reports.synthetic TARGET [AGENTS] [DAYS]
"""

import json
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from populace import Checkpointer, World, days, hours
from populace.components import (
    Activity,
    Emotion,
    Haunts,
    Knowledge,
    KnowledgeState,
    Memory,
    Met,
    Mood,
    MoodNow,
    Persona,
    Place,
    Reflection,
    SocialEnergy,
    Space,
    Stream,
    Strength,
    Tie,
    TieStrength,
    Trace,
)
from populace.systems import (
    Colocation,
    StateMachine,
    add_laws,
    enter_state,
    intern_topics,
    learn,
    settle,
    share_knowing,
)

FRIDAY = days(19_405)  # 2023-02-17
FIRST = ["Ann", "Bo", "Cleo", "Dev", "Ed", "Fay", "Gus", "Hal", "Ida", "Jo"]
LAST = ["Abe", "Berg", "Cruz", "Diaz", "Egan", "Ford", "Gray", "Hill", "Ito", "Jahn"]
RUMOURS = ["the mill will close", "<b>Ida</b> & Gus have eloped"]
CONFIG = """scenario = "town"

[run]
days = 3.0   # d, simulated days
seed = 7

[ties]
half_life = 604800.0   # s
"""


def society(n_agents, seed=7):
    """People with homes, offices and cafés, of whom two know something."""
    world = World(seed=seed)
    world.clock.now = FRIDAY
    side = 40 * n_agents**0.5
    add_laws(world, Space(width=side, height=side), Colocation(chance=0.2))
    draw = np.random.default_rng(seed)

    def places(n, kind, radius):
        x, y = draw.uniform(0, side, (2, n))
        names = [f"the {kind} no. {k + 1}" for k in range(n)]
        return world.spawn(n, Place(name=names, kind=kind, x=x, y=y, radius=radius))

    homes = places(n_agents // 3 + 1, "house", 5)
    offices = places(n_agents // 15 + 1, "office", 10)
    cafes = places(n_agents // 40 + 1, "café", 8)
    number = np.arange(n_agents)
    people = world.spawn(
        n_agents,
        Persona(
            number=number,
            name=[f"{FIRST[k % 10]} {LAST[k // 10 % 10]} {'I' * (k // 100 + 1)}" for k in number],
            extraversion=draw.random(n_agents),
            neuroticism=draw.random(n_agents),
        ),
        Haunts(
            home=draw.choice(homes, n_agents),
            work=draw.choice(offices, n_agents),
            leisure=draw.choice(cafes, n_agents),
        ),
        Stream,
        SocialEnergy,
        Emotion,
        Mood,
    )
    enter_state(world, people, "asleep", profile="worker")
    settle(world, people)
    for who, topic in zip(people[:2], intern_topics(world, RUMOURS), strict=True):
        learn(world, [who], [topic])
    return world


def counts_of(world):
    """What systems have counted and taken, so far."""
    took = {f"ns__{name}": stats.ns for name, stats in world.telemetry.systems.items()}
    gone = {
        f"forgotten__{name.removeprefix('forgotten, ')}": n
        for name, n in world.telemetry.counts.items()
        if name.startswith("forgotten, ")
    }
    return {"formed": int(world.query(Stream).gather(Stream.formed).sum()), **took, **gone}


def measured(world, topics, fresh):
    """A row of the metrics, but for what is counted in a tick. fresh: since when a memory is new.

    What is formed and forgotten within the tick is missed by formed__k: here it is too little to
    matter.
    """
    memories, ties = world.query(Memory, Trace, Strength), world.query(Tie, TieStrength)
    new = memories.gather(Memory.created) > fresh
    importance = memories.gather(Trace.importance)[new]
    tenths = np.bincount(np.minimum(importance.astype(float) * 10, 9).astype(int), minlength=10)
    states = world.resource(StateMachine).states
    doing = np.bincount(world.query(Activity).gather(Activity.state), minlength=len(states))
    n = world.query(Persona).count()
    row = {
        "agents": n,
        "memories": memories.count(),
        "ties": ties.count(),
        "knowledge": world.query(Knowledge, KnowledgeState).count(),
        "reflections": world.query(Reflection).count(),
        "memory_strength": float(memories.gather(Strength.value).mean()) if memories else None,
        "tie_strength": float(ties.gather(TieStrength.value).mean()) if ties.count() else None,
        "contacts": world.journal(Met).n,
        "density": ties.count() / (n * (n - 1)),
    }
    row |= {f"state__{name}": int(k) for name, k in zip(states, doing, strict=True)}
    row |= {f"formed__{k}": int(count) for k, count in enumerate(tenths)}
    row |= {f"knows__{k}": float(share) for k, share in enumerate(share_knowing(world, topics))}
    for axis in ("pleasure", "arousal", "dominance"):
        row[f"mood__{axis}"] = float(world.query(MoodNow).gather(getattr(MoodNow, axis)).mean())
    return row


def write_run(target, n_agents=60, n_days=3):
    """Let a society live and write TARGET as `populace run` does."""
    target = Path(target)
    target.mkdir(parents=True)
    world = society(n_agents)
    world.keep(Met)
    topics = world.query(Knowledge).gather(Knowledge.topic)
    topics = np.array(sorted(set(topics.tolist())), np.uint64)
    rows, started = [], datetime.now(UTC)
    before = counts_of(world)
    with Checkpointer(world, target / "snapshots", every=days(1), keep=2) as checkpointer:
        for tick in range(24 * n_days):
            begin, n_saved = perf_counter(), len(checkpointer.saved)
            fresh = world.clock.now
            world.run(hours(1), step=hours(1))
            now = counts_of(world)
            row = {"time": world.clock.now, "tick": tick + 1, "wall_s": perf_counter() - begin}
            row |= {name: n - before.get(name, 0) for name, n in now.items()}
            row |= measured(world, topics, fresh)
            row["rss_bytes"] = 180_000_000 + 900 * row["memories"]
            row["pause_s"] = sum(saved.pause_s for saved in checkpointer.saved[n_saved:])
            rows.append(row)
            before = now
        checkpointer.finish()
    for later, earlier in zip(rows[:0:-1], rows[-2::-1], strict=True):
        later["contacts"] -= earlier["contacts"]
    write_metrics(target, rows)
    write_manifest(target, world, started, n_agents)
    (target / "config.toml").write_text(CONFIG)
    return target


def write_metrics(target, rows):
    """metrics.parquet: of counters that come up late, 0 before."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {}
    for name in names:
        held = [row.get(name, 0 if "__" in name else None) for row in rows]
        columns[name] = pa.array(held, pa.timestamp("us") if name == "time" else None)
    pq.write_table(pa.table(columns), target / "metrics.parquet")


def write_manifest(target, world, started, n_agents):
    """manifest.json of a run that is done."""
    facts = {
        "format": 1,
        "scenario": "town",
        "about": "A town that lives: people sleep, work, meet, remember and pass on rumours",
        "seed": world.seed,
        "started": started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "status": "done",
        "reason": "",
        "command": ["populace", "run", "town", "--set", f"town.agents={n_agents}"],
        "versions": {"populace": "0.1.0", "python": platform.python_version(),
                     "numpy": np.__version__, "pyarrow": pa.__version__},
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": 2},
        "start_us": FRIDAY,
        "end_us": world.clock.now,
        "step_us": hours(1),
        "facts": {"agents": n_agents},
        "labels": {f"knows__{k}": text for k, text in enumerate(RUMOURS)},
    }  # fmt: skip
    (target / "manifest.json").write_text(json.dumps(facts, indent=2))


if __name__ == "__main__":
    print(write_run(sys.argv[1], *map(int, sys.argv[2:])))
