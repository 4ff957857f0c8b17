"""Encounters: a contact is remembered by both who had it.

Each party of a contact gets a memory of kind chat,

    talked with Maria Lopez about the election at Hobbs Cafe; felt encouraged

"about ..." where something was told in it (`Taught`: of what the learner did not know before what
it became most confident of, else of the rest), "at ..." where the contact has a place, "; felt ..."
where the party feels and |outcome| exceeds `felt`, in a world that has a `Rapport`. Who has no name
is "somebody". The importance is

    importance = importance + intensity * |outcome|, at most 1

A plain talk is worth 0.3, one that went as well or as badly as can be 0.8: the 16 talks among 2,105
real nodes of Generative Agents have poignancies from 3 to 8. What was felt is the emotion that the
contact stirs (`rapport`), in a word that is stronger the larger |outcome|.

`Met`, `Taught` -> `remember_contacts` -> `Observed`. Only those observe who can remember, that is
who live and have `Persona` and `Stream`. Each distinct sentence is made once, in the order in which
they are first said, so text codes do not depend on how time is cut into steps.
Cost: 0.2 µs a contact, and 1.5 µs for each sentence that has not been said since texts were last
reclaimed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import MemoryKind, Met, Observed, Persona
from populace.components.emotion import OCC
from populace.components.knowledge import Taught, Topic
from populace.ecs import Events, Res, World, f4, jit, setting, settings, system
from populace.ecs.entities import Ids
from populace.ecs.pairtable import PairTable

from .formation import able_to_remember
from .phrases import looked_up
from .rapport import Rapport, emotions_of, sides

Codes = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]

STRONGER = np.array([0.45, 0.7], np.float32)
"""|outcome| from which on the second and the third word of an emotion holds."""

WORDS_FOR = {
    OCC.JOY: ("at ease", "cheered", "delighted"),
    OCC.GRATITUDE: ("encouraged", "encouraged", "grateful"),
    OCC.DISTRESS: ("uneasy", "disappointed", "hurt"),
    OCC.ANGER: ("annoyed", "annoyed", "angry"),
}
"""What a party says it felt, the weakest first."""

WORDS = ("", *dict.fromkeys(word for words in WORDS_FOR.values() for word in words))
"""Each word once, after that for nothing."""

WORD_OF = np.array(
    [[WORDS.index(word) for word in WORDS_FOR.get(label, ("", "", ""))] for label in OCC], np.uint8
)
"""[label, strength]: the place of its word in `WORDS`."""
WORD_OF.flags.writeable = False


@settings
class Encounters:
    """What a contact is worth as a memory. A resource."""

    importance: float = setting(0.3, range=(0, 1), doc="of a contact that went neither way")
    intensity: float = setting(0.5, range=(0, 1), doc="what the best or the worst outcome adds")
    felt: float = setting(
        0.25, range=(0, 1), doc="what |outcome| must exceed for a memory to tell what was felt"
    )


@system
def remember_contacts(
    world: World, met: Events[Met], taught: Events[Taught], law: Res[Encounters]
) -> None:
    """Let both parties of every contact since the last time observe it."""
    if not met.time.size:
        return
    # Both of one contact stand side by side, so simultaneous contacts keep their order.
    party, other = sides(met.source, met.target)
    can = able_to_remember(world, party)
    if not can.any():
        return
    contact = np.flatnonzero(can) // 2
    weight = f4(law.importance) + f4(law.intensity) * np.abs(met.outcome[contact])
    text = sentences(
        world,
        names(world, other[can]),
        met.place[contact],
        _topics(world, met, taught)[contact],
        _words(world, met, law)[can],
    )
    world.emit(
        Observed(
            owner=party[can],
            time=met.time[contact],
            text=text,
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


def _words(world: World, met: Any, law: Encounters) -> npt.NDArray[np.uint8]:
    """(2k,) u1: the place in `WORDS` of what source and target of each contact felt."""
    found = np.zeros(2 * met.time.size, np.uint8)
    if Rapport in world.resources:
        place, label = emotions_of(world, met, law.felt)
        strength = np.searchsorted(STRONGER, np.abs(met.outcome[place // 2]), side="right")
        found[place] = WORD_OF[label, strength]
    return found


# -- what about ------------------------------------------------------------------------------


@jit
def find_talks(
    time_g: Any, low_g: Any, high_g: Any, time_e: Any, source_e: Any, target_e: Any, group_e: Any
) -> None:
    """group_e <- the group of each contact's time and two ids, -1 where there is none.

    Groups ascend by (time, lower id, higher id). O(contacts * log(groups)).
    """
    for e in range(group_e.size):
        time = time_e[e]
        low, high = min(source_e[e], target_e[e]), max(source_e[e], target_e[e])
        begin, end = 0, time_g.size
        while begin < end:
            g = (begin + end) // 2
            if time_g[g] < time or (
                time_g[g] == time and (low_g[g] < low or (low_g[g] == low and high_g[g] < high))
            ):
                begin = g + 1
            else:
                end = g
        there = begin < time_g.size and time_g[begin] == time
        there = there and low_g[begin] == low and high_g[begin] == high
        group_e[e] = begin if there else -1


def _topics(world: World, met: Any, taught: Any) -> Codes:
    """(k,) u4: the text code of what each contact was about, 0 where nothing was told in it."""
    found = np.zeros(met.time.size, np.uint32)
    if not taught.time.size:
        return found
    low = np.minimum(taught.learner, taught.teacher)
    high = np.maximum(taught.learner, taught.teacher)
    # The sort is stable: of equals the one that was told first.
    order = np.lexsort((-taught.confidence, ~taught.first, high, low, taught.time))
    keys = [column[order] for column in (taught.time, low, high)]
    begins = np.ones(order.size, np.bool_)
    begins[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    group = np.empty(met.time.size, np.int64)
    times, lows, highs = (key[begins] for key in keys)
    find_talks(times, lows, highs, met.time, met.source, met.target, group)
    topic = taught.topic[order[begins]]
    code = np.zeros(topic.size, np.uint32)
    known = world.alive(topic)
    known[known] = world.has(topic[known], Topic)
    code[known] = world.get(topic[known], Topic.name)
    about = group >= 0
    found[about] = code[group[about]]
    return found


# -- in words --------------------------------------------------------------------------------


def sentences(world: World, name: Codes, place: Codes, topic: Any = 0, word: Any = 0) -> Codes:
    """(k,) u4: the text codes of "talked with {name} about {topic} at {place}; felt {word}".

    name, place: (k,) u4 codes. topic: (k,) u4 codes, or one. word: (k,) places in `WORDS`, or one.

    >>> world = World()
    >>> name, place = world.text.intern(["Bo", ""]), world.text.intern(["the park", ""])
    >>> world.text.decode(sentences(world, name, place))
    ['talked with Bo at the park', 'talked with somebody']
    >>> tea = world.text.intern(["tea"])
    >>> world.text.decode(sentences(world, name[:1], place[:1], tea, WORDS.index("cheered")))
    ['talked with Bo about tea at the park; felt cheered']
    """
    topics = np.broadcast_to(np.asarray(topic, np.uint32), name.shape)
    words = np.broadcast_to(np.asarray(word, np.uint8), name.shape)
    known = world.text.cache(_Known)
    said = known.number(known.who, name, place), known.number(known.what, topics, words)

    def make(first: Places) -> Codes:
        parts = (world.text.decode(codes[first]) for codes in (name, topics, place))
        return world.text.intern(map(_said, *parts, words[first].tolist()))

    return looked_up(known.said, *said, make).astype(np.uint32)


class _Known:
    """The codes of sentences by their parts, as a cache of a pool: where and with whom, what about
    and how it felt, each pair numbered from 1, and the code of what both say."""

    def __init__(self) -> None:
        self.who, self.what, self.said = PairTable(), PairTable(), PairTable()

    def number(self, table: PairTable, first: Any, second: Any) -> npt.NDArray[np.uint64]:
        """(k,) the number of each pair in a table, new ones among them."""

        def following(new: Places) -> Places:
            return np.arange(len(table), len(table) + new.size) + 1

        return looked_up(table, first, second, following)


def _said(who: str, what: str, where: str, word: int) -> str:
    about = f" about {what}" if what else ""
    at = f" at {where}" if where else ""
    return f"talked with {who or 'somebody'}{about}{at}{_FELT[word]}"


_FELT = ("", *(f"; felt {word}" for word in WORDS[1:]))
