"""Births and kinship in plain Python: what `heredity` and `kinship` are held to."""

import math

from populace.ecs.random import normal


def child_trait(seed, name, number, first, second, law, low=0.0, high=1.0):
    """One trait of one child, by the infinitesimal model."""
    noise = float(normal(seed, f"heredity.{name}", [number])[0])
    mean = low + law.mean * (high - low)
    child = law.heritability * (first + second) / 2 + (1 - law.heritability) * mean
    child += math.sqrt(law.sigma**2 / 2) * (high - low) * noise
    return min(max(child, low), high)


def kinship(parents, a, b):
    """The coefficient by its definition. parents: {person: (first, second)}, None if unknown."""
    known = {}

    def generation(person):
        """0 for a founder, else one more than the later parent."""
        own = [p for p in parents.get(person, ()) if p is not None]
        return 1 + max(map(generation, own)) if own else 0

    def related(x, y):
        if x is None or y is None:
            return 0.0
        if (generation(x), x) < (generation(y), y):
            x, y = y, x
        if (x, y) not in known:
            first, second = parents.get(x, (None, None))
            if x == y:
                known[x, y] = (1 + related(first, second)) / 2
            else:
                known[x, y] = (related(first, y) + related(second, y)) / 2
        return known[x, y]

    return related(a, b)


def ancestors(parents, person, generations=None):
    """{ancestor: the fewest generations up}."""
    found, edge, level = {}, [person], 0
    while edge and (generations is None or level < generations):
        level += 1
        up = [p for x in edge for p in parents.get(x, ()) if p is not None]
        edge = [p for p in dict.fromkeys(up) if p not in found and p != person]
        found |= dict.fromkeys(edge, level)
    return found


def descendants(parents, person, generations=None):
    """{descendant: the fewest generations down}."""
    children = {}
    for child, pair in parents.items():
        for parent in pair:
            children.setdefault(parent, []).append(child)
    found, edge, level = {}, [person], 0
    while edge and (generations is None or level < generations):
        level += 1
        down = [c for x in edge for c in children.get(x, [])]
        edge = [c for c in dict.fromkeys(down) if c not in found]
        found |= dict.fromkeys(edge, level)
    return found


def siblings(parents, person):
    """(full, half): sets of persons."""
    own = set(parents.get(person, ())) - {None}
    full, half = set(), set()
    for other, pair in parents.items():
        shared = len(own & (set(pair) - {None}))
        if other != person and shared:
            (full if shared == 2 else half).add(other)
    return full, half
