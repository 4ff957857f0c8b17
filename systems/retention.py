"""How well memories hold: the sweep that every law of retention shares, and which law is in force.

    R = law(elapsed, age, stability, accesses), strength = I * max(R, floor)

I is the importance, elapsed the seconds since the last access, age those since the memory was
formed. A law is one function of numbers in a file of its own (`exponential`, `power`, `activation`,
or yours), made known by `@retention_law`; `Retention.law` names the one in force.

Invariants: strength is a function of `Memory.created`, `Trace` and the clock, bit for bit: not of
when it was last swept, of its row, of threads, nor of the wall clock. `Strength` is a cache of it.
Cost: a sweep reads and writes 20 bytes a row (exponential, power) or 28 (activation).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.core.dispatcher import Dispatcher

from populace.components import LONGEST_HALF_LIFE_S, Memory, Strength, Trace
from populace.ecs import Clock, Read, Res, World, Write, f4, jit, kernel, setting, settings
from populace.ecs.errors import SettingError
from populace.ecs.system import BoundSystem, Sink, System

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

    The function is compiled by numba and called once a row; it may be a `numba.njit` function. It
    has to fall with `elapsed`, from 1 at 0, and never to leave [0, 1].

    >>> @retention_law("linear")
    ... def linear(elapsed, age, stability, accesses):
    ...     return max(f4(0), f4(1) - elapsed / (f4(2) * stability))
    >>> Retention(law="linear").law
    'linear'
    """

    def make(function: F) -> F:
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
        built = cache(builder)

        def build(world: World) -> Law:
            given = world.resource(settings) if settings in world.resources else settings()
            made: Law = built(given)
            return made

        _BUILDERS[name] = build
        return builder

    return make


def law_of(world: World) -> Law:
    """The law in force, as a numba function."""
    return _BUILDERS[world.resource(Retention).law](world)


@cache
def _compiled(function: Callable[..., Any]) -> Any:
    return njit(nogil=True, error_model="numpy")(function)


# -- strength --------------------------------------------------------------------------------


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


@cache
def strengths_by(law: Law) -> Any:
    """The kernel (importance_n, stability_n, accessed_n, accesses_n, created_n, now, floor, out_n):
    out_n <- the strength of each memory under a law at `now`. O(n), one pass."""
    retrievability = recall_by(law)

    @jit
    def strengths(
        importance_n: Any,
        stability_n: Any,
        accessed_n: Any,
        accesses_n: Any,
        created_n: Any,
        now: Any,
        floor: Any,
        out_n: Any,
    ) -> None:
        for i in range(out_n.size):
            recall = retrievability(stability_n[i], accessed_n[i], accesses_n[i], created_n[i], now)
            out_n[i] = importance_n[i] * max(recall, f4(floor))

    return strengths


def strengths_of(world: World, ids: Any, now: int | None = None) -> npt.NDArray[np.float32]:
    """(k,) f4: what these memories are worth now, or at `now` in simulated µs.

    It does not depend on when they were last swept. Raises DeadEntityError, ComponentMissingError.
    """
    retention = world.resource(Retention)
    columns = [world.get(ids, field) for field in (*TRACE_FIELDS, Memory.created)]
    out = np.empty(len(columns[0]), np.float32)
    moment = np.int64(world.clock.now if now is None else now)
    strengths_by(law_of(world))(*columns, moment, f4(retention.floor), out)
    return out


TRACE_FIELDS = (Trace.importance, Trace.stability, Trace.accessed, Trace.accesses)

# -- the sweep -------------------------------------------------------------------------------

# Rejected: fastmath saves 0.1 ns a row, but divides by reciprocals in the vectorised body of the
# loop and not in its remainder, so a strength would depend on its row; 1 / stability as a column
# saves 0.07 ns in cache and nothing from memory; libm's exp2 takes 1.8 ns; times in f4 0.2 ns, but
# they cannot hold a date.


@cache
def sweep_by(law: Law) -> System:
    """The row kernel that fills `Strength` by a law."""
    retrievability = recall_by(law)

    @kernel(name="refresh_strength")
    def refresh(
        memory: Read[Memory],
        trace: Read[Trace],
        strength: Write[Strength],
        clock: Res[Clock],
        retention: Res[Retention],
    ) -> None:
        recall = retrievability(
            trace.stability, trace.accessed, trace.accesses, memory.created, clock.now
        )
        strength.value = trace.importance * max(recall, f4(retention.floor))

    return refresh


class _Sweep(System):
    """`refresh_strength`: the sweep of whatever law the world has."""

    def bind(self, world: World, name: str = "") -> BoundSystem:
        return _BoundSweep(self, world, name)


class _BoundSweep(BoundSystem):
    def __init__(self, system: System, world: World, name: str = "") -> None:
        super().__init__(system, world, name)
        self.queries.append(world.query(Memory, Trace, Strength))
        self._law: Law | None = None

    def run(self, sink: Sink) -> tuple[int, int]:
        law = law_of(self.world)
        if law is not self._law:
            self._law, self._bound = law, sweep_by(law).bind(self.world, self.name)
        return self._bound.run(sink)


def _refresh_strength(
    memory: Read[Memory],
    trace: Read[Trace],
    strength: Write[Strength],
    clock: Res[Clock],
    retention: Res[Retention],
) -> None:
    """Fill `Strength` for now, by the law in force."""


refresh_strength = _Sweep(_refresh_strength, {}, {"name": "refresh_strength", "phase": "update"})
