"""What agents live through: what they observe while a world runs.

When is `systems/attention.py`; what it is, here; it becomes memories in `systems/formation.py`.
Kind and importance are drawn from the joint distribution of 2,105 real nodes (three agents, one
simulated day of Generative Agents): 52 % are idle observations with importance 0.1, 17 % thoughts,
1 % conversations. Its sentence follows from the hour (home, work or leisure), the agent's trade,
and its circle of eight acquaintances.

Every draw is a function of (seed, agent's number, the memory's sequence). Sentences are
interned once, at the start, so that a memory's text is a lookup in an array of codes.
Cost: about 0.6 µs per memory; 30 ms for the 37,000 sentences of the embedded names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from populace.components import MemoryKind, Observed, Persona, Stream
from populace.ecs import Clock, Emit, Id, Read, Res, World, random, system
from populace.systems import AWAKE, DAY, Span, memories_formed, waking_times

from .generate import workplaces
from .words import (
    FIRST_NAMES,
    HOME,
    PLACES,
    THOUGHTS_OF_FRIENDS,
    THOUGHTS_OF_SELF,
    TOPICS,
    USES,
)

Codes = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

IDLE, USE, ACT, THOUGHT, CHAT = range(5)
KIND_OF = np.array([MemoryKind.EVENT] * 3 + [MemoryKind.THOUGHT, MemoryKind.CHAT], np.uint8)
NODES = np.array(
    [  # of poignancy  1,   2,   3,  4,  5,  6,   7,  8, 9, counted in the streams named above
        [1100, 0, 0, 0, 0, 0, 0, 0, 0],  # a thing is idle
        [41, 27, 97, 36, 12, 8, 4, 1, 0],  # a thing is in use
        [28, 31, 140, 55, 16, 48, 70, 11, 0],  # somebody does something
        [0, 6, 28, 14, 31, 85, 153, 41, 6],  # thought
        [0, 0, 4, 4, 0, 4, 2, 2, 0],  # chat
    ]
)
CIRCLE = 8
OWN_ACTS = 0.7
OWN_THOUGHTS = 0.6
AT_WORK = 0.7
LEISURE = np.array([i for i, place in enumerate(PLACES) if i != HOME and not place.trade])


@dataclass(frozen=True, slots=True, eq=False)
class Sentences:
    """The sentences of one population, as codes of its world's text pool. A resource.

    name_of: (n,) i8, the first name of the agent with that number, as a row of the arrays that
    begin with a name. Their last name is nobody's: the circle of somebody who is alone.
    """

    seed: int
    name_of: Ints
    idle: Codes  # (places, things)
    used: Codes  # (places, things and uses)
    acts: Codes  # (names and places, doings)
    own_thoughts: Codes  # (names, thoughts and topics)
    friend_thoughts: Codes  # (names, thoughts)
    chats: Codes  # (names, topics)

    def text_codes(self) -> Iterator[Codes]:
        """The sentences are held, whether anybody remembers them or not."""
        yield from (self.idle, self.used, self.acts)
        yield from (self.own_thoughts, self.friend_thoughts, self.chats)


def prepare_sentences(world: World, *, seed: int) -> Sentences:
    """Intern what this world's agents may come to remember. Call it once everybody is there."""
    people = world.query(Persona)
    numbers, names = people.gather(Persona.number), people.gather(Persona.name)
    codes, inverse = np.unique(names, return_inverse=True)
    firsts = [(text.split() or ["Somebody"])[0] for text in world.text.decode(codes)]
    known = (
        list(dict.fromkeys(firsts)) + [name for name in FIRST_NAMES if name not in set(firsts)][:1]
    )
    row_of = {name: row for row, name in enumerate(known)}
    name_of = np.zeros(int(numbers.max(initial=0)) + 1, np.int64)
    name_of[numbers] = np.array([row_of[name] for name in firsts], np.int64)[inverse]

    def interned(texts: list[str], n_rows: int) -> Codes:
        return world.text.intern(texts).reshape(n_rows, -1)

    def said(forms: tuple[str, ...]) -> Codes:
        return interned([form.format(name=name) for name in known for form in forms], len(known))

    things = [place.things for place in PLACES]
    acts = [f"{name} is {doing}" for name in known for place in PLACES for doing in place.doings]
    return Sentences(
        seed=seed,
        name_of=name_of,
        idle=interned([f"{thing} {USES[0]}" for row in things for thing in row], len(PLACES)),
        used=interned(
            [f"{t} {use}" for row in things for t in row for use in USES[1:]], len(PLACES)
        ),
        acts=interned(acts, len(known) * len(PLACES)),
        own_thoughts=said(
            (*THOUGHTS_OF_SELF, *("{name} is interested in " + topic for topic in TOPICS))
        ),
        friend_thoughts=said(THOUGHTS_OF_FRIENDS),
        chats=said(tuple("conversing with {name} about " + topic for topic in TOPICS)),
    )


def compose(
    sentences: Sentences, number: Ints, sequence: Ints, created: Ints
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64], Codes]:
    """Kind, importance and text of the `sequence`-th memories of agents `number`, formed then."""
    seed = sentences.seed
    key = number.astype(np.uint64) << np.uint64(32) | sequence.astype(np.uint64)

    def draw(what: int) -> npt.NDArray[np.float64]:
        return random.uniform(seed, "experience", key, draw=what)

    def pick(drawn: npt.NDArray[np.float64], n: int) -> Ints:
        """Places 0 to n - 1, the low ones more often: lives repeat themselves."""
        return (drawn * drawn * n).astype(np.int64)

    cell = np.searchsorted(NODES.cumsum() / NODES.sum(), draw(0), side="right")
    sort, poignancy = cell // NODES.shape[1], cell % NODES.shape[1] + 1
    own = draw(1) < np.where(sort == ACT, OWN_ACTS, OWN_THOUGHTS)
    place = _places(seed, number, created, draw(2), seen=(sort == ACT) & ~own)
    friend = _friends(sentences, number, pick(draw(3), CIRCLE))
    about = np.where(own, sentences.name_of[number], friend)
    which = draw(4)

    text = np.empty(key.size, np.uint32)
    for chosen, codes, first in (
        (sort == IDLE, sentences.idle, place),
        (sort == USE, sentences.used, place),
        (sort == ACT, sentences.acts, about * len(PLACES) + place),
        ((sort == THOUGHT) & own, sentences.own_thoughts, about),
        ((sort == THOUGHT) & ~own, sentences.friend_thoughts, about),
        (sort == CHAT, sentences.chats, friend),
    ):
        text[chosen] = codes[first[chosen], pick(which[chosen], codes.shape[1])]
    return KIND_OF[sort], poignancy / 10, text


def _places(
    seed: int, number: Ints, created: Ints, drawn: npt.NDArray[np.float64], *, seen: Mask
) -> Ints:
    """Where memories form: at home early and late, else at work or at the favourite place.

    seen: the memories of what others do, which is never in one's own home.
    """
    waking = (created - waking_times(seed, number)) % DAY
    at_home = (waking < AWAKE // 8) | (waking >= AWAKE * 3 // 4)
    favourite = LEISURE[random.integers(seed, "experience.leisure", number, LEISURE.size)]
    place = np.where(drawn < AT_WORK, workplaces(seed, number), favourite)
    place[at_home] = HOME
    place[seen & at_home] = favourite[seen & at_home]
    return place


def _friends(sentences: Sentences, number: Ints, place: Ints) -> Ints:
    """First names of acquaintances: a circle of 8 others, the same for life."""
    n_agents = sentences.name_of.size
    if n_agents == 1:
        return np.full(number.size, sentences.chats.shape[0] - 1)
    key = number * CIRCLE + place
    steps = 1 + random.integers(sentences.seed, "experience.circle", key, n_agents - 1)
    friends: Ints = sentences.name_of[(number + steps) % n_agents]
    return friends


@system(phase="first")
def experience(
    persona: Read[Persona],
    ids: Id,
    stream: Read[Stream],
    span: Res[Span],
    sentences: Res[Sentences],
    clock: Res[Clock],
    observe: Emit[Observed],
) -> None:
    """Let every agent observe what it lives through in this step."""
    number = persona.number.astype(np.int64)
    row, _, created = memories_formed(sentences.seed, span, number, clock.now - clock.dt, clock.now)
    if not row.size:
        return
    counts = np.bincount(row, minlength=number.size)
    before = np.cumsum(counts) - counts
    sequence = stream.formed[row] + np.arange(row.size) - before[row]
    kind, importance, text = compose(sentences, number[row], sequence, created)
    observe(Observed(owner=ids[row], time=created, text=text, kind=kind, importance=importance))  # type: ignore[arg-type]  # a column of kinds
