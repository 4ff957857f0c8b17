"""Memories as text for the prompt of a language model, within its budget of tokens.

    found = recall(world, ann, "What is Klaus reading?", k=50)
    prompt = memories_as_text(world, found, budget=1_000)

    [2023-02-13 09:40] Klaus Mueller is reading about gentrification
    [2023-02-12 18:05] Maria Lopez is talking with Klaus Mueller about her game

One memory a line, the strongest first, whole or not at all. The first that does not fit ends the
text: a weaker memory in place of a stronger one would tell the model that there is no stronger, and
lines would come and go as the budget grows. So the text for a smaller budget begins that for a
larger. `skip=True` lets weaker ones follow that fit, where the budget is to be filled.

Without a tokenizer, tokens are estimated (`estimated_tokens`): of 30 lines never too few for Llama
2's tokenizer with its 32,000 tokens, but 13 % too many of a simulated day with its times, and 40 %
of talk; so no prompt is cut off, and it holds less than it could. Give `tokens` the model's own.

Invariant: what `tokens` says of the text is at most the budget, unless it is empty.
Cost: 3 µs a memory that is shown, and counting the tokens of the text log n times, with `skip` n
times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from populace.components import Memory, MemoryKind
from populace.ecs import NOBODY, World
from populace.ecs.entities import as_ids
from populace.ecs.errors import ColumnShapeError, SettingError
from populace.storage.indexed import refuse_worker

Array = npt.NDArray[Any]
Counter = Callable[[str], int]

LETTERS_A_TOKEN = 3
PIECE = re.compile(r"[a-zA-Z]+|[^\sa-zA-Z]|\n")
MINUTE_US = 60_000_000
AGES = (
    ("year", 365 * 1440 * MINUTE_US),
    ("month", 30 * 1440 * MINUTE_US),
    ("week", 7 * 1440 * MINUTE_US),
    ("day", 1440 * MINUTE_US),
    ("hour", 60 * MINUTE_US),
    ("minute", MINUTE_US),
)


def memories_as_text(
    world: World,
    found: Any,
    budget: int | None = None,
    *,
    tokens: Any = None,
    times: bool = True,
    ages: bool = False,
    kinds: bool = False,
    skip: bool = False,
) -> str:
    """The memories that came to mind, one a line, as many as fit; "" if none does.

    found: a `Recollection`, or ids of memories, the strongest first. budget: tokens, None for no
    limit. tokens: a function str -> int, anything that can `encode` as tiktoken's encodings and
    tokenizers do, or None for `estimated_tokens`. times, ages, kinds: whether a line says when the
    memory was formed, how long ago that is, and what kind it is. skip: whether weaker ones may
    follow one that does not fit.

    White space within a memory, its line ends too, becomes one space; one that says nothing is left
    out. Of memories in the archive, time and kind are told if `found` has `created` and `kind`.
    Raises DeadEntityError, ComponentMissingError, ColumnShapeError, SettingError.

    >>> from populace.components import Persona
    >>> from populace.ecs import hours
    >>> world = World()
    >>> ann = world.spawn(1, Persona(number=7))[0]
    >>> ids = world.spawn(Memory(owner=ann, sequence=[0, 1], created=[0, hours(9)],
    ...     text=["rain", "Bo is reading"]))
    >>> world.clock.now = hours(12)
    >>> print(memories_as_text(world, ids[::-1], ages=True))
    [1970-01-01 09:00, 3 hours ago] Bo is reading
    [1970-01-01 00:00, 12 hours ago] rain
    """
    whole = isinstance(budget, int | np.integer) and not isinstance(budget, bool)
    if budget is not None and (not whole or budget < 0):
        raise SettingError(
            f"a budget is a whole number of tokens >= 0, or None for no limit; got {budget!r}"
        )
    count = _counter(tokens)
    lines = _lines(world, found, times, ages, kinds)
    if budget is None:
        return "\n".join(lines)
    if skip:
        return _filled(lines, int(budget), count)
    return _beginning(lines, int(budget), count)


def estimated_tokens(text: str) -> int:
    """About how many tokens a text has, rather too many than too few: one for 3 letters of a word,
    one for each digit, sign and line end, and one for each byte of any other letter.

    >>> estimated_tokens("[09:40] Klaus is reading")
    13
    """
    total = 0
    for piece in PIECE.findall(text):
        if piece.isascii():
            total += -(-len(piece) // LETTERS_A_TOKEN)
        else:
            total += len(piece.encode("utf-8", "replace"))
    return total


def age_phrase(microseconds: int) -> str:
    """A duration as people say it.

    >>> age_phrase(3 * 3_600_000_000 + 5), age_phrase(59), age_phrase(-86_400_000_000)
    ('3 hours ago', 'just now', 'in 1 day')
    """
    size = abs(microseconds)
    for unit, length in AGES:
        if size >= length:
            n = size // length
            many = f"{n:,} {unit}{'s' if n > 1 else ''}"
            return f"{many} ago" if microseconds > 0 else f"in {many}"
    return "just now"


# -- lines ---------------------------------------------------------------------------------------


def _lines(world: World, found: Any, times: bool, ages: bool, kinds: bool) -> list[str]:
    """One line for each memory that says something, in their order."""
    known = hasattr(found, "ids") and hasattr(found, "text")
    ids = as_ids(found.ids if known else found)
    refuse_worker(world, "memories_as_text")
    with world.store.moment:
        here = ids != NOBODY if known else np.ones(ids.size, np.bool_)
        texts = list(found.text) if known else world.text.decode(world.get(ids, Memory.text))
        if len(texts) != ids.size:
            raise ColumnShapeError(
                f"memories need a text for each id; got {len(texts):,} texts and {ids.size:,} ids"
            )
        created, dated = _values(world, found, ids, here, "created") if times or ages else _NONE
        kind, sorted_out = _values(world, found, ids, here, "kind") if kinds else _NONE
        now = world.clock.now
    stamps = np.datetime_as_string(created.astype("M8[us]"), unit="m").tolist() if times else []
    lines = []
    for place, text in enumerate(texts):
        folded = " ".join(text.split())
        if not folded:
            continue
        head = []
        if times and dated[place]:
            head.append(stamps[place].replace("T", " "))
        if ages and dated[place]:
            head.append(age_phrase(now - int(created[place])))
        before = f"[{', '.join(head)}] " if head else ""
        if kinds and sorted_out[place]:
            before += f"({MemoryKind(int(kind[place])).name.lower()}) "
        lines.append(before + folded)
    return lines


_NONE = np.empty(0, np.int64), np.empty(0, np.bool_)


def _values(
    world: World, found: Any, ids: Array, here: Array, name: str
) -> tuple[Array, npt.NDArray[np.bool_]]:
    """(n,) i8 values of a field of `Memory`, and (n,) bool where they are known."""
    told = getattr(found, name, None) if hasattr(found, "ids") else None
    if told is not None:
        return np.asarray(told, np.int64), np.ones(ids.size, np.bool_)
    values = np.zeros(ids.size, np.int64)
    values[here] = world.get(ids[here], getattr(Memory, name))
    return values, here


# -- budget --------------------------------------------------------------------------------------


def _counter(tokens: Any) -> Counter:
    """What counts the tokens of a text. Raises SettingError for what cannot."""
    if tokens is None:
        return estimated_tokens
    for name in ("encode_ordinary", "encode"):  # tiktoken's encode refuses some texts
        encode = None if isinstance(tokens, str | type) else getattr(tokens, name, None)
        if callable(encode):
            return lambda text: len(encode(text))
    if not callable(tokens) or isinstance(tokens, type):
        raise SettingError(
            f"tokens is a function of a text that returns how many tokens it has, or something "
            f"with .encode, such as tiktoken.get_encoding(...); got {tokens!r}"
        )

    def counted(text: str) -> int:
        n = tokens(text)
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 0:
            raise SettingError(f"tokens must return a whole number >= 0, got {n!r} from {tokens!r}")
        return int(n)

    return counted


def _beginning(lines: list[str], budget: int, count: Counter) -> str:
    """As many of the first lines as fit."""

    def fits(n: int) -> bool:
        return count("\n".join(lines[:n])) <= budget

    fitting, most = 0, 1
    while most <= len(lines) and fits(most):
        fitting, most = most, 2 * most
    most = min(most, len(lines) + 1)  # does not fit, or is not there
    while most - fitting > 1:
        middle = (fitting + most) // 2
        fitting, most = (middle, most) if fits(middle) else (fitting, middle)
    return "\n".join(lines[:fitting])


def _filled(lines: list[str], budget: int, count: Counter) -> str:
    """The lines that fit after those before them that did."""
    text = ""
    for line in lines:
        longer = f"{text}\n{line}" if text else line
        if count(longer) <= budget:
            text = longer
    return text
