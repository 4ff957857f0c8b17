"""Encounters: a contact is remembered by both who had it.

Each party of a contact gets a memory of kind chat, "talked with Bo Lind at the tea house" (without
"at ..." where the contact has no place, and of "somebody" where the other has no name), with

    importance = importance + intensity * |outcome|, at most 1

A plain talk is worth 0.3, one that went as well or as badly as can be 0.8: the 16 talks among 2,105
real nodes of Generative Agents have poignancies from 3 to 8.

`Met` -> `remember_contacts` -> `Observed`. Only those observe who can remember, that is who live
and have `Persona` and `Stream`. Each distinct sentence is made once a batch, in the order in which
they are first said, so text codes do not depend on how time is cut into steps.
Cost: 0.2 µs a contact, and 1 to 2 µs for each distinct sentence of a batch.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from populace.components import MemoryKind, Met, Observed, Persona
from populace.ecs import Events, Res, World, f4, setting, settings, system
from populace.ecs.entities import Ids

from .formation import able_to_remember

Codes = npt.NDArray[np.uint32]

CODE_BITS = np.uint64(32)


@settings
class Encounters:
    """What a contact is worth as a memory. A resource."""

    importance: float = setting(0.3, range=(0, 1), doc="of a contact that went neither way")
    intensity: float = setting(0.5, range=(0, 1), doc="what the best or the worst outcome adds")


@system
def remember_contacts(world: World, met: Events[Met], law: Res[Encounters]) -> None:
    """Let both parties of every contact since the last time observe it."""
    if not met.time.size:
        return
    # Both of one contact stand side by side, so simultaneous contacts keep their order.
    party = np.stack([met.source, met.target], axis=1).reshape(-1)
    other = np.stack([met.target, met.source], axis=1).reshape(-1)
    can = able_to_remember(world, party)
    if not can.any():
        return
    contact = np.flatnonzero(can) // 2
    weight = f4(law.importance) + f4(law.intensity) * np.abs(met.outcome[contact])
    world.emit(
        Observed(
            owner=party[can],
            time=met.time[contact],
            text=sentences(world, names(world, other[can]), met.place[contact]),
            kind=MemoryKind.CHAT,
            importance=np.minimum(weight, f4(1)),
        )
    )


def names(world: World, ids: Ids) -> Codes:
    """(k,) u4: the text code of each agent's name, 0 where it has none or has died."""
    found = np.zeros(ids.size, np.uint32)
    known = world.alive(ids)
    known[known] = world.has(ids[known], Persona)
    found[known] = world.get(ids[known], Persona.name)
    return found


def sentences(world: World, name: Codes, place: Codes) -> Codes:
    """(k,) u4: the text codes of "talked with {name} at {place}". name, place: (k,) u4 codes.

    >>> world = World()
    >>> name, place = world.text.intern(["Bo", ""]), world.text.intern(["the park", ""])
    >>> world.text.decode(sentences(world, name, place))
    ['talked with Bo at the park', 'talked with somebody']
    """
    keys = (name.astype(np.uint64) << CODE_BITS) | place
    _, first, each = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    said = first[order]
    texts = [
        f"talked with {who or 'somebody'}" + (f" at {where}" if where else "")
        for who, where in zip(
            world.text.decode(name[said]), world.text.decode(place[said]), strict=True
        )
    ]
    codes = np.empty(order.size, np.uint32)
    codes[order] = world.text.intern(texts)
    found: Codes = codes[each]
    return found
