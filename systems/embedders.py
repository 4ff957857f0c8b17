"""Embedders: what turns texts into vectors, so that texts of like meaning point the same way.

    static = StaticEmbedder()            # word vectors of a language model, 256 dimensions
    hashed = HashedEmbedder()            # words and their parts: needs no model
    own = CallableEmbedder(ask_the_service, "service/model-3")

An embedder is anything with a `name`, a number of `dimensions`, and a call of n texts that gives n
vectors. Its name stands in snapshots for what it does, so two that differ have different names.
Only directions count. None of those here asks the network: a static or sentence model comes with
its package, or from a folder.

Invariants: what `StaticEmbedder` and `HashedEmbedder` make of a text is a function of it alone, to
the bit, whatever texts are beside it. `vectors_of` lets nothing pass that is not as declared.
Cost: of a text of 40 letters, 14 µs for a static vector and 2 µs for a hashed one; 54 and 33 µs for
one that is asked about alone. `StaticEmbedder` reads its 17 MB once in a process, in 0.4 s.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module, util
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numba import njit

from populace.components.embedding import MOST_DIMENSIONS
from populace.ecs import jit
from populace.ecs.errors import ColumnShapeError, ColumnTypeError, ResourceError, SettingError
from populace.storage.dots import Vectors, unit

STATIC = "wordllama-l2_supercat-256"
HASHED = "hashed-"


class EmbedderWarning(UserWarning):
    """Another embedder than the one that is best, or vectors that could not be had."""


@runtime_checkable
class Embedder(Protocol):
    """What turns texts into vectors."""

    @property
    def name(self) -> str:
        """Model and settings, for good: vectors of one name can be compared."""
        ...

    @property
    def dimensions(self) -> int:
        """Of each vector."""
        ...

    def __call__(self, texts: Sequence[str], /) -> Any:
        """(n, dimensions) floats for n >= 1 texts, in their order; zeros mean nothing."""
        ...


def vectors_of(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """(n, d) f4: what an embedder makes of texts, checked, at length 1; zeros stay zeros.

    Texts that are empty or blank mean nothing, and the embedder is not asked about them. Raises
    ColumnShapeError, ColumnTypeError, ColumnValueError for what is not n finite vectors of the
    declared dimensions, and what the embedder raises, with a note of who it was.

    >>> vectors_of(HashedEmbedder(64), ["tea", ""]).any(axis=1).tolist()
    [True, False]
    """
    name, dimensions = embedder.name, embedder.dimensions
    out = np.zeros((len(texts), dimensions), np.float32)
    places = [place for place, text in enumerate(texts) if text and not text.isspace()]
    if not places:
        return out
    asked = [texts[place] for place in places]
    try:
        given = embedder(asked)
    except Exception as error:
        error.add_note(f"embedder {name!r}, asked for the vectors of {len(asked):,} texts")
        raise
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise ColumnTypeError(
            f"embedder {name!r} must give an array of floats, ({len(asked)}, {dimensions}); got a "
            f"{type(given).__name__}: {error}"
        ) from error
    if array.shape != (len(asked), dimensions):
        raise ColumnShapeError(
            f"embedder {name!r} must give {len(asked):,} vectors of {dimensions:,} dimensions, one "
            f"for each text; got shape {array.shape}"
        )
    out[places] = unit(array, f"vectors of embedder {name!r}")
    return out


def embedder_from(value: Any = None) -> Embedder:
    """An embedder from what names or makes one.

    value: None for the best that is installed ("static", else "hashed", with an EmbedderWarning);
    "static", "hashed", or the name of either, as "hashed-512"; an embedder; or a function of a list
    of n texts that returns (n, d) floats (`CallableEmbedder`).

    Raises SettingError, ResourceError where a model is not installed.

    >>> embedder_from("hashed").name
    'hashed-256'
    """
    if value is None:
        if util.find_spec("wordllama") is not None:
            return StaticEmbedder()
        warnings.warn(
            "wordllama is not installed, so texts are compared by their words and parts of words "
            "(HashedEmbedder), not by meaning; pip install wordllama, or name an embedder",
            EmbedderWarning,
            stacklevel=2,
        )
        return HashedEmbedder()
    if isinstance(value, str):
        size = value.removeprefix(HASHED)
        if value in ("static", STATIC):
            return StaticEmbedder()
        if value == "hashed":
            return HashedEmbedder()
        if value.startswith(HASHED) and size.isascii() and size.isdigit():
            return HashedEmbedder(int(size))
        raise SettingError(
            f"no embedder is known by the name {value!r}; there are 'static' ({STATIC}) and "
            f"'hashed' ({HASHED}256 and other sizes), and any object or function of yours"
        )
    if isinstance(value, type) or not callable(value):
        raise SettingError(
            f"an embedder is a name, an Embedder, or a function of a list of texts that returns "
            f"(n, d) floats; got {value!r}"
        )
    if isinstance(value, StaticEmbedder | HashedEmbedder | SentenceEmbedder | CallableEmbedder):
        return value  # without a look at `dimensions`, which may cost a call
    if isinstance(value, Embedder):
        return value
    return CallableEmbedder(value)


def check_embedder(embedder: Embedder) -> tuple[str, int]:
    """(name, dimensions) of an embedder. Raises SettingError for what cannot be either."""
    name, dimensions = embedder.name, embedder.dimensions
    if not isinstance(name, str) or not name:
        raise SettingError(f"an embedder's name is a text that is not empty, got {name!r}")
    whole = isinstance(dimensions, int | np.integer) and not isinstance(dimensions, bool)
    if not whole or not 1 <= dimensions <= MOST_DIMENSIONS:
        raise SettingError(
            f"embedder {name!r} must have 1 to {MOST_DIMENSIONS:,} dimensions, got {dimensions!r}"
        )
    return name, int(dimensions)


# -- a function of somebody's ----------------------------------------------------------------------


class CallableEmbedder:
    """A function of a list of n texts that returns (n, d) floats, as an embedder.

    name: of model and settings; without it "module:qualified name" of a function that has one for
    good, which a lambda, a method and a function within another have not. dimensions: without it
    the function is asked once, about one text, when they are first needed.
    Raises SettingError.

    >>> lengths = CallableEmbedder(lambda texts: [[len(text), 1] for text in texts], "lengths")
    >>> lengths.dimensions
    2
    """

    def __init__(
        self,
        call: Callable[[list[str]], Any],
        name: str | None = None,
        dimensions: int | None = None,
    ) -> None:
        if not callable(call):
            raise SettingError(f"an embedder calls a function of a list of texts, got {call!r}")
        qualname = getattr(call, "__qualname__", "")
        if name is None and (not qualname or "<" in qualname or hasattr(call, "__self__")):
            raise SettingError(
                f"{call!r} has no name that tells for good what it does; give it one: "
                f"CallableEmbedder(call, name='model and settings')"
            )
        self.call = call
        self.name = f"{call.__module__}:{qualname}" if name is None else name
        self._dimensions = dimensions
        if dimensions is not None:
            check_embedder(self)

    def __repr__(self) -> str:
        return f"<CallableEmbedder {self.name}>"

    @property
    def dimensions(self) -> int:
        """Of each vector."""
        if self._dimensions is None:
            shape = np.shape(self.call(["dimensions"]))
            if len(shape) != 2 or shape[0] != 1:
                raise ColumnShapeError(
                    f"embedder {self.name!r} must give an array (n, d) for n texts; for one text "
                    f"it gave shape {shape}"
                )
            self._dimensions = int(shape[1])
        return self._dimensions

    def __call__(self, texts: Sequence[str], /) -> Any:
        """What the function makes of them."""
        return self.call(list(texts))


# -- sentence models -------------------------------------------------------------------------------


class SentenceEmbedder:
    """A model of sentence-transformers: better than static vectors, and a hundred times as slow.

    model: a folder, or the name of a model that is on this machine. options: for
    `SentenceTransformer`; unless they say `local_files_only=False`, nothing is downloaded.
    Raises ResourceError where the package is not installed.
    """

    def __init__(self, model: str, **options: Any) -> None:
        try:
            package: Any = import_module("sentence_transformers")
        except ImportError as error:
            raise ResourceError(
                f"SentenceEmbedder({model!r}) needs sentence-transformers; install it with "
                f"pip install 'populace[sentences]', or take StaticEmbedder(), which needs no torch"
            ) from error
        settings = {"local_files_only": True, **options}
        self._model = package.SentenceTransformer(model, **settings)
        named = [f"{key}={value}" for key, value in sorted(options.items()) if key in _MEANING]
        short = Path(model).name if Path(model).is_dir() else model
        self.name = "/".join(["sentences", short, *named])
        self.dimensions = int(self._model.get_sentence_embedding_dimension())

    def __repr__(self) -> str:
        return f"<SentenceEmbedder {self.name}>"

    def __call__(self, texts: Sequence[str], /) -> Any:
        """(n, dimensions) f4."""
        return self._model.encode(list(texts), convert_to_numpy=True, show_progress_bar=False)


_MEANING = ("revision", "truncate_dim", "default_prompt_name")
"""Options of a sentence model that change its vectors."""


# -- static vectors --------------------------------------------------------------------------------


class StaticEmbedder:
    """The mean of static vectors, one for each token: WordLlama's, of 32,000 tokens.

    The model comes with the package `wordllama`. Raises ResourceError where that is not installed.
    Order and context do not count: "dog bites man" is "man bites dog".

    >>> tea, cup, tax = vectors_of(StaticEmbedder(), ["a pot of tea", "a cup of coffee", "tax law"])
    >>> bool(tea @ cup > 2 * tea @ tax)
    True
    """

    name = STATIC
    dimensions = 256

    def __init__(self) -> None:
        self._tokenizer, self._table = _static_model()

    def __repr__(self) -> str:
        return f"<StaticEmbedder {self.name}>"

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        """(n, 256) f4."""
        tokens = [each.ids for each in self._encode(list(texts))]
        start = np.zeros(len(tokens) + 1, np.int64)
        np.cumsum([len(each) for each in tokens], out=start[1:])
        flat = np.empty(int(start[-1]), np.int64)
        for begin, end, each in zip(start[:-1].tolist(), start[1:].tolist(), tokens, strict=True):
            flat[begin:end] = each
        out = np.zeros((len(tokens), self.dimensions), np.float32)
        mean_vectors(flat, start, self._table, out)
        return out

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has for this model, a tokenizer of Llama 2."""
        return len(self._encode([text])[0].ids)

    def _encode(self, texts: list[str]) -> Any:
        try:
            return self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):  # half of a surrogate pair is no text to it
            whole = [text.encode("utf-8", "replace").decode() for text in texts]
            return self._tokenizer.encode_batch_fast(whole, add_special_tokens=False)


@cache
def _static_model() -> tuple[Any, Vectors]:
    """(tokenizer, (tokens, 256) f4). wordllama configures the root logger when it is imported, and
    asks the network for its tokenizer unless it is told where that is."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    root.addHandler(logging.NullHandler())  # basicConfig does nothing where there is a handler
    try:
        package: Any = import_module("wordllama")
    except ImportError as error:
        raise ResourceError(
            "StaticEmbedder needs the package wordllama, which carries its model; pip install "
            "wordllama, or take HashedEmbedder(), which needs none"
        ) from error
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    folder = Path(package.__file__).parent
    model = package.WordLlama.load(disable_download=True, cache_dir=folder)
    model.tokenizer.no_padding()
    return model.tokenizer, np.ascontiguousarray(model.embedding, np.float32)


@jit
def mean_vectors(token_t: Any, start_n: Any, table_vd: Any, out_nd: Any) -> None:
    """out_nd[i] <- the mean of the rows of table_vd that text i names; zeros where it names none.

    token_t: (t,) i8. start_n: (n + 1,) i8, text i has tokens [start_n[i], start_n[i + 1]). O(t d).
    """
    for i in range(out_nd.shape[0]):
        out_nd[i] = 0
        for t in range(start_n[i], start_n[i + 1]):
            for j in range(out_nd.shape[1]):
                out_nd[i, j] += table_vd[token_t[t], j]
        if start_n[i + 1] > start_n[i]:
            out_nd[i] /= np.float32(start_n[i + 1] - start_n[i])


# -- hashed words ----------------------------------------------------------------------------------

BASIS, PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
PART = 4
PARTS_WEIGHT = np.float32(2)  # of all parts of a word, where the word itself has 1
LONG = 6.0  # letters; shorter words weigh (n / LONG)², for they tell less
# A change of these needs another name than `HASHED`. Chosen on 149 questions about long dialogues:
# of the turns that answer, the first 10 by 256 dimensions hold .35; without parts of words .30,
# with all words alike .22, with a list of common words that weigh a fifth .33.


class HashedEmbedder:
    """Words, and runs of 4 letters in them, each added to a place that its hash tells.

    Texts are close where they share words or stems, whatever the language; synonyms are not. Short
    words, which are mostly common ones, weigh less. More dimensions, fewer collisions. Raises
    SettingError.

    >>> read, reading, rain = vectors_of(HashedEmbedder(), ["he reads", "Reading!", "it rains"])
    >>> bool(read @ reading > 0.2 > abs(read @ rain))
    True
    """

    def __init__(self, dimensions: int = 256) -> None:
        self.dimensions = dimensions
        self.name = f"{HASHED}{dimensions}"
        check_embedder(self)

    def __repr__(self) -> str:
        return f"<HashedEmbedder {self.name}>"

    def __call__(self, texts: Sequence[str], /) -> Vectors:
        """(n, dimensions) f4."""
        folded = [folded_bytes(text) for text in texts]
        start = np.zeros(len(folded) + 1, np.int64)
        np.cumsum([len(each) for each in folded], out=start[1:])
        out = np.zeros((len(folded), self.dimensions), np.float32)
        flat = np.frombuffer(b"".join(folded), np.uint8)
        hash_words(flat, start, out)
        return out


def folded_bytes(text: str) -> bytes:
    """A text without case, in UTF-8; the same for all ways to write an accented letter."""
    if text.isascii():
        return text.lower().encode()
    return unicodedata.normalize("NFKC", text).casefold().encode("utf-8", "replace")


@njit(nogil=True, error_model="numpy")
def _mixed(hash_: Any) -> Any:
    """SplitMix64's finaliser: FNV's low bits alone are poor."""
    hash_ = (hash_ ^ (hash_ >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    hash_ = (hash_ ^ (hash_ >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return hash_ ^ (hash_ >> np.uint64(31))


@njit(nogil=True, error_model="numpy")
def _word_hash(byte_b: Any) -> Any:
    """FNV-1a of bytes, 64 bits."""
    hash_ = BASIS
    for b in range(byte_b.size):
        hash_ = (hash_ ^ np.uint64(byte_b[b])) * PRIME
    return hash_


@njit(nogil=True, error_model="numpy")
def _is_letter(byte: Any) -> Any:
    """Letters, digits, and whatever is not ASCII."""
    return (97 <= byte <= 122) or (48 <= byte <= 57) or byte >= 128


@njit(nogil=True, error_model="numpy")
def _starts_letter(byte: Any) -> Any:
    """Whether a byte of UTF-8 is the first of its letter."""
    return byte & 0xC0 != 0x80


@njit(nogil=True, error_model="numpy")
def _add_feature(hash_: Any, weight: Any, out_d: Any) -> None:
    """Add a weight, or take it, where a hash tells."""
    mixed = _mixed(hash_)
    place = np.int64((mixed >> np.uint64(1)) % np.uint64(out_d.size))
    out_d[place] += weight if mixed & np.uint64(1) else -weight


@njit(nogil=True, error_model="numpy")
def _add_word(byte_b: Any, out_d: Any) -> None:
    """Add a word and its parts."""
    size = byte_b.size
    n_letters = 0
    for b in range(size):
        n_letters += _starts_letter(byte_b[b])
    share = np.float32(min(1.0, (n_letters / LONG) ** 2))
    _add_feature(_word_hash(byte_b), share, out_d)
    if n_letters < PART - 2:
        return
    # With a mark before it and one after it.
    weight = share * PARTS_WEIGHT / np.float32(np.sqrt(np.float64(n_letters + 3 - PART)))
    for begin in range(-1, size):
        if begin >= 0 and not _starts_letter(byte_b[begin]):
            continue
        part, end, found = BASIS ^ np.uint64(0xFF), begin, 0  # not where a word begins
        while found < PART and end <= size:
            byte = np.uint64(32) if end < 0 or end == size else np.uint64(byte_b[end])
            part = (part ^ byte) * PRIME
            end += 1
            found += end >= size or _starts_letter(byte_b[end])
        if found == PART:
            _add_feature(part, weight, out_d)


@jit
def hash_words(byte_b: Any, start_n: Any, out_nd: Any) -> None:
    """out_nd[i] <- the sum of the words of text i and of their parts. O(bytes).

    byte_b: UTF-8 without capitals. start_n: (n + 1,) i8, text i has bytes [start_n[i],
    start_n[i + 1]). out_nd: (n, d) f4, zeros.
    """
    for i in range(out_nd.shape[0]):
        begin = start_n[i]
        for b in range(start_n[i], start_n[i + 1] + 1):
            if b == start_n[i + 1] or not _is_letter(byte_b[b]):
                if b > begin:
                    _add_word(byte_b[begin:b], out_nd[i])
                begin = b + 1
