"""The laws of memory in plain Python, one memory at a time, in f8: what the kernels are held to.

A row has the fields of `memories.Row`. Times are µs, durations s.
"""

from math import floor as whole_part

LONGEST_S = 365 * 86_400.0


def exponential(elapsed_s, age_s, stability_s, accesses):
    return 2.0 ** (-elapsed_s / stability_s)


def power(elapsed_s, age_s, stability_s, accesses, decay=0.1542):
    factor = 0.9 ** (-1 / decay) - 1
    return (1 + factor * elapsed_s / stability_s) ** -decay


def activation(elapsed_s, age_s, stability_s, accesses, decay=0.5, noise=0.4):
    lifetime_s = max(age_s, 1.0)
    odds = (lifetime_s / stability_s) ** (decay / noise) * accesses ** (-1 / noise)
    return 1 / (1 + odds)


LAWS = {"exponential": exponential, "power": power, "activation": activation}


def retrievability(row, now, law="exponential", **shape):
    """How well a memory is recalled at `now`; what lies in the future counts as now."""
    elapsed_s = max(now - row.accessed, 0) / 1e6
    age_s = max(now - row.created, 0) / 1e6
    return LAWS[law](elapsed_s, age_s, row.stability, row.accesses, **shape)


def strength(row, now, law="exponential", floor=0.0, **shape):
    """Importance times retrievability, which has a floor."""
    return row.importance * max(retrievability(row, now, law, **shape), floor)


def recall(row, times, law="exponential", gain=1.0, longest_s=LONGEST_S):
    """The row after recalls at these times, given in any order."""
    for time in sorted(times):
        now = max(time, row.accessed)
        grown = row.stability * (1 + gain * (1 - retrievability(row, now, law)))
        row = row.but(
            stability=max(row.stability, min(grown, longest_s)),
            accessed=now,
            accesses=min(row.accesses + 1, 2**32 - 1),
        )
    return row


def forgotten(rows, now, strengths, *, theta, grace_us, theta_old, old_age_us):
    """(weak, old): the places of the rows to forget, and why."""
    weak, old = [], []
    for place, (row, strong) in enumerate(zip(rows, strengths, strict=True)):
        age = now - row.created
        if row.pinned:
            continue
        if strong < theta and age >= grace_us:
            weak.append(place)
        elif strong < theta_old and age > old_age_us:
            old.append(place)
    return weak, old


def crowded_out(rows, strengths, index, capacity, keep=0.9):
    """The places of the rows that find no room. index: of the entities. capacity: by owner."""
    going = []
    for owner in {row.owner for row in rows}:
        own = [place for place, row in enumerate(rows) if row.owner == owner]
        if len(own) <= capacity[owner]:
            continue
        excess = len(own) - whole_part(keep * capacity[owner])
        free = [place for place in own if not rows[place].pinned]
        free.sort(key=lambda p: (strengths[p], rows[p].accessed, rows[p].sequence, index[p]))
        going += free[:excess]
    return sorted(going)


def inactive(rows, now, strengths, *, theta, after_us):
    """The places of the rows that may leave for cold storage."""
    return [
        place
        for place, (row, strong) in enumerate(zip(rows, strengths, strict=True))
        if now - row.accessed > after_us and strong < theta and not row.pinned
    ]


def numbered(observations, formed):
    """{(owner, sequence): observation}, by time and then by order of emission.

    observations: (owner, time, anything). formed: sequence number that each owner has come to.
    """
    formed, found = dict(formed), {}
    for observation in sorted(observations, key=lambda seen: seen[1]):
        owner = observation[0]
        found[owner, formed[owner]] = observation
        formed[owner] += 1
    return found
