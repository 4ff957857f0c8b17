"""Reflection in plain Python, one observation and one memory at a time."""

from . import naive_scoring


def firings(observations, threshold, state=(0, None, None)):
    """[(time, time before)] of one agent's reflections, and its state after.

    observations: (time, importance), by time. state: (sum in millionths, last reflection, last
    observation).
    """
    total, since, seen = state
    found = []
    for time, importance in observations:
        seen = time if seen is None else max(seen, time)
        total += round(importance * 1e6)
        if total >= round(threshold * 1e6):
            found.append((seen, since))
            total, since = 0, seen
    return found, (total, since, seen)


def focal_points(memories, after, until, k):
    """The k most important texts observed after one time and not after another."""
    observed = [m for m in memories if m["kind"] != 1 and m["text"] and m["created"] <= until]
    recent = [m for m in observed if m["created"] > after] or observed
    found = []
    for m in sorted(recent, key=lambda m: (-m["importance"], -m["created"], -m["sequence"])):
        if m["text"] not in [other["text"] for other in found]:
            found.append(m)
    return found[:k]


def recalled(memories, focal, until, k, weights, relevance):
    """The k memories that a focal point brings to mind, best first.

    weights: of recency, importance and relevance. relevance: of (focal point, memory).
    """
    there = [m for m in memories if m["created"] <= until]
    scores = naive_scoring.scores(
        weights,
        until,
        [m["accessed"] for m in there],
        [m["importance"] for m in there],
        [relevance(focal, m) for m in there],
    )
    places = naive_scoring.best(scores, [m["sequence"] for m in there], k)
    return [there[place] for place in places], [scores[place] for place in places]
