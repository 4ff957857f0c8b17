"""Telling, inside: a batch of contacts, one after the other, on a copy of what the agents know.

What each agent knows is a linked list of nodes, ascending by topic, so that the knowledge of the
two who meet is walked side by side, and what is new is put in where the walk stands. Nodes
[0, agents) are the heads of the lists, then come the pieces of knowledge that exist, then new ones.

Invariants: a list's topics ascend strictly; both of a contact tell what they knew before it; a node
is in `touched_n` once, when its marks are set.
Cost: 56 bytes a node; 30 ns to fill and chain one, then 15 ns for each node of the two who meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from populace.ecs import f4, f8, i8, jit, u1, u2, u4, u8
from populace.ecs.random import uniform_at

from .knowledge import known_of, left_at, slower, surer

MOST_HOPS = 2**16 - 1
"""Longer chains count as this long."""

NONE = i8(-1)
END = i8(2**32)
"""More than any topic's number."""
CHANGED, ANEW = u1(1), u1(2)

NODE = np.dtype(
    [
        ("next", i8),  # of the same agent, NONE at the end
        ("rehearsed", i8),
        ("topic", u4),  # number
        ("confidence", f4),
        ("half_life", f4),
        ("hops", u2),
        ("marks", u1),
    ],
    align=True,
)
"""32 bytes: all that the walk reads."""

ORIGIN = np.dtype(
    [
        ("learned", i8),
        ("owner", u4),  # agent; of new nodes
        ("teacher", u4),  # agent; with `learned`, where ANEW
        ("exposures", u4),  # in this batch, or since it was learned anew in it
        ("like", i8),  # an existing node of the same topic; of new nodes
    ],
    align=True,
)
"""What a node gets at an exposure only."""

TELLING = np.dtype(
    [
        ("node", i8),
        ("time", i8),
        ("learner", u4),
        ("teacher", u4),
        ("confidence", f4),
        ("first", u1),
    ],
    align=True,
)


@jit
def number_agents(index_k: Any, place_n: Any, agent_k: Any, member_k: Any) -> int:
    """Number entities from 0 in the order of first appearance; returns how many there are.

    index_k: (k,) u4 indices. place_n: zeros, one for each slot. agent_k <- the number of each.
    member_k <- where in index_k each number appears first.
    """
    n_agents = 0
    for j in range(index_k.size):
        place = place_n[index_k[j]]
        if place == 0:
            member_k[n_agents] = j
            n_agents += 1
            place_n[index_k[j]] = place = u4(n_agents)
        agent_k[j] = place - u4(1)
    return n_agents


# A merge of runs of 1, 2, 4, ...: a chain needs no room for it, and it is compiled in 0.1 s, where
# `np.argsort` takes 0.9.
@njit(nogil=True, error_model="numpy")
def sort_chain(node_n: Any, head: Any) -> None:
    """Let the nodes that follow `head` come by their topic. O(k log k)."""
    width, n_runs = 1, 2
    while n_runs > 1:
        n_runs, before, left = 0, i8(head), node_n[head].next
        while left != NONE:
            n_runs += 1
            right, n_left = left, 0
            while n_left < width and right != NONE:
                right, n_left = node_n[right].next, n_left + 1
            n_right = width
            while n_left > 0 or (n_right > 0 and right != NONE):
                from_right = n_right > 0 and right != NONE
                if n_left > 0 and from_right:
                    from_right = node_n[right].topic < node_n[left].topic
                if from_right:
                    taken, right, n_right = right, node_n[right].next, n_right - 1
                else:
                    taken, left, n_left = left, node_n[left].next, n_left - 1
                node_n[before].next = taken
                before = taken
            left = right
        node_n[before].next = NONE
        width *= 2


@jit
def link(
    offsets: Any, topic_m: Any, confidence_m: Any, half_life_m: Any, rehearsed_m: Any, hops_m: Any,
    first_agent: Any, first_node: Any, node_n: Any,
) -> None:  # fmt: skip
    """Fill and chain the nodes of what agents know, from `first_agent` on.

    offsets: (agents + 1,) i8, into the m columns. topic_m: numbers. Node first_node + j is that of
    j. O(m) where an agent's topics come ascending, else with a sort of them.
    """
    for a in range(offsets.size - 1):
        agent = first_agent + a
        begin, end = offsets[a], offsets[a + 1]
        before, ascending = i8(agent), True
        for j in range(begin, end):
            node = node_n[first_node + j]
            node.topic, node.hops = topic_m[j], hops_m[j]
            node.confidence, node.half_life = confidence_m[j], half_life_m[j]
            node.rehearsed = rehearsed_m[j]
            node_n[before].next = first_node + j
            before = first_node + j
            ascending &= j == begin or topic_m[j] > topic_m[j - 1]
        node_n[before].next = NONE
        if not ascending:
            sort_chain(node_n, agent)


@njit(nogil=True, error_model="numpy")
def known_in(node: Any, time: Any, threshold: Any) -> Any:
    """What is known at `time` of a node, f4; 0 where it is forgotten."""
    return known_of(node.confidence, left_at(time, node.half_life, node.rehearsed), threshold)


@njit(nogil=True, error_model="numpy")
def heard(stream: Any, time: Any, key: Any, topic: Any, strength: Any, known: Any) -> Any:
    """Whether a teller passes a topic on; key: numbers of teller << 32 | learner. known: what is
    known of it, times its appeal."""
    likely = f8(strength) * f8(known)
    return likely > 0 and uniform_at(stream, time, key, u8(topic)) < likely


@njit(nogil=True, error_model="numpy")
def expose(
    node: Any, origin: Any, time: Any, knew: Any, gain: Any, hops: Any, teacher: Any,
    first_half_life: Any, growth: Any, longest: Any,
) -> None:  # fmt: skip
    """The law of an exposure (`knowledge`): of somebody who knows, or does not or no longer.

    knew: what is known at `time`, f4. teacher: agent, who is `hops` from first hand.
    """
    now = max(time, node.rehearsed)
    if knew > 0:
        left = left_at(now, node.half_life, node.rehearsed)
        node.half_life = slower(node.half_life, left, growth, longest)
        origin.exposures += u4(1)
    else:
        node.half_life = first_half_life
        node.hops = u2(min(i8(hops) + 1, MOST_HOPS))
        node.marks |= ANEW
        origin.learned, origin.teacher, origin.exposures = now, teacher, u4(1)
    node.confidence = surer(knew, gain)
    node.rehearsed = now


@jit
def tell(
    begin: Any, source_e: Any, target_e: Any, time_e: Any, strength_e: Any, returned_e: Any,
    stream: Any, number_a: Any, rate_a: Any, appeal_t: Any,
    trust: Any, threshold: Any, first_half_life: Any, growth: Any, longest: Any,
    old: Any, known_a: Any, node_n: Any, origin_n: Any, touched_n: Any, telling_x: Any, counts: Any,
) -> Any:  # fmt: skip
    """Take contacts up from number `begin` on, as long as there is room; returns where it stopped.

    source_e, target_e: agents. time_e: i8 µs. strength_e, returned_e: f4. number_a, rate_a: of the
    agents. appeal_t: (t,) f4, by the topics' numbers; the last, a 1, holds beyond. old: how many
    nodes were there before the batch. known_a: (agents,) i8, how many each has. counts: (3,) i8,
    how many nodes, touched nodes and tellings there are; the arrays before it are changed and
    added to.
    """
    for e in range(begin, source_e.size):
        a, b, time = source_e[e], target_e[e], time_e[e]
        forth, back = strength_e[e], returned_e[e]
        if forth == 0 and back == 0:
            continue
        # A contact adds at most a node and a telling for each topic that one of the two knows.
        most = known_a[a] + known_a[b]
        if counts[0] + most > node_n.size or counts[2] + most > telling_x.size:
            return e
        gain_a = rate_a[a] * (trust + (f4(1) - trust) * forth)
        gain_b = rate_a[b] * (trust + (f4(1) - trust) * back)
        key_ab = u8(number_a[a]) << u8(32) | u8(number_a[b])
        key_ba = u8(number_a[b]) << u8(32) | u8(number_a[a])
        before_a, before_b = i8(a), i8(b)
        while True:
            at_a, at_b = node_n[before_a].next, node_n[before_b].next
            topic_a = i8(node_n[at_a].topic) if at_a != NONE else END
            topic_b = i8(node_n[at_b].topic) if at_b != NONE else END
            topic = min(topic_a, topic_b)
            if topic == END:
                break
            knew_a = knew_b = f4(0)
            hops_a = hops_b = u2(0)
            if topic_a == topic:
                before_a, hops_a = at_a, node_n[at_a].hops
                knew_a = known_in(node_n[at_a], time, threshold)
            if topic_b == topic:
                before_b, hops_b = at_b, node_n[at_b].hops
                knew_b = known_in(node_n[at_b], time, threshold)
            appeal = appeal_t[min(topic, appeal_t.size - 1)]
            told_b = heard(stream, time, key_ab, topic, forth, knew_a * appeal)
            told_a = heard(stream, time, key_ba, topic, back, knew_b * appeal)
            for way in range(2):
                if way == 0:
                    told, knew, gain, learner, teacher = told_b, knew_b, gain_b, b, a
                    i, has, hops, source = before_b, topic_b == topic, hops_a, at_a
                else:
                    told, knew, gain, learner, teacher = told_a, knew_a, gain_a, a, b
                    i, has, hops, source = before_a, topic_a == topic, hops_b, at_b
                if not told or (knew == 0 and (gain < threshold or gain == 0)):
                    continue
                if not has:
                    new = counts[0]
                    counts[0] += 1
                    known_a[learner] += 1
                    node_n[new].next, node_n[i].next = node_n[i].next, new
                    node_n[new].topic, node_n[new].rehearsed = u4(topic), time
                    origin_n[new].owner = learner
                    origin_n[new].like = source if source < old else origin_n[source].like
                    i = new
                    if way == 0:
                        before_b = i
                    else:
                        before_a = i
                node = node_n[i]
                expose(
                    node, origin_n[i], time, knew, gain, hops, teacher,
                    first_half_life, growth, longest,
                )  # fmt: skip
                if not node.marks & CHANGED:
                    node.marks |= CHANGED
                    touched_n[counts[1]] = i
                    counts[1] += 1
                telling = telling_x[counts[2]]
                counts[2] += 1
                telling.node, telling.time = i, time
                telling.learner, telling.teacher = learner, teacher
                telling.confidence, telling.first = node.confidence, u1(knew == 0)
    return source_e.size
