"""A world as plain dictionaries: what `test_state_machine` holds the real one against.

Slow, and made to be read. Every operation comes in two halves. `errors_of_...` gives the set of
error classes of which a world has to raise one, empty when the call is right; the method itself
then does what the call means. Ids are predicted too: the lowest free index first.
"""

import heapq
from enum import IntEnum

import numpy as np

from populace import Entity, Text, Vector, b1, component, f4, f8, field, i1, i2, i8
from populace.ecs.errors import (
    ComponentMissingError,
    ComponentPresentError,
    DeadEntityError,
    DuplicateEntityError,
    DuplicatePairError,
    MissingFieldError,
    ReferencedEntityError,
    RequiredComponentError,
)

NOBODY = 0


class Mood(IntEnum):
    CALM = 0
    GLAD = 3
    ANGRY = 200


@component
class Body:
    x: f4 = field(range=(-100, 100))
    y: f8 = 0.5
    hits: i2 = field(0, range=(-9, 1000))
    upright: b1 = True


@component
class Said:
    text: Text = "hello"
    mood: Mood = Mood.CALM
    other: Text = ""


@component
class Shape:
    vector: Vector[3] = 0
    code: Vector[5, i1] = 7
    cache: f4 = field(derived=True)


@component
class Asleep:
    pass


@component
class Hungry:
    pass


@component(requires=(Shape,))
class Mind:
    owner: Entity = field(index=True, on_despawn="despawn")
    friend: Entity = field(0, index=True, on_despawn="null")
    about: Entity = 0
    since: i8 = 0


@component
class Ward:
    guardian: Entity = field(index=True, on_despawn="forbid")


@component(unique=("source", "target"))
class Tie:
    source: Entity = field(index=True, on_despawn="despawn")
    target: Entity = field(index=True, on_despawn="despawn")


@component
class Weight:
    w: f4 = field(0, range=(-100, 100))
    note: Text = ""


DTYPES = {
    Body: {"x": "f4", "y": "f8", "hits": "i2", "upright": "?"},
    Said: {"text": "text", "mood": "enum", "other": "text"},
    Shape: {"vector": "3f4", "code": "5i1"},
    Asleep: {},
    Hungry: {},
    Mind: {"owner": "id", "friend": "id", "about": "id", "since": "i8"},
    Ward: {"guardian": "id"},
    Tie: {"source": "id", "target": "id"},
    Weight: {"w": "f4", "note": "text"},
}
DEFAULTS = {
    Body: {"y": 0.5, "hits": 0, "upright": True},
    Said: {"text": "hello", "mood": 0, "other": ""},
    Shape: {"vector": (0.0, 0.0, 0.0), "code": (7, 7, 7, 7, 7)},
    Asleep: {},
    Hungry: {},
    Mind: {"friend": NOBODY, "about": NOBODY, "since": 0},
    Ward: {},
    Tie: {},
    Weight: {"w": 0.0, "note": ""},
}
REQUIRES = {Mind: (Shape,)}
REFERENCES = {
    (Mind, "owner"): "despawn",
    (Mind, "friend"): "null",
    (Ward, "guardian"): "forbid",
    (Tie, "source"): "despawn",
    (Tie, "target"): "despawn",
}
EVERY = tuple(DTYPES)


def bits(kind, value):
    """The bytes that a value of the model has in a column; text and ids stand for themselves."""
    if kind in ("text", "id", "enum"):
        return value
    return np.asarray(value, np.dtype(kind[1:] if kind[0].isdigit() else kind)).tobytes()


class Stamp:
    """When one component of one entity changed. given: the tick at which it was given. seen: the
    newest tick at whose end a value differed from what it was at the end of the tick before.
    touched: the newest tick in which any value was another for a moment. before: the values at the
    last mark, as bytes."""

    def __init__(self, tick, values):
        self.given = self.seen = self.touched = tick
        self.before = values


class Model:
    def __init__(self):
        self.rows = {}
        self.generations = []
        self.free = []
        self.tick = 1
        self.tracked = set()
        self.stamps = {}

    # -- ids -------------------------------------------------------------------------------------

    def alive(self, entity):
        return entity in self.rows

    def dead_ids(self):
        """Some ids that do not resolve: of the past, of the future, forged."""
        past = [
            (generation - 1) << 32 | index
            for index, generation in enumerate(self.generations)
            if generation > 1
        ]
        future = [(g + 1) << 32 | i for i, g in enumerate(self.generations[:2])]
        return [*past[:3], *future, (1 << 32) + len(self.generations), 5, NOBODY]

    def _new_id(self):
        if self.free:
            index = heapq.heappop(self.free)
        else:
            index = len(self.generations)
            self.generations.append(1)
        return self.generations[index] << 32 | index

    # -- questions -------------------------------------------------------------------------------

    def with_(self, *components, without=()):
        return {
            i
            for i, row in self.rows.items()
            if all(c in row for c in components) and not any(c in row for c in without)
        }

    def names(self, cls, name, owner):
        """Who names `owner`."""
        return {i for i, row in self.rows.items() if cls in row and row[cls][name] == owner}

    def pairs(self):
        return {
            (row[Tie]["source"], row[Tie]["target"]): i
            for i, row in self.rows.items()
            if Tie in row
        }

    def changed_since(self, tick, cls):
        """(ids that must be reported, ids that may be): they differ by values that were changed
        and changed back between two marks."""
        must, may = set(), set()
        for entity in self.with_(cls):
            stamp = self.stamps[entity, cls]
            differs = self._bits(entity, cls) != stamp.before
            if max(stamp.given, stamp.seen) > tick or differs:
                must.add(entity)
            if max(stamp.given, stamp.touched) > tick or differs:
                may.add(entity)
        return must, may

    # -- what would be wrong -----------------------------------------------------------------------

    def errors_of_ids(self, ids):
        wrong = set()
        if any(i not in self.rows for i in ids):
            wrong.add(DeadEntityError)
        if len(set(ids)) < len(ids):
            wrong.add(DuplicateEntityError)
        return wrong

    def errors_of_references(self, given):
        """given: {component: {field: list of values}}."""
        wrong = set()
        for cls, fields in given.items():
            for name, values in fields.items():
                if DTYPES[cls][name] == "id" and any(v and v not in self.rows for v in values):
                    wrong.add(DeadEntityError)
        return wrong

    def errors_of_missing_fields(self, given):
        return {
            MissingFieldError
            for cls, fields in given.items()
            if any(n not in fields and n not in DEFAULTS[cls] for n in DTYPES[cls])
        }

    def errors_of_pairs(self, given, n):
        if Tie not in given or n == 0 or {"source", "target"} - given[Tie].keys():
            return set()
        ends = list(zip(given[Tie]["source"], given[Tie]["target"], strict=True))
        wrong = set()
        if any(NOBODY in pair for pair in ends):
            wrong.add(DeadEntityError)
        if len(set(ends)) < len(ends) or set(ends) & self.pairs().keys():
            wrong.add(DuplicatePairError)
        return wrong

    def errors_of_spawn(self, given, n):
        return (
            self.errors_of_missing_fields(given)
            | self.errors_of_references(given)
            | self.errors_of_pairs(given, n)
        )

    def errors_of_add(self, ids, given):
        wrong = self.errors_of_ids(ids) | self.errors_of_spawn(given, len(ids))
        if any(cls in self.rows.get(i, ()) for i in ids for cls in given):
            wrong.add(ComponentPresentError)
        return wrong

    def errors_of_remove(self, ids, components):
        wrong = self.errors_of_ids(ids)
        for row in (self.rows[i] for i in ids if i in self.rows):
            if any(cls not in row for cls in components):
                wrong.add(ComponentMissingError)
            for cls in row.keys() - set(components):
                if set(REQUIRES.get(cls, ())) & set(components):
                    wrong.add(RequiredComponentError)
        return wrong

    def errors_of_set(self, ids, given):
        wrong = self.errors_of_ids(ids) | self.errors_of_references(given)
        if any(cls not in self.rows[i] for i in ids if i in self.rows for cls in given):
            wrong.add(ComponentMissingError)
        return wrong

    def errors_of_despawn(self, ids):
        wrong = self.errors_of_ids(ids)
        if not wrong:
            dying = self._closure(ids)
            for (cls, name), rule in REFERENCES.items():
                if rule == "forbid" and any(self.names(cls, name, i) - dying for i in dying):
                    wrong.add(ReferencedEntityError)
        return wrong

    def errors_of_edges(self, source, target, weights, touch_known):
        """For upsert (touch_known) and ensure: weights are those of `Weight`, or None."""
        ends = [*source, *target]
        wrong = {DeadEntityError} if any(i not in self.rows for i in ends) else set()
        if not wrong and touch_known and weights:
            known = self.pairs()
            for pair in zip(source, target, strict=True):
                if pair in known and Weight not in self.rows[known[pair]]:
                    wrong.add(ComponentMissingError)
        return wrong

    # -- changes -----------------------------------------------------------------------------------

    def spawn(self, given, n):
        ids = [self._new_id() for _ in range(n)]
        for entity in ids:
            self.rows[entity] = {}
        self._give(ids, given)
        return ids

    def add(self, ids, given):
        self._give(ids, given)

    def _give(self, ids, given):
        whole = dict(given)
        for cls in given:
            for needed in REQUIRES.get(cls, ()):
                whole.setdefault(needed, {})
        for j, entity in enumerate(ids):
            for cls, fields in whole.items():
                if cls in self.rows[entity]:
                    continue
                row = dict(DEFAULTS[cls])
                row.update({name: values[j] for name, values in fields.items()})
                self.rows[entity][cls] = row
                if cls in self.tracked:
                    self.stamps[entity, cls] = Stamp(self.tick, self._bits(entity, cls))

    def remove(self, ids, components):
        for entity in ids:
            for cls in components:
                del self.rows[entity][cls]
                self.stamps.pop((entity, cls), None)

    def set(self, ids, given):
        for cls, fields in given.items():
            for j, entity in enumerate(ids):
                for name, values in fields.items():
                    self.write(entity, cls, name, values[j])

    def write(self, entity, cls, name, value):
        row, kind = self.rows[entity][cls], DTYPES[cls][name]
        if bits(kind, row[name]) != bits(kind, value) and cls in self.tracked:
            self.stamps[entity, cls].touched = self.tick
        row[name] = value

    def despawn(self, ids):
        dying = self._closure(ids)
        for (cls, name), rule in REFERENCES.items():
            if rule == "null":
                for owner in dying:
                    for member in self.names(cls, name, owner) - dying:
                        self.write(member, cls, name, NOBODY)
        for entity in dying:
            for cls in self.rows.pop(entity):
                self.stamps.pop((entity, cls), None)
            index = entity & 0xFFFF_FFFF
            self.generations[index] += 1
            heapq.heappush(self.free, index)
        return len(dying)

    def _closure(self, ids):
        dying, frontier = set(ids), set(ids)
        while frontier:
            found = set()
            for (cls, name), rule in REFERENCES.items():
                if rule == "despawn":
                    for owner in frontier:
                        found |= self.names(cls, name, owner)
            frontier = found - dying
            dying |= frontier
        return dying

    def edges(self, source, target, weights, touch_known):
        """Upsert and ensure: returns (ids, created). weights: {field: list of values} or None."""
        known = self.pairs()
        pairs = list(zip(source, target, strict=True))
        first, last = {}, {}
        for j, pair in enumerate(pairs):
            first.setdefault(pair, j)
            last[pair] = j
        given = {} if weights is None else {Weight: weights}
        if touch_known and weights is not None:
            for pair, j in last.items():
                if pair in known:
                    one = {c: {f: [v[j]] for f, v in fields.items()} for c, fields in given.items()}
                    self.set([known[pair]], one)
        created = [pair not in known and first[pair] == j for j, pair in enumerate(pairs)]
        new = [pair for pair in first if pair not in known]
        places = [(last if touch_known else first)[pair] for pair in new]
        picked = {c: {f: [v[j] for j in places] for f, v in fs.items()} for c, fs in given.items()}
        tie = {"source": [s for s, _ in new], "target": [t for _, t in new]}
        born = self.spawn({Tie: tie, **picked}, len(new))
        made = {**known, **dict(zip(new, born, strict=True))}
        return [made[pair] for pair in pairs], created

    # -- the history of changes --------------------------------------------------------------------

    def track(self, cls):
        if cls not in self.tracked:
            self.tracked.add(cls)
            for entity in self.with_(cls):
                self.stamps[entity, cls] = Stamp(self.tick, self._bits(entity, cls))

    def mark(self):
        for (entity, cls), stamp in self.stamps.items():
            now = self._bits(entity, cls)
            if now != stamp.before:
                stamp.seen, stamp.before = self.tick, now
        self.tick += 1
        return self.tick - 1

    def _bits(self, entity, cls):
        row = self.rows[entity][cls]
        return tuple(bits(kind, row[name]) for name, kind in DTYPES[cls].items())
