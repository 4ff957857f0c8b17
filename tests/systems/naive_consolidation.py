"""Consolidation in plain Python: memories are dicts, compared pair by pair."""

from math import prod, sqrt


def cosine(one, other):
    """Not a number, which is below any threshold, for a zero vector."""
    size = sqrt(sum(x * x for x in one) * sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / size if size else float("nan")


def alike(one, other, tau):
    """Whether two memories of one owner and kind count as the same."""
    if one["text"] and one["text"] == other["text"]:
        return True
    if one.get("vector") is None or other.get("vector") is None:
        return False
    return cosine(one["vector"], other["vector"]) >= tau


def leaders(memories, tau=2.0):
    """[(leader, [others])]: leaders first, the strongest memory before all others."""
    left = sorted(memories, key=lambda m: (-m["strength"], m["accessed"], m["sequence"]))
    found = []
    while left:
        first, *rest = left
        taken = [m for m in rest if alike(first, m, tau)]
        found.append((first, taken))
        left = [m for m in rest if not any(m is t for t in taken)]
    return found


def fused(first, others):
    """What is left of a group: its first member, with what the others bring."""
    group = [first, *others]
    return {
        **first,
        "importance": 1 - prod(1 - m["importance"] for m in group),
        "stability": max(m["stability"] for m in group),
        "accessed": max(m["accessed"] for m in group),
        "created": min(m["created"] for m in group),
        "accesses": min(sum(m["accesses"] for m in group), 2**32 - 1),
        "evidence": min(sum(m["evidence"] for m in group), 2**32 - 1),
        "pinned": any(m["pinned"] for m in group),
    }


def consolidated(memories, tau=2.0):
    """What is left of any memories, owner by owner and kind by kind."""
    kept = []
    for key in sorted({(m["owner"], m["kind"]) for m in memories}):
        mine = [m for m in memories if (m["owner"], m["kind"]) == key]
        kept += [fused(first, others) for first, others in leaders(mine, tau)]
    return sorted(kept, key=lambda m: (m["owner"], m["sequence"]))
