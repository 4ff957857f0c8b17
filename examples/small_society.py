"""A society that lives by itself: 300 people with homes, offices and cafés, for three days.

They sleep, work, meet, talk, tire, remember, reflect and forget by the laws of Populace, and pass
on a rumour that one of them knows on Monday morning.

    python examples/small_society.py
"""

import numpy as np

from populace import World, days, hours
from populace.components import (
    Emotion,
    Haunts,
    Memory,
    MemoryKind,
    Mood,
    Persona,
    Place,
    Reflection,
    SocialEnergy,
    Space,
    Stream,
    Strength,
    Tie,
)
from populace.systems import (
    Colocation,
    add_laws,
    enter_state,
    intern_topics,
    learn,
    settle,
    share_knowing,
)

N = 300
MONDAY = days(19_401)  # 2023-02-13
FIRST = ["Ann", "Bo", "Cleo", "Dev", "Ed", "Fay", "Gus", "Hal", "Ida", "Jo"]
LAST = ["Abe", "Berg", "Cruz", "Diaz", "Egan", "Ford", "Gray", "Hill", "Ito", "Jahn"]

world = World(seed=7)
world.clock.now = MONDAY
add_laws(world, Space(width=600, height=600), Colocation(chance=0.3))

draw = np.random.default_rng(7)


def places(n, kind, radius):
    """n places of one kind, anywhere."""
    names = [f"the {kind} no. {k + 1}" for k in range(n)]
    x, y = draw.uniform(0, 600, (2, n))
    return world.spawn(n, Place(name=names, kind=kind, x=x, y=y, radius=radius))


homes, offices, cafes = places(120, "house", 5), places(15, "office", 10), places(6, "café", 8)
people = world.spawn(
    N,
    Persona(
        number=np.arange(N),
        name=[f"{FIRST[k % 10]} {LAST[k // 10 % 10]} {'I' * (k // 100 + 1)}" for k in range(N)],
        extraversion=draw.random(N),
        neuroticism=draw.random(N),
    ),
    Haunts(home=draw.choice(homes, N), work=draw.choice(offices, N), leisure=draw.choice(cafes, N)),
    Stream,
    SocialEnergy,
    Emotion,
    Mood,
)
enter_state(world, people, "asleep", profile="worker")
settle(world, people)

rumour = intern_topics(world, ["the mill will close"])
learn(world, people[0], rumour)

for day in ("Monday", "Tuesday", "Wednesday"):
    world.run(days(1), step=hours(1))
    kinds = np.bincount(world.query(Memory).gather(Memory.kind), minlength=3)
    named = zip(kinds, MemoryKind, strict=True)
    counts = ", ".join(f"{n:,} {kind.name.lower()}s" for n, kind in named)
    print(
        f"{day:<10} {share_knowing(world, rumour)[0]:5.1%} know the rumour; "
        f"{world.query(Tie).count():,} ties; memories: {counts}; "
        f"{world.query(Reflection).count():,} reflections"
    )

own = world.index(Memory.owner).ids(people[0])
best = own[np.argsort(-world.get(own, Strength.value), kind="stable")[:5]]
print(f"\nWhat {world.text.decode(world.get(people[:1], Persona.name))[0]} remembers best:")
for text in dict.fromkeys(world.text.decode(world.get(best, Memory.text))):
    print("  ", text)
