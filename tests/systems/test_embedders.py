"""Embedders: what is said of a text depends on it alone, and nothing wrong comes in."""

import builtins
import hashlib
import logging
import math
import subprocess
import sys
import unicodedata
from importlib import util

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from populace.ecs.errors import (
    ColumnShapeError,
    ColumnTypeError,
    ColumnValueError,
    ResourceError,
    SettingError,
)
from populace.systems import embedders
from populace.systems.embedders import (
    CallableEmbedder,
    Embedder,
    EmbedderWarning,
    HashedEmbedder,
    SentenceEmbedder,
    StaticEmbedder,
    check_embedder,
    embedder_from,
    vectors_of,
)

needs_static = pytest.mark.skipif(util.find_spec("wordllama") is None, reason="no wordllama")

U8 = 2**64 - 1
SOME = ["Klaus is reading about gentrification", "a desk", "Ünïcode: naïve Привет 日本語", "x", "7"]


def fnv(data, start=0xCBF29CE484222325):
    hash_ = start
    for byte in data:
        hash_ = (hash_ ^ byte) * 0x100000001B3 & U8
    return hash_


def mixed(hash_):
    hash_ = (hash_ ^ (hash_ >> 30)) * 0xBF58476D1CE4E5B9 & U8
    hash_ = (hash_ ^ (hash_ >> 27)) * 0x94D049BB133111EB & U8
    return hash_ ^ (hash_ >> 31)


def naive_hashed(text, dimensions):
    """`HashedEmbedder` of one text, in plain Python, letter by letter."""
    plain = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    plain = plain.encode("utf-8", "replace").decode()
    out = np.zeros(dimensions, np.float32)

    def add(hash_, weight):
        told = mixed(hash_)
        out[(told >> 1) % dimensions] += np.float32(weight if told & 1 else -weight)

    letters = [
        c if c in "abcdefghijklmnopqrstuvwxyz0123456789" or c > "\x7f" else " " for c in plain
    ]
    for word in "".join(letters).split(" "):
        if not word:
            continue
        whole = fnv(word.encode())
        share = np.float32(min(1.0, (len(word) / 6) ** 2))
        add(whole, share)
        marked = f" {word} "
        parts = [marked[at : at + 4] for at in range(len(marked) - 3)]
        for part in parts:
            weight = share * np.float32(2) / np.float32(math.sqrt(len(parts)))
            add(fnv(part.encode(), 0xCBF29CE484222325 ^ 0xFF), weight)
    return out


class Constant:
    """An embedder that gives what it is told to, and remembers what it was asked."""

    def __init__(self, given, dimensions=3, name="constant"):
        self.given, self.dimensions, self.name, self.asked = given, dimensions, name, []

    def __call__(self, texts):
        self.asked.append(list(texts))
        return self.given(len(texts)) if callable(self.given) else self.given


# -- hashed ----------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=40), max_size=6), st.sampled_from([1, 2, 7, 256]))
@example(["the cat", "THE CAT", "", " ", "é", "e\u0301", "ab" * 50, "a b", "\ud800x"], 64)
def test_hashed_vectors_are_those_of_the_naive_twin(texts, dimensions):
    """Words and their parts of four letters, whatever the letters."""
    expected = np.array([naive_hashed(text, dimensions) for text in texts]).reshape(-1, dimensions)
    np.testing.assert_array_equal(HashedEmbedder(dimensions)(texts), expected)


def test_hashed_vectors_do_not_change():
    """Not with the run, the machine or the version: snapshots hold them."""
    made = vectors_of(HashedEmbedder(256), SOME)
    digest = hashlib.sha256(np.rint(made * 1e6).astype(np.int64).tobytes()).hexdigest()
    assert digest[:16] == "386da8ae5d6f4faa"


def test_hashed_texts_are_close_by_words_and_stems():
    """Whatever their case."""
    one, same, stem, other = vectors_of(
        HashedEmbedder(1024), ["painting", "PAINTING", "he paints", "tax law"]
    )
    assert one @ same > 0.999
    assert one @ stem > 0.3 > abs(one @ other)


@pytest.mark.parametrize("dimensions", [0, -1, 8193, 2.0, True, "256"])
def test_hashed_dimensions_are_checked(dimensions):
    """From 1 to 8,192, whole."""
    with pytest.raises(SettingError, match="1 to 8,192 dimensions"):
        HashedEmbedder(dimensions)


# -- what both promise -----------------------------------------------------------------------------


@pytest.fixture(params=["hashed", pytest.param("static", marks=needs_static)], scope="module")
def made(request):
    return embedder_from(request.param)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.randoms())
@examples(max_examples=60)
def test_a_vector_depends_on_its_text_alone(made, texts, random):
    """To the bit: not on what is asked beside it, nor in which order."""
    alone = [vectors_of(made, [text])[0] for text in texts]
    order = list(range(len(texts)))
    random.shuffle(order)
    together = vectors_of(made, [texts[place] for place in order])
    np.testing.assert_array_equal(together, np.array(alone)[order])


def test_vectors_are_of_length_one_or_zero(made):
    """Blank texts mean nothing."""
    lengths = np.linalg.norm(vectors_of(made, [*SOME, "", " \n", "\ud800"]), axis=1)
    np.testing.assert_allclose(lengths[: len(SOME)], 1, atol=1e-6)
    assert lengths[len(SOME) : len(SOME) + 2].tolist() == [0, 0]


def test_our_embedders_are_embedders(made):
    """By the protocol."""
    assert isinstance(made, Embedder)
    assert check_embedder(made) == (made.name, made.dimensions)
    assert made.name in repr(made)


# -- static ----------------------------------------------------------------------------------------


@needs_static
def test_static_vectors_are_wordllamas():
    """The package's own, computed without its padding."""
    import wordllama

    folder = embedders.Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(disable_download=True, cache_dir=folder)
    texts = [*SOME, "a much longer text " * 40]
    np.testing.assert_array_equal(StaticEmbedder()(texts), model.embed(texts))


@needs_static
def test_static_vectors_know_synonyms():
    """Where words differ and meaning does not."""
    made = vectors_of(StaticEmbedder(), ["a doctor", "her physician", "a bicycle"])
    assert made[0] @ made[1] > made[0] @ made[2] + 0.1


@needs_static
def test_loading_leaves_logging_alone_and_asks_no_network():
    """wordllama would configure the root logger, and fetch its tokenizer."""
    script = """
import logging, socket
def refuse(*a, **k): raise OSError("network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
from populace.systems.embedders import StaticEmbedder
root = logging.getLogger()
before = (list(root.handlers), root.level)
assert StaticEmbedder()(["tea"]).shape == (1, 256)
assert (list(root.handlers), root.level) == before, root.handlers
logging.basicConfig(level=logging.DEBUG)
assert root.level == logging.DEBUG and root.handlers
"""
    subprocess.run([sys.executable, "-P", "-c", script], check=True)
    assert logging.getLogger().level == logging.WARNING


def without(monkeypatch, package):
    """As if a package were not installed."""
    real = builtins.__import__
    spec = util.find_spec

    def refuse(name, *rest, **named):
        if name.partition(".")[0] == package:
            raise ImportError(f"No module named {package!r}")
        return real(name, *rest, **named)

    def import_module(name):
        return refuse(name, fromlist=[""])

    monkeypatch.setattr(embedders, "import_module", import_module)
    monkeypatch.setattr(
        embedders.util, "find_spec", lambda name: None if name == package else spec(name)
    )
    embedders._static_model.cache_clear()


def test_without_its_package_the_static_embedder_says_so(monkeypatch):
    """And by default there is another, with a warning."""
    without(monkeypatch, "wordllama")
    with pytest.raises(ResourceError, match=r"pip install wordllama.*HashedEmbedder"):
        StaticEmbedder()
    with pytest.warns(EmbedderWarning, match="wordllama is not installed"):
        assert embedder_from().name == "hashed-256"


def test_without_its_package_the_sentence_embedder_names_the_extra(monkeypatch):
    """`populace[sentences]`."""
    without(monkeypatch, "sentence_transformers")
    with pytest.raises(ResourceError, match=r"pip install 'populace\[sentences\]'"):
        SentenceEmbedder("all-MiniLM-L6-v2")


class FakeModels:
    """What `SentenceEmbedder` needs of sentence-transformers."""

    def __init__(self):
        self.made = []

    def SentenceTransformer(self, model, **options):
        self.made.append((model, options))
        return self

    def get_sentence_embedding_dimension(self):
        return 2

    def encode(self, texts, **options):
        return np.array([[len(text), 1] for text in texts], np.float32)


def test_a_sentence_model_is_an_embedder_that_downloads_nothing(monkeypatch, tmp_path):
    """Its name tells model and settings, not its folder."""
    models = FakeModels()
    monkeypatch.setattr(embedders, "import_module", lambda name: models)
    folder = tmp_path / "mini"
    folder.mkdir()
    made = SentenceEmbedder(str(folder), truncate_dim=2, device="cpu")
    options = {"local_files_only": True, "truncate_dim": 2, "device": "cpu"}
    assert models.made == [(str(folder), options)]
    assert SentenceEmbedder("someone/mini").name == "sentences/someone/mini"
    assert made.name == "sentences/mini/truncate_dim=2"
    assert isinstance(made, Embedder)
    assert vectors_of(made, ["a"]).shape == (1, 2)
    assert made.name in repr(made)


# -- functions of one's own ------------------------------------------------------------------------


def of_lengths(texts):
    return [[len(text), 1.0] for text in texts]


def test_a_function_is_an_embedder_by_its_name():
    """Its dimensions are found out by one call, when they are first needed."""
    made = embedder_from(of_lengths)
    assert made.name == f"{__name__}:of_lengths"
    calls = []
    counted = CallableEmbedder(lambda texts: calls.append(texts) or of_lengths(texts), "counted")
    assert calls == []
    assert (counted.dimensions, counted.dimensions) == (2, 2)
    assert len(calls) == 1
    assert repr(counted) == "<CallableEmbedder counted>"


@pytest.mark.parametrize("call", [lambda texts: [], Constant(0).__call__, [].append])
def test_what_has_no_lasting_name_needs_one(call):
    """A lambda, a method: two of them would pass for the same."""
    with pytest.raises(SettingError, match="name='model and settings'"):
        embedder_from(call)
    assert CallableEmbedder(call, "mine", 2).name == "mine"


def test_a_function_that_gives_no_table_is_refused():
    """When its dimensions are asked for."""
    with pytest.raises(ColumnShapeError, match=r"for one text it gave shape \(3,\)"):
        _ = CallableEmbedder(lambda texts: [1, 2, 3], "flat").dimensions


@pytest.mark.parametrize("value", [3, HashedEmbedder, object(), ["hashed"]])
def test_what_is_no_embedder_is_refused(value):
    """Numbers, classes, lists."""
    with pytest.raises(SettingError, match="an embedder is a name, an Embedder, or a function"):
        embedder_from(value)


@pytest.mark.parametrize("name", ["", "bert", "hashed-", "hashed-x", "hashed-²"])
def test_an_unknown_name_is_refused(name):
    """With the names that are known."""
    with pytest.raises(SettingError, match=r"'static' .* and 'hashed'"):
        embedder_from(name)


def test_names_make_their_embedders():
    """Those of snapshots too."""
    assert embedder_from("hashed-512").dimensions == 512
    own = Constant(0)
    assert embedder_from(own) is own


@needs_static
def test_the_default_is_static():
    """Where it is installed."""
    assert embedder_from().name == embedder_from("static").name == StaticEmbedder.name


@pytest.mark.parametrize(("name", "dimensions"), [("", 3), (None, 3), ("a", 0), ("a", "3")])
def test_an_embedder_says_what_it_is(name, dimensions):
    """A name, and dimensions that a component can have."""
    with pytest.raises(SettingError):
        check_embedder(Constant(0, dimensions, name))


# -- at the door -----------------------------------------------------------------------------------


WRONG = [
    (lambda n: np.ones((n, 4)), ColumnShapeError, r"2 vectors of 3 dimensions.*\(2, 4\)"),
    (lambda n: np.ones((n - 1, 3)), ColumnShapeError, r"\(1, 3\)"),
    (lambda n: np.ones(3), ColumnShapeError, r"\(3,\)"),
    (lambda n: None, ColumnShapeError, r"shape \(\)"),
    (lambda n: [[1, 2, 3], [1, 2]], ColumnTypeError, "got a list"),
    (lambda n: [["a", "b", "c"]] * n, ColumnTypeError, "are numbers"),
    (lambda n: np.full((n, 3), 1j), ColumnTypeError, "are numbers"),
    (lambda n: np.full((n, 3), np.nan), ColumnValueError, "'constant' must be finite"),
    (lambda n: np.full((n, 3), np.inf), ColumnValueError, "must be finite"),
]


@pytest.mark.parametrize(("given", "error", "match"), WRONG)
def test_wrong_vectors_are_refused(given, error, match):
    """Of another shape or type, or not finite; the message names the embedder."""
    with pytest.raises(error, match=match) as caught:
        vectors_of(Constant(given), ["a", "b"])
    assert "'constant'" in str(caught.value)


def test_what_an_embedder_raises_says_who_it_was():
    """In a note; the error is its own."""

    def fail(n):
        raise TimeoutError("the service is asleep")

    with pytest.raises(TimeoutError) as caught:
        vectors_of(Constant(fail), ["a"])
    assert caught.value.__notes__ == ["embedder 'constant', asked for the vectors of 1 texts"]


def test_blank_texts_are_not_asked_about():
    """They mean nothing, whatever the embedder."""
    own = Constant(lambda n: np.ones((n, 3)))
    assert vectors_of(own, ["", "a", " \t", "b"]).any(axis=1).tolist() == [False, True, False, True]
    assert not vectors_of(own, ["", " "]).any()
    assert vectors_of(own, []).shape == (0, 3)
    assert own.asked == [["a", "b"]]


def test_any_kind_of_floats_will_do():
    """Lists, halves, doubles, whole numbers; large and small."""
    for floats in ([[3, 4, 0]], np.array([[3, 4, 0]], "f2"), np.array([[3e200, 4e200, 0]])):
        got = vectors_of(Constant(floats), ["a"])
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, [[0.6, 0.8, 0]], atol=1e-6)
