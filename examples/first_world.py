"""A first world: three people, a fortnight, and what is left of one day in their minds.

They see things and talk to each other; the laws of Populace do the rest: what matters little is
forgotten, what is recalled holds longer, and a friendship without meetings cools.

    python examples/first_world.py
"""

from populace import World, days, hours, recall
from populace.components import Contact, Memory, Observed, Persona, SocialEnergy, Stream
from populace.systems import add_laws, tie_strengths

world = World(seed=1)
add_laws(world)

# One call makes any number of people. A field takes an array, or one value for everybody.
ann, bo, cleo = world.spawn(
    3, Persona(number=[0, 1, 2], name=["Ann", "Bo", "Cleo"]), Stream, SocialEnergy
)

# What happens is an event, with a time of its own: µs, which `hours` and `days` count.
world.emit(
    Observed(
        owner=[ann, ann, ann, bo],
        time=[hours(7), hours(9), hours(20), hours(9)],
        text=[
            "the kettle is idle",
            "a fire broke out in the mill",
            "a letter came from my sister",
            "smoke rose from the mill",
        ],
        importance=[0.1, 0.9, 0.5, 0.7],
    )
)
world.emit(
    Contact(
        source=[ann, ann, bo],
        target=[bo, bo, cleo],
        time=[hours(10), hours(18), hours(19)],
        outcome=[0.5, 0.8, -0.2],  # how it went, from -1 to 1
        place=["the market", "the café", "the bridge"],
        mutual=True,
    )
)

for day in range(1, 15):
    world.run(days(1), step=hours(1))
    if day == 7:  # somebody asks, and to be asked about the fire is to think of it again
        print("asked about the fire, Ann says:", recall(world, ann, "fire", k=1, access=True).text)
    if day in (1, 4, 7, 10, 14):
        (tie,) = tie_strengths(world, ann, bo)
        held = world.index(Memory.owner).count([ann, bo, cleo]).tolist()
        print(f"day {day:>2}: Ann, Bo, Cleo hold {held} memories; Ann's tie to Bo is {tie:.2f}")

print("Ann remembers:", "; ".join(recall(world, ann, k=5).text))
