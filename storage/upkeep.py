"""What a vector index does beside searching: build, fold in, take out, tune, restore.

A thread does it, which lives while there is something to do. It looks at the world's columns for a
millisecond at a time, under the world's moment, and changes the index that is searched only there;
everything long (k-means, finding lists, encoding) is done outside. So a step or a search waits for
a chunk, never for a job. With `background=False` the same is done by whoever searches next, on its
thread: then the index is a function of what happened, and not of when.

Invariants: a label whose vector lies in the index that is searched is in `labels.main`; one that is
on its way is in `labels.next`. A job that fails or is stopped leaves no index at all, or the one
before: what is searched is then exact, or as it was.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from populace.ecs import World
from populace.ecs.entities import Ids
from populace.ecs.errors import StructuralChangeError

from .dots import Array, Vectors, decode, queries
from .inverted import MOST_LISTS, SAMPLE_EACH, Inverted, Marks, marks_of, one_thread, trained
from .labels import Labeled, among, members
from .tuning import Truth, choose_probes, seconds_a_search

if TYPE_CHECKING:
    from .vectorfile import Kept
    from .vectors import VectorIndex

CHUNK = 4096
"""Vectors read at a time."""
ADDED = 1024
"""Vectors added at a time to an index that is searched."""
ASKED, OF_LATE = 128, 96
"""Queries that an index is tuned by, and how many of them may be such as were really asked."""
TIMED_ROWS = 8192
GROWN = 4
"""An index is trained anew when there are so many times the vectors that it was trained for."""
TUNED = 0.5
"""It is tuned anew when so many vectors, as a share of all, came or went since."""
REFUSED = 1.5
"""It is tried again when there are so many times the vectors for which it was no gain."""
DRIFT = 1.2
"""It is trained anew when new vectors lie so many times as far from their centroids."""
JUDGED = 0.05
"""Drift is judged by so many new vectors, as a share of what it was trained for."""
PAUSE_S = 0.0005

Job = Callable[[], None]


class Stopped(Exception):
    """The index was closed, or its world is gone."""


class Upkeep:
    """See the module. One for each `VectorIndex`.

    failure: what a job raised; then nothing is done any more until `again`.
    """

    def __init__(self, index: VectorIndex) -> None:
        self.index = index
        self.failure: Exception | None = None
        self.stopped = False
        self.kept: Kept | None = None
        self._refused_at = 0  # vectors of which an inverted file was no gain
        self._tuned_at = 0  # changes
        self._drift = 0.0, 0  # sum of cosines to centroids, and of how many
        self._forced = False
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    # -- when ------------------------------------------------------------------------------------

    def due(self) -> Job | None:
        """What is to be done next."""
        labels, main, chosen = self.index.labels, self.index.main, self.index.options
        if self.failure is not None or self.stopped:
            return None
        if self.kept is not None:
            return self._restore
        n = labels.n_live
        if main is None:
            enough = n >= max(chosen.flat_below, 2, self._refused_at * REFUSED)
            return self._build if enough or (self._forced and n > 1) else None
        if n < chosen.flat_below // 2:
            return self._drop
        if self._forced or n >= GROWN * main.n_trained or self._has_drifted(main):
            return self._build
        if labels.n_dead > chosen.dead_share * labels.n_main:
            return self._take_out
        if labels.n_tail > chosen.tail_limit:
            return self._fold
        return self._tune if main.changes - self._tuned_at >= TUNED * max(n, 1) else None

    def tell(self) -> None:
        """Something has changed: see to it that what is due is done."""
        if not self.index.options.background or self.due() is None:
            return
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._work, name="populace-vectors", daemon=True)
            try:
                thread.start()  # it waits for `_starting`
            except RuntimeError as error:  # there are as many threads as there may be
                self.failure = bare(error)
                return
            self._thread = thread
            _at_work.add(self)

    def run_due(self) -> None:
        """Do what is due on this thread, all of it."""
        try:
            with one_thread():
                while (job := self.due()) is not None:
                    self._run(job)
        except Exception as error:  # FAISS cannot be loaded
            self._fail(error)

    def again(self) -> None:
        """Forget a failure, and build anew."""
        self.failure, self._refused_at, self._forced = None, 0, True
        self.tell()

    def wait(self) -> None:
        """Until nothing is due. Raises StructuralChangeError inside a step, which it would have to
        wait for."""
        if not self.index.options.background:
            return
        if self.index.require_world().store.is_inside():
            raise StructuralChangeError(
                "the upkeep of a vector index waits for the step to end, so a step cannot wait for "
                "it; call wait() between steps"
            )
        self.tell()
        while (thread := self._started()) is not None:
            thread.join()

    def _started(self) -> threading.Thread | None:
        with self._starting:
            return self._thread

    @property
    def busy(self) -> bool:
        """Whether a thread is at work."""
        return self._started() is not None

    def stop(self, patience_s: float | None = None) -> None:
        """Do nothing any more; wait until that is so, unless this thread is what it waits for."""
        self.stopped = True
        thread, world = self._started(), self.index.world
        inside = world is not None and world.store.is_inside()
        if thread is not None and thread is not threading.current_thread() and not inside:
            thread.join(patience_s)

    def _work(self) -> None:
        """The thread."""
        try:
            with one_thread():
                while (job := self._next()) is not None:
                    self._run(job)
        except Exception as error:  # FAISS cannot be loaded
            self._fail(error)
            self._next()

    def _next(self) -> Job | None:
        """What the thread is to do; where that is nothing, it is no more."""
        with self._starting:
            job = self.due()
            if job is None:
                self._thread = None
                _at_work.discard(self)
            return job

    def _run(self, job: Job) -> None:
        try:
            job()
        except Stopped:
            self.stopped = True
            world = self.index.world
            if world is not None:
                with world.store.moment:
                    self.index.labels.break_promises()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """The world goes on, searched exactly; the next search says so."""
        world = self.index.world
        if world is None:
            self.stopped = True
            return
        with world.store.moment:
            self.failure = bare(error)
            self.index.main = None
            self.index.labels.empty()

    def _progress(self) -> None:
        """Let others have their turn. Raises Stopped."""
        if self.stopped or self.index.world is None:
            raise Stopped
        if self.index.options.background:
            time.sleep(PAUSE_S)

    def _world(self) -> World:
        world = self.index.world
        if world is None:
            raise Stopped
        return world

    # -- jobs ------------------------------------------------------------------------------------

    def _drop(self) -> None:
        """Too few are left for an index to be worth it."""
        with self._world().store.moment:
            self.index.main = None
            self.index.labels.empty()

    def _build(self) -> None:
        """Train an inverted file, put everything in, and search it if that is worth it."""
        forced, self._forced = self._forced, False
        chosen, labels = self.index.options, self.index.labels
        with self._world().store.moment:
            everything = members(labels.live)
        n_lists = chosen.lists or list_count(everything.size)
        if everything.size < n_lists:
            self._refuse()
            return
        some = spread(everything, min(everything.size, SAMPLE_EACH * n_lists))
        sample = np.concatenate([units for _, units, *_ in self._read_all(some)])
        if len(sample) < n_lists:  # the others have died since: see what is due now
            self._forced = forced
            return
        new = trained(sample, n_lists, chosen.seed, self._progress)
        del sample
        truth = self._truth(everything)
        total = 0.0
        for held, units, stored_marks, _ in self._read_all(everything, promise=True):
            lists, nearness = new.assign(units)
            new.add(units, held, lists, stored_marks)
            truth.feed(held, units)
            self._catch_up(truth)
            total += float(nearness.sum(dtype=np.float64))
        new.n_trained, new.nearness = len(new), total / max(1, len(new))
        worth = self._choose(new, truth)
        if worth and chosen.background:
            worth = seconds_a_search(new, truth) < self._seconds_flat(truth)
        with self._world().store.moment:
            if worth:
                self.index.main = new
                labels.replace()
            else:
                self._refuse()
            self._tuned_at, self._drift = new.changes, (0.0, 0)

    def _refuse(self) -> None:
        """An inverted file is no gain, until there are many more vectors."""
        with self._world().store.moment:
            self.index.main, self._refused_at = None, self.index.labels.n_live
            self.index.labels.empty()

    def _restore(self) -> None:
        """Put everything in the lists that a file names, where it still has the same vector."""
        kept, self.kept = self.kept, None
        assert kept is not None
        labels, new = self.index.labels, kept.inverted()
        with self._world().store.moment:
            found = labels.of(kept.ids)
        known = np.flatnonzero(found >= 0)
        known = known[np.argsort(found[known])]
        for begin in range(0, known.size, CHUNK):
            places = known[begin : begin + CHUNK]
            for held, units, stored_marks, _ in self._read_all(found[places], promise=True):
                at = places[np.searchsorted(found[places], held)] if held.size else places[:0]
                same = stored_marks == kept.marks[at]
                same &= labels.entity_of[held] == kept.ids[at]
                with self._world().store.moment:
                    labels.withdraw(held[~same])
                lists = kept.lists[at][same].astype(np.int64)
                new.add(np.ascontiguousarray(units[same]), held[same], lists, stored_marks[same])
        with self._world().store.moment:
            self.index.main = new
            labels.replace()
            self._tuned_at = new.changes

    def _take_out(self) -> None:
        """Take the dead out. The world stands still for it: 9 ms for 1M."""
        with self._world().store.moment:
            main = self.index.main
            if main is not None:
                main.remove(self.index.labels.remove_dead())

    def _fold(self) -> None:
        """Put the tail into the index that is searched."""
        labels, main = self.index.labels, self.index.main
        assert main is not None
        with self._world().store.moment:
            tail = labels.tail()
        total, n = self._drift
        for held, units, stored_marks, fresh in self._read_all(tail, promise=True, size=ADDED):
            lists, nearness = main.assign(units)
            with self._world().store.moment:
                main.add(units, held, lists, stored_marks)
                labels.settle(held, fresh)
            total, n = total + float(nearness.sum(dtype=np.float64)), n + held.size
        self._drift = total, n

    def _tune(self) -> None:
        """Choose the number of lists anew, and train anew where none is good enough."""
        labels, main = self.index.labels, self.index.main
        assert main is not None
        with self._world().store.moment:
            everything = members(labels.live & labels.main)
        truth = self._truth(everything)
        for held, units, *_ in self._read_all(everything):
            truth.feed(held, units)
            self._catch_up(truth)
        self._tuned_at = main.changes
        reached = self._choose(main, truth)
        self._forced = not reached and labels.n_live > REFUSED * main.n_trained

    def _choose(self, main: Inverted, truth: Truth) -> bool:
        """Choose the number of lists; return whether the target is reached."""

        def progress() -> None:
            self._progress()
            truth.drop(self.index.labels.live)

        return choose_probes(main, truth, self._read, self.index.options.recall, progress)

    def _catch_up(self, truth: Truth) -> None:
        """In the middle of a long job: keep the index that is searched as it should be."""
        labels, chosen = self.index.labels, self.index.options
        if self.index.main is None:
            return
        if labels.n_dead > chosen.dead_share * labels.n_main:
            with self._world().store.moment:
                truth.drop(labels.live)  # before another has their labels
                self._take_out()
        if labels.n_tail > chosen.tail_limit:
            self._fold()

    def _has_drifted(self, main: Inverted) -> bool:
        """Whether new vectors lie farther from their centroids than those it was trained by."""
        total, n = self._drift
        if n < max(1000, JUDGED * main.n_trained):
            return False
        return 1 - total / n > DRIFT * (1 - main.nearness) + 1e-6

    # -- reading ---------------------------------------------------------------------------------

    def _read_all(
        self, labels: Labeled, promise: bool = False, size: int = CHUNK
    ) -> Iterator[tuple[Labeled, Vectors, Marks, Labeled]]:
        """(labels that are live, their unit vectors, their marks, those newly promised), so many at
        a time.

        promise: hold each label from when it is read.
        """
        held = self.index.labels
        for begin in range(0, labels.size, size):
            self._progress()
            part = labels[begin : begin + size]
            world = self._world()
            with world.store.moment:
                part = np.sort(part[among(part, held.live)])
                fresh = held.promise(part) if promise else part[:0]
                stored, scale = self.index.columns.read(world, held.entity_of[part])
            del world
            yield part, decode(stored, scale), marks_of(stored), fresh

    def _read(self, labels: Labeled) -> tuple[Array, Vectors]:
        """Which labels are live, and the unit vectors of all, zeros of those that are not."""
        held, world = self.index.labels, self._world()
        with world.store.moment:
            live = among(labels, held.live)
            ids: Ids = held.entity_of[labels[live]]
            stored, scale = self.index.columns.read(world, ids)
        units = np.zeros((labels.size, stored.shape[1]), np.float32)
        units[live] = decode(stored, scale)
        return live, units

    def _truth(self, labels: Labeled) -> Truth:
        """What to tune by: some of these labels' vectors, and what was asked of late."""
        asked = self.index.recent(OF_LATE)
        some = spread(labels, ASKED - len(asked))
        live, units = self._read(some)
        return Truth(
            np.concatenate([units[live], asked]),
            np.concatenate([some[live], np.full(len(asked), -1)]),
        )

    def _seconds_flat(self, truth: Truth) -> float:
        """How long an exact search of everything would take."""
        if not len(truth.asked):
            return 0.0
        world = self._world()
        asked, columns = queries(truth.asked.unit_qd[:1]), self.index.columns
        taken = []
        for _ in range(5):
            self._progress()
            with world.store.moment:
                begin = time.perf_counter()
                seen = columns.nearest(world, asked, 10, TIMED_ROWS).compared
                taken.append((time.perf_counter() - begin) / max(1, seen))
        return float(np.median(taken)) * self.index.labels.n_live


def bare(error: Exception) -> Exception:
    """An error without the frames that it came through: they hold the world."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    return error


def list_count(n: int) -> int:
    """How many lists are good for n vectors: about 4 √n, a power of two, at most MOST_LISTS."""
    return int(min(2 ** round(np.log2(4 * np.sqrt(max(n, 1)))), MOST_LISTS, max(1, n // 4)))


def spread(labels: Labeled, k: int) -> Labeled:
    """At most k of some labels, evenly."""
    if k >= labels.size:
        return labels
    return labels[np.linspace(0, labels.size - 1, k).astype(np.int64)]


_at_work: WeakSet[Upkeep] = WeakSet()


@atexit.register
def _stop_all() -> None:
    """A thread in the middle of FAISS would crash a process that ends."""
    for upkeep in list(_at_work):
        upkeep.stop(patience_s=20)
