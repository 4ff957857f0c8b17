"""The text pool: giving strings back."""

from __future__ import annotations

from itertools import compress

import numpy as np

from populace import Text, World, component
from populace.ecs import TextPool

from .harness import Contest, Run, case

AREA = "ecs"


@component
class Sentence:
    """A row that holds a string."""

    text: Text


@case("world")
def reclaim_texts(n: int) -> Contest:
    """Give back every other of n strings, as many rows holding the rest; bound: a list and a dict
    of the rest, made by plain Python of a mask that is there."""
    world = World(seed=1)
    strings = ["", *(f"agent {k} is at place {k % 1000} and says so" for k in range(n))]
    codes = world.text.intern(strings)
    world.spawn(Sentence(text=codes[::2]))
    live_c = np.zeros(n + 1, np.bool_)
    live_c[::2] = True
    mask = live_c.tolist()
    made: list[tuple[list[str], dict[str, int]]] = []

    def renew() -> None:
        world.store.text = TextPool(strings)

    def by_hand() -> None:
        rest = [text if lives else "" for text, lives in zip(strings, mask, strict=True)]
        known = dict(zip(compress(strings, mask), range(0, n + 1, 2), strict=True))
        made[:] = [(rest, known)]

    def verify() -> None:
        renew()
        world.reclaim_texts()
        by_hand()
        rest, known = made[0]
        assert world.text.strings == tuple(rest[: len(world.text)])
        assert all(world.text.find(text) == code for text, code in known.items())

    subject = Run(world.reclaim_texts, renew)
    return Contest({"world": subject}, Run(by_hand), verify)
