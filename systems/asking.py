"""What is asked: texts or vectors, checked, each of them once.

Invariants: a question is whole before anything is looked at; texts that are asked of many agents
are embedded and taken apart once.
Cost: 1 µs a query that the embedder knows, and 2 µs for each of its words.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from populace.components.embedding import is_embedding
from populace.ecs import World
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ResourceError,
)
from populace.storage.dots import Queries, queries

from .embedding import Embeddings, embedder_of
from .scoring import RecallScore

Mode = Literal["hybrid", "words", "vectors"]

MOST_KEY_BYTES = 4096
"""Of agents and queries that an answer is kept in the cache for."""


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What is asked of each of n agents, or of a society. Made by `asked`.

    texts: distinct ones; () where vectors or nothing were given. vectors: of the distinct queries,
    None where they are not compared by meaning. component: of the memories' vectors. by_words:
    whether words count. query_n: (n,) i8, which query each is asked, -1 for none. key: the same for
    the same question.
    """

    texts: tuple[str, ...]
    vectors: Queries | None
    component: type | None
    by_words: bool
    query_n: npt.NDArray[np.int64]
    key: Hashable

    @property
    def vector_type(self) -> np.dtype[Any] | None:
        """What vectors are stored in."""
        if self.component is None:
            return None
        dtype: np.dtype[Any] = self.component.vector.dtype  # type: ignore[attr-defined]
        return dtype

    def keyed(self, *rest: Any) -> Hashable:
        """What the answer to it is kept under, or None where that would be large. rest: what else
        it depends on; arrays by their bytes."""
        parts = [each.tobytes() if isinstance(each, np.ndarray) else each for each in rest]
        size = sum(len(each) for each in parts if isinstance(each, bytes))
        size += sum(map(len, self.texts))
        if self.vectors is not None:
            size += self.vectors.unit_qd.nbytes
        return (self.key, *parts) if size <= MOST_KEY_BYTES else None


def check_settings(k: Any, diversity: Any, law: Any) -> int:
    """k as a number. Raises ColumnValueError, and ColumnTypeError for a law that is none."""
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise ColumnValueError(f"k is how many memories to find, 1 or more; got k={k!r}")
    number = isinstance(diversity, (int, float, np.number)) and not isinstance(diversity, bool)
    if not number or not 0 <= diversity <= 1:
        raise ColumnValueError(f"diversity is in [0, 1]; got {diversity!r}")
    if law is not None and not isinstance(law, RecallScore):
        raise ColumnTypeError(
            f"law is a RecallScore, such as SMALLVILLE, or None for the world's; got {law!r}"
        )
    return int(k)


def asked(world: World, query: Any, n: int, mode: str) -> Question:
    """A question to n agents.

    query: None; a text, or one for each; a vector (d,), or one for each, (n, d). mode: "hybrid" by
    words and, where memories have embeddings, by meaning; "words" or "vectors" alone.

    Raises ColumnValueError for an empty text or a vector that is not finite, ColumnShapeError for
    another number of queries or of dimensions, ColumnTypeError, ResourceError where there are no
    embeddings to compare with, or nobody to embed the texts.
    """
    if mode not in get_args(Mode):
        raise ColumnValueError(f"mode is {', '.join(get_args(Mode))}; got {mode!r}")
    if query is None:
        return Question((), None, None, False, np.full(n, -1), None)
    if isinstance(query, str):
        return _of_texts(world, [query], np.zeros(n, np.int64), mode)
    if isinstance(query, np.ndarray) and query.dtype.kind != "U" and query.dtype.kind != "O":
        return _of_vectors(world, _array(query), n, mode)
    scalar = isinstance(query, np.ndarray) and not query.ndim
    if scalar or isinstance(query, bytes) or not isinstance(query, Iterable):
        raise _no_query(query)
    given = list(query)
    if all(isinstance(each, str) for each in given):
        _check_number(len(given), n)
        if not n:
            return asked(world, None, n, mode)
        places = {text: place for place, text in enumerate(dict.fromkeys(given))}
        which = np.fromiter((places[text] for text in given), np.int64, n)
        return _of_texts(world, list(places), which, mode)
    return _of_vectors(world, _array(query), n, mode)


def asked_once(world: World, query: Any, mode: str) -> Question:
    """One question: a text, or a vector (d,). Raises as `asked` does, and for what are several."""
    if query is None:
        raise ColumnValueError(
            "who_remembers takes a query, a text or a vector; recall(world, agents) finds what is "
            "recent and important of each agent without one"
        )
    if isinstance(query, str):
        return asked(world, query, 1, mode)
    texts = isinstance(query, list | tuple) and any(isinstance(each, str) for each in query)
    if texts or np.ndim(_array(query)) != 1:
        raise ColumnShapeError(
            f"who_remembers takes one query, a text or a vector (d,); got {query!r:.200}"
        )
    return asked(world, _array(query), 1, mode)


def _array(query: Any) -> npt.NDArray[Any]:
    """Numbers as an array. Raises ColumnTypeError for what is no query."""
    try:
        found = np.asarray(query)
    except ValueError:  # of different lengths
        raise _no_query(query) from None
    if found.dtype.kind not in "fiu":
        raise _no_query(query)
    return found


def _no_query(query: Any) -> ColumnTypeError:
    return ColumnTypeError(
        f"a query is a text, a vector (d,), or one of either for each agent; got {query!r:.200}"
    )


def _check_number(n_queries: int, n: int) -> None:
    if n_queries != n:
        raise ColumnShapeError(
            f"recall takes one query, or one for each of {n:,} agents; got {n_queries:,}"
        )


def _of_texts(world: World, texts: list[str], which: npt.NDArray[np.int64], mode: str) -> Question:
    for text in texts:
        if not text.strip():
            raise ColumnValueError(
                f"a query says what it is about; got {text!r}: leave it out, or give None, to "
                f"recall what is recent and important whatever it is about"
            )
    vectors, component, held = None, None, None
    if mode != "words" and (mode == "vectors" or Embeddings in world.resources):
        held = embedder_of(world)
        if held is None:
            raise ResourceError(
                "nobody embeds the query: attach_embedder(world) gives this world an embedder, "
                "after loading too; mode='words' goes without"
            )
        vectors, component = queries(held.query(texts)), held.law.component
    key = tuple(texts), which.tobytes() if len(texts) > 1 else None, mode, held
    return Question(tuple(texts), vectors, component, mode != "vectors", which, key)


def _of_vectors(world: World, given: npt.NDArray[Any], n: int, mode: str) -> Question:
    if mode == "words":
        raise ColumnValueError("mode='words' compares words; a vector has none: ask with a text")
    component = embeddings_of(world)
    dimensions = component.vector.width  # type: ignore[attr-defined]
    if given.ndim not in (1, 2) or given.shape[-1] != dimensions:
        raise ColumnShapeError(
            f"memories of this world have {dimensions:,} dimensions ({component.__name__}); a "
            f"query has as many, ({dimensions},), or ({n:,}, {dimensions}) for one each; got "
            f"{given.shape}"
        )
    if given.ndim == 2:
        _check_number(len(given), n)
    made = queries(given.reshape(-1, dimensions))
    which = np.zeros(n, np.int64) if given.ndim == 1 else np.arange(n)
    return Question((), made, component, False, which, (made.unit_qd.tobytes(), component))


def embeddings_of(world: World) -> type:
    """The component that the vectors of a world's memories are in.

    Raises ResourceError where there is none, or more than one.
    """
    if Embeddings in world.resources:
        return world.resource(Embeddings).component
    found = [cls for cls in list(world.store.numbers) if is_embedding(cls)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(cls.__name__ for cls in found)
        raise ResourceError(
            f"memories of this world have embeddings of {len(found)} kinds, {names}; insert the "
            f"resource Embeddings(...) that says which is meant"
        )
    raise ResourceError(
        "no memory of this world has an embedding; attach_embedder(world) embeds their texts, or "
        "add vectors of your own: world.add(ids, embedding(d, dtype)(vector=..., scale=...)), both "
        "from populace.storage.dots.encode"
    )
