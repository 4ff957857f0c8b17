"""SQL while a world lives: a query a day, from the columns themselves, and from another thread.

200 people meet at random at the well, the mill and the bridge; what is asked of them is asked in
the dialect of DuckDB, and no column is copied for it.

    python examples/sql_on_a_living_world.py
"""

import threading

import numpy as np

from populace import Clock, Emit, Id, Read, Res, Rng, World, database, days, hours, system
from populace.components import Contact, Met, Persona, SocialEnergy, Stream
from populace.systems import add_laws

N = 200
PLACES = np.array(["the well", "the mill", "the bridge"])


@system(every=hours(2), phase="first")
def go_out(ids: Id, persona: Read[Persona], clock: Res[Clock], rng: Rng, meet: Emit[Contact]):
    """One in five turns to somebody, more often one of a near number."""
    out = np.flatnonzero(rng.uniform(persona.number) < 0.2)
    away = 1 + np.abs(rng.normal(persona.number, draw=1)[out] * 8).astype(int)
    well = rng.normal(persona.number, draw=2)[out]
    where = PLACES[(rng.uniform(persona.number, draw=3)[out] * 3).astype(int)]
    meet(
        Contact(
            source=ids[out],
            target=people[(persona.number[out] + away) % N],
            time=clock.now,
            outcome=np.clip(well, -1, 1),
            place=where,
            mutual=True,
        )
    )


world = World(seed=1)
add_laws(world)
world.add_system(go_out)
world.keep(Met)  # `contacts` shows what is kept
people = world.spawn(
    N, Persona(number=np.arange(N), name=[f"No. {k}" for k in range(N)]), Stream, SocialEnergy
)
town = database(world)  # keeps its connection; sql(world, ...) is for a single question

BUSIEST = """
    SELECT name, count(*) AS memories, max(importance)::DECIMAL(3, 2) AS best
    FROM memories JOIN agents USING (agent) GROUP BY ALL ORDER BY memories DESC, name LIMIT 3"""
for day in (1, 2, 3):
    world.run(days(1), step=hours(1))
    world.refresh()  # `strength` is as of the last sweep
    print(f"day {day}:", ", ".join(f"{r['name']} ({r['memories']})" for r in town.ask(BUSIEST)))

print("\nwhere people met, and how it went")
for row in town.ask(
    "SELECT place, count(*) AS n, avg(outcome) AS mean FROM contacts GROUP BY place ORDER BY place"
):
    print(f"  {row['place']:<10} {row['n']:>5,} {row['mean']:+.2f}")

# Text from others is a parameter, never part of the query.
asked = {"said": "mill"}
n = town.ask("SELECT count(*) AS n FROM memories WHERE contains(text, $said)", asked).one()["n"]
print(f"\n{n:,} memories are of the mill")

# A query from another thread waits for the running step, and sees all columns of one moment.
seen = []
TIES = "SELECT tick, count(*) AS n FROM clock, ties GROUP BY tick"
asks = threading.Thread(target=lambda: seen.extend(town.ask(TIES)))
asks.start()
world.run(days(1), step=hours(1))
asks.join()
print(f"at tick {seen[0]['tick']} another thread saw {seen[0]['n']:,} ties")
town.close()
