"""Headless runs: a scenario is built, lived through, watched, saved and told of."""

from .headless import days_left, live, make_world
from .outcome import Outcome
from .tick import Tick, Watcher

__all__ = ["Outcome", "Tick", "Watcher", "days_left", "live", "make_world"]
