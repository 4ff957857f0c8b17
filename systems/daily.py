"""An ordinary day: the state machine that the world's agents live by unless it is given another.

Four profiles, "worker", "student", "retired" and "child", over six states: asleep, waking, working
(at work or at school), lunch, leisure, home. Weekends have no work. Profiles keep their places: a
new one comes last.
"""

from __future__ import annotations

from populace.ecs import hours, minutes

from .machine import WEEKEND, State, StateMachine, lasting, state_machine, until, when


def _working_day(evening: str, out: float) -> dict[str, State]:
    """The day of somebody who works until `evening`, and then goes out with probability `out`."""
    return {
        "asleep": until("7:00", jitter=minutes(30), then="waking"),
        "waking": lasting(
            minutes(30),
            minutes(60),
            then=(
                when(days=WEEKEND, then={"leisure": 0.4, "home": 0.6}),
                {"working": 0.95, "home": 0.05},
            ),
        ),
        "working": until(
            "12:00",
            evening,
            jitter=minutes(30),
            at_least=hours(1),
            then=(when(hours=(9, 14), then="lunch"), {"leisure": out, "home": 1 - out}),
        ),
        "lunch": lasting(minutes(30), minutes(60), then="working"),
        "leisure": lasting(hours(1), hours(3), then="home"),
        "home": until(
            "10:00",
            "15:00",
            "22:30",
            jitter=hours(1),
            at_least=minutes(30),
            then=(when(hours=(20, 5), then="asleep"), {"leisure": 0.5, "home": 0.5}),
        ),
    }


def daily_life() -> StateMachine:
    """The machine; insert it in a world as a resource.

    >>> daily_life().profiles
    ('worker', 'student', 'retired', 'child')
    """
    return state_machine(
        worker=_working_day(evening="17:30", out=0.3),
        student=_working_day(evening="15:30", out=0.6),
        retired={
            "asleep": until("7:30", jitter=minutes(45), then="waking"),
            "waking": lasting(minutes(30), minutes(60), then={"home": 0.7, "leisure": 0.3}),
            "home": until(
                "10:00",
                "12:00",
                "15:00",
                "22:00",
                jitter=minutes(45),
                at_least=minutes(30),
                then=(
                    when(hours=(20, 5), then="asleep"),
                    when(hours=(11, 13), then="lunch"),
                    {"leisure": 0.6, "home": 0.4},
                ),
            ),
            "lunch": lasting(minutes(30), minutes(60), then={"home": 0.7, "leisure": 0.3}),
            "leisure": lasting(hours(1), hours(3), then="home"),
        },
        child={
            "asleep": until("7:00", jitter=minutes(30), then="waking"),
            "waking": lasting(
                minutes(30),
                minutes(60),
                then=(when(days=WEEKEND, then="home"), {"working": 0.95, "home": 0.05}),
            ),
            "working": until(
                "12:00",
                "15:00",
                jitter=minutes(30),
                at_least=hours(1),
                then=(when(hours=(9, 13), then="lunch"), {"leisure": 0.3, "home": 0.7}),
            ),
            "lunch": lasting(minutes(30), minutes(60), then="working"),
            "leisure": lasting(hours(1), hours(2), then="home"),
            "home": until(
                "10:00",
                "15:30",
                "20:00",
                jitter=minutes(30),
                at_least=minutes(30),
                then=(when(hours=(18, 5), then="asleep"), {"leisure": 0.4, "home": 0.6}),
            ),
        },
    )
