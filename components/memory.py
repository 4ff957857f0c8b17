"""What a memory says, whose it is, and what an imported one rests on."""

from __future__ import annotations

import enum

from populace.ecs import Entity, Text, component, field, i8, u4

NEVER = 2**63 - 1
"""The expiry of a memory that has none."""


class MemoryKind(enum.IntEnum):
    """The three kinds of node in a memory stream (Park et al. 2023, arXiv 2304.03442)."""

    EVENT = 0
    """Something perceived: one's own act, another's, or the state of a thing."""
    THOUGHT = 1
    """A reflection or a plan."""
    CHAT = 2
    """A conversation."""


@component
class Memory:
    """One memory. It dies with its owner.

    (number of the owner, `sequence`) is its stable key, for random draws, tie-breaks and exports.
    """

    owner: Entity = field(index=True, on_despawn="despawn", doc="the agent that remembers")
    sequence: u4 = field(doc="place in the owner's stream, from 0, forgotten ones counted")
    created: i8 = field(unit="us since 1970", doc="when it was formed, in simulated time")
    kind: MemoryKind = field(default=MemoryKind.EVENT, doc="event, thought or chat")
    text: Text = field(default="", doc="what is remembered")


@component
class Statement:
    """A memory as its source analysed it: written once, on import."""

    subject: Text = field(default="", doc="subject of the statement")
    predicate: Text = field(default="", doc="predicate of the statement")
    object: Text = field(default="", doc="object of the statement")
    keywords: Text = field(default="", doc="keywords, joined by ', '")
    basis: Text = field(default="", doc="nodes it rests on, joined by ', ', or a chat's lines")
    expires: i8 = field(default=NEVER, unit="us since 1970", doc="when the source lets it expire")


@component
class Pinned:
    """A memory that is never forgotten, however weak."""
