"""Embeddings: a component for each number of dimensions and dtype, found by its name."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from populace.components import Memory, Persona, Trace
from populace.components import embedding as module
from populace.components.embedding import Embedding, embedding, is_embedding
from populace.ecs import World, schema
from populace.ecs.errors import (
    ColumnShapeError,
    ColumnValueError,
    ComponentDefinitionError,
    QueryError,
)
from populace.storage.classes import find_class, path_of
from populace.storage.dots import encode
from populace.storage.snapshot import load, save

DTYPES = {"f4": np.float32, "f2": np.float16, "i1": np.int8}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dimensions", [1, 3, 256, 8192])
def test_the_same_class_each_time(dimensions, dtype):
    """However its dtype is given; by its name in the module too; two fields of what was asked."""
    made = embedding(dimensions, dtype)
    assert made.__name__ == f"Embedding{dimensions}{dtype}"
    for same in (dtype, DTYPES[dtype], np.dtype(dtype)):
        assert embedding(dimensions, same) is made
    assert getattr(module, made.__name__) is made
    assert find_class(path_of(made)) is made
    assert pickle.loads(pickle.dumps(made)) is made
    assert (made.vector.width, made.vector.dtype) == (dimensions, np.dtype(dtype))
    assert made.scale.dtype == np.float32
    assert [made_.name for made_ in schema(made).fields] == ["vector", "scale"]


def test_the_default():
    """256 dimensions, a byte each."""
    assert embedding() is embedding(256) is embedding(256, "i1") is Embedding
    assert sum(made.row_bytes for made in schema(Embedding).fields) == 260


def test_who_is_one():
    """By module and name: not another component, nor anything else."""
    assert is_embedding(Embedding)
    assert is_embedding(embedding(7, "f2"))
    for other in (Memory, int, None, "Embedding256i1", Embedding.vector, embedding):
        assert not is_embedding(other)


@pytest.mark.parametrize(
    ("dimensions", "dtype"),
    [(0, "i1"), (-1, "i1"), (8193, "f4"), (2.0, "f4"), (True, "f4"), ("3", "f4"), (3, "f8"),
     (3, "i2"), (3, "u1"), (3, np.float64)],
)  # fmt: skip
def test_what_cannot_be_one(dimensions, dtype):
    """The error says what there is, and what was given."""
    with pytest.raises(ComponentDefinitionError, match=r"1 to 8,192 dimensions.*f4, f2 or i1; got"):
        embedding(dimensions, dtype)


@pytest.mark.parametrize("name", ["Embedding8193i1", "Embedding0i1", "Embedding3f8", "Embeddings"])
def test_no_other_name_is_found(name):
    """An attribute that the module has not."""
    with pytest.raises(AttributeError, match=name):
        getattr(module, name)


def remembering(dtype="i1"):
    """A world of three memories with vectors, and their ids."""
    world = World()
    ann = world.spawn(1, Persona(number=1))
    stored, scale = encode([[3, 4], [0, 0], [-1, 1]], dtype)
    ids = world.spawn(
        Memory(owner=ann.repeat(3), sequence=[0, 1, 2], created=0, text="tea"),
        Trace(importance=0.5, stability=9.0, accessed=0),
        embedding(2, dtype)(vector=stored, scale=scale),
    )
    return world, ids


def test_it_is_written_once():
    """Neither field can be set or written in place; removed and added anew it can."""
    world, ids = remembering()
    made = embedding(2, "i1")
    for value in (made(vector=[[1, 2]] * 3), made(scale=0.5), made(vector=[[1, 2]] * 3, scale=1)):
        with pytest.raises(QueryError, match=r"written once; remove Embedding2i1.*add it anew"):
            world.set(ids, value)
    before = world.digest()
    (view,) = world.query(made)
    for column in (view.vector, view.scale):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
    assert world.digest() == before
    world.remove(ids[:1], made)
    world.add(ids[:1], made(vector=[[127, 0]], scale=1 / 127))
    assert world.get(ids[:1], made.vector).tolist() == [[127, 0]]
    world.check()


def test_what_is_refused():
    """A scale below 0 or not finite, a vector of another width; then nothing was added."""
    world, ids = remembering("f4")
    made = embedding(3, "f4")
    for value, error in (
        (made(vector=[[1, 2, 3]] * 3, scale=-1), ColumnValueError),
        (made(vector=[[1, 2, 3]] * 3, scale=np.nan), ColumnValueError),
        (made(vector=[[1, 2, np.inf]] * 3, scale=1), ColumnValueError),
        (made(vector=[[1, 2]] * 3, scale=1), ColumnShapeError),
    ):
        with pytest.raises(error, match=r"Embedding3f4\.(vector|scale)"):
            world.add(ids, value)
    assert not world.has(ids, made).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_snapshot_finds_it_in_a_process_that_never_asked(tmp_path, dtype):
    """By its name alone, with its vectors to the bit."""
    world, ids = remembering(dtype)
    save(world, tmp_path)
    other = load(tmp_path)
    made = embedding(2, dtype)
    for field in (made.vector, made.scale):
        assert other.get(ids, field).tobytes() == world.get(ids, field).tobytes()
    program = (
        "import sys; from populace.storage.snapshot import load\n"
        "world = load(sys.argv[1])\n"
        "from populace.components import embedding as module\n"
        f"made = module.embedding(2, {dtype!r})\n"
        "print(made in world.store.numbers, world.query(made).count())"
    )
    run = subprocess.run(
        [sys.executable, "-P", "-c", program, str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stdout.split() == ["True", "3"]
