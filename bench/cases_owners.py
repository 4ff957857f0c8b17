"""References and edges: cascades, the reverse index, unique pairs."""

from __future__ import annotations

import numpy as np

from populace import NOBODY, World

from . import bare, inputs
from .harness import Contest, Run, case
from .parts import Owned, Tie, TieState

AREA = "ecs"

MEMBERS = 100  # of each owner
ROOM = 256  # places in a bare list of members
INDEX = np.uint64(0xFFFF_FFFF)


def population(n: int) -> tuple[World, np.ndarray, np.ndarray, np.ndarray]:
    """n members of n / MEMBERS owners in random order: world, owner ids, ids, owners of these."""
    world = World(seed=1)
    owner_ids = world.spawn(n // MEMBERS)
    owners = np.random.default_rng(1).permutation(np.repeat(owner_ids, MEMBERS))
    weight = np.arange(n, dtype=np.float32)
    ids = world.spawn(n, Owned(owner=owners, weight=weight, since=weight))
    return world, owner_ids, ids, owners


class BareOwners:
    """The same over bare arrays: a table of members, slots, and each owner's list of members."""

    def __init__(self, owner_ids: np.ndarray, ids: np.ndarray, owners: np.ndarray) -> None:
        n, n_owners = ids.size, owner_ids.size
        weight = np.arange(n, dtype=np.float32)
        self.table = bare.Rows.of([weight, weight], ids, n)
        self.owner = owners[None, :].copy()
        self.slots = bare.slots_for(owner_ids, n_owners + n)
        index = (ids & INDEX).astype(np.intp)
        self.slots[index, 0] = (ids & ~INDEX) | np.arange(n, dtype=np.uint64)
        self.member_om = np.zeros((n_owners, ROOM), np.uint32)
        self.count_o = np.zeros(n_owners, np.int64)
        self.place_n = np.zeros(n_owners + n, np.int64)
        bare.join_owners(owners, ids, self.member_om, self.count_o, self.place_n)
        self.free = np.zeros(n, np.uint32)
        self.n_free = 0

    def remove(self, rows: np.ndarray, ids: np.ndarray) -> None:
        """Close the holes of ascending rows and free their slots."""
        table = self.table
        bare.swap_columns(rows, table.columns, table.n)
        bare.swap_columns(rows, self.owner, table.n)
        bare.swap_ids(self.slots, rows, table.ids, table.n)
        self.n_free = bare.release(self.slots, self.free, self.n_free, ids)
        table.n -= rows.size

    def append(self, owners: np.ndarray, weight: np.ndarray) -> None:
        """New members at the end of the table and of their owners' lists."""
        table, begin, end = self.table, self.table.n, self.table.n + owners.size
        self.n_free = bare.allocate(
            self.slots, self.free, self.n_free, table.ids, begin, owners.size
        )
        self.owner[0, begin:end] = owners
        table.columns[:, begin:end] = weight
        bare.join_owners(owners, table.ids[begin:end], self.member_om, self.count_o, self.place_n)
        table.n = end


@case("world")
def cascade_hundredth(n: int) -> Contest:
    """Despawn a random hundredth of the owners of 100 members each: these follow; bound: collect
    the members of lists, sort their rows, swap-remove, free the slots."""
    world, owner_ids, ids, owners = population(n)
    by_hand = BareOwners(owner_ids, ids, owners)
    k = max(1, owner_ids.size // 100)
    rows, gone = np.zeros(k * MEMBERS, np.uint32), np.zeros(k * MEMBERS, np.uint64)
    alive = owner_ids.copy()
    weight = np.arange(k * MEMBERS, dtype=np.float32)
    randoms = [np.random.default_rng(2) for _ in range(2)]
    places = bare_places = np.arange(0)

    def renew() -> None:
        nonlocal places
        if places.size:
            alive[places] = world.spawn(k)
            again = randoms[0].permutation(np.repeat(alive[places], MEMBERS))
            world.spawn(again.size, Owned(owner=again, weight=weight, since=weight))
        places = randoms[0].choice(alive.size, k, replace=False)

    def renew_bare() -> None:
        nonlocal bare_places
        if bare_places.size:
            again = randoms[1].permutation(np.repeat(owner_ids[bare_places], MEMBERS))
            by_hand.append(again, weight)
        bare_places = randoms[1].choice(owner_ids.size, k, replace=False)

    def despawn() -> None:
        world.despawn(alive[places])

    def despawn_bare() -> None:
        doomed = owner_ids[bare_places]
        bare.collect_members(by_hand.slots, doomed, by_hand.member_om, by_hand.count_o, rows, gone)
        rows.sort()
        by_hand.remove(rows, gone)

    def verify() -> None:
        for _ in range(2):
            renew(), renew_bare()
            despawn(), despawn_bare()
            world.check()
            left = np.sort(world.query(Owned).gather(Owned.weight))
            assert np.array_equal(left, np.sort(by_hand.table.columns[0, : by_hand.table.n]))

    return Contest(
        {"world": Run(despawn, renew)}, Run(despawn_bare, renew_bare), verify, rows=k * MEMBERS
    )


@case("world")
def index_churn_hundredth(n: int) -> Contest:
    """Despawn a random hundredth of the members of owners and spawn as many with other owners;
    bound: the same swap-removes, appends and writes into the owners' lists."""
    world, owner_ids, ids, owners = population(n)
    by_hand = BareOwners(owner_ids, ids, owners)
    members = world.query(Owned)
    k = n // 100
    weight = np.arange(k, dtype=np.float32)
    rows = np.zeros(k, np.uint32)
    randoms = [np.random.default_rng(2) for _ in range(2)]
    gone = bare_gone = again = bare_again = ids[:0]

    def choose() -> None:
        nonlocal gone, again
        gone = members.ids()[randoms[0].choice(n, k, replace=False)]
        again = randoms[0].choice(owner_ids, k)

    def choose_bare() -> None:
        nonlocal bare_gone, bare_again
        bare_gone = by_hand.table.ids[randoms[1].choice(n, k, replace=False)]
        bare_again = randoms[1].choice(owner_ids, k)

    def churn() -> None:
        world.despawn(gone)
        world.spawn(k, Owned(owner=again, weight=weight, since=weight))

    def churn_bare() -> None:
        bare.resolve(by_hand.slots, bare_gone, rows)
        bare.leave_owners(
            by_hand.owner[0, rows], bare_gone, by_hand.member_om, by_hand.count_o, by_hand.place_n
        )
        rows.sort()
        by_hand.remove(rows, bare_gone)
        by_hand.append(bare_again, weight)

    def verify() -> None:
        choose(), choose_bare()
        churn(), churn_bare()
        world.check()
        assert np.array_equal(world.index(Owned.owner).count(owner_ids), by_hand.count_o)

    return Contest({"world": Run(churn, choose)}, Run(churn_bare, choose_bare), verify, rows=2 * k)


@case("csr", unit="member")
def index_csr(n: int) -> Contest:
    """Read index.csr(): all owners of 100 members each, packed; bound: one loop over the owners'
    lists into arrays that are there."""
    world, owner_ids, ids, owners = population(n)
    by_hand = BareOwners(owner_ids, ids, owners)
    index = world.index(Owned.owner)
    out_owners, out_ids = np.zeros(owner_ids.size, np.uint64), np.zeros(n, np.uint64)
    offsets = np.zeros(owner_ids.size + 1, np.int64)

    def pack() -> None:
        bare.pack_owners(
            by_hand.slots, by_hand.member_om, by_hand.count_o, out_owners, offsets, out_ids
        )

    def verify() -> None:
        pack()
        csr = index.csr()
        assert np.array_equal(csr.owners, out_owners)
        assert np.array_equal(csr.offsets, offsets)
        of = np.repeat(np.arange(owner_ids.size), MEMBERS)
        theirs, ours = (a[np.lexsort((a, of))] for a in (csr.ids, out_ids))
        assert np.array_equal(theirs, ours)

    return Contest({"csr": Run(index.csr)}, Run(pack), verify)


class Edges:
    """n edges among n / 10 nodes in a world and in a bare map, and n / 10 events that name pairs:
    `n_new` of these have no edge yet."""

    def __init__(self, n: int, n_new: int) -> None:
        self.n, self.k, self.n_new = n, n // 10, n_new
        self.world = World(seed=1)
        given = inputs.edges(n, n_new)
        nodes = self.world.spawn(given.n_nodes)
        sources, targets, met = nodes[given.source], nodes[given.target], given.met
        weights = np.arange(n, dtype=np.float32)
        self.world.spawn(n, Tie(source=sources[:n], target=targets[:n]), TieState(weight=weights))
        self.ends = sources[met], targets[met]
        self.weights = weights[: self.k] + 1

        capacity = 1 << ((n + self.k) * 5 // 3).bit_length()
        self.shift = np.uint64(65 - capacity.bit_length())
        self.key_value = np.zeros((capacity, 2), np.uint64)
        self.weight_n = np.zeros(n + self.k, np.float32)
        self.rows, self.made = np.zeros(n, np.uint32), np.zeros(n, np.uint64)
        keys = ((sources << np.uint64(32)) | (targets & INDEX)) + np.uint64(1)
        self.keys = keys[met]
        self.n_made = 0
        self._put(keys[:n], weights, 0, True)

    def _put(self, keys: np.ndarray, weights: np.ndarray, begin: int, update: bool) -> int:
        return bare.find_or_insert(
            self.key_value, self.shift, keys, weights, self.weight_n, begin, update, self.rows,
            self.made,
        )  # fmt: skip

    def meet(self, update: bool) -> None:
        """The events, in the bare map."""
        self.n_made = self._put(self.keys, self.weights, self.n, update)

    def forget(self) -> None:
        """Take back what they made."""
        bare.take_back(self.key_value, self.made[: self.n_made])

    def check(self) -> None:
        """Both have the same edges with the same weights."""
        assert self.n_made == self.n_new
        found = self.world.pairs(Tie).find(*self.ends)
        assert NOBODY not in found
        weights = self.world.get(found, TieState.weight)
        assert np.array_equal(weights, self.weight_n[self.rows[: self.k]])


def meeting(n: int, update: bool) -> Contest:
    """Upsert or ensure n / 10 pairs among n edges, half of them new."""
    edges = Edges(n, n_new=n // 20)
    world = edges.world
    source, target = edges.ends
    pair, state = Tie(source=source, target=target), TieState(weight=edges.weights)
    write = world.upsert if update else world.ensure
    born = source[:0]

    def meet() -> None:
        nonlocal born
        ids, created = write(pair, state)
        born = ids[created]

    def forget() -> None:
        nonlocal born
        world.despawn(born)
        born = born[:0]

    def meet_bare() -> None:
        edges.meet(update)

    def verify() -> None:
        for _ in range(2):
            forget(), edges.forget()
            meet(), meet_bare()
        edges.check()

    return Contest({"world": Run(meet, forget)}, Run(meet_bare, edges.forget), verify, rows=edges.k)


@case("world", unit="edge")
def pairs_upsert_tenth(n: int) -> Contest:
    """Upsert n / 10 pairs into n edges, half known, half new; bound: one open-addressing loop that
    finds or inserts a key of 16 bytes and writes a weight."""
    return meeting(n, update=True)


@case("world", unit="edge")
def pairs_ensure_tenth(n: int) -> Contest:
    """Ensure n / 10 pairs among n edges, half known, half new; bound: as for the upsert, writing
    the new weights alone."""
    return meeting(n, update=False)


@case(
    "world", unit="edge",
    peers={
        "EnTT": {10_000: 0.0199, 100_000: 0.685, 1_000_000: 22.3, 10_000_000: 869.0},
        "flecs": {10_000: 0.0321, 100_000: 0.828, 1_000_000: 35.7, 10_000_000: 1090.0},
        "bare": {10_000: 0.00443, 100_000: 0.0726, 1_000_000: 1.95, 10_000_000: 46.1},
    },
)  # fmt: skip
def pairs_set_tenth(n: int) -> Contest:
    """Find n / 10 known pairs among n edges and set their weights; bound: the loop of the upsert,
    which finds them all."""
    edges = Edges(n, n_new=0)
    pairs, world = edges.world.pairs(Tie), edges.world

    def write() -> None:
        world.set(pairs.find(*edges.ends), TieState(weight=edges.weights))

    def write_bare() -> None:
        edges.meet(True)

    def verify() -> None:
        write(), write_bare()
        edges.check()

    return Contest({"world": Run(write)}, Run(write_bare), verify, rows=edges.k)
