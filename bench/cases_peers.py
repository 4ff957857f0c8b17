"""Work that other libraries can do as well: a decay law of one's own, pruning by owner, edges."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from populace import NOBODY, Read, World, Write, component, f4, field, jit, kernel, system, u4
from populace.components import Memory, Trace
from populace.systems import Retention, Room, make_room
from populace.systems.capacity import kth_smallest
from populace.systems.curves import exp2_f4, log2_f4

from . import bare, inputs
from .harness import FULL, Contest, Run, case, ratio
from .inputs import FADE, GAIN, KEPT, MEMBERS, NOW, TAU_S, THRESHOLD, W6_NOW_S
from .parts import Tie, TieState
from .reasons import FAST_MATH

AREA = "sweeps"

LN_2, LOG2_E = f4(np.log(2)), f4(1 / np.log(2))


@component
class Recollection:
    """A memory that lasts the longer, the more often it was recalled."""

    importance: f4 = field(range=(0, 1))
    last: f4 = 0.0  # s
    recalls: u4 = 0
    strength: f4 = 0.0  # by the sweep


@njit(nogil=True, error_model="numpy")
def retained(elapsed, recalls):  # type: ignore[no-untyped-def]
    """exp(-elapsed / (tau * (1 + log1p(recalls)))), f4."""
    lasts = TAU_S * (f4(1) + log2_f4(f4(1) + f4(recalls)) * LN_2)
    return exp2_f4(-elapsed / lasts * LOG2_E)


@jit
def recollect(importance_n, last_n, recalls_n, now, out_n):  # type: ignore[no-untyped-def]
    """out_n <- the strengths; returns how many are weak."""
    weak = 0
    for i in range(out_n.size):
        strength = importance_n[i] * retained(now - last_n[i], recalls_n[i])
        out_n[i] = strength
        weak += strength < THRESHOLD
    return weak


@kernel
def recollect_rows(memory: Write[Recollection]):  # type: ignore[no-untyped-def]
    """The same by rows, without counting."""
    memory.strength = memory.importance * retained(W6_NOW_S - memory.last, memory.recalls)


@case(
    "system", "kernel", target={"system": ratio(1.10, from_size=100_000)}, bytes_each=120,
    fast=True, loses={"C++ loops, -ffast-math": FAST_MATH},
)  # fmt: skip
def decay_w6(n: int) -> Contest:
    """A law of one's own: strength = importance * exp(-elapsed / (tau * (1 + log1p(recalls)))), and
    how many are below a threshold: an array system around an njit loop that does both, a row kernel
    and numpy's count; bound: the njit loop on arrays."""
    world = World(seed=1)
    given = inputs.recollections(n)
    world.spawn(n, Recollection(**given._asdict()))
    counted = [0]
    arrays = [np.ascontiguousarray(column) for column in given]
    out = np.zeros(n, np.float32)

    @system
    def recollect_arrays(memory: Write[Recollection]) -> None:
        """An array system around it."""
        counted[0] = recollect(
            memory.importance, memory.last, memory.recalls, W6_NOW_S, memory.strength
        )

    @system
    def count_weak(memory: Read[Recollection]) -> None:
        """How many are weak."""
        counted[0] = np.count_nonzero(memory.strength < THRESHOLD)

    sweep, count = recollect_rows.bind(world), count_weak.bind(world)

    def by_kernel() -> None:
        sweep.run()
        count.run(None)

    def by_hand() -> None:
        counted[0] = recollect(*arrays, W6_NOW_S, out)

    subjects = {
        "system": Run(partial(recollect_arrays.bind(world).run, None)),
        "kernel": Run(by_kernel),
    }

    def verify() -> None:
        query = world.query(Recollection)
        for run in subjects.values():
            query.set(Recollection(strength=0.0))
            run.call()
            inputs.check_w6(given, query.gather(Recollection.strength), counted[0])
        by_hand()
        inputs.check_w6(given, out, counted[0])

    return Contest(subjects, Run(by_hand), verify)


# -- pruning -------------------------------------------------------------------------------------


@jit
def keep_best(owner_n, bits_n, kept, begin_o, row_n, key_n, out_n):  # type: ignore[no-untyped-def]
    """Keep the `kept` greatest of each owner, at the front and in their order; returns how many.

    bits_n: i8, the importances as their bits. begin_o: (owners + 2,) and row_n, key_n: (n,), room.
    out_n: bool, who stays. Of those at the limit, the first go.
    """
    begin_o[:] = 0
    for i in range(owner_n.size):
        begin_o[owner_n[i] + 2] += 1
    for o in range(2, begin_o.size):
        begin_o[o] += begin_o[o - 1]
    for i in range(owner_n.size):
        place = begin_o[owner_n[i] + 1]
        row_n[place], key_n[place] = i, bits_n[i]
        begin_o[owner_n[i] + 1] += 1
    out_n[:] = True
    for o in range(begin_o.size - 2):
        begin, end = begin_o[o], begin_o[o + 1]
        going = end - begin - kept
        if going > 0:
            limit = kth_smallest(key_n[begin:end], going)
            for j in range(begin, end):
                if key_n[j] < limit:
                    out_n[row_n[j]] = False
                    going -= 1
            for j in range(begin, end):
                if key_n[j] == limit and going > 0:
                    out_n[row_n[j]] = False
                    going -= 1
    k = 0
    for i in range(owner_n.size):
        if out_n[i]:
            owner_n[k], bits_n[k] = owner_n[i], bits_n[i]
            k += 1
    return k


@case(
    "make_room", sizes=FULL, unit="memory", bytes_each=400,
    loses={
        "C++ loops": "its memories are rows without ids: none is checked or given back, no index "
        "of owners is kept right, and importance stands for strength",
        "numpy": "calls from Python cost 0.3 ms, whatever the number of memories",
        "flecs": "calls from Python cost 0.3 ms, whatever the number of memories",
        "polars": "it filters into new columns: no ids, no index of owners, and importance stands "
        "for strength, which the law works out",
    },
)  # fmt: skip
def prune_owners(n: int) -> Contest:
    """n memories, 100 of each owner: all but the 90 most important of each go. Populace works out
    their strengths for it, and frees ids and text; bound: sort owners by counting, find the limit
    of each by bisection, close the gaps."""
    crowds = [inputs.Crowd(n) for _ in range(2)]
    crowd, bare_crowd = crowds
    world = World(seed=1)
    world.clock.now = NOW
    world.insert(Retention())
    world.insert(Room(capacity=KEPT, keep=1.0))
    owners = world.spawn(crowd.n_owners)
    run = make_room.bind(world)
    owner, bits = np.empty(n, np.int64), np.empty(n, np.int64)
    begin, stays = np.empty(crowd.n_owners + 2, np.int64), np.empty(n, np.bool_)
    rows, keys = np.empty(n, np.int64), np.empty(n, np.int64)
    held = 0

    def come() -> None:
        """The newcomers of this round, all in the first one."""
        if world.query(Memory).count():
            crowd.renew()
        importance = crowd.importance[crowd.places]
        world.spawn(
            importance.size,
            Memory(owner=owners[crowd.owner[crowd.places]], sequence=crowd.places, created=NOW),
            Trace(importance=importance, stability=inputs.DAY_S, accessed=NOW),
        )

    def come_bare() -> None:
        nonlocal held
        if held:
            bare_crowd.renew()
        owner[held:] = bare_crowd.owner[bare_crowd.places]
        bits[held:] = bare_crowd.importance[bare_crowd.places].view(np.uint32)
        held = n

    def prune_bare() -> None:
        nonlocal held
        held = keep_best(owner, bits, KEPT, begin, rows, keys, stays)

    def verify() -> None:
        for _ in range(2):
            come(), come_bare()
            run.run(None), prune_bare()
            query = world.query(Memory, Trace)
            number = np.searchsorted(owners, query.gather(Memory.owner))
            crowd.check(number, query.gather(Trace.importance))
            importance = bits[:held].astype(np.uint32).view(np.float32)
            bare_crowd.check(owner[:held], importance)
        world.check()

    assert n % MEMBERS == 0
    return Contest(
        {"make_room": Run(partial(run.run, None), come)}, Run(prune_bare, come_bare), verify
    )


# -- edges ---------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def fade(weight_n, left):  # type: ignore[no-untyped-def]
    """All weights fade."""
    for i in range(weight_n.size):
        weight_n[i] *= left


@njit(cache=True, nogil=True)
def strengthen(weight_n, row_k, gain):  # type: ignore[no-untyped-def]
    """Weights at these rows grow."""
    for j in range(row_k.size):
        weight_n[row_k[j]] += gain


@kernel
def fade_rows(state: Write[TieState]):  # type: ignore[no-untyped-def]
    """All weights fade."""
    state.weight *= f4(FADE)


@case(
    "world", area="contacts", sizes=FULL, unit="edge", bytes_each=400, fast=True,
    loses={
        "C++ loops": "its edges are rows of one table of pairs: no ids to resolve, to check or to "
        "return, and no column is noted as written",
    },
)  # fmt: skip
def edges_update(n: int) -> Contest:
    """n edges fade, then n / 10 of them are found by source and target and grow; bound: both loops,
    and between them the lookup in a hash table of pairs."""
    given = inputs.edges(n)
    world = World(seed=1)
    nodes = world.spawn(given.n_nodes)
    sources, targets = nodes[given.source], nodes[given.target]
    world.spawn(n, Tie(source=sources, target=targets), TieState(weight=given.weight))
    met = sources[given.met], targets[given.met]
    pairs, sweep, everyone = world.pairs(Tie), fade_rows.bind(world), world.query(TieState)

    keys = ((given.source << 32 | given.target) + 1).astype(np.uint64)
    capacity = 1 << (n * 5 // 3).bit_length()
    shift = np.uint64(65 - capacity.bit_length())
    key_value = np.zeros((capacity, 2), np.uint64)
    weight = given.weight.copy()
    rows, made = np.zeros(n, np.uint32), np.zeros(n, np.uint64)
    bare.find_or_insert(key_value, shift, keys, weight, weight, 0, True, rows, made)
    wanted, found = keys[given.met], np.zeros(given.met.size, np.uint32)

    def update() -> None:
        sweep.run()
        for part in world.at(pairs.find(*met)):
            strengthen(part.write(TieState.weight), part.rows, GAIN)

    def renew() -> None:
        everyone.set(TieState(weight=given.weight))

    def update_bare() -> None:
        fade(weight, FADE)
        bare.find_or_insert(key_value, shift, wanted, weight, weight, n, False, found, made)
        strengthen(weight, found, GAIN)

    def renew_bare() -> None:
        weight[:] = given.weight

    def verify() -> None:
        renew(), renew_bare()
        update(), update_bare()
        expected = inputs.strengthened(given)
        ids = pairs.find(sources, targets)
        assert NOBODY not in ids
        assert np.array_equal(world.get(ids, TieState.weight), expected)
        assert np.array_equal(weight, expected)

    return Contest({"world": Run(update, renew)}, Run(update_bare, renew_bare), verify)
