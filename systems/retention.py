"""How well memories hold: which law of retention is in force, and how a law is made known.

    R = law(elapsed, age, stability, accesses), strength = I * max(R, floor)

I is the importance, elapsed the seconds since the last access, age those since the memory was
formed. A law is one function of numbers in a file of its own (`exponential`, `power`, `activation`,
or yours), made known by `@retention_law`; `Retention.law` names the one in force.
`strength` computes with whatever law that is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

from numba import njit
from numba.core.dispatcher import Dispatcher

from populace.components import LONGEST_HALF_LIFE_S
from populace.ecs import World, f4, setting, settings
from populace.ecs.errors import SettingError

DAY_S = 86_400.0
US_PER_S = 1_000_000

Law = Callable[[Any, Any, Any, Any], Any]
"""(elapsed f4 s, age f4 s, stability f4 s, accesses f4) -> R in [0, 1], f4; a numba function."""

F = TypeVar("F", bound=Callable[..., Any])


@settings
class Retention:
    """Which law memories decay by, and with what. A resource."""

    law: str = setting("exponential", doc="name of the law of retention in force")
    half_life: float = setting(
        3 * DAY_S, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="stability of a new memory"
    )
    floor: float = setting(
        0.0, range=(0, 1), doc="least retrievability; 0.3 keeps old but important memories"
    )

    def check(self) -> None:
        """Refuse a law that nobody has made known."""
        if self.law not in _BUILDERS:
            raise SettingError(
                f"Retention.law must be one of {', '.join(sorted(_BUILDERS))}, got {self.law!r}; "
                f"a law of your own is made known by @retention_law in a file that is imported"
            )


_BUILDERS: dict[str, Callable[[World], Law]] = {}


def retention_law(name: str) -> Callable[[F], F]:
    """Make a function of (elapsed, age, stability, accesses) known as a law of retention.

    Raises SettingError for the name of a law that Populace ships, or a function of other arguments.
    The function is compiled by numba and called once a row; it may be a `numba.njit` function. It
    must not rise with time and never leave [0, 1]; for a memory just formed it is 1, or close.

    >>> @retention_law("linear")
    ... def linear(elapsed, age, stability, accesses):
    ...     return max(f4(0), f4(1) - elapsed / (f4(2) * stability))
    >>> Retention(law="linear").law
    'linear'
    """

    def make(function: F) -> F:
        _check_law(name, function)
        law = function if isinstance(function, Dispatcher) else _compiled(function)
        _BUILDERS[name] = lambda world: law
        return function

    return make


def parameterised_law(name: str, settings: type[Any]) -> Callable[[F], F]:
    """As `retention_law`, for a function that makes the law from settings.

    settings: a settings class; a world without such a resource gets its defaults. The law is
    compiled once for each set of values.
    """

    def make(builder: F) -> F:
        _check_name(name, builder)

        @cache
        def built(given: Any) -> Law:
            made = builder(given)
            law: Law = made if isinstance(made, Dispatcher) else _compiled(made)
            return law

        def build(world: World) -> Law:
            given = world.resource(settings) if settings in world.resources else settings()
            return built(given)

        _BUILDERS[name] = build
        return builder

    return make


_SHIPPED = ("activation", "exponential", "power")


def _check_name(name: str, function: Callable[..., Any]) -> None:
    """Refuse to put another law in the place of one that worlds may rely on."""
    if name in _SHIPPED and not function.__module__.startswith("populace."):
        raise SettingError(
            f"the law {name!r} is one of Populace's own; make yours known by another name"
        )


def _check_law(name: str, function: Callable[..., Any]) -> None:
    _check_name(name, function)
    plain = getattr(function, "py_func", function)
    if len(inspect.signature(plain).parameters) != 4:
        raise SettingError(
            f"the law {name!r} must be a function of (elapsed, age, stability, accesses), got "
            f"{plain.__name__}{inspect.signature(plain)}"
        )


def law_of(world: World) -> Law:
    """The law in force, as a numba function."""
    return _BUILDERS[world.resource(Retention).law](world)


@cache
def _compiled(function: Callable[..., Any]) -> Any:
    return njit(nogil=True, error_model="numpy")(function)


@cache
def recall_by(law: Law) -> Any:
    """A law as retrievability(stability, accessed, accesses, created, now) -> f4, for kernels.

    stability: f4 s. accessed, created, now: i8 µs. A memory accessed after `now` counts as accessed
    now.
    """

    @njit(nogil=True, error_model="numpy")
    def retrievability(stability: Any, accessed: Any, accesses: Any, created: Any, now: Any) -> Any:
        # The i8 differences are exact; in f4 their relative error is 6e-8, whatever the date.
        elapsed = f4(max(now - accessed, 0)) * f4(1e-6)
        age = f4(max(now - created, 0)) * f4(1e-6)
        return law(elapsed, age, stability, f4(accesses))

    return retrievability
