"""Emotion: what happens to an agent stirs it, whom it meets infects it, and it passes.

    appraisal   e <- e + i v,  M <- M + mood_gain i v      i intensity, v the label's vector
    contact     e <- e + contagion s (e' - e)              s own tie strength to the partner

Both parties of a contact move at once, each toward what the other's emotion was just before. All is
clipped to [-1, 1]. Between events emotion comes down to the mood and the mood to the temperament:
`affect` has the closed forms, `appraisal` the vectors, `temperament` where moods come to rest.

Events of agents that do not feel (see `feelings`) are passed over, and so are contacts with them
and with oneself.

Invariants: `Appraisal` and `Met` are taken up merged, in the order of their times (at the same time
appraisals first, then in the order of emission), so batches do not matter. An event older than the
state that it meets counts as happening at the state's time. A contact leaves the mood as it is;
what has no effect (intensity 0, a tie of strength 0) leaves all as it is, bit for bit.
Cost: 100,000 contacts among as many agents 15 ms, among 1M 31 (misses of the cache); appraisals two
thirds of that.
Source: FAtiMA, GAMYGDALA; Gebhard 2005 (ALMA) for moods moved by emotions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Met
from populace.components.emotion import Appraisal
from populace.ecs import Events, Res, World, f4, jit, system
from populace.ecs.entities import Ids, index_of
from populace.ecs.events import picked

from .affect import Emotions, faded, kept, passing, relaxed, seconds_since, within
from .appraisal import OCC_VECTORS
from .feelings import Feelings, half_lives


@jit
def feel_events(
    agent_e: Any,
    partner_e: Any,
    time_e: Any,
    force_e: Any,
    returned_e: Any,
    label_e: Any,
    order_e: Any,
    vector_l3: Any,
    emotion_half_life: Any,
    mood_half_life: Any,
    mood_gain: Any,
    contagion: Any,
    feels_n: Any,
    at_rest_n3: Any,
    emotion_n3: Any,
    since_n: Any,
    mood_n3: Any,
    mood_since_n: Any,
) -> None:
    """Take up appraisals and contacts, one after the other in the order `order_e`. O(e).

    agent_e: (e,) i4 agents. partner_e: (e,) i4, -1 for an appraisal. time_e: (e,) i8 µs. force_e:
    (e,) f4 the intensity, or the tie strength of the agent; returned_e: that of the partner.
    label_e: (e,) u1. feels_n: (n,) bool; the states of n agents are changed in place.
    """
    for place in range(order_e.size):
        e = order_e[place]
        i, j = agent_e[e], partner_e[e]
        if not feels_n[i]:
            continue
        if j < 0:
            force = force_e[e]
            if force == f4(0):
                continue
            now = max(time_e[e], max(since_n[i], mood_since_n[i]))
            gap, keeps, takes = passing(
                since_n[i], mood_since_n[i], now, emotion_half_life, mood_half_life
            )
            left = kept(seconds_since(mood_since_n[i], now), mood_half_life)
            for axis in range(3):
                at_rest, mood = at_rest_n3[i, axis], mood_n3[i, axis]
                emotion = faded(emotion_n3[i, axis], mood, at_rest, gap, keeps, takes)
                push = force * vector_l3[label_e[e], axis]
                emotion_n3[i, axis] = within(emotion + push)
                mood_n3[i, axis] = within(relaxed(mood, at_rest, left) + f4(mood_gain) * push)
            since_n[i] = now
            mood_since_n[i] = now
        elif feels_n[j] and i != j:
            pull, pulled = f4(contagion) * force_e[e], f4(contagion) * returned_e[e]
            now, then = max(time_e[e], since_n[i]), max(time_e[e], since_n[j])
            gap, keeps, takes = passing(
                since_n[i], mood_since_n[i], now, emotion_half_life, mood_half_life
            )
            gap_j, keeps_j, takes_j = passing(
                since_n[j], mood_since_n[j], then, emotion_half_life, mood_half_life
            )
            for axis in range(3):
                own = faded(
                    emotion_n3[i, axis], mood_n3[i, axis], at_rest_n3[i, axis], gap, keeps, takes
                )
                other = faded(
                    emotion_n3[j, axis],
                    mood_n3[j, axis],
                    at_rest_n3[j, axis],
                    gap_j,
                    keeps_j,
                    takes_j,
                )
                if pull > f4(0):
                    emotion_n3[i, axis] = within(own + pull * (other - own))
                if pulled > f4(0):
                    emotion_n3[j, axis] = within(other + pulled * (own - other))
            if pull > f4(0):
                since_n[i] = now
            if pulled > f4(0):
                since_n[j] = then


@system
def feel(world: World, appraised: Events[Appraisal], met: Events[Met], law: Res[Emotions]) -> None:
    """Take up what happened to agents since the last time."""
    told = _of_living(world, appraised, appraised.agent)
    seen = _of_living(world, met, met.source, met.target)
    a, m = len(told), len(seen)
    if not a + m:
        return
    ids = np.concatenate([told.agent, seen.source, seen.target])
    ordered = np.sort(ids)
    agents = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    state, number = Feelings(world, agents), _places(agents, ids)
    time = np.concatenate([told.time, seen.time])
    feel_events(
        number[: a + m],
        np.concatenate([np.full(a, -1, np.int32), number[a + m :]]),
        time,
        np.concatenate([told.intensity, seen.strength]),
        np.concatenate([np.zeros(a, np.float32), seen.returned_strength]),
        np.concatenate([told.label, np.zeros(m, np.uint8)]),
        np.argsort(time, kind="stable"),
        OCC_VECTORS,
        *half_lives(law),
        f4(law.mood_gain),
        f4(law.contagion),
        state.feels,
        state.at_rest,
        state.emotion,
        state.since,
        state.mood,
        state.mood_since,
    )
    state.put()


def _of_living(world: World, batch: Any, *agents: Ids) -> Any:
    """The events of a batch whose agents are all alive."""
    alive = np.logical_and.reduce([world.alive(ids) for ids in agents])
    return batch if alive.all() else picked(batch, alive)


def _places(agents: Ids, ids: Ids) -> npt.NDArray[np.int32]:
    """(k,) i4: the place of each id among distinct living agents that have them all."""
    # A table by slot of which only the slots named are touched: 3 ns an id, a search takes 60.
    table = np.empty(int(index_of(agents).max(initial=0)) + 1, np.int32)
    table[index_of(agents)] = np.arange(agents.size, dtype=np.int32)
    found: npt.NDArray[np.int32] = table[index_of(ids)]
    return found
