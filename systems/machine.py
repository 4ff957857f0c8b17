"""State machines as data: which states there are, how long each lasts, what comes next.

    state_machine(
        worker={
            "asleep": until("7:00", jitter=minutes(30), then="waking"),
            "waking": lasting(minutes(30), minutes(60), then=(
                when(days=WEEKEND, then={"out": 0.6, "home": 0.4}),
                "home",
            )),
            ...
        },
        student={...},
    )

A profile is one machine: a mapping of states. All profiles share one set of state names. What comes
next may depend on hour and weekday of the moment at which the state ends; the first case that
applies counts. A definition is compiled to the arrays of a `StateMachine`, a resource.

Invariants of a `StateMachine`: whoever enters a state that its profile has, leaves it at least 1 s
later for a state that the profile has; probabilities sum to 1 at every hour of the week.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.ecs import days, hours, minutes, seconds
from populace.ecs.errors import SettingError

HOURS_A_WEEK = 168
WORKDAYS = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
SHORTEST, LONGEST = seconds(1), days(366)
ROUNDING = 1e-9

Outcome = str | Mapping[str, float]
"""What comes next: a state, or states with probabilities that sum to 1."""


@dataclass(frozen=True, slots=True)
class Case:
    """An outcome that applies at some hours of some days. Made by `when`."""

    outcome: Outcome
    days: tuple[int, ...]
    hours: tuple[int, int]


@dataclass(frozen=True, slots=True)
class State:
    """How long a state lasts and what comes next. Made by `lasting` and `until`.

    times: µs of the day at which it may end; none where it lasts a while from its entry.
    shortest, spread: µs; it lasts shortest to shortest + spread, or the times of day are moved by
    -spread / 2 to spread / 2.
    """

    times: tuple[int, ...]
    shortest: int
    spread: int
    then: tuple[Case, ...]


Then = Outcome | Sequence[Outcome | Case]


def lasting(low: int, high: int, *, then: Then) -> State:
    """A state that lasts `low` to `high` µs, every length as likely. Raises SettingError."""
    _check_duration("lasting", low)
    _check_duration("lasting", high)
    if high < low:
        raise SettingError(f"lasting(low, high): {high} µs is shorter than {low} µs; swap them")
    return State((), low, high - low, _cases(then))


def until(*times: str, jitter: int = 0, at_least: int = SHORTEST, then: Then) -> State:
    """A state that ends at the next of some times of day, "7:00" or "17:30".

    jitter: µs; at each entry all times are moved together by as much as this, earlier or later.
    at_least: µs; times sooner than that after the entry are passed over. Raises SettingError.
    """
    if not times:
        raise SettingError('until(...) needs a time of day, as until("7:00", then=...)')
    _check_duration("until(at_least=...)", at_least)
    if not _whole(jitter) or not 0 <= jitter <= hours(12):
        raise SettingError(
            f"until(jitter=...) is 0 to 12 hours in whole µs, as minutes(30); got {jitter!r}"
        )
    return State(tuple(map(_time_of_day, times)), at_least, 2 * jitter, _cases(then))


def when(
    *, days: Iterable[int] = range(7), hours: tuple[int, int] = (0, 24), then: Outcome
) -> Case:
    """An outcome for states that end on these days (0 is Monday), from hours[0]:00 to before
    hours[1]:00. Hours may pass midnight: (22, 6). Raises SettingError."""
    chosen = tuple(days)
    if not chosen or not all(_whole(day) and 0 <= day < 7 for day in chosen):
        raise SettingError(f"when(days=...) are numbers 0 (Monday) to 6; got {chosen!r}")
    if (
        not isinstance(hours, tuple)
        or len(hours) != 2
        or not all(_whole(h) and 0 <= h <= 24 for h in hours)
        or (hours[0] % 24 == hours[1] % 24 and hours != (0, 24))
    ):
        raise SettingError(
            f"when(hours=...) are two different hours from 0 to 24, as (22, 6); got {hours!r}"
        )
    return Case(then, chosen, hours)


@dataclass(frozen=True, slots=True, eq=False)
class StateMachine:
    """The states, the profiles and their transitions. A resource; `state_machine` makes one.

    p profiles, s states, k times of day at most, r distinct outcomes. Arrays are read-only.
    times: (p, s, k) i8 µs of the day, -1 for none. shortest, spread: (p, s) i8 µs; shortest is 0
    where the profile lacks the state. rule: (p, s, 168) u2, the outcome for each hour of the week
    from Monday 0:00. cumulative: (r, s) f8, the probability of states 0 to s.
    """

    states: tuple[str, ...]
    profiles: tuple[str, ...]
    times: npt.NDArray[np.int64]
    shortest: npt.NDArray[np.int64]
    spread: npt.NDArray[np.int64]
    rule: npt.NDArray[np.uint16]
    cumulative: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        p, s = len(self.profiles), len(self.states)
        for name, dtype, shape in (
            ("times", np.int64, (p, s, None)),
            ("shortest", np.int64, (p, s)),
            ("spread", np.int64, (p, s)),
            ("rule", np.uint16, (p, s, HOURS_A_WEEK)),
            ("cumulative", np.float64, (None, s)),
        ):
            array = np.array(getattr(self, name), dtype)
            if array.ndim != len(shape) or any(
                want not in (None, have) for want, have in zip(shape, array.shape, strict=True)
            ):
                raise SettingError(
                    f"StateMachine.{name} must have the shape {shape}, got {array.shape}; "
                    f"state_machine(...) makes the arrays that go together"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StateMachine):
            return NotImplemented
        names = [field.name for field in dataclasses.fields(self)]
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def code(self, state: str) -> int:
        """The code of a state. Raises SettingError."""
        return _place(state, self.states, "state")

    def profile(self, name: str) -> int:
        """The code of a profile. Raises SettingError."""
        return _place(name, self.profiles, "profile")


def state_machine(**profiles: Mapping[str, State]) -> StateMachine:
    """Compile the machine of each profile, {state: lasting(...) or until(...)}.

    A profile's first state is where its agents begin. Raises SettingError for states that are
    unknown or never reached, probabilities that do not sum to 1, and hours without an outcome.

    >>> shifts = state_machine(
    ...     guard={
    ...         "on": until("6:00", "18:00", then="off"),
    ...         "off": lasting(hours(11), hours(13), then="on"),
    ...     }
    ... )
    >>> shifts.states, shifts.code("off")
    (('on', 'off'), 1)
    """
    if not profiles or not all(profiles.values()):
        raise SettingError("a state machine needs at least one profile, and each a state")
    for profile, machine in profiles.items():
        for name, state in machine.items():
            if not isinstance(state, State):
                raise SettingError(
                    f"{profile}: {name!r} must be lasting(...) or until(...), got {state!r}"
                )
    states = tuple(dict.fromkeys(name for machine in profiles.values() for name in machine))
    if len(states) > 256 or len(profiles) > 256:
        raise SettingError(
            f"a state machine has at most 256 states and 256 profiles (codes are one byte); got "
            f"{len(states)} and {len(profiles)}"
        )
    code = {name: place for place, name in enumerate(states)}
    shape = (len(profiles), len(states))
    every = [state for machine in profiles.values() for state in machine.values()]
    times = np.full((*shape, max(1, *(len(state.times) for state in every))), -1, np.int64)
    shortest, spread = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    rule = np.zeros((*shape, HOURS_A_WEEK), np.uint16)
    outcomes: dict[tuple[float, ...], int] = {}
    for p, (profile, machine) in enumerate(profiles.items()):
        for name, state in machine.items():
            at = p, code[name]
            times[at][: len(state.times)] = state.times
            shortest[at], spread[at] = state.shortest, state.spread
            rule[at] = _rules(f"{profile}: {name!r}", state, machine, code, outcomes)
        if len(outcomes) > 65_536:
            raise SettingError("a state machine has at most 65,536 different outcomes")
        _refuse_unreached(profile, machine, rule[p], np.array(list(outcomes)), states)
    cumulative = np.array(list(outcomes))
    return StateMachine(states, tuple(profiles), times, shortest, spread, rule, cumulative)


def _rules(
    where: str,
    state: State,
    machine: Mapping[str, State],
    code: Mapping[str, int],
    outcomes: dict[tuple[float, ...], int],
) -> npt.NDArray[np.int64]:
    """The outcome of a state for each hour of the week; new ones are added to `outcomes`."""
    rule = np.full(HOURS_A_WEEK, -1)
    for case in reversed(state.then):
        first, end = case.hours
        at = [h % 24 for h in range(first, end if end > first else end + 24)]
        cumulative = _cumulative(where, case.outcome, machine, code)
        number = outcomes.setdefault(cumulative, len(outcomes))
        rule[np.add.outer(np.array(case.days) * 24, at).ravel()] = number
    left = np.flatnonzero(rule < 0)
    if left.size:
        day, hour = divmod(int(left[0]), 24)
        raise SettingError(
            f"{where} has nothing that comes next at {hour}:00 on {DAYS[day]} (and {left.size - 1} "
            f"other hours of the week); end its cases with one that always applies"
        )
    return rule


def _cumulative(
    where: str, outcome: Outcome, machine: Mapping[str, State], code: Mapping[str, int]
) -> tuple[float, ...]:
    shares = {outcome: 1.0} if isinstance(outcome, str) else dict(outcome)
    unknown = [name for name in shares if name not in machine]
    if unknown:
        raise SettingError(
            f"{where} leads to {unknown[0]!r}, a state that this profile does not define; it has "
            f"{', '.join(machine)}"
        )
    values = np.zeros(len(code))
    for name, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise SettingError(f"{where} leads to {name!r} with the probability {share!r}")
        values[code[name]] = share
    if not abs(values.sum() - 1) <= ROUNDING:
        raise SettingError(
            f"{where}: probabilities of what comes next must sum to 1, got {values.sum():.9g} "
            f"({shares})"
        )
    cumulative = values.cumsum()
    cumulative[np.flatnonzero(values)[-1] :] = 1.0
    return tuple(cumulative.tolist())


def _refuse_unreached(
    profile: str,
    machine: Mapping[str, State],
    rule_sh: npt.NDArray[np.uint16],
    cumulative: npt.NDArray[np.float64],
    states: tuple[str, ...],
) -> None:
    """Raise SettingError for a state that cannot be reached from the profile's first."""
    possible = np.diff(cumulative, axis=1, prepend=0.0) > 0
    first = states.index(next(iter(machine)))
    reached, fresh = {first}, [first]
    while fresh:
        following = possible[np.unique(rule_sh[fresh.pop()])].any(axis=0)
        new = set(np.flatnonzero(following).tolist()) - reached
        reached |= new
        fresh += new
    for name in machine:
        if states.index(name) not in reached:
            raise SettingError(
                f"{profile}: no way leads from {states[first]!r}, its first state, to {name!r}; "
                f"name it in some state's `then`, or leave it out"
            )


def _cases(then: Then) -> tuple[Case, ...]:
    """`then` as cases, those without a condition applying always."""
    several = then if isinstance(then, (list, tuple)) else (then,)
    for part in several:
        if not isinstance(part, (str, Mapping, Case)):
            raise SettingError(
                f"`then` is a state, a mapping of states to probabilities, or a list of these and "
                f"of when(...); got {part!r}"
            )
    return tuple(p if isinstance(p, Case) else when(then=p) for p in several)


def _time_of_day(text: str) -> int:
    hour, colon, minute = text.partition(":") if isinstance(text, str) else ("", "", "")
    if not (colon and hour.isdecimal() and minute.isdecimal() and len(minute) == 2) or not (
        int(hour) < 24 and int(minute) < 60
    ):
        raise SettingError(f'a time of day reads as "7:00" or "17:30"; got {text!r}')
    return hours(int(hour)) + minutes(int(minute))


def _check_duration(where: str, value: Any) -> None:
    if not _whole(value) or not SHORTEST <= value <= LONGEST:
        raise SettingError(
            f"{where}: a state lasts 1 second to 366 days, in whole µs as minutes(30) gives; got "
            f"{value!r}"
        )


def _whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _place(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise SettingError(f"no {what} is called {name!r}; there are {', '.join(names)}")
    return names.index(name)
