"""A vector index on disk, beside the snapshots of its world: `index/Embedding256i1.vectors`.

    {"format": "populace vectors", "version": 1, ..., "sha256": <hex>}\\n<arrays>

The first line says what there is; the digest is of the arrays behind it, little-endian: centroids
(lists, d) f4, ranges (2 d,) f4, ids (n,) u8, marks (n,) u8, lists (n,) u2. The vectors themselves
are not there but in the snapshots: an index taken up again gets them from the world's columns, and
the list of each from here, which is what takes long to find. With a key, the whole is sealed.

A cache and nothing else: it agrees with no snapshot in particular. An entry whose entity is not
there, or has a vector of another mark, does not count, and one that is missing is found anew. What
is absent, damaged, foreign or of another key is passed over, and the index built anew.
Cost of 1M vectors: 22 MB, written in 0.1 s; taken up in 3 s, in the background.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from populace.ecs.entities import Ids
from populace.ecs.errors import KeyMismatchError, SnapshotError, StorageError

from .classes import path_of
from .columns import decode_blob, encode_blob
from .dots import Vectors
from .files import Files
from .inverted import MOST_LISTS, Inverted, Marks
from .keys import Key
from .labels import members

if TYPE_CHECKING:
    from .vectors import VectorIndex

FOLDER = "index"
FORMAT = "populace vectors"
VERSION = 1
MOST_BYTES = 2**36
OURS = "populace.components.embedding"
CHANGED = 0.1
"""A file is written anew when so many of its entries, as a share, have changed."""


class IndexFileWarning(UserWarning):
    """A file of a vector index that was passed over or could not be written, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """What a file holds.

    ids, marks, lists: (n,), of each vector that lay in the inverted file. changes: of that file,
    until then.
    """

    centroids: Vectors
    ranges: Vectors
    ids: Ids
    marks: Marks
    lists: npt.NDArray[np.uint16]
    probes: int
    deep: int
    recall: float
    nearness: float
    n_trained: int
    changes: int = 0

    def inverted(self) -> Inverted:
        """The inverted file, empty."""
        made = Inverted(self.centroids, self.ranges)
        made.probes, made.deep, made.recall = self.probes, self.deep, self.recall
        made.nearness, made.n_trained = self.nearness, self.n_trained
        return made


def file_of(component: type) -> str:
    """The name of the file of a component's index; `Mine-0123abcd` for one that is not ours, since
    classes of several modules may have one name."""
    name, path = component.__name__, path_of(component)
    if path != f"{OURS}:{name}":
        name += f"-{hashlib.sha256(path.encode()).hexdigest()[:8]}"
    return f"{FOLDER}/{name}.vectors"


def collected(index: VectorIndex, location: str = "") -> Kept | None:
    """What is to be written of an index, a copy; None where it has no inverted file.

    location: None too where little has changed since it was last written there.
    Cost: the world stands still for 20 ns a vector.
    """
    world = index.world
    if world is None:
        return None
    with world.store.moment:
        main, labels = index.main, index.labels
        if main is None:
            return None
        written, changes = index.saved or ("", 0)
        if written == location and abs(main.changes - changes) <= CHANGED * labels.n_main:
            return None
        held = members(labels.main & labels.live)
        return Kept(
            main.centroids,
            main.ranges,
            labels.entity_of[held],
            main.mark_of[held],
            main.list_of[held],
            main.probes,
            main.deep,
            main.recall,
            main.nearness,
            main.n_trained,
            main.changes,
        )


def write_kept(files: Files, index: VectorIndex, kept: Kept, key: Key | None) -> None:
    """Write down what was collected of an index. The lock of the directory must be held. Raises
    StorageError."""
    arrays = kept.centroids, kept.ranges, kept.ids, kept.marks, kept.lists
    body = b"".join(np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in arrays)
    header = {
        "format": FORMAT,
        "version": VERSION,
        "component": path_of(index.component),
        "dimensions": index.columns.dimensions,
        "dtype": index.columns.vector.dtype.name,
        "lists": len(kept.centroids),
        "vectors": kept.ids.size,
        "probes": kept.probes,
        "deep": kept.deep,
        "recall": kept.recall,
        "nearness": kept.nearness,
        "n_trained": kept.n_trained,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    data: Any = json.dumps(header).encode() + b"\n" + body
    name = file_of(index.component)
    files.write(name, data if key is None else encode_blob(data, file=name, key=key))
    index.saved = files.location, kept.changes


def read_kept(files: Files, key: Key | None, index: VectorIndex) -> Kept | None:
    """What the file of an index holds; None where there is none, or, with an IndexFileWarning,
    where it cannot be used."""
    name = file_of(index.component)
    where = f"{files.location}/{name}"
    try:
        if name not in files.names(FOLDER):
            return None
        data: Any = files.read(name, MOST_BYTES)
        if key is not None:
            data = decode_blob(data, file=name, key=key)
        return parsed(data, where, index)
    except (SnapshotError, StorageError, KeyMismatchError) as error:
        warnings.warn(
            f"the index of {index.component.__name__} is built anew: {error}",
            IndexFileWarning,
            stacklevel=3,
        )
        return None


def parsed(data: bytes, where: str, index: VectorIndex) -> Kept:
    """What the bytes of a file hold. Raises SnapshotError, which names the file, for anything but
    a good file of such an index."""
    line, _, body = data.partition(b"\n")
    wanted = {
        "format": FORMAT,
        "version": VERSION,
        "component": path_of(index.component),
        "dimensions": index.columns.dimensions,
        "dtype": index.columns.vector.dtype.name,
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    try:
        header = json.loads(line)
        for key, value in wanted.items():
            if header[key] != value:
                raise SnapshotError(f"{where}: has {key}={header[key]!r}, and not {value!r}")
        d, n_lists, n = index.columns.dimensions, int(header["lists"]), int(header["vectors"])
        shapes: list[tuple[str, tuple[int, ...]]] = [
            ("<f4", (n_lists, d)), ("<f4", (2 * d,)), ("<u8", (n,)), ("<u8", (n,)), ("<u2", (n,)),
        ]  # fmt: skip
        arrays: list[Any] = []
        begin = 0
        for dtype, shape in shapes:
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            part = np.frombuffer(body[begin : begin + size], dtype).reshape(shape)
            arrays.append(part.astype(part.dtype.newbyteorder("=")))
            begin += size
        kept = Kept(
            centroids=arrays[0],
            ranges=arrays[1],
            ids=arrays[2],
            marks=arrays[3],
            lists=arrays[4],
            probes=int(header["probes"]),
            deep=int(header["deep"]),
            recall=float(header["recall"]),
            nearness=float(header["nearness"]),
            n_trained=int(header["n_trained"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{where}: is damaged or foreign: {error}") from error
    good = (
        begin == len(body)
        and 1 <= n_lists <= MOST_LISTS
        and 1 <= kept.probes <= kept.deep <= n_lists
        and kept.n_trained >= 1
        and np.isfinite(kept.centroids).all()
        and np.isfinite(kept.ranges).all()
        and (kept.lists < n_lists).all()
        and np.unique(kept.ids).size == n
    )
    if not good:
        raise SnapshotError(f"{where}: contradicts itself")
    return kept
