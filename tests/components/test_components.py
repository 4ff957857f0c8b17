"""The data of a mind: what its fields allow, and what follows an agent into its end."""

import importlib
import pkgutil

import numpy as np
import pytest

from populace import components
from populace.components import (
    NEVER,
    Biography,
    Memory,
    MemoryKind,
    Persona,
    Statement,
    Stream,
    Strength,
    Survey,
    Trace,
)
from populace.ecs import World, schema
from populace.ecs.errors import ColumnValueError, MissingFieldError, RequiredComponentError

EVERY = [
    c for name in components.__all__ if hasattr(c := getattr(components, name), "__populace__")
]
DERIVED = {
    "Confidence.value",
    "EmotionNow.arousal",
    "EmotionNow.dominance",
    "EmotionNow.pleasure",
    "EnergyNow.level",
    "MoodNow.arousal",
    "MoodNow.dominance",
    "MoodNow.pleasure",
    "Position.x",
    "Position.y",
    "Strength.value",
    "TieStrength.value",
}


def test_the_package_names_every_component():
    """Nothing in a file of the package is a component or event without being in `__all__`."""
    made = set()
    for module in pkgutil.iter_modules(components.__path__):
        names = vars(importlib.import_module(f"populace.components.{module.name}"))
        made |= {value for value in names.values() if hasattr(value, "__populace__")}
    assert made == set(EVERY)


def test_every_component_says_what_it_is():
    """Each has a docstring, and each field of a mind tells in exports what it means."""
    for component in EVERY:
        assert schema(component).doc
        fields = [] if component is Survey else schema(component).fields
        assert [field.name for field in fields if not field.doc] == []


def test_which_fields_are_caches():
    """All else is state that a snapshot holds; last access is (a published system lost it)."""
    derived = {str(f) for component in EVERY for f in schema(component).fields if f.derived}
    assert derived == DERIVED
    assert Trace.accessed in schema(Trace).persisted


def test_caches_stand_apart_from_state():
    """No component mixes derived and persisted fields: what changes together stays together."""
    for component in EVERY:
        assert len({field.derived for field in schema(component).fields}) <= 1


@pytest.mark.parametrize(
    "value",
    [
        Persona(number=0, openness=1.01),
        Persona(number=0, neuroticism=-0.01),
        Biography(age=131),
        Trace(importance=1.5, stability=1e5, accessed=0),
        Trace(importance=0.5, stability=0.0, accessed=0),
        Trace(importance=0.5, stability=2e9, accessed=0),
        Trace(importance=0.5, stability=1e5, accessed=0, accesses=0),
        Trace(importance=float("nan"), stability=1e5, accessed=0),
    ],
)
def test_values_outside_their_range_are_refused(value):
    """Traits and importance lie in [0, 1], a half-life is at least a second, nobody is 131."""
    world = World()
    with pytest.raises(ColumnValueError):
        world.spawn(1, value)
    assert len(world) == 0


def test_a_memory_names_its_owner_and_its_place_in_the_stream():
    """Owner, sequence and time have no default: a memory without them could not be told apart."""
    world = World()
    for missing in (Memory(sequence=0, created=0), Memory(owner=0, created=0)):
        with pytest.raises(MissingFieldError):
            world.spawn(1, missing)


def test_memories_die_with_their_owner():
    """Despawning an agent takes its memories along, and nobody else's."""
    world = World()
    agents = world.spawn(3, Persona(number=np.arange(3)), Stream(formed=4))
    world.spawn(
        12, Memory(owner=np.repeat(agents, 4), sequence=np.tile(np.arange(4), 3), created=0)
    )
    assert world.despawn(agents[1:2]) == 5
    left = world.query(Memory).gather(Memory.owner)
    assert sorted(left.tolist()) == sorted(np.repeat(agents[[0, 2]], 4).tolist())
    world.check()


def test_a_trace_brings_its_strength():
    """Strength is added with Trace, and stays as long as Trace does."""
    world = World()
    ids = world.spawn(2, Trace(importance=0.5, stability=1e5, accessed=0))
    assert world.has(ids, Strength).all()
    with pytest.raises(RequiredComponentError):
        world.remove(ids, Strength)


def test_kinds_are_those_of_the_paper():
    """Events, thoughts and chats; their numbers are in saved worlds and may not change."""
    kinds = {kind.name: int(kind) for kind in MemoryKind}
    assert kinds == {"EVENT": 0, "THOUGHT": 1, "CHAT": 2}


def test_never_is_the_largest_time():
    """A memory that never expires outlasts every clock."""
    assert np.iinfo(np.int64).max == NEVER
    assert schema(Statement).fields[-1].default == NEVER
