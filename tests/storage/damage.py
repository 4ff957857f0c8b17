"""JSON that has come to harm: any part of it replaced or gone."""

import json

from hypothesis import strategies as st

WORDS = [
    "vector",
    "entity",
    "<f4",
    "|u1",
    "nan",
    "class",
    "fields",
    "tuple",
    "array",
    "enum",
    "a:b",
]

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(WORDS)
    | st.sampled_from([10**400, 2**40, -1, 0, 1]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
"""Any JSON, with a liking for words that mean something in a snapshot."""


@st.composite
def damaged(draw, value):
    """`value` with one or two of its parts replaced by anything, or gone."""
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(_places(value))))
        value = json.loads(json.dumps(value))
        if not path:
            return draw(anything)
        holder = value
        for step in path[:-1]:
            holder = holder[step]
        if draw(st.booleans()):
            del holder[path[-1]]
        else:
            holder[path[-1]] = draw(anything)
    return value


def _places(value, path=()):
    """The paths of all parts of JSON."""
    yield path
    steps = (
        value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0)
    )
    for step in steps:
        yield from _places(value[step], (*path, step))
