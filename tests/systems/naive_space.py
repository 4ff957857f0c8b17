"""Movement, neighbours and meetings in plain Python: what the kernels are held to."""

from fractions import Fraction

import numpy as np

from populace.ecs import random


def coordinate(start, velocity, since_us, until_us, now_us, size, wrapping):
    """Where a leg has got to along one axis, exactly, as a Fraction."""
    moved = Fraction(max(min(now_us, until_us) - since_us, 0), 1_000_000)
    reached = Fraction(float(start)) + Fraction(float(velocity)) * moved
    size = Fraction(float(np.float32(size)))
    return reached % size if wrapping else min(max(reached, Fraction(0)), size)


def squared(x, y, i, j, width, height, wrapping):
    """The f4 square of the distance of two points, operation by operation."""
    dx, dy = abs(x[i] - x[j]), abs(y[i] - y[j])
    if wrapping:
        dx, dy = min(dx, np.float32(width) - dx), min(dy, np.float32(height) - dy)
    return dx * dx + dy * dy


def pairs_within(x, y, radius, width, height, wrapping):
    """All pairs at most a radius apart, by comparing all with all."""
    x, y, radius = np.float32(x), np.float32(y), np.float32(radius)
    return [
        (i, j)
        for i in range(len(x))
        for j in range(i + 1, len(x))
        if squared(x, y, i, j, width, height, wrapping) <= radius * radius
    ]


def nearest(x, y, k, width, height, wrapping, reach):
    """The k nearest to each as [(place, squared distance), ...], by sorting all."""
    x, y, reach = np.float32(x), np.float32(y), np.float32(reach)
    found = []
    for i in range(len(x)):
        others = [
            (squared(x, y, i, j, width, height, wrapping), j) for j in range(len(x)) if j != i
        ]
        found.append([(j, d) for d, j in sorted(others) if d <= reach * reach][:k])
    return found


def meetings(pairs, numbers, extraversion, seed, now_us, lasts_us, chance):
    """Who turns to whom among the pairs, and when: (source, target, time), in their order."""

    def draw(i, j, number):
        key = int(numbers[i]) << 32 | int(numbers[j])
        return float(random.uniform(seed, "colocation", [key], number, now_us)[0])

    met = []
    for i, j in pairs:
        if draw(i, j, 0) < chance:
            mine, theirs = float(extraversion[i]), float(extraversion[j])
            share = mine / (mine + theirs) if mine + theirs else 0.5
            source, target = (i, j) if draw(i, j, 1) < share else (j, i)
            met.append((source, target, now_us - int(draw(i, j, 2) * lasts_us)))
    return met


def keep_first(met, most):
    """Those of the meetings, in their order, where both have had fewer than `most` before."""
    had, kept = {}, []
    for source, target, *rest in met:
        if had.get(source, 0) < most and had.get(target, 0) < most:
            had[source], had[target] = had.get(source, 0) + 1, had.get(target, 0) + 1
            kept.append((source, target, *rest))
    return kept
