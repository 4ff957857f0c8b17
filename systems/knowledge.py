"""Knowledge: it is learned, it fades, and each exposure makes surer and slows the fading.

    c(t) = k * 2^(-(t - t0) / S)                       what is left at t of the confidence k at t0

An exposure at t changes

    k <- c + rate * trust * (1 - c)                    when one is told (`telling`)
    k <- max(c, its own confidence)                    when one learns first hand (`learn`)
    k <- c                                             when one thinks of it (`rehearse`)
    S <- min(S * (1 + growth * (1 - 2^(-(t - t0) / S))), longest),   t0 <- t

A c below the threshold is no knowledge: its owner has forgotten it, teaches it no more, counts as
not knowing, and learns it anew: S as at the outset, one exposure, a new source. `forget_knowledge`
takes what is forgotten out of the world; when it does so changes nothing. An exposure that would
leave less than the threshold leaves nothing. One that is older than the last (late news) counts as
happening at it.

Invariants: c is a function of `KnowledgeState` and the clock; `Confidence` is a cache of it.
Cost: the sweep reads 16 bytes and writes 4 a row, 0.5 ns; forgetting reads them, 0.7 ns a row;
learning 0.3 µs a pair.
Source: the saturating exposure is the linear operator of Bush & Mosteller 1951; forgetting and its
slowing are those of memories (`exponential`, `reinforcement`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components.knowledge import (
    NO_SOURCE,
    Confidence,
    Knowledge,
    KnowledgeForgotten,
    KnowledgeState,
    Provenance,
    Topic,
)
from populace.components.persona import Persona
from populace.components.trace import LONGEST_HALF_LIFE_S
from populace.ecs import (
    NOBODY,
    Clock,
    Read,
    Res,
    World,
    Write,
    days,
    f4,
    i8,
    jit,
    kernel,
    setting,
    settings,
    system,
    u4,
)
from populace.ecs.entities import Ids, as_ids
from populace.ecs.errors import ColumnShapeError, ColumnValueError

from .curves import exp2_f4

DAY_S = 86_400.0
MOST_EXPOSURES = u4(2**32 - 1)
REHEARSAL = -1.0


@settings
class Learning:
    """How agents learn from each other, and forget. A resource."""

    rate: float = setting(
        0.5, range=(0, 1), doc="share of the doubt that one exposure takes away, at full trust"
    )
    trust: float = setting(
        1.0, range=(0, 1), doc="trust in somebody one is not tied to; it grows to 1 with the tie"
    )
    half_life: float = setting(
        30 * DAY_S, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of new knowledge"
    )
    growth: float = setting(
        1.0, range=(0, 100), doc="growth of the half-life by an exposure when all was forgotten"
    )
    longest: float = setting(
        365 * DAY_S, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="most that it grows to"
    )
    threshold: float = setting(
        0.05, range=(0, 1), doc="confidence below which something is not known"
    )


# -- the law ---------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def left_at(now: Any, half_life: Any, rehearsed: Any) -> Any:
    """The share of a confidence that is left at `now`, f4; 1 before `rehearsed`. Times: i8 µs.

    >>> float(left_at(np.int64(3_000_000), f4(1), np.int64(1_000_000)))
    0.25
    """
    # The i8 is exact; in f4 its relative error is 6e-8, whatever the date.
    return exp2_f4(f4(max(now - rehearsed, 0)) * f4(-1e-6) / half_life)


@njit(nogil=True, error_model="numpy")
def known_of(confidence: Any, left: Any, threshold: Any) -> Any:
    """What is known, f4: confidence * left, or 0 where that is forgotten."""
    known = confidence * left
    return known if known >= threshold else f4(0)


@njit(nogil=True, error_model="numpy")
def surer(confidence: Any, gain: Any) -> Any:
    """The confidence after an exposure, f4; kept to 1, which rounding may pass."""
    return min(confidence + gain * (f4(1) - confidence), f4(1))


@njit(nogil=True, error_model="numpy")
def slower(half_life: Any, left: Any, growth: Any, longest: Any) -> Any:
    """The half-life after an exposure that found the share `left`, f4 s; a longer one stays."""
    return max(half_life, min(half_life * (f4(1) + growth * (f4(1) - left)), longest))


@jit
def known_at(
    confidence_k: Any, half_life_k: Any, rehearsed_k: Any, now: Any, threshold: Any, out_k: Any
) -> None:
    """out_k <- what is known of each at `now` (i8 µs), 0 where it is forgotten. O(k)."""
    for i in range(out_k.size):
        left = left_at(now, half_life_k[i], rehearsed_k[i])
        out_k[i] = known_of(confidence_k[i], left, threshold)


@jit
def expose_rows(
    row_e: Any, time_e: Any, least_e: Any, threshold: Any, first: Any, growth: Any, longest: Any,
    confidence_n: Any, half_life_n: Any, rehearsed_n: Any, exposures_n: Any,
    anew_e: Any, learned_e: Any,
) -> None:  # fmt: skip
    """Raise the confidence of row row_e[e] at time_e[e] to least_e[e], one after the other. O(e).

    row_e: (e,) u4, may repeat. time_e: (e,) i8 µs, ascending for each row. least_e: f4; REHEARSAL
    adds nothing. first: the half-life of what is learned anew. anew_e, learned_e <-
    whether it was, and when; the columns *_n are changed.
    """
    for e in range(row_e.size):
        i, least = row_e[e], least_e[e]
        now = max(time_e[e], rehearsed_n[i])
        left = left_at(now, half_life_n[i], rehearsed_n[i])
        known = known_of(confidence_n[i], left, threshold)
        anew_e[e] = known == 0 and least >= threshold
        if anew_e[e]:
            confidence_n[i], half_life_n[i], rehearsed_n[i] = least, first, now
            exposures_n[i] = u4(1)
            learned_e[e] = now
        elif known > 0:
            half_life_n[i] = slower(half_life_n[i], left, growth, longest)
            exposures_n[i] += u4(exposures_n[i] < MOST_EXPOSURES)
            confidence_n[i] = max(known, least)
            rehearsed_n[i] = now


# -- first hand ------------------------------------------------------------------------------


def learn(world: World, owners: Any, topics: Any, confidence: Any = 1.0, time: Any = None) -> Ids:
    """Let agents come to know topics first hand; returns their `Knowledge`, (k,) u8.

    owners, topics: ids, (k,) each, or one against many. confidence: that they have then at least,
    one or (k,), from the threshold to 1. time: µs, one or (k,); now if not given. What an agent
    knows already keeps its source. A pair may come repeatedly.

    Raises ColumnValueError, ColumnShapeError, DeadEntityError, ComponentMissingError for an owner
    without `Persona` or a topic without `Topic`, ResourceError; then nothing has changed.

    >>> from populace.systems.topics import intern_topics
    >>> world = World()
    >>> world.insert(Learning())
    >>> agents = world.spawn(2, Persona(number=[0, 1]))
    >>> known = learn(world, agents, intern_topics(world, "the well is dry"), 0.75)
    >>> world.get(known, KnowledgeState.confidence).tolist()
    [0.75, 0.75]
    """
    law = world.resource(Learning)
    given = world.clock.now if time is None else time
    owner, topic, least, when = _together(as_ids(owners), as_ids(topics), confidence, given)
    unfit = ~((law.threshold <= least) & (least <= 1))
    if unfit.any():
        place = int(np.argmax(unfit))
        raise ColumnValueError(
            f"confidence must lie in [{law.threshold:g}, 1]: less than Learning.threshold is no "
            f"knowledge; got {least[place]:g} at place {place:,}"
        )
    keys = world.get(topic, Topic.number), world.get(owner, Persona.number), when
    order = np.lexsort(keys)
    world.ensure(
        Knowledge(owner=owner[order], topic=topic[order]),
        KnowledgeState(confidence=0.0, half_life=law.half_life, rehearsed=when[order], exposures=0),
        Provenance(learned=when[order]),
    )
    ids = world.pairs(Knowledge).find(owner, topic)
    _expose(world, ids[order], when[order], least[order].astype(f4), law)
    return ids


def rehearse(world: World, knowledge: Any, time: Any = None) -> None:
    """Let agents think of what they know: it makes nobody surer, but slows forgetting.

    knowledge: (k,) ids, may repeat. time: µs, one or (k,); now if not given. What is forgotten
    stays so. Raises DeadEntityError, ComponentMissingError, ColumnShapeError, ResourceError.
    """
    law = world.resource(Learning)
    given = world.clock.now if time is None else time
    ids, _, least, when = _together(as_ids(knowledge), as_ids(knowledge), REHEARSAL, given)
    world.get(ids, KnowledgeState.rehearsed)  # refuses what is no knowledge before anything changes
    order = np.argsort(when, kind="stable")
    _expose(world, ids[order], when[order], least.astype(f4), law)


def _together(owner: Ids, topic: Ids, confidence: Any, time: Any) -> Any:
    """The four as (k,) arrays. Raises ColumnShapeError, ColumnValueError."""
    columns = [owner, topic, np.atleast_1d(confidence), np.atleast_1d(time)]
    if columns[2].dtype.kind not in "iuf":
        raise ColumnValueError(f"a confidence is a number, got {confidence!r}")
    if columns[3].dtype.kind not in "iu":
        raise ColumnValueError(f"a time is in whole µs, as hours(1) gives; got {time!r}")
    sizes = {c.size for c in columns if c.ndim == 1}
    if len(sizes - {1}) > 1 or any(c.ndim != 1 for c in columns):
        raise ColumnShapeError(
            f"ids, confidence and time are as many, or one for all; got shapes "
            f"{', '.join(str(c.shape) for c in columns)}"
        )
    k = min(sizes) if 0 in sizes else max(sizes)
    ids, others, least, when = (np.broadcast_to(c, k) for c in columns)
    return np.array(ids), np.array(others), least.astype(np.float64), when.astype(np.int64)


def _expose(
    world: World,
    ids: Ids,
    time: npt.NDArray[np.int64],
    least: npt.NDArray[np.float32],
    law: Learning,
) -> None:
    """Exposures of their owners' own, in the order of time."""
    anew, learned = np.zeros(ids.size, np.bool_), np.zeros(ids.size, np.int64)
    for part in world.at(ids):
        found = anew[part.at], learned[part.at]
        expose_rows(
            part.rows, time[part.at], least[part.at],
            f4(law.threshold), f4(law.half_life), f4(law.growth), f4(law.longest),
            part.write(KnowledgeState.confidence), part.write(KnowledgeState.half_life),
            part.write(KnowledgeState.rehearsed), part.write(KnowledgeState.exposures), *found,
        )  # fmt: skip
        anew[part.at], learned[part.at] = found
    if anew.any():
        begun, last = np.unique(ids[anew][::-1], return_index=True)
        world.set(
            begun,
            Provenance(
                learned=learned[anew][::-1][last], source=NOBODY, source_number=NO_SOURCE, hops=0
            ),
        )


# -- what is known ---------------------------------------------------------------------------

STATE = (KnowledgeState.confidence, KnowledgeState.half_life, KnowledgeState.rehearsed)


def confidences(
    world: World, owners: Any, topics: Any, now: int | None = None
) -> npt.NDArray[np.float32]:
    """(k,) f4: how sure agents are of topics now, or at `now` in simulated µs.

    owners, topics: ids, (k,) each, or one against many. 0 for what is not known, or no more. It
    does not depend on when knowledge was last swept. Raises DeadEntityError, ColumnShapeError,
    ResourceError.
    """
    ids = world.pairs(Knowledge).find(owners, topics)
    there = ids != NOBODY
    found = np.zeros(ids.size, f4)
    found[there] = _known(world, ids[there], now)
    return found


def share_knowing(world: World, topics: Any, now: int | None = None) -> npt.NDArray[np.float64]:
    """(k,) f8: the share of the population (of agents with a `Persona`) that knows each topic.

    topics: one id or (k,). Raises DeadEntityError, ResourceError. Cost: O(who has heard of it).
    """
    members = world.index(Knowledge.topic).of(topics)
    known = _known(world, members.ids, now) > 0
    counts = np.diff(np.append(0, np.cumsum(known))[members.offsets])
    population = world.query(Persona).count()
    share: npt.NDArray[np.float64] = counts / max(population, 1)
    return share


def _known(world: World, ids: Ids, now: int | None) -> npt.NDArray[np.float32]:
    """(k,) f4: what is left of knowledge; 0 where it is forgotten."""
    columns = [world.get(ids, field) for field in STATE]
    return _known_of(world, columns, world.clock.now if now is None else now)


def _known_of(world: World, columns: list[Any], now: int) -> npt.NDArray[np.float32]:
    confidence, half_life, rehearsed = columns
    out = np.empty(confidence.size, f4)
    threshold = f4(world.resource(Learning).threshold)
    known_at(confidence, half_life, rehearsed, i8(now), threshold, out)
    return out


@kernel
def refresh_confidence(
    state: Read[KnowledgeState], confidence: Write[Confidence], clock: Res[Clock]
) -> None:
    """Fill `Confidence` for now; what is left, even of what counts as forgotten."""
    confidence.value = state.confidence * left_at(clock.now, state.half_life, state.rehearsed)


@system(phase="last", every=days(1))
def forget_knowledge(world: World) -> None:
    """Take what is forgotten out of the world, and tell how much it was."""
    gone = [np.empty(0, np.uint64)]
    for table in world.query(KnowledgeState, Knowledge).tables():
        left = _known_of(world, [table.column(field) for field in STATE], world.clock.now)
        gone.append(table.ids[np.flatnonzero(left == 0)])
    ids = np.concatenate(gone)
    if ids.size:
        world.despawn(ids)
        world.emit(KnowledgeForgotten(time=world.clock.now, count=ids.size))
