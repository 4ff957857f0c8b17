"""Putting insights into words: the door for whoever writes them, and a writer without a model.

A writer is called once a step with every occasion of all agents, so that a language model can be
asked in one batch. It is code, no state: a world does not hold it, and a snapshot does not save it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple, Protocol, cast

from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ColumnValueError


class Occasion(NamedTuple):
    """What one insight or several are to be drawn from: one focal point of one reflection."""

    name: str
    """Who reflects."""
    focal: str
    """What about."""
    evidence: tuple[str, ...]
    """The memories that come to mind, the best first."""
    time: int
    """When, in simulated µs since 1970."""
    insights: int
    """How many insights may be drawn at most."""
    most_evidence: int
    """How many memories one insight may rest on at most."""


class Insight(NamedTuple):
    """A thought drawn from memories."""

    text: str
    """What it says."""
    evidence: Sequence[int]
    """The places in `Occasion.evidence` of what it rests on, each once."""
    importance: float | None = None
    """In [0, 1]; None for that of its most important evidence."""


class Writer(Protocol):
    """What `reflection` takes: for each occasion the insights drawn from it, in the same order."""

    def __call__(self, occasions: Sequence[Occasion], /) -> Sequence[Sequence[Insight]]:
        """The insights of each occasion; a tuple of the same fields passes for an `Insight`."""


def template_writer(occasions: Sequence[Occasion]) -> list[list[Insight]]:
    """One plain sentence for each occasion, resting on its best memories, each text once.

    >>> seen = ("Klaus Mueller is reading a book", "the desk is cluttered")
    >>> template_writer([Occasion("Klaus Mueller", seen[0], seen, 0, 5, 5)])[0][0].text
    'Klaus Mueller often thinks about reading a book'
    >>> template_writer([Occasion("Klaus Mueller", seen[1], seen, 0, 5, 5)])[0][0].text
    'Klaus Mueller often thinks about the desk being cluttered'
    """
    return [[_sentence(occasion)] for occasion in occasions]


def _sentence(occasion: Occasion) -> Insight:
    first_of = {text: place for place, text in reversed(list(enumerate(occasion.evidence)))}
    places = sorted(first_of.values())[: occasion.most_evidence]
    name = occasion.name or "Somebody"
    return Insight(f"{name} often thinks about {_phrase(name, occasion.focal)}", places)


_DONE = {"saw ": "seeing ", "talked ": "talking "}
"""How `perception` and `encounters` tell of what was done, and the same as a phrase."""

_STATE = re.compile(r"(?P<who>.+?) (?:is|are|was|were) (?P<what>\w+.*)", re.DOTALL)


def _phrase(name: str, text: str) -> str:
    """What was observed, as a phrase that can follow "about"."""
    text = text.strip().rstrip(".!")
    for said, doing in _DONE.items():
        if text.startswith(said):
            return doing + _subject(text.removeprefix(said))
    found = _STATE.fullmatch(text)
    if found is None or _is_doing(text):
        return text
    who, what = found["who"], found["what"]
    doing = what if _is_doing(what) else f"being {what}"
    return doing if who == name else f"{who} {doing}"


def _subject(text: str) -> str:
    """Whom somebody saw or talked with, or what about: without how it felt, and without the place
    where there is a subject, in which the last " at " is taken for the place's."""
    met, _, _ = text.partition("; felt ")
    who, about, what = met.partition(" about ")
    return who + about + (what.rpartition(" at ")[0] or what)


def _is_doing(text: str) -> bool:
    return text.split(maxsplit=1)[0].endswith("ing")


def written(writer: Writer, occasions: Sequence[Occasion]) -> list[list[Insight]]:
    """What a writer draws from these occasions, `checked` if it is somebody's own."""
    answers = writer(occasions)
    if writer is template_writer:  # what it promises is tested; to look again takes some µs each
        return cast(list[list[Insight]], answers)
    return checked(answers, occasions)


def checked(answers: Any, occasions: Sequence[Occasion]) -> list[list[Insight]]:
    """What a writer gave, as insights that keep its promises.

    Raises ColumnShapeError for too few or too many answers, ColumnTypeError for answers of another
    kind, ColumnValueError for what an insight may not say.
    """
    if isinstance(answers, str) or not isinstance(answers, Sequence):
        raise ColumnTypeError(
            f"a writer gives a list with a list of insights for each occasion; got "
            f"{type(answers).__name__}"
        )
    if len(answers) != len(occasions):
        raise ColumnShapeError(
            f"a writer gives one list of insights for each of the {len(occasions):,} occasions; "
            f"got {len(answers):,}"
        )
    return [
        _checked_one(answer, occasion, place)
        for place, (answer, occasion) in enumerate(zip(answers, occasions, strict=True))
    ]


def _checked_one(answer: Any, occasion: Occasion, place: int) -> list[Insight]:
    where = f"the writer's answer {place:,} ({occasion.name!r} about {occasion.focal[:60]!r})"
    if isinstance(answer, str) or not isinstance(answer, Sequence):
        raise ColumnTypeError(f"{where} must be a list of insights; got {type(answer).__name__}")
    if len(answer) > occasion.insights:
        raise ColumnShapeError(
            f"{where} has {len(answer):,} insights; Reflecting.insights allows {occasion.insights}"
        )
    return [_checked_insight(given, occasion, where) for given in answer]


def _checked_insight(given: Any, occasion: Occasion, where: str) -> Insight:
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        raise ColumnTypeError(
            f"{where}: an insight is Insight(text, evidence, importance=None); got {given!r}"
        )
    insight = Insight(*given)
    if not isinstance(insight.text, str):
        raise ColumnTypeError(f"{where}: the text must be a str; got {insight.text!r}")
    if not insight.text.strip():
        raise ColumnValueError(f"{where}: the text is empty; give no insight where there is none")
    try:
        places = [int(p) if p == int(p) and not isinstance(p, bool) else -1
                  for p in insight.evidence]  # fmt: skip
    except (TypeError, ValueError, OverflowError):
        raise ColumnTypeError(
            f"{where}: evidence must be places in Occasion.evidence; got {insight.evidence!r}"
        ) from None
    n = len(occasion.evidence)
    if not places or len(places) > occasion.most_evidence or len(set(places)) < len(places):
        raise ColumnValueError(
            f"{where}: an insight rests on 1 to {occasion.most_evidence} memories "
            f"(Reflecting.evidence), each named once; got places {places}"
        )
    if not all(0 <= p < n for p in places):
        raise ColumnValueError(
            f"{where}: evidence must be places from 0 to {n - 1} in Occasion.evidence; got "
            f"{list(insight.evidence)}"
        )
    importance = insight.importance
    if importance is not None:
        if isinstance(importance, (bool, str)) or not hasattr(importance, "__float__"):
            raise ColumnTypeError(
                f"{where}: importance must be a number or None; got {importance!r}"
            )
        importance = float(importance)
        if not isfinite(importance) or not 0 <= importance <= 1:
            raise ColumnValueError(f"{where}: importance must lie in [0, 1]; got {importance!r}")
    return Insight(insight.text, tuple(places), importance)
