"""A logistic curve fitted to a share over time: a / (1 + exp(-r (t - t0))).

By Levenberg and Marquardt in three parameters, of which the best start of a small grid is taken:
what scipy's `curve_fit` does, without scipy. Cost: O(n) a step; n of some hundred take 5 ms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .parts import Floats

FEWEST = 6
STEPS = 200
HIGHEST = 1.0
"""A share has no ceiling above 1."""


@dataclass(frozen=True, slots=True)
class Logistic:
    """A fitted curve. reach: where it ends up, a. rate: r, per unit of t. middle: t0, when half of
    the reach is there. explained: the part of the variance that it accounts for."""

    reach: float
    rate: float
    middle: float
    explained: float

    def at(self, time: Floats) -> Floats:
        """The curve at some times."""
        return _curve(np.array([self.reach, self.rate, self.middle]), time)


def fit_logistic(time: Floats, share: Floats) -> Logistic | None:
    """Fit the curve; None where there is none: too few points, or no rise.

    >>> t = np.linspace(0, 10, 50)
    >>> found = fit_logistic(t, 0.8 / (1 + np.exp(-1.5 * (t - 4))))
    >>> round(found.reach, 4), round(found.rate, 4), round(found.middle, 4)
    (0.8, 1.5, 4.0)
    """
    there = np.isfinite(share) & np.isfinite(time)
    time, share = time[there], share[there]
    if time.size < FEWEST or np.ptp(time) <= 0 or np.ptp(share) <= 0:
        return None
    if share[-1] - share[0] < 0.5 * np.ptp(share):
        return None  # it falls, or rises and falls: no spread
    begin, length = float(time[0]), float(np.ptp(time))
    at = (time - begin) / length
    best: tuple[float, Floats] | None = None
    for reach in {min(HIGHEST, float(share.max())), min(HIGHEST, 2 * float(share.max()))}:
        for rate in (3.0, 10.0, 40.0):
            for middle in (0.2, 0.5, 0.9):
                found = _descend(np.array([reach, rate, middle]), at, share)
                if best is None or found[0] < best[0]:
                    best = found
    assert best is not None
    error, (reach, rate, middle) = best
    if not np.isfinite(error) or rate <= 0:
        return None
    explained = 1 - error / float(((share - share.mean()) ** 2).sum())
    return Logistic(float(reach), float(rate) / length, begin + float(middle) * length, explained)


def _curve(parameters: Floats, time: Floats) -> Floats:
    reach, rate, middle = parameters
    return np.asarray(reach / (1 + np.exp(np.clip(-rate * (time - middle), -500, 500))))


def _descend(parameters: Floats, time: Floats, share: Floats) -> tuple[float, Floats]:
    """The sum of squares that some parameters come down to, and those then."""
    damping = 1e-2
    residual = share - _curve(parameters, time)
    error = float(residual @ residual)
    for _ in range(STEPS):
        slopes = _slopes(parameters, time)
        square = slopes.T @ slopes
        damped = square + damping * np.diag(np.diag(square) + 1e-12)
        step = np.linalg.lstsq(damped, slopes.T @ residual, rcond=None)[0]
        tried = parameters + step
        tried[0] = min(max(tried[0], 1e-6), HIGHEST)
        tried[1:] = np.clip(tried[1:], (1e-3, -10), (1e4, 10))
        left = share - _curve(tried, time)
        reached = float(left @ left)
        if reached < error:
            settled = error - reached <= 1e-12 * error
            parameters, residual, error = tried, left, reached
            damping = max(damping / 5, 1e-12)
            if settled:
                break
        else:
            damping *= 4
            if damping > 1e10:
                break
    return error, parameters


def _slopes(parameters: Floats, time: Floats) -> Floats:
    """The curve's derivatives by its parameters, (n, 3)."""
    reach, rate, middle = parameters
    part = _curve(np.array([1.0, rate, middle]), time)
    steep = reach * part * (1 - part)
    return np.stack([part, steep * (time - middle), -steep * rate], axis=1)
