"""What a memory means, as a vector, in the form that its world has chosen.

    Embedding = embedding(256, "i1")     # the default; 260 bytes a memory

Directions alone count: the cosine of a memory and a query is `scale` times the inner product of
the stored vector and the query's unit vector, whatever the dtype. Both are written once; to change
them, remove the component and add it anew, so that indices hear of it. `storage.dots` makes both of
vectors.

    dtype   bytes of 256    of an agent's ten best, so many are the same as in f4
    f4      1,028           all
    f2      516             all but one in 1,000
    i1      260             see docs/recall.md
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from populace.ecs import Vector, component, f2, f4, field, i1
from populace.ecs.errors import ComponentDefinitionError

DTYPES = {"f4": f4, "f2": f2, "i1": i1}
MOST_DIMENSIONS = 8192
_NAME = re.compile(r"Embedding([1-9][0-9]{0,3})(f4|f2|i1)")


def embedding(dimensions: int = 256, dtype: Any = "i1") -> type:
    """The component of vectors of so many dimensions; the same class each time.

    dtype: "f4", "f2" or "i1", or numpy's. Raises ComponentDefinitionError.

    >>> embedding(256) is Embedding, embedding(384, "f2").__name__
    (True, 'Embedding384f2')
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).str[1:]
    whole = isinstance(dimensions, int) and not isinstance(dimensions, bool)
    if name not in DTYPES or not whole or not 1 <= dimensions <= MOST_DIMENSIONS:
        raise ComponentDefinitionError(
            f"an embedding has 1 to {MOST_DIMENSIONS:,} dimensions, of dtype f4, f2 or i1; "
            f"got dimensions={dimensions!r}, dtype={dtype!r}"
        )
    return _made(dimensions, name)


@cache
def _made(dimensions: int, dtype: str) -> type:
    vector: Any = Vector  # to a checker it has no parameters
    namespace = {
        "__module__": __name__,
        "__doc__": f"What a memory means: {dimensions} dimensions in {dtype}.",
        "__annotations__": {"vector": vector[dimensions, DTYPES[dtype]], "scale": f4},
        "vector": field(fixed=True, unit="1", doc="its direction; zeros mean nothing"),
        "scale": field(
            fixed=True, range=(0, 3.4e38), unit="1", doc="1 / length of the stored vector, or 0"
        ),
    }
    return component(type(f"Embedding{dimensions}{dtype}", (), namespace))


Embedding = embedding()
"""256 dimensions, a byte each."""


def is_embedding(cls: Any) -> bool:
    """Whether a class is one that `embedding` makes."""
    return getattr(cls, "__module__", None) == __name__ and bool(_NAME.fullmatch(cls.__name__))


def __getattr__(name: str) -> Any:
    # So that a snapshot's `Embedding384f2` is found before anybody has asked for it.
    match = _NAME.fullmatch(name)
    if match and int(match[1]) <= MOST_DIMENSIONS:
        return _made(int(match[1]), match[2])
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
