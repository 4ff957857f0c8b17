"""Ties: a contact strengthens the tie of who turned to whom, and between contacts it decays.

    w(t) = w(t0) * 2^(-(t - t0) / half_life)        each contact adds gain * its weight
    strength = w / (w + saturation)
    v <- v + valence_rate * (outcome - v)           at each contact, outcome in [-1, 1]

A tie whose w is below the threshold is over: its strength is 0, and a contact begins it anew, with
nothing left of weight, valence and count. `end_ties` takes those out of the world; when it does so
changes nothing that ties are worth. A threshold of 0, the default, lets no tie end.

w is the tie-decay network of Ahmad, Porter & Beguerisse-Díaz (arXiv 1805.00193), its decay rate
ln 2 / half_life; v, the valence, is an exponential moving average.

`Contact` -> `apply_contacts` -> `Met`. A `mutual` contact counts for the target's tie to the source
too. Ties that do not exist are made. Dropped are contacts of the dead, and of an agent with itself:
nobody is tied to themselves.

Invariants: contacts count in the order of their time, simultaneous ones in that of emission, so the
state does not depend on how time is cut into steps. A contact older than the tie's last one adds
what is left of it at that one: w is then the same as if it had come in time (up to f4 rounding),
and the valence takes it up last. With a threshold it brings nothing back that was over by that last
one, though in time it would have kept it from ending; a tie that is out of the world begins anew.
New ties get their ids in the order of (time of the first contact, number of the source, of the
target). `Met` is emitted where somebody has asked for `Met` before.
Cost: 100,000 contacts into 1M ties 5.5 ms, most of it cache misses, 8.4 where `Met` is read; 0.9 µs
a new tie. The sweep 0.5 ns a tie; the search for those that are over 0.7 ns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from populace.components import Contact, Met, Persona
from populace.components.tie import Tie, TiesEnded, TieState, TieStrength
from populace.ecs import (
    NOBODY,
    Clock,
    Events,
    Res,
    World,
    column_sweep,
    days,
    f4,
    jit,
    setting,
    settings,
    system,
)
from populace.ecs.entities import INDEX_MASK, Ids
from populace.ecs.events import picked
from populace.ecs.pairs import pair_keys
from populace.ecs.sweep import SCRATCH

from .curves import exp2_f4

DAY_S = 86_400.0

Places = npt.NDArray[np.int64]


@settings
class Ties:
    """How ties grow and fade. A resource."""

    half_life: float = setting(
        14 * DAY_S, range=(1, 1e9), unit="s", doc="of a tie's weight; the decay rate is ln 2 / it"
    )
    gain: float = setting(1.0, range=(0, 1e6), doc="what a contact of weight 1 adds")
    saturation: float = setting(5.0, range=(1e-6, 1e6), doc="the weight at which strength is 1/2")
    valence_rate: float = setting(
        0.1, range=(0, 1), doc="how far a contact moves the valence toward its outcome"
    )
    threshold: float = setting(
        0.0, range=(0, 1e6), doc="the weight below which a tie is over; 0: no tie ends"
    )


# -- the law ---------------------------------------------------------------------------------


@njit(nogil=True, error_model="numpy")
def left_of(weight: Any, elapsed: Any, half_life: Any) -> Any:
    """What is left of a weight after `elapsed` f4 µs, f4."""
    return weight * exp2_f4(elapsed * f4(-1e-6) / f4(half_life))


@njit(nogil=True, error_model="numpy")
def decayed(weight: Any, elapsed: Any, half_life: Any) -> Any:
    """What is left of a weight after `elapsed` i8 µs, f4; all of it where that is negative.

    >>> float(decayed(f4(3), np.int64(1_000_000), 1.0))
    1.5
    """
    # The i8 is exact; in f4 its relative error is 6e-8, whatever the date.
    return left_of(weight, f4(max(elapsed, 0)), half_life)


@njit(nogil=True, error_model="numpy")
def saturated(weight: Any, saturation: Any) -> Any:
    """The strength of a weight, f4: 0 at 0, 1/2 at the saturation, 1 at infinity.

    >>> float(saturated(f4(15), 5.0))
    0.75
    """
    return weight / (weight + f4(saturation))


@njit(nogil=True, error_model="numpy")
def strength_of(weight: Any, saturation: Any, threshold: Any) -> Any:
    """The strength of a weight, f4; 0 below the threshold."""
    strength = saturated(weight, saturation)  # the choice comes last: 0.03 ns a row less
    return strength if weight >= f4(threshold) else f4(0)


@njit(nogil=True, error_model="numpy")
def moved(valence: Any, outcome: Any, rate: Any) -> Any:
    """The valence after a contact, f4; kept between the two, which rounding may leave."""
    after = valence + rate * (outcome - valence)
    return min(max(after, min(valence, outcome)), max(valence, outcome))


@jit
def tie_strengths_at(
    weight_k: Any,
    last_k: Any,
    now: Any,
    half_life: Any,
    saturation: Any,
    threshold: Any,
    scratch_b: Any,
    out_k: Any,
) -> None:
    """out_k <- the strength of each tie at `now` (i8 µs). scratch_b: (SCRATCH,) f4. O(k)."""
    for start in range(0, out_k.size, SCRATCH):
        end = min(start + SCRATCH, out_k.size)
        weight_b, last_b, out_b = weight_k[start:end], last_k[start:end], out_k[start:end]
        for j in range(end - start):
            scratch_b[j] = f4(max(now - last_b[j], 0))
        for j in range(end - start):
            left = left_of(weight_b[j], scratch_b[j], half_life)
            out_b[j] = strength_of(left, saturation, threshold)


@jit
def over_at(
    weight_k: Any, last_k: Any, time_k: Any, half_life: Any, threshold: Any, out_k: Any
) -> None:
    """out_k (b1) <- whether each tie is over at time_k (i8 µs). O(k)."""
    for i in range(out_k.size):
        out_k[i] = decayed(weight_k[i], time_k[i] - last_k[i], half_life) < f4(threshold)


@njit(nogil=True, error_model="numpy")
def take_up(
    row: Any,
    time: Any,
    added: Any,
    outcome: Any,
    half_life: Any,
    threshold: Any,
    rate: Any,
    weight_n: Any,
    valence_n: Any,
    last_n: Any,
    contacts_n: Any,
) -> Any:
    """Let a contact at `time` (i8 µs) add to the tie of a row; returns its weight then, f4.

    In whatever order contacts come, the weight is the sum of what is left of each at the latest, if
    the threshold is 0; else of those since the tie was over, as far as they had come by then.
    """
    left = decayed(weight_n[row], time - last_n[row], half_life)
    if left < f4(threshold):
        left, valence_n[row], contacts_n[row] = f4(0), f4(0), np.uint32(0)
    weight_n[row] = left + decayed(added, last_n[row] - time, half_life)
    valence_n[row] = moved(valence_n[row], outcome, rate)
    last_n[row] = max(last_n[row], time)
    contacts_n[row] += np.uint32(contacts_n[row] < MOST_CONTACTS)
    return weight_n[row]


@njit(nogil=True, error_model="numpy")
def fetched(row: Any, weight_n: Any, valence_n: Any, last_n: Any, contacts_n: Any) -> Any:
    """Some number that cannot be had without reading the row, so that its columns are in cache."""
    return weight_n[row] + valence_n[row] + f4(last_n[row]) + f4(contacts_n[row])


BLOCK = 256
MOST_CONTACTS = np.uint32(2**32 - 1)


# A tie's four columns are four cache misses, and most of the cost. Reads wait for them side by
# side, writes one after the other: so the ties of a block are read first, which takes 1.0 of 3.1 ms
# off 100,000 contacts into 1M ties. Rejected: contacts in the order of rows; bandwidth is the bound
# then, and nothing is gained.
@jit
def contact_ties(
    forth_row_e: Any,
    forth_table_e: Any,
    back_row_e: Any,
    back_table_e: Any,
    time_e: Any,
    weight_e: Any,
    outcome_e: Any,
    mutual_e: Any,
    table: Any,
    half_life: Any,
    gain: Any,
    saturation: Any,
    threshold: Any,
    valence_rate: Any,
    weight_n: Any,
    valence_n: Any,
    last_n: Any,
    contacts_n: Any,
    strength_e: Any,
    returned_e: Any,
) -> Any:
    """Take contacts up, in their order, in the ties of one table.

    The source's tie is row forth_row_e[e] of table forth_table_e[e] (u4), the target's back_*;
    those in other tables than `table` are passed over. time_e: i8 µs. weight_e, outcome_e: f4.
    mutual_e: whether the target's tie takes the contact up too. The columns of the table, *_n, are
    changed. strength_e, returned_e (f4) <- the strength of either tie just after it. O(contacts).
    What is returned has no meaning.
    """
    rate, read = f4(valence_rate), f4(0)
    for first in range(0, time_e.size, BLOCK):
        end = min(first + BLOCK, time_e.size)
        for e in range(first, end):
            if forth_table_e[e] == table:
                read += fetched(forth_row_e[e], weight_n, valence_n, last_n, contacts_n)
            if back_table_e[e] == table:
                read += fetched(back_row_e[e], weight_n, valence_n, last_n, contacts_n)
        for e in range(first, end):
            time, outcome, added = time_e[e], outcome_e[e], f4(gain) * weight_e[e]
            if forth_table_e[e] == table:
                weight = take_up(
                    forth_row_e[e], time, added, outcome, half_life, threshold, rate,
                    weight_n, valence_n, last_n, contacts_n,
                )  # fmt: skip
                strength_e[e] = strength_of(weight, saturation, threshold)
            if back_table_e[e] == table:
                row = back_row_e[e]
                if mutual_e[e]:
                    weight = take_up(
                        row, time, added, outcome, half_life, threshold, rate,
                        weight_n, valence_n, last_n, contacts_n,
                    )  # fmt: skip
                else:
                    weight = decayed(weight_n[row], time - last_n[row], half_life)
                returned_e[e] = strength_of(weight, saturation, threshold)
    return read


# -- contacts --------------------------------------------------------------------------------

ABSENT = np.uint32(0xFFFF_FFFF)
"""The table of a tie that does not exist."""


@system
def apply_contacts(world: World, contacts: Events[Contact], law: Res[Ties]) -> None:
    """Let every contact since the last time count for the ties of those who still live."""
    contacts = _countable(world, contacts)
    if not contacts.time.size:
        return
    told = Met in world.event_queues.held  # somebody has made a reader, or emits it himself
    index = world.pairs(Tie).table
    forth = index.find(pair_keys(contacts.source, contacts.target))
    back = np.zeros(forth.size, np.uint64)
    if told or contacts.mutual.any():
        back = index.find(pair_keys(contacts.target, contacts.source))
    if not (forth.all() and back[contacts.mutual].all()):
        made, first = _make_ties(world, contacts, forth, back)
        if told:
            _notice(world, contacts, back, made, first)
    strength, returned = _take_up(world, contacts, forth, back, law)
    if told:
        columns = {
            "source": contacts.source,
            "target": contacts.target,
            "time": contacts.time,
            "outcome": contacts.outcome,
            "place": contacts.place,
            "tie": forth,
            "returned": back,
            "strength": strength,
            "returned_strength": returned,
        }
        for column in columns.values():
            column.flags.writeable = False
        world.event_queues.queue(Met).append(columns, forth.size)


def _countable(world: World, contacts: Any) -> Any:
    """The contacts of two living agents, by time."""
    source, target, time = contacts.source, contacts.target, contacts.time
    first_dead = world.store.entities.first_dead
    if first_dead(source) >= 0 or first_dead(target) >= 0 or (source == target).any():
        count = world.alive(source) & world.alive(target) & (source != target)
        contacts = picked(contacts, count)
        time = contacts.time
    if (time[1:] < time[:-1]).any():
        contacts = picked(contacts, np.argsort(time, kind="stable"))
    return contacts


def _make_ties(world: World, contacts: Any, forth: Ids, back: Ids) -> tuple[Ids, Places]:
    """Make the ties that contacts lack, and fill them in where `forth` and `back` are NOBODY.

    Returns (the new ties (k,) u8, the place of the first contact of each (k,) i8).
    """
    lacks_forth = np.flatnonzero(forth == NOBODY)
    lacks_back = np.flatnonzero((back == NOBODY) & contacts.mutual)
    place = np.concatenate([lacks_forth, lacks_back])
    source = np.concatenate([contacts.source[lacks_forth], contacts.target[lacks_back]])
    target = np.concatenate([contacts.target[lacks_forth], contacts.source[lacks_back]])
    numbers = _stable(world, target), _stable(world, source)
    order = np.lexsort((place, *numbers, contacts.time[place]))
    place = place[order]
    ties, new = world.ensure(
        Tie(source=source[order], target=target[order]), TieState(last=contacts.time[place])
    )
    found = np.empty_like(ties)
    found[order] = ties
    forth[lacks_forth], back[lacks_back] = np.split(found, [lacks_forth.size])
    return ties[new], place[new]


def _notice(world: World, contacts: Any, back: Ids, made: Ids, first: Places) -> None:
    """Fill in `back` with the new ties that had begun before the contact."""
    lacking = np.flatnonzero(back == NOBODY)
    keys = pair_keys(contacts.target[lacking], contacts.source[lacking])
    found = world.pairs(Tie).table.find(keys)
    lacking, found = lacking[found != NOBODY], found[found != NOBODY]
    by_id = np.argsort(made)
    began = first[by_id[np.searchsorted(made, found, sorter=by_id)]]
    back[lacking[began < lacking]] = found[began < lacking]


def _stable(world: World, ids: Ids) -> npt.NDArray[np.int64]:
    """(k,) i8: the number of each agent; of those that have none 2^32 + the entity's index."""
    keys = (ids & INDEX_MASK).astype(np.int64) + 2**32
    people = world.has(ids, Persona)
    keys[people] = world.get(ids[people], Persona.number)
    return keys


def _take_up(
    world: World, contacts: Any, forth: Ids, back: Ids, law: Ties
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Change the states of the ties; return the strengths of both just after each contact."""
    forth_row, forth_table = _places(world, forth)
    back_row, back_table = _places(world, back)
    strength, returned = np.zeros((2, forth.size), np.float32)
    for table in world.query(Tie, TieState).tables():
        world.store.changes.opened(table, TieState, None)
        contact_ties(
            forth_row,
            forth_table,
            back_row,
            back_table,
            contacts.time,
            contacts.weight,
            contacts.outcome,
            contacts.mutual,
            np.uint32(table.number),
            law.half_life,
            law.gain,
            law.saturation,
            law.threshold,
            law.valence_rate,
            table.column(TieState.weight),
            table.column(TieState.valence),
            table.column(TieState.last),
            table.column(TieState.contacts),
            strength,
            returned,
        )
    return strength, returned


def _places(world: World, ties: Ids) -> tuple[Any, Any]:
    """(row, table) of each tie, (k,) u4; the table is ABSENT for NOBODY."""
    there = ties != NOBODY
    if there.all():
        row, table, _, _ = world.store.entities.resolve(ties)
        return row, table
    row, table = np.full((2, ties.size), ABSENT)
    row[there], table[there], _, _ = world.store.entities.resolve(ties[there])
    return row, table


# -- what ties are worth ---------------------------------------------------------------------


def tie_strengths(
    world: World, source: Any, target: Any, now: int | None = None
) -> npt.NDArray[np.float32]:
    """(k,) f4: the strength of the ties from `source` to `target` now, or at `now` in simulated µs.

    source, target: ids, (k,) each, or one against many. 0 where there is no tie. It does not depend
    on when ties were last swept. Raises DeadEntityError, ColumnShapeError, ResourceError.
    Cost: about 50 ns a pair at 1M ties.

    >>> world = World()
    >>> world.insert(Ties())
    >>> ann, bo = world.spawn(2)
    >>> _ = world.ensure(Tie(source=ann, target=bo), TieState(weight=15))
    >>> tie_strengths(world, [ann, bo], [bo, ann]).tolist()
    [0.75, 0.0]
    """
    law = world.resource(Ties)
    ties = world.pairs(Tie).find(source, target)
    there = ties != NOBODY
    weight, last = (world.get(ties[there], field) for field in STATE)
    found, strengths = np.empty(weight.size, np.float32), np.zeros(ties.size, np.float32)
    moment = np.int64(world.clock.now if now is None else now)
    scratch = np.empty(SCRATCH, np.float32)
    tie_strengths_at(
        weight, last, moment, law.half_life, law.saturation, law.threshold, scratch, found
    )
    strengths[there] = found
    return strengths


def valences(
    world: World, source: Any, target: Any, times: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """(k,) f4: the valence of the ties from `source` to `target` at `times`, (k,) i8 µs.

    0 where there is no tie, or it is over. Raises what `tie_strengths` does, though a world without
    `Ties` will do: no tie is over there. Cost: about 50 ns a pair at 1M ties.
    """
    ties = world.pairs(Tie).find(source, target)
    there, found = np.flatnonzero(ties != NOBODY), np.zeros(ties.size, np.float32)
    ties = ties[there]
    over = np.zeros(ties.size, np.bool_)
    if Ties in world.resources and world.resource(Ties).threshold > 0:
        weight, last = (world.get(ties, field) for field in STATE)
        over = _over(world.resource(Ties), weight, last, times[there])
    found[there] = np.where(over, f4(0), world.get(ties, TieState.valence))
    return found


STATE = (TieState.weight, TieState.last)


def _over(law: Ties, weight: Any, last: Any, times: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(k,): which ties in a state are over at `times`."""
    over = np.empty(weight.size, np.bool_)
    over_at(weight, last, times, law.half_life, law.threshold, over)
    return over


def _strengths_now(world: World) -> tuple[Any, tuple[Any, ...]]:
    """Fill `TieStrength` for now."""
    law = world.resource(Ties)
    moment = np.int64(world.clock.now)
    return tie_strengths_at, (moment, law.half_life, law.saturation, law.threshold)


refresh_ties = column_sweep(
    "refresh_ties",
    STATE,
    TieStrength.value,
    (Clock, Ties),
    _strengths_now,
)


@system(phase="last", every=days(1))
def end_ties(world: World, law: Res[Ties]) -> None:
    """Take ties that are over out of the world, and tell how many there were."""
    if law.threshold == 0:
        return
    gone = [np.empty(0, np.uint64)]
    for table in world.query(Tie, TieState).tables():
        weight, last = (table.column(field) for field in STATE)
        over = _over(law, weight, last, np.full(last.size, world.clock.now))
        gone.append(table.ids[np.flatnonzero(over)])
    ids = np.concatenate(gone)
    if ids.size:
        world.despawn(ids)
        world.emit(TiesEnded(time=world.clock.now, count=ids.size))
