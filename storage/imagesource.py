"""What SQL is asked of: an image, such as a snapshot's.

It does not change, so columns are kept once they have been asked for, and so is what finds rows by
owner. Derived fields, which a snapshot does not hold, are made when a query first names one.
Cost: of the first query that names a column its reading; of the first one `of` an owner a look
whether rows lie in the order of their owners (10 ms per 10M rows), and a sort where they do not
(1 s); then 10 µs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from populace.ecs import Field
from populace.ecs.entities import Ids
from populace.ecs.image import Image, TableImage

from .frames import Frames, tables_of
from .source import (
    CLOCK,
    Catalogue,
    Rows,
    Source,
    Spec,
    agents_of,
    clock_table,
    log_rows,
    numbered_frame,
    owner_path,
    shows_derived,
)
from .tables import Log

if TYPE_CHECKING:
    import pyarrow as pa


class ImageSource(Source):
    """An image: a snapshot, or a world as it was. Columns are kept once they have been asked for.

    derive: makes an image with derived fields of one that has none; called at most once, when a
    query names a column that shows one; without it they are null. lenient: agents that the image
    does not have are passed over in `of`.
    """

    lasting: ClassVar[bool] = True

    def __init__(
        self,
        catalogue: Catalogue,
        image: Image,
        derive: Callable[[Image], Image] | None = None,
        *,
        lenient: bool = False,
    ) -> None:
        super().__init__(catalogue)
        self.image = image
        self._derive, self._lenient = derive, lenient
        self._frames = Frames(image)
        self._specs = catalogue.specs(image)
        self._built: dict[tuple[str, str], pa.ChunkedArray] = {}
        self._groups: dict[tuple[int, Field | None], _Grouped] = {}
        self._one_by_one = threading.RLock()

    def hold(self) -> AbstractContextManager[Any]:
        """There is nothing to hold: it does not change."""
        return nullcontext()

    @property
    def specs(self) -> Mapping[str, Spec]:
        """See `Source.specs`."""
        return self._specs

    def arrow(self, view: str, columns: Sequence[str], of: Any = None) -> Any:
        """The same objects for the same columns, but for the rows `of` some agents."""
        import pyarrow as pa

        if view == CLOCK:
            return clock_table([self.image.clock], columns)
        spec = self._specs[view]
        with self._one_by_one:
            self._derive_for(spec, columns)
            if of is not None and self.restricts(view):
                path, number = owner_path(spec, self.catalogue.owners[view])
                owners = agents_of(self.image, number, of, lenient=self._lenient)
                rows = self._rows_of(spec, path, owners)
                return numbered_frame(self._frames, spec, columns, rows)
            missing = [name for name in columns if (view, name) not in self._built]
            if missing:
                fresh = numbered_frame(self._frames, spec, missing)
                self._built.update({(view, name): fresh[name] for name in missing})
            chosen = [self._built[view, name] for name in columns]
        return pa.Table.from_arrays(chosen, schema=self.schema(view, columns))

    def pick(self, view: str, columns: Sequence[str], keys: Ids) -> pa.Table:
        """See `Source.pick`. O(log n) a key, where ids lie in order, else after one sort."""
        spec = self._specs[view]
        with self._one_by_one:
            self._derive_for(spec, columns)
            if isinstance(spec, Log):
                return numbered_frame(self._frames, spec, columns, {0: keys})
            rows = {
                table.number: self._grouped(table, None).rows(keys)
                for table in tables_of(self.image, spec)
            }
            return numbered_frame(self._frames, spec, columns, rows)

    def _derive_for(self, spec: Spec, columns: Sequence[str]) -> None:
        """Have derived fields where these columns show one."""
        if self._derive is not None and shows_derived(spec, columns):
            if not _holds_derived(self.image):
                self.image = self._derive(self.image)
                self._frames = Frames(self.image)
            self._derive = None

    def _rows_of(self, spec: Spec, path: tuple[Field, ...], owners: Ids) -> Rows:
        if isinstance(spec, Log):
            return log_rows(self.image, spec, path[0], owners)
        rows: Rows = {}
        for place in range(len(path) - 1, -1, -1):
            reference = path[place]
            held = [t for t in self.image.tables if t.n and reference.component in t.components]
            if not place:
                held = tables_of(self.image, spec)
            rows = {table.number: self._grouped(table, reference).rows(owners) for table in held}
            ids = [table.ids[rows[table.number]] for table in held]
            owners = np.concatenate([np.empty(0, np.uint64), *ids])
        return rows

    def _grouped(self, table: TableImage, reference: Field | None) -> _Grouped:
        """A table's rows by what a reference names, or by their own ids."""
        found = self._groups.get((table.number, reference))
        if found is None:
            keys = table.ids if reference is None else table.columns[reference]
            found = self._groups[table.number, reference] = _Grouped.by(keys)
        return found


@dataclass(frozen=True, slots=True)
class _Grouped:
    """The rows of each key: where keys[begin:end] are one key, its rows are order[begin:end].

    order is None where the rows lie in the order of their keys as they are.
    """

    keys: Ids
    order: npt.NDArray[np.int64] | None

    @classmethod
    def by(cls, keys: Ids) -> _Grouped:
        """O(n) where they are in order, else a sort."""
        if bool((keys[1:] >= keys[:-1]).all()):
            return cls(keys, None)
        order = np.argsort(keys, kind="stable")
        return cls(keys[order], order)

    def rows(self, wanted: Ids) -> npt.NDArray[np.int64]:
        """The rows of some keys, by key, ascending inside each. O(log n) a key."""
        begins = np.searchsorted(self.keys, wanted, "left")
        ends = np.searchsorted(self.keys, wanted, "right")
        spans = [np.arange(a, b) for a, b in zip(begins, ends, strict=True)]
        places = np.concatenate([np.empty(0, np.int64), *spans])
        return places if self.order is None else self.order[places]


def _holds_derived(image: Image) -> bool:
    """Whether an image has derived fields as it is: it shows a living world."""
    return any(made.derived for table in image.tables for made in table.columns)
