"""A scenario of the tests' own, as the text of a user's file."""

HARBOUR = '''
import enum

import numpy as np

from populace.components import Persona, Stream
from populace.ecs import setting, settings
from populace.scenarios.scenario import Scenario
from populace.systems import Ties


class Wind(enum.Enum):
    CALM = 0
    STORM = 1


@settings
class Harbour:
    """Who fishes there. A resource."""

    boats: int = setting(10, range=(1, 1000), doc="at sea")
    crew: int = setting(2, range=(1, 1000), doc="of a boat")
    wind: Wind = setting(Wind.CALM, doc="of the day")
    tide: float = setting(45_000, range=(1, 1e9), unit="s", doc="from one to the next")
    open: bool = setting(True, doc="whether boats leave")
    name: str = setting("Hope", doc="of the harbour")
    calm_under: float = setting(1.0, range=(0, 10), doc="of the swell")
    storm_over: float = setting(2.0, range=(0, 10), doc="of the swell")

    def check(self):
        from populace.ecs.errors import SettingError

        if self.calm_under > self.storm_over:
            raise SettingError("Harbour.calm_under must be below storm_over")


def build(world, parameters):
    harbour = parameters["harbour"]
    world.insert(harbour)
    numbers = np.arange(harbour.boats * harbour.crew)
    world.spawn(numbers.size, Persona(number=numbers, name="Ann"), Stream)


def tell(world):
    harbour = next(made for made in world.resources if type(made).__name__ == "Harbour")
    if harbour.name == "Ruin":
        raise RuntimeError("the harbour silted up")
    if harbour.name == "Abyss":
        import os
        os._exit(3)
    if harbour.name == "Doldrums":
        import time
        time.sleep(60)
    return {
        "catch": harbour.boats * 10 + world.seed, "sea": {"swell": harbour.storm_over},
        "note": "fair", "odd": float("nan"), "seen": np.float64(1.5),
    }


scenario = Scenario(
    "harbour", "Fishers who gossip", {"harbour": Harbour, "ties": Ties}, build,
    lambda world: None, tell=tell, source="harbour.name",
    defaults={"run.days": 2.0, "harbour.crew": 3},
)
'''
