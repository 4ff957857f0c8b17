"""How feelings pass: emotion comes down to the mood, and the mood to the temperament.

    mood     M' = -b (M - T)          M(t) = T + (M0 - T) 2^-y
    emotion  e' = -a (e - M(t))       e(t) = 2^-x e0 + K M0 + (1 - 2^-x - K) T
    x = t / emotion_half_life, y = t / mood_half_life, a and b = ln 2 / the half-lives
    K = x (2^-y - 2^-x) / (x - y)

The emotion's is the exact solution with the mood moving under it, an average of where it was, where
the mood was and the temperament; so it never leaves [-1, 1]. Where the half-lives are close, K is a
difference of near equals over another; it is computed as

    K = x 2^-min(x, y) rise(|x - y|)     rise(z) = (1 - 2^-z) / z, rise(0) = ln 2

with rise a polynomial up to 1: at a = b (K = x ln 2 2^-x) and beside it no digit is lost.
Source: FAtiMA and GAMYGDALA have the two decays; the solution is worked out here.

Invariants: after no time the state is the same bits; after for ever it is the temperament. In
between the error is below 1e-6 and not of the row, nor of the company.
Cost: 3 ns for all of it, in a vectorised loop; a power of 2 takes 0.4 and `rise` 0.6.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from populace.ecs import f4, setting, settings

from .curves import exp2_f4

LONGEST_HALF_LIFE_S = 1e9


@settings
class Emotions:
    """How feelings pass, and what moves them. A resource."""

    emotion_half_life: float = setting(
        600.0, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of an emotion's distance to the mood"
    )
    mood_half_life: float = setting(
        21_600.0, range=(1, LONGEST_HALF_LIFE_S), unit="s", doc="of a mood's to the temperament"
    )
    mood_gain: float = setting(0.3, range=(0, 1), doc="share of an appraisal that moves the mood")
    contagion: float = setting(
        0.1, range=(0, 1), doc="share of the way to the partner's emotion, at tie strength 1"
    )


# (1 - 2^-z) / z = R0 + z * (R1 + z * (R2 + ...)) on [0, 1]: relative error 1.2e-7, ln 2 at 0.
R0, R1, R2, R3, R4, R5 = (
    f4(value)
    for value in (0.6931471824645996, -0.24022608995437622, 0.055499229580163956,
                  -0.009597035124897957, 0.0012916368432343006, -0.00011491995246615261)
)  # fmt: skip


@njit(nogil=True, error_model="numpy")
def rise(z: Any) -> Any:
    """(1 - 2^-z) / z, f4, for z >= 0: ln 2 at 0, falling to 0. Relative error 4e-7.

    >>> float(rise(f4(1)))
    0.5
    """
    # Both sides always, and a choice of values: a branch would keep loops from being vectorised.
    low = min(z, f4(1))
    near = R0 + low * (R1 + low * (R2 + low * (R3 + low * (R4 + low * R5))))
    far = (f4(1) - exp2_f4(-z)) / max(z, f4(1))
    return near if z < f4(1) else far


@njit(nogil=True, error_model="numpy")
def seconds_since(time: Any, now: Any) -> Any:
    """Seconds from `time` to `now`, i8 µs both, f4; 0 where that is negative."""
    # The i8 difference is exact; in f4 its relative error is 6e-8, whatever the date.
    return max(f4(now - time) * f4(1e-6), f4(0))


@njit(nogil=True, error_model="numpy")
def kept(elapsed: Any, half_life: Any) -> Any:
    """2^-(elapsed / half_life), f4: how much of a state is left. s both."""
    return exp2_f4(-elapsed / f4(half_life))


@njit(nogil=True, error_model="numpy")
def taken_up(elapsed: Any, emotion_half_life: Any, mood_half_life: Any) -> Any:
    """K, f4: how much of an emotion is by then what the mood was at its beginning. s all.

    >>> float(taken_up(f4(0), 600.0, 21_600.0))
    0.0
    """
    x, y = elapsed / f4(emotion_half_life), elapsed / f4(mood_half_life)
    return x * exp2_f4(-min(x, y)) * rise(abs(x - y))


@njit(nogil=True, error_model="numpy")
def within(value: Any) -> Any:
    """A coordinate, clipped to [-1, 1]; f4."""
    return min(max(f4(value), f4(-1)), f4(1))


@njit(nogil=True, error_model="numpy")
def relaxed(mood: Any, temperament: Any, keeps: Any) -> Any:
    """One coordinate of a mood of which `keeps` is left, f4."""
    return within(mood * keeps + temperament * (f4(1) - keeps))


# Too long for LLVM to put into a loop by itself; as a call it costs 11 ns instead of 1.4.
@njit(nogil=True, error_model="numpy", forceinline=True)
def passing(
    since: Any, mood_since: Any, now: Any, emotion_half_life: Any, mood_half_life: Any
) -> Any:
    """(of the mood at `mood_since` what is left at `since`, of the emotion at `since` what is left
    at `now`, K), f4: the weights of `faded`. Times i8 µs, half-lives s.

    A mood that was set later than the emotion counts as having been so since the emotion's time.
    """
    elapsed = seconds_since(since, now)
    return (
        kept(seconds_since(mood_since, since), mood_half_life),
        kept(elapsed, emotion_half_life),
        taken_up(elapsed, emotion_half_life, mood_half_life),
    )


@njit(nogil=True, error_model="numpy")
def faded(emotion: Any, mood: Any, temperament: Any, gap: Any, keeps: Any, takes: Any) -> Any:
    """One coordinate of an emotion, f4, by the weights of `passing`."""
    rest = f4(1) - keeps - takes
    return within(emotion * keeps + relaxed(mood, temperament, gap) * takes + temperament * rest)
