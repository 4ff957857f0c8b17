"""What happens to memories, as events: what may be told, and what is refused."""

import numpy as np
import pytest

from populace.components import MemoryKind, Observed, Persona, Recalled, Stream
from populace.ecs import NOBODY, World, schema
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    DeadEntityError,
    MissingFieldError,
)


def people(n=3):
    world = World(debug=True)
    return world, world.spawn(n, Persona(number=np.arange(n)), Stream)


def test_an_observation_is_idle_unless_it_says_more():
    """An event of importance 0.1, without words."""
    world, agents = people()
    reader = world.events(Observed)
    world.emit(Observed(owner=agents, time=[3, 1, 2]))
    found = reader.read()
    assert found.owner.tolist() == agents.tolist()
    assert found.time.tolist() == [3, 1, 2]
    assert found.kind.tolist() == [MemoryKind.EVENT] * 3
    assert found.importance.tolist() == [np.float32(0.1)] * 3
    assert world.text.decode(found.text) == [""] * 3


def test_an_observation_carries_what_is_said():
    """Words, kinds by name, importances."""
    world, agents = people(2)
    reader = world.events(Observed)
    world.emit(
        Observed(owner=agents, time=0, text=["tea", "plan"], kind=["chat", "thought"],
                 importance=[1.0, 0.0])
    )  # fmt: skip
    found = reader.read()
    assert world.text.decode(found.text) == ["tea", "plan"]
    assert found.kind.tolist() == [MemoryKind.CHAT, MemoryKind.THOUGHT]
    assert found.importance.tolist() == [1, 0]


def test_a_recall_is_a_memory_and_a_time():
    """Nothing else, and neither has a default."""
    assert [made.name for made in schema(Recalled).fields] == ["memory", "time"]
    world, agents = people()
    for incomplete in (Recalled(memory=agents), Recalled(time=0), Observed(owner=agents),
                       Observed(time=0)):  # fmt: skip
        with pytest.raises(MissingFieldError):
            world.emit(incomplete)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"importance": [0.5, 1.5, 0.5]}, ColumnValueError),
        ({"importance": [0.5, np.nan, 0.5]}, ColumnValueError),
        ({"importance": -0.1}, ColumnValueError),
        ({"kind": ["event", "dream", "chat"]}, ColumnValueError),
        ({"time": [1, 2]}, ColumnShapeError),
        ({"time": 0.5}, TypeError),
        ({"text": ["new words", "and more"]}, ColumnShapeError),
    ],
)
def test_what_cannot_be_observed_is_not_told(fields, error):
    """An error, no event, and no word of it in the pool of texts."""
    world, agents = people()
    reader = world.events(Observed)
    with pytest.raises(error):
        world.emit(Observed(**({"owner": agents, "time": 0} | fields)))
    assert len(reader.read()) == 0
    assert world.text.find("new words") is None


@pytest.mark.parametrize("event", [Observed, Recalled])
def test_the_dead_are_an_error_and_nobody_is_not(event):
    """Who is told of was alive at that moment, or is `NOBODY`."""
    world, agents = people()
    world.despawn(agents[1:2])
    reader = world.events(event)
    key = "owner" if event is Observed else "memory"
    with pytest.raises(DeadEntityError, match=str(int(agents[1]))):
        world.emit(event(**{key: agents, "time": 0}))
    assert len(reader.read()) == 0
    world.emit(event(**{key: [agents[0], NOBODY], "time": 0}))
    assert len(reader.read()) == 2
