"""What is kept of how well a memory holds, and what an agent may have of its own."""

import numpy as np
import pytest

from populace.components import (
    LONGEST_HALF_LIFE_S,
    Capacity,
    Memory,
    Persona,
    Retentiveness,
    Stream,
    Strength,
    Trace,
)
from populace.ecs import World, schema
from populace.ecs.errors import (
    ColumnTypeError,
    ColumnValueError,
    MissingFieldError,
    RequiredComponentError,
    UnknownFieldError,
)


def test_a_trace_has_been_accessed_once():
    """Its forming counts as an access, and it stands for one observation."""
    world = World(debug=True)
    ids = world.spawn(2, Trace(importance=[0, 1], stability=[1, LONGEST_HALF_LIFE_S], accessed=5))
    assert world.get(ids, Trace.accesses).tolist() == [1, 1]
    assert world.get(ids, Trace.evidence).tolist() == [1, 1]
    assert world.get(ids, Trace.importance).tolist() == [0, 1]


@pytest.mark.parametrize("missing", ["importance", "stability", "accessed"])
def test_a_trace_is_told_in_full(missing):
    """Importance, stability and last access have no default."""
    given = {"importance": 0.5, "stability": 1e5, "accessed": 0}
    del given[missing]
    with pytest.raises(MissingFieldError, match=missing):
        World().spawn(1, Trace(**given))


def test_every_trace_has_a_strength():
    """It comes by itself, is filled by a sweep alone, and stays as long as the trace."""
    world = World(debug=True)
    ids = world.spawn(1, Trace(importance=0.5, stability=1e5, accessed=0))
    assert world.get(ids, Strength.value).tolist() == [0]
    with pytest.raises(RequiredComponentError, match="Trace"):
        world.remove(ids, Strength)
    with pytest.raises(UnknownFieldError, match="derived"):
        world.set(ids, Strength(value=0.5))


def test_strength_is_no_state():
    """It is in no digest and in no snapshot; all of the trace is."""
    world = World()
    world.spawn(1, Trace(importance=0.5, stability=1e5, accessed=0))
    before = world.digest()
    for strength in world.query(Strength):
        strength.value[:] = 0.75
    assert world.digest() == before
    assert schema(Strength).persisted == ()
    assert [made.name for made in schema(Trace).persisted] == [
        "importance", "stability", "accessed", "accesses", "evidence",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("made", "value", "error"),
    [
        (Trace.importance, -0.1, ColumnValueError), (Trace.importance, 1.1, ColumnValueError),
        (Trace.importance, np.nan, ColumnValueError), (Trace.stability, 0.5, ColumnValueError),
        (Trace.stability, 2e9, ColumnValueError), (Trace.stability, np.inf, ColumnValueError),
        (Trace.accesses, 0, ColumnValueError), (Trace.accesses, 2**32, ColumnValueError),
        (Trace.evidence, 0, ColumnValueError), (Trace.accessed, 0.5, ColumnTypeError),
        (Retentiveness.half_life, 0.0, ColumnValueError),
        (Retentiveness.half_life, 2e9, ColumnValueError),
        (Retentiveness.half_life, np.nan, ColumnValueError),
        (Capacity.memories, 0, ColumnValueError), (Capacity.memories, -1, ColumnValueError),
        (Capacity.memories, 9.5, ColumnTypeError),
    ],
)  # fmt: skip
def test_values_outside_their_range_are_refused(made, value, error):
    """The error names the field, and what is there stays as it was."""
    world = World(debug=True)
    ids = world.spawn(
        2,
        Trace(importance=0.5, stability=1e5, accessed=0),
        Retentiveness(half_life=1e5),
        Capacity(memories=10),
    )
    before = world.digest()
    given = np.array([world.get(ids, made)[0], value])
    with pytest.raises(error, match=str(made).replace(".", r"\.")):
        world.set(ids, made.component(**{made.name: given if error is ColumnValueError else value}))
    assert world.digest() == before


def test_an_agents_own_settings_have_no_default():
    """`Retentiveness` and `Capacity` say a number, or the agent has none."""
    with pytest.raises(MissingFieldError, match="half_life"):
        World().spawn(1, Retentiveness())
    with pytest.raises(MissingFieldError, match="memories"):
        World().spawn(1, Capacity())


def test_they_come_and_go():
    """An agent gets them, loses them, and its memories stay as they are."""
    world = World(debug=True)
    agent = world.spawn(1, Persona(number=0), Stream)
    memory = world.spawn(
        1,
        Memory(owner=agent, sequence=0, created=0),
        Trace(importance=0.5, stability=1e5, accessed=0),
    )
    before = world.get(memory, Trace.stability).tolist()
    world.add(agent, Retentiveness(half_life=9e5), Capacity(memories=1))
    world.remove(agent, Retentiveness, Capacity)
    assert not world.has(agent, Capacity).any()
    assert world.get(memory, Trace.stability).tolist() == before
