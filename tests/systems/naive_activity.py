"""Activity in plain Python: one transition after the other, straight from the definition.

A machine here is {state: State}, as `state_machine` takes it for one profile.
"""

from populace.ecs import random

DAY = 86_400_000_000
HOUR = 3_600_000_000


def drawn(seed, number, time, draw):
    """The uniform draw that an agent has for something at a moment."""
    return float(random.uniform(seed, "activity", number, draw, time)[0])


def end_of_stay(state, since, u):
    """When a state entered at `since` ends."""
    moved = min(int(u * (state.spread + 1)), state.spread)
    if not state.times:
        return since + state.shortest + moved
    ends = []
    for time in state.times:
        end = (since // DAY - 1) * DAY + time + moved - state.spread // 2
        while end < since + state.shortest:
            end += DAY
        ends.append(end)
    return min(ends)


def outcome_at(state, time):
    """{state: probability} of what follows a state that ends at `time`."""
    day, hour = (time // DAY + 3) % 7, time // HOUR % 24
    for case in state.then:
        first, end = case.hours
        inside = first <= hour < end if first < end else hour >= first or hour < end
        if day in case.days and inside:
            outcome = case.outcome
            return {outcome: 1.0} if isinstance(outcome, str) else outcome
    raise AssertionError("no case applies")


def next_state(machine_states, outcome, u):
    """The state that the draw falls on; states in the order of their codes."""
    total = 0.0
    likely = [name for name in machine_states if outcome.get(name, 0) > 0]
    for name in likely:
        total += outcome[name]
        if u < total:
            return name
    return likely[-1]


def path(machine, states, seed, number, state, until, now):
    """(state, since or None, until, changes) of an agent brought to `now`.

    changes: (time, before, after). since: None where the state never changed.
    """
    changes, since = [], None
    while until <= now:
        time = until
        after = next_state(states, outcome_at(machine[state], time), drawn(seed, number, time, 0))
        if after != state:
            changes.append((time, state, after))
            since = time
        state = after
        until = end_of_stay(machine[state], time, drawn(seed, number, time, 1))
    return state, since, until, changes
