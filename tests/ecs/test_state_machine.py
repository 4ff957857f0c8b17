"""Random programs against `model.Model`: after every step the world is consistent and holds exactly
what the model holds. A call that the model calls wrong raises one of the errors that the model
names, and leaves the digest and the raw bytes of the world as they were.
"""

import copy

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from populace import Entity, Text, World, event, f4, field
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    DeadEntityError,
    DuplicateComponentError,
    DuplicateEntityError,
    QueryError,
    ReferencedEntityError,
    StaleViewError,
    UnknownComponentError,
    UnknownFieldError,
    UntrackedError,
)
from populace.ecs.reclaim import live_texts

from .model import (
    DEFAULTS,
    DTYPES,
    EVERY,
    NOBODY,
    REFERENCES,
    Asleep,
    Body,
    Hungry,
    Mind,
    Model,
    Mood,
    Said,
    Shape,
    Tie,
    Weight,
)
from .parts import raw_state

STEPS = 50


@event
class Contact:
    a: Entity
    b: Entity = 0
    weight: f4 = field(1.0, range=(-100, 100))
    note: Text = ""


WORDS = ["", "tea", "bread", "naïve 茶", "a\0b", "hello"]
GOOD = {
    "f4": [0.0, -0.0, 1, 0.1, -100, 99.5, np.float64(3.25)],
    "f8": [0.0, -0.0, 1e300, 5e-324, -7, np.float32(0.1)],
    "i2": [0, 1, -9, 1000, np.int64(77), np.uint8(3)],
    "i8": [0, -1, 2**62, -(2**63)],
    "?": [True, False],
    "text": WORDS,
    "enum": [Mood.GLAD, Mood.CALM, "angry", "GLAD", 200, np.uint8(3)],
    "3f4": [(0.0, 1.0, 2.0), (0.5, -0.0, 1e30), (3, 2, 1)],
    "5i1": [(1, 2, 3, 4, 5), (-128, 127, 0, 0, 9)],
}
BAD = {
    "f4": [(float("nan"), ColumnValueError), (100.5, ColumnValueError), (True, ColumnTypeError)],
    "f8": [(float("inf"), ColumnValueError), ("1", ColumnTypeError), (None, ColumnTypeError)],
    "i2": [(40_000, ColumnValueError), (-10, ColumnValueError), (1.5, ColumnTypeError)],
    "i8": [(0.0, ColumnTypeError), (2**63, ColumnValueError)],
    "?": [(1, ColumnTypeError), ("yes", ColumnTypeError)],
    "text": [(5, ColumnTypeError), (b"tea", ColumnTypeError), (np.uint32(9999), ColumnValueError)],
    "enum": [(4, ColumnValueError), ("sad", ColumnValueError), (0.0, ColumnTypeError)],
    "3f4": [((1.0, 2.0), ColumnShapeError), ((1.0, 2.0, np.nan), ColumnValueError)],
    "5i1": [((1, 2, 3, 4, 128), ColumnValueError), ((1.0,) * 5, ColumnTypeError)],
    "id": [(-1, ColumnValueError), (1.0, ColumnTypeError)],
}
KEYS = [Mind.owner, Body.x, Body.hits, Said.mood, Weight.note]
MISUSE = [  # (error, call), for any world and any living id
    (DuplicateComponentError, lambda world, one: world.spawn(2, Asleep, Asleep)),
    (DuplicateComponentError, lambda world, one: world.add(one, Hungry, Hungry)),
    (DuplicateComponentError, lambda world, one: world.set(one, Body(y=1), Body(y=2))),
    (DuplicateEntityError, lambda world, one: world.despawn([one, one])),
    (ColumnShapeError, lambda world, one: world.despawn([[one]])),
    (ColumnShapeError, lambda world, one: world.spawn(-1, Asleep)),
    (ColumnTypeError, lambda world, one: world.despawn([1.5])),
    (UnknownFieldError, lambda world, one: world.spawn(Body(x=1, z=2))),
    (UnknownFieldError, lambda world, one: world.set(one, Shape(cache=1))),
    (UnknownComponentError, lambda world, one: world.add(one, 7.5)),
    (UnknownComponentError, lambda world, one: world.spawn(Contact(a=0))),
    (UntrackedError, lambda world, one: world.changed_since(0, Hungry)),
    (QueryError, lambda world, one: world.index(Mind.about)),
    (QueryError, lambda world, one: world.pairs(Body)),
    (DuplicateComponentError, lambda world, one: world.query(Body, Body)),
    (QueryError, lambda world, one: world.query(Body).where([0])),
    (QueryError, lambda world, one: world.query(Body).where([True] * 1000)),
    (DeadEntityError, lambda world, one: world.entity(NOBODY)),
    (DeadEntityError, lambda world, one: world.get([one, one + 2**32], Body.x)),
]


def stored(kind, value):
    """What a value is once it is in a column."""
    if kind == "text":
        return value
    if kind == "enum":
        return int(Mood[value.upper()]) if isinstance(value, str) else int(value)
    if kind == "id":
        return int(value)
    if kind[0].isdigit():
        return tuple(np.array(value, np.dtype(kind[1:])).tolist())
    return np.array(value, np.dtype(kind)).item()


def rarely(data, n):
    """True about once in n times, and never once hypothesis has made it simple."""
    return data.draw(st.integers(0, n)) == n // 2 + 1


class Programs(RuleBasedStateMachine):
    """The rules. `data` draws what a rule needs, in the light of what is alive."""

    # -- drawing -----------------------------------------------------------------------------------

    def some_ids(self, data, at_most=4, wrong=True, among=None):
        """Distinct living ids; now and then one that is dead, or one twice."""
        alive = sorted(self.model.rows if among is None else among)
        draw = st.lists(st.sampled_from(alive), max_size=at_most, unique=True)
        ids = data.draw(draw) if alive else []
        if rarely(data, 8):
            ids = alive
        if wrong and rarely(data, 15):
            more = self.model.dead_ids() + ids
            ids.insert(data.draw(st.integers(0, len(ids))), data.draw(st.sampled_from(more)))
        return ids

    def column(self, data, kind, n, wrong):
        """(what is given, the n values that it stands for, the error that it deserves or None)."""
        if kind == "id":
            choice = [NOBODY, *sorted(self.model.rows)]
            if wrong and rarely(data, 25):
                value = data.draw(st.sampled_from(self.model.dead_ids()))
                return value, [value] * n, DeadEntityError if value else None
        else:
            choice = GOOD[kind]
        one = st.sampled_from(choice)
        form = data.draw(st.sampled_from(["scalar", "list", "array"]))
        if wrong and rarely(data, 50):
            value, error = data.draw(st.sampled_from(BAD[kind]))
            return value, [stored(kind, choice[0])] * n, error
        if wrong and rarely(data, 50):
            values = data.draw(st.lists(one, min_size=n + 1, max_size=n + 1))
            return (
                values * 2 if kind[0].isdigit() else values,
                [stored(kind, choice[0])] * n,
                ColumnShapeError,
            )
        if form == "scalar":
            value = data.draw(one)
            return value, [stored(kind, value)] * n, None
        values = data.draw(st.lists(one, min_size=n, max_size=n))
        plain = [stored(kind, value) for value in values]
        if form == "list" and (n or not kind[0].isdigit()):
            return values, plain, None
        if kind == "text":
            codes = data.draw(st.booleans())
            return self.world.text.intern(plain) if codes else np.array(plain, "U9"), plain, None
        dtype = {"enum": "u1", "id": "u8"}.get(kind, kind[1:] if kind[0].isdigit() else kind)
        array = np.array(plain, dtype)
        return array.reshape(n, int(kind[0])) if kind[0].isdigit() else array, plain, None

    def given(self, data, components, n, wrong=True, partial=False):
        """(arguments of a call, the same for the model, errors of the values)."""
        arguments, plain, errors = [], {}, set()
        for cls in components:
            fields, plain[cls] = {}, {}
            for name, kind in DTYPES[cls].items():
                needed = name not in DEFAULTS[cls] and not partial
                if needed and not (wrong and rarely(data, 30)):
                    give = True
                else:
                    give = not needed and data.draw(st.booleans())
                if give:
                    fields[name], plain[cls][name], error = self.column(data, kind, n, wrong)
                    if error:
                        errors.add(error)
            arguments.append(cls(**fields) if fields or data.draw(st.booleans()) else cls)
        return arguments, plain, errors

    def some_components(self, data, at_least=1, at_most=3, among=EVERY):
        return data.draw(
            st.lists(st.sampled_from(among), min_size=at_least, max_size=at_most, unique=True)
        )

    def attempt(self, errors, call):
        """Make the call; when errors are due, one of them comes and nothing has changed."""
        if not errors:
            return call()
        before = raw_state(self.world)
        with pytest.raises(tuple(errors)) as caught:
            call()
        assert type(caught.value) in errors
        after = raw_state(self.world)
        assert before == after, [part for part in before if before[part] != after[part]]
        return None

    # -- the beginning -----------------------------------------------------------------------------

    @initialize(n=st.sampled_from([0, 1, 2, 5, 8, 12, 70]))
    def begin(self, n):
        self.world, self.model = World(seed=3, debug=False), Model()
        self.marks = [(0, 0)]
        self.kept = []
        self.events, self.held_from, self.before_step, self.readers = [], 0, 0, []
        self.queued, self.clock = [], 0
        self.seen = {Body: set(), Hungry: set(), Mind: set()}
        for cls in self.seen:
            self.world.observe("add", cls, lambda _, ids, cls=cls: self.told(cls, ids, True))
            self.world.observe("remove", cls, lambda _, ids, cls=cls: self.told(cls, ids, False))
        for cls in (Body, Mind, Said, Shape):
            self.world.track(cls)
            self.model.track(cls)
        if n:
            xs = [float(i) for i in range(n)]
            assert self.world.spawn(Body(x=xs)).tolist() == self.model.spawn({Body: {"x": xs}}, n)

    def told(self, cls, ids, gained):
        """An observer: what it is told adds up to who has the component."""
        assert self.world.has(ids, cls).all()
        told = set(ids.tolist())
        assert len(told) == ids.size
        assert self.seen[cls].isdisjoint(told) if gained else told <= self.seen[cls]
        self.seen[cls] ^= told

    # -- by ids ------------------------------------------------------------------------------------

    @rule(data=st.data(), n=st.integers(0, 5))
    def spawn(self, data, n):
        components = self.some_components(data, at_least=0)
        arguments, plain, errors = self.given(data, components, n)
        errors |= self.model.errors_of_spawn(plain, n)
        ids = self.attempt(errors, lambda: self.world.spawn(n, *arguments))
        if not errors:
            assert ids.dtype == np.uint64
            assert ids.tolist() == self.model.spawn(plain, n)

    @rule(data=st.data())
    def despawn(self, data):
        ids = self.some_ids(data)
        errors = self.model.errors_of_despawn(ids)
        gone = self.attempt(errors, lambda: self.world.despawn(ids))
        if not errors:
            assert gone == self.model.despawn(ids)

    @rule(data=st.data())
    def add(self, data):
        components = self.some_components(data)
        ids = self.some_ids(data)
        if data.draw(st.booleans()):
            ids = [i for i in ids if components[0] not in self.model.rows.get(i, ())]
        arguments, plain, errors = self.given(data, components, len(ids))
        errors |= self.model.errors_of_add(ids, plain)
        self.attempt(errors, lambda: self.world.add(ids, *arguments))
        if not errors:
            self.model.add(ids, plain)

    @rule(data=st.data())
    def remove(self, data):
        components = self.some_components(data, at_most=2)
        ids = self.some_ids(data, among=self.model.with_(*components))
        errors = self.model.errors_of_remove(ids, components)
        self.attempt(errors, lambda: self.world.remove(ids, *components))
        if not errors:
            self.model.remove(ids, components)

    @rule(data=st.data())
    def set(self, data):
        components = self.some_components(data, at_most=2)
        fitting = None if rarely(data, 10) else self.model.with_(*components)
        ids = self.some_ids(data, among=fitting)
        arguments, plain, errors = self.given(data, components, len(ids), partial=True)
        if plain.get(Tie):
            errors.add(QueryError)  # the ends of an edge are fixed for life
        errors |= self.model.errors_of_set(ids, plain)
        self.attempt(errors, lambda: self.world.set(ids, *arguments))
        if not errors:
            self.model.set(ids, plain)

    # -- by query ----------------------------------------------------------------------------------

    @rule(data=st.data())
    def query(self, data):
        """A query or a selection of it: its ids and what is done to them all."""
        fetch = self.some_components(data, at_most=2)
        rest = [c for c in EVERY if c not in fetch]
        without = self.some_components(data, 0, 1, rest)
        either = self.some_components(data, 0, 2, [c for c in rest if c not in without])
        optional = self.some_components(data, 0, 1, [c for c in rest if c not in without])
        query = self.world.query(
            *fetch, without=tuple(without), any=tuple(either), optional=tuple(optional)
        )
        matching = self.model.with_(*fetch, without=without)
        if either:
            matching = {i for i in matching if any(c in self.model.rows[i] for c in either)}
        ids = query.ids().tolist()
        assert set(ids) == matching
        assert len(ids) == query.count() == len(matching)
        for views in query:
            parts = views if isinstance(views, tuple) else (views,)
            if optional:
                has = {optional[0] in self.model.rows[i] for i in parts[0].ids.tolist()}
                assert has == {parts[-1] is not None}
        form = data.draw(st.sampled_from(["all", "mask", "callable"]))
        if form != "all":
            chosen = data.draw(st.lists(st.booleans(), min_size=len(ids), max_size=len(ids)))
            mask = np.array(chosen, np.bool_)
            keep = np.array([i for i, kept in zip(ids, chosen, strict=True) if kept], np.uint64)
            query = query.where(mask if form == "mask" else lambda *v: np.isin(v[0].ids, keep))
            ids = keep.tolist()
            assert query.ids().tolist() == ids
        self.act_on(data, query, ids, fetch)

    def act_on(self, data, query, ids, fetch):
        act = data.draw(
            st.sampled_from(["nothing", "set", "set", "add", "add", "remove", "despawn"])
        )
        if act == "set":
            arguments, plain, errors = self.given(data, fetch, len(ids), partial=True)
            if plain.get(Tie):
                errors.add(QueryError)
            errors |= self.model.errors_of_set(ids, plain)
            done = self.attempt(errors, lambda: query.set(*arguments))
            if not errors:
                assert done == len(ids)
                self.model.set(ids, plain)
        elif act == "add":
            components = self.some_components(data, 1, 2)
            arguments, plain, errors = self.given(data, components, len(ids))
            errors |= self.model.errors_of_add(ids, plain)
            self.attempt(errors, lambda: query.add(*arguments))
            if not errors:
                self.model.add(ids, plain)
        elif act == "remove":
            components = self.some_components(data, 1, 1, fetch)
            errors = self.model.errors_of_remove(ids, components)
            self.attempt(errors, lambda: query.remove(*components))
            if not errors:
                self.model.remove(ids, components)
        elif act == "despawn":
            errors = self.model.errors_of_despawn(ids)
            gone = self.attempt(errors, query.despawn)
            if not errors:
                assert gone == self.model.despawn(ids)

    # -- texts -------------------------------------------------------------------------------------

    @rule()
    def reclaim_texts(self):
        """No string is lost that something holds; what nothing holds is free, and given again."""
        before, pool = set(self.world.text.strings), self.world.text
        done = self.world.reclaim_texts()
        assert done == len(before) - len(set(self.world.text.strings))
        assert (self.world.text is pool) == (done == 0)
        assert self.world.reclaim_texts() == 0
        live = live_texts(self.world)
        assert np.flatnonzero(~live).tolist() == self.world.text.free.tolist()

    # -- edges -------------------------------------------------------------------------------------

    @rule(data=st.data(), k=st.integers(0, 6), touch_known=st.booleans())
    def edges(self, data, k, touch_known):
        """Upsert and ensure, from batches that repeat pairs."""
        alive = sorted(self.model.rows)[:4]
        if not alive:
            return
        source = data.draw(st.lists(st.sampled_from(alive), min_size=k, max_size=k))
        target = data.draw(st.lists(st.sampled_from(alive), min_size=k, max_size=k))
        if k and rarely(data, 15):
            source[-1] = data.draw(st.sampled_from(self.model.dead_ids()))
        arguments, plain, errors = self.given(
            data, [Weight] if data.draw(st.booleans()) else [], k, partial=True
        )
        weights = plain.get(Weight)
        errors |= self.model.errors_of_edges(source, target, weights, touch_known)
        call = self.world.upsert if touch_known else self.world.ensure
        tie = Tie(source=np.array(source, np.uint64), target=np.array(target, np.uint64))
        made = self.attempt(errors, lambda: call(tie, *arguments))
        if not errors:
            ids, created = self.model.edges(source, target, weights, touch_known)
            assert made[0].tolist() == ids
            assert made[1].tolist() == created

    # -- columns -----------------------------------------------------------------------------------

    @rule(data=st.data(), cls=st.sampled_from([Body, Shape, Weight]))
    def write_raw(self, data, cls):
        """numpy writes into a column, past the engine; arrays are kept for later."""
        name = data.draw(st.sampled_from(sorted(DTYPES[cls])))
        kind = DTYPES[cls][name]
        if kind == "text":
            return
        for view in self.world.query(cls):
            array = getattr(view, name)
            self.kept.append((array, view.ids.tolist(), cls, name))
            if data.draw(st.booleans()):
                self.write_into(data, self.kept[-1])

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def write_later(self, data):
        """An array kept aside either writes through or is read-only: no write is ever lost."""
        kept = data.draw(st.sampled_from(self.kept[-6:]))
        if kept[0].flags.writeable:
            self.write_into(data, kept)
        else:
            with pytest.raises(ValueError, match="read-only"):
                kept[0][...] = 0

    def write_into(self, data, kept):
        array, ids, cls, name = kept
        kind = DTYPES[cls][name]
        rows = data.draw(st.lists(st.integers(0, len(ids) - 1), max_size=3, unique=True))
        for row in rows:
            value = data.draw(st.sampled_from(GOOD[kind]))
            array[row] = value
            self.model.write(ids[row], cls, name, stored(kind, value))

    @rule(data=st.data(), cls=st.sampled_from([Body, Said, Shape, Mind, Weight]))
    def assign(self, data, cls):
        """Assignment to a view's field: checked, then written."""
        free = [name for name in DTYPES[cls] if (cls, name) not in REFERENCES]
        name = data.draw(st.sampled_from(free))
        for view in self.world.query(cls):
            ids = view.ids.tolist()
            raw, plain, error = self.column(data, DTYPES[cls][name], len(ids), True)
            if DTYPES[cls][name] == "id":
                raw, plain, error = NOBODY, [NOBODY] * len(ids), None
            self.attempt({error} - {None}, lambda v=view, r=raw: setattr(v, name, r))
            if not error:
                self.model.set(ids, {cls: {name: plain}})

    @rule()
    def stale_view(self):
        """A view made before a structural change of its table says so; the others read on."""
        views = [(view, view.ids.tolist()) for view in self.world.query(Body)]
        born = self.world.spawn(Body(x=[0.0]))
        assert born.tolist() == self.model.spawn({Body: {"x": [0.0]}}, 1)
        for view, ids in views:
            if set(self.model.rows[ids[0]]) == {Body}:
                with pytest.raises(StaleViewError):
                    _ = view.x
            else:
                assert view.x.size == len(ids)

    # -- changes -----------------------------------------------------------------------------------

    @rule(data=st.data(), mark=st.sampled_from([True, False, False]))
    def history(self, data, mark):
        """A new mark, or the question what has changed since one, and since the last."""
        if mark:
            self.marks.append((self.world.mark(), self.model.mark()))
            return
        for theirs, ours in (data.draw(st.sampled_from(self.marks)), self.marks[-1]):
            for cls in self.model.tracked:
                must, may = self.model.changed_since(ours, cls)
                ids = self.world.changed_since(theirs, cls)
                assert (np.diff(ids.astype(np.int64)) > 0).all()
                assert must <= set(ids.tolist()) <= may, cls

    # -- events ------------------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["emit", "read", "new"]))
    def some_events(self, data, what):
        if what == "emit":
            self.emit(data, data.draw(st.integers(0, 4)))
        elif what == "new" and len(self.readers) < 3:
            self.readers.append([self.world.events(Contact), self.held_from])
        elif self.readers:
            self.read(data.draw(st.integers(0, len(self.readers) - 1)))

    def emit(self, data, n):
        someone = st.sampled_from([NOBODY, *sorted(self.model.rows)])
        ends = data.draw(st.lists(someone, min_size=n, max_size=n))
        fields, plain, errors = {"a": np.array(ends, np.uint64)}, {"a": ends}, set()
        for name, kind in {"b": "id", "weight": "f4", "note": "text"}.items():
            plain[name] = [{"b": 0, "weight": 1.0, "note": ""}[name]] * n
            if data.draw(st.booleans()):
                fields[name], plain[name], error = self.column(data, kind, n, True)
                errors |= {error} - {None}
        if any(i and i not in self.model.rows for i in plain["b"]):
            errors.add(DeadEntityError)
        done = self.attempt(errors, lambda: self.world.emit(Contact(**fields)))
        if not errors:
            assert done == n
            self.events += zip(*plain.values(), strict=True)

    def read(self, place):
        """A reader gets each event once, in order, from the first that was held when it came."""
        reader, cursor = self.readers[place]
        assert len(reader) == len(self.events) - cursor
        batch = reader.read()
        notes = self.world.text.decode(batch.note)
        columns = (batch.a.tolist(), batch.b.tolist(), batch.weight.tolist(), notes)
        assert list(zip(*columns, strict=True)) == self.events[cursor:]
        assert len(batch) == len(self.events) - cursor
        self.readers[place][1] = len(self.events)

    # -- commands and time -------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["queue", "sync", "step"]))
    def waiting(self, data, what):
        """Despawns that wait: whatever died meanwhile is passed over."""
        if what == "queue":
            ids = self.some_ids(data, wrong=False)
            self.world.commands.despawn(ids)
            self.queued.append(ids)
            return
        self.sync()
        if what == "step":
            self.model.mark()
            self.pass_time(data.draw(st.integers(0, 3)))

    def sync(self):
        """A command that fails is dropped, and what stands behind it still waits."""
        while self.queued:
            ids = [i for i in self.queued.pop(0) if i in self.model.rows]
            if self.model.errors_of_despawn(ids):
                with pytest.raises(ReferencedEntityError):
                    self.world.sync()
            else:
                self.model.despawn(ids)
        self.world.sync()

    @rule(data=st.data(), n=st.integers(1, 4), by_step=st.booleans())
    def commands(self, data, n, by_step):
        """A few commands that build on each other, then a sync point."""
        self.sync()
        plan, pending = copy.deepcopy(self.model), []
        if by_step:
            plan.mark()
        for _ in range(n):
            self.command(data, plan, pending)
        if by_step:
            self.pass_time(1)
        else:
            self.world.sync()
        for made, ids in pending:
            assert made.ids.tolist() == ids
        self.model = plan

    def command(self, data, plan, pending):
        act = data.draw(st.sampled_from(["spawn", "spawn", "despawn", "add", "remove", "set"]))
        commands = self.world.commands
        if act == "spawn":
            n = data.draw(st.integers(1, 3))
            components = self.some_components(data, 0, 2, [c for c in EVERY if c is not Mind])
            arguments, plain, _ = self.given(data, components, n, wrong=False)
            if pending and data.draw(st.booleans()):  # who names what does not exist yet
                owner, ids = pending[-1]
                n, arguments, plain = owner.n, [Mind(owner=owner)], {Mind: {"owner": ids}}
            if not plan.errors_of_spawn(plain, n):
                pending.append((commands.spawn(n, *arguments), plan.spawn(plain, n)))
            return
        ids = target = self.some_ids(data, wrong=False)
        if pending and data.draw(st.booleans()):
            target, ids = data.draw(st.sampled_from(pending))
        components = self.some_components(data, 1, 2)
        arguments, plain, _ = self.given(data, components, len(ids), False, act == "set")
        if not ids or plan.errors_of_references(plain):
            return
        left = [j for j, i in enumerate(ids) if i in plan.rows]
        ids = [ids[j] for j in left]
        plain = {
            c: {name: [values[j] for j in left] for name, values in fields.items()}
            for c, fields in plain.items()
        }
        if act == "despawn" and not plan.errors_of_despawn(ids):
            commands.despawn(target)
            plan.despawn(ids)
        elif act == "add" and not plan.errors_of_add(ids, plain):
            commands.add(target, *arguments)
            plan.add(ids, plain)
        elif act == "remove" and not plan.errors_of_remove(ids, components):
            commands.remove(target, *components)
            plan.remove(ids, components)
        elif act == "set" and not plan.errors_of_set(ids, plain) and not plain.get(Tie):
            commands.set(target, *arguments)
            plan.set(ids, plain)

    def pass_time(self, dt):
        self.world.step(dt)
        cursors = [cursor for _, cursor in self.readers]
        self.held_from = min(cursors) if cursors else self.before_step
        self.before_step = len(self.events)

    # -- storage of rows, and misuse ---------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["cluster", "reserve", "shrink", "track", "let go"]))
    def housekeeping(self, data, what):
        """What moves rows, and changes nothing else."""
        before = self.world.digest()
        if what == "cluster":
            self.cluster(data.draw(st.sampled_from(KEYS)))
        elif what == "reserve":
            self.world.reserve(data.draw(st.integers(0, 40)), *self.some_components(data))
        elif what == "shrink":
            assert self.world.shrink() >= 0
        elif what == "track":
            self.world.track(Weight)
            self.model.track(Weight)
        else:
            self.kept.clear()
        assert self.world.digest() == before

    def cluster(self, field):
        self.world.cluster(field)
        for view in self.world.query(field.component):
            values = getattr(view, field.name)
            if field is Mind.owner:
                values = values & 0xFFFF_FFFF
            keys = list(zip(values.tolist(), (view.ids & 0xFFFF_FFFF).tolist(), strict=True))
            assert keys == sorted(keys)

    @precondition(lambda self: self.model.rows)
    @rule(data=st.data(), misuse=st.sampled_from(MISUSE))
    def misuse(self, data, misuse):
        """Calls that no world allows."""
        one = data.draw(st.sampled_from(sorted(self.model.rows)))
        error, call = misuse
        self.attempt({error}, lambda: call(self.world, one))

    # -- what always holds -------------------------------------------------------------------------

    @invariant()
    def consistent(self):
        self.world.check()

    @invariant()
    def same_as_model(self):
        world, model = self.world, self.model
        everyone = np.array(sorted(model.rows), np.uint64)
        assert len(world) == everyone.size
        assert world.alive(everyone).all()
        assert not world.alive(model.dead_ids()).any()
        for cls, kinds in DTYPES.items():
            ids = sorted(model.with_(cls))
            assert sorted(world.query(cls).ids().tolist()) == ids
            for name, kind in kinds.items():
                found = world.get(ids, getattr(cls, name))
                expected = [model.rows[i][cls][name] for i in ids]
                if kind == "text":
                    assert world.text.decode(found) == expected
                else:
                    same = np.array(expected, found.dtype).reshape(found.shape)
                    assert found.tobytes() == same.tobytes(), (cls.__name__, name)
        for cls, members in self.seen.items():
            assert members == model.with_(cls)

    @invariant()
    def same_references(self):
        world, model = self.world, self.model
        everyone = sorted(model.rows)
        for cls, name in REFERENCES:
            index = world.index(getattr(cls, name))
            members = {}
            for entity in model.with_(cls):
                members.setdefault(model.rows[entity][cls][name], []).append(entity)
            members.pop(NOBODY, None)
            assert index.count(everyone).tolist() == [len(members.get(i, ())) for i in everyone]
            for owner, named in members.items():
                assert sorted(index.ids(owner).tolist()) == sorted(named)
        pairs = model.pairs()
        some = everyone[:5]
        asked = [(a, b) for a in some for b in some] + list(pairs)
        found = world.pairs(Tie).find([a for a, _ in asked], [b for _, b in asked])
        assert found.tolist() == [pairs.get(pair, NOBODY) for pair in asked]


def test_programs():
    """Any sequence of calls leaves the world consistent and equal to the model; a wrong call
    raises the right error and changes nothing."""
    run_state_machine_as_test(Programs, settings=settings(stateful_step_count=STEPS))
