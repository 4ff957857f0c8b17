"""Rumours: news that begins with a few people, and how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from populace.ecs import World, random
from populace.ecs.entities import Ids
from populace.systems import intern_topics, learn, share_knowing

from .town_settings import Rumours


@dataclass(frozen=True, slots=True)
class Told:
    """The topics of the rumours, k ids in the order of `Rumours.told`. A resource."""

    topics: tuple[int, ...]
    texts: tuple[str, ...]


def start_rumours(world: World, agents: Ids, rumours: Rumours) -> None:
    """Let each rumour begin with `knowers` of the agents, drawn by seed."""
    topics = []
    for place, (text, appeal) in enumerate(zip(rumours.texts, rumours.appeals, strict=True)):
        topic = intern_topics(world, text, appeal)
        key = random.uniform(world.seed, "town.rumour", np.arange(agents.size), draw=place)
        first = np.argsort(key, kind="stable")[: rumours.knowers]
        learn(world, agents[first], topic)
        topics.append(int(topic[0]))
    world.insert(Told(tuple(topics), tuple(rumours.texts)))


def shares(world: World) -> dict[str, float]:
    """knows__k -> the share of everybody that knows rumour k now."""
    if Told not in world.resources or not world.resource(Told).topics:
        return {}
    known = share_knowing(world, np.array(world.resource(Told).topics, np.uint64))
    return {f"knows__{k}": float(share) for k, share in enumerate(known)}


def labels(world: World) -> Mapping[str, str]:
    """knows__k -> what rumour k says."""
    if Told not in world.resources:
        return {}
    return {f"knows__{k}": text for k, text in enumerate(world.resource(Told).texts)}
