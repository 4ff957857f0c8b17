"""Resources as JSON and arrays: never pickle, never code from data.

A value that JSON has is itself: None, bool, int of 64 bits, finite float, str, list. An instance of
a dataclass is {"class": path, "fields": {name: value}}. All else is an object with one key:

    {"int": "0x1f..."}  {"float": "nan"}  {"text": base64}  {"bytes": base64}
    {"tuple": [...]}  {"set": [...]}  {"frozenset": [...]}  {"dict": [[key, value], ...]}
    {"enum": [path, name]}  {"scalar": ["<f4", data]}
    {"array": {"dtype": "<f4", "shape": [2, 3], "order": "C", "writeable": true, "data": data}}

where data is a list of numbers, {"bytes": base64} where one of them is not finite, or {"column":
name} for an array of more than 64 elements.

Invariants: what was flattened is rebuilt equal, with its dtypes, shapes, the order of its dicts and
whether its arrays may be written; equal sets have equal JSON. A value that is held twice is written
twice. Whatever the JSON is, `rebuild` gives a resource or raises a PopulaceError; the code that
runs on it is that of the dataclasses and enums that `find` gives.
Cost: 2 µs to flatten a settings class and 25 to rebuild one; an array is copied once.
"""

from __future__ import annotations

import base64
import dataclasses
import enum
import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from populace.ecs.errors import PopulaceError, SchemaError, SnapshotError

from .classes import excerpt, path_of

Array = npt.NDArray[Any]
Path = tuple[str, ...]  # of a value within its resource

MAX_DEPTH: Final = 64
INLINE: Final = 64  # elements of the largest array that stands in the JSON

_CODES: Final = "b1 i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16".split()
_DTYPES: Final = {(made := np.dtype(order + code)).str: made for order in "<>" for code in _CODES}
_SETTING: Final = {"range", "unit", "doc"}
_HOLDS: Final = (
    "it holds None, numbers, str, bytes, list, tuple, dict, set, frozenset, members of enums, "
    "dataclasses and arrays of numbers: keep these, and make of them what else there is"
)


def flatten(resource: Any) -> tuple[dict[str, Any], dict[str, Array]]:
    """A dataclass instance as values for JSON, and its larger arrays by name.

    Arrays are (n,), C-contiguous, little-endian, of dtype bool, i1 to i8, u1 to u8 or f2 to f8; the
    JSON has their shapes. They share no memory with the resource. Names are paths such as
    "times" or "cases.0.weights", different within one resource.

    Raises SnapshotError, naming resource, field and type, for a value of any other type than above.

    >>> from populace.ecs import Clock
    >>> flatten(Clock(now=5))[0]
    {'class': 'populace.ecs.clock:Clock', 'fields': {'now': 5, 'dt': 0, 'tick': 0}}
    """
    if not _is_instance(resource):
        raise SnapshotError(
            f"a resource is an instance of a dataclass, so that a snapshot can hold it; got a "
            f"{type(resource).__name__}"
        )
    writer = _Writer(type(resource).__name__)
    return writer.instance(resource, ()), writer.arrays


def rebuild(value: Any, arrays: Mapping[str, Array], find: Callable[[str], type]) -> Any:
    """The resource that `flatten` was given, of today's class.

    find: path of a dataclass or enum -> class, as `find_class(path, kind="data")`. A field that the
    class has gained takes its default; what it has lost is dropped. An instance of a frozen class
    is made by its constructor, so that its checks hold. One that is not frozen has its fields set
    and nothing called, since a run may have moved it to where no constructor begins; attributes
    that are not fields are not state.

    Raises SnapshotError for what `flatten` does not write, SchemaError for values that a frozen
    class refuses today and for a field that has gained no default, and whatever `find` raises.
    """
    reader = _Reader(arrays, find)
    try:
        return reader.instance(value, ())
    except PopulaceError:
        raise
    except Exception as error:  # of a class's own code, such as __hash__, or of numpy's
        raise SnapshotError(
            f"{reader.resource} is damaged, or today's class cannot take it: "
            f"{type(error).__name__}: {error}"
        ) from error


class _Writer:
    """One resource on its way into JSON."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.arrays: dict[str, Array] = {}

    def instance(self, value: Any, path: Path) -> dict[str, Any]:
        held: dict[str, Any] = {}
        for part in dataclasses.fields(value):
            at = (*path, part.name)
            if not hasattr(value, part.name):
                raise self._refused(at, "has no value; set it, or give it a default")
            held[part.name] = self.value(getattr(value, part.name), at)
        return {"class": path_of(type(value)), "fields": held}

    def value(self, value: Any, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            way_out = f"lies {MAX_DEPTH} levels deep; keep it flatter, and nothing within itself"
            raise self._refused(path[:3], way_out)
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else {"int": hex(value)}
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if kind is str:
            return _text(value)
        if kind is bytes:
            return {"bytes": _base64(value)}
        if kind is list:
            return self._items(value, path)
        if kind is tuple:
            return {"tuple": self._items(value, path)}
        if kind in (set, frozenset):
            return {kind.__name__: sorted(self._items(value, path), key=json.dumps)}
        if kind is dict:
            keys = self._items(value, (*path, "keys"))
            items = self._items(value.values(), path)
            return {"dict": [list(pair) for pair in zip(keys, items, strict=True)]}
        if isinstance(value, enum.Enum):
            flags = isinstance(value, enum.Flag)  # any number of them, which have no name together
            return {"enum": [path_of(kind), value.value if flags else value.name]}
        if _is_instance(value):
            return self.instance(value, path)
        if isinstance(value, np.generic) and value.dtype.str in _DTYPES:
            return {"scalar": [value.dtype.str, _data(np.atleast_1d(value))]}
        if kind is np.ndarray and value.dtype.str in _DTYPES:
            return {"array": self._array(value, path)}
        what = f"an array of {value.dtype}" if kind is np.ndarray else f"a {path_of(kind)}"
        raise self._refused(path, f"is {what}, which a snapshot does not hold; {_HOLDS}")

    def _items(self, values: Any, path: Path) -> list[Any]:
        return [self.value(one, (*path, str(i))) for i, one in enumerate(values)]

    def _array(self, array: Array, path: Path) -> dict[str, Any]:
        order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
        flat = array.flatten("F" if order == "F" else "C")
        if flat.size <= INLINE:
            data = _data(flat)
        else:
            data = {"column": ".".join(path)}
            self.arrays[data["column"]] = flat.astype(_little(flat.dtype), copy=False).view(
                _column_dtype(flat.dtype)
            )
        return {
            "dtype": array.dtype.str,
            "shape": list(array.shape),
            "order": order,
            "writeable": array.flags.writeable,
            "data": data,
        }

    def _refused(self, path: Path, why: str) -> SnapshotError:
        return SnapshotError(f"resource {self.resource}: {'.'.join(path)} {why}")


class _Reader:
    """One resource on its way back."""

    def __init__(self, arrays: Mapping[str, Array], find: Callable[[str], type]) -> None:
        self.arrays = arrays
        self.find = find
        self.resource = "a resource"

    def instance(self, value: Any, path: Path) -> Any:
        if type(value) is not dict or value.keys() != {"class", "fields"}:
            raise self._damaged(path, value, "the class and fields of a dataclass")
        cls: Any = self.find(value["class"])
        held = value["fields"]
        if not path:
            self.resource = f"resource {cls.__name__}"
        if not _is_dataclass(cls) or type(held) is not dict:
            raise self._damaged(path, held, f"the fields of a dataclass, {path_of(cls)}")
        parts = dataclasses.fields(cls)
        given = {
            part.name: self.value(held[part.name], (*path, part.name))
            for part in parts
            if part.name in held
        }
        checked = cls.__dataclass_params__.frozen and _takes_its_fields(cls)
        for part in parts:
            if part.name not in given and (part.init or not checked):
                given[part.name] = self._default(cls, part)
        made = self._constructed(cls, given) if checked else cls.__new__(cls)
        for part in parts:
            # A setting is what its class made of it: a float of an int, a member of its name. Any
            # other field is as it was, wherever the constructor begins.
            if part.name in given and not (checked and part.metadata.keys() >= _SETTING):
                object.__setattr__(made, part.name, given[part.name])
        return made

    def _default(self, cls: type, part: dataclasses.Field[Any]) -> Any:
        if part.default is not dataclasses.MISSING:
            return part.default
        if part.default_factory is not dataclasses.MISSING:
            return part.default_factory()
        raise SchemaError(
            f"{cls.__name__}.{part.name} has no default and the snapshot does not hold it; give it "
            f"one, or the name of the field it continues"
        )

    def _constructed(self, cls: Any, given: Mapping[str, Any]) -> Any:
        names = [part.name for part in dataclasses.fields(cls) if part.init]
        try:
            return cls(**{name: given[name] for name in names})
        except Exception as error:  # of the class's own check
            raise SchemaError(
                f"{self.resource}: today's {cls.__name__} refuses what the snapshot holds: "
                f"{error}; widen what it takes, or load with the older class, mend the resource "
                f"and save"
            ) from error

    def value(self, value: Any, path: Path) -> Any:
        if len(path) > MAX_DEPTH:
            raise self._damaged(path[:3], value, f"at most {MAX_DEPTH} levels deep")
        if value is None or type(value) in (bool, int, float, str):
            return value
        if type(value) is list:
            return self._items(value, path)
        if type(value) is dict and "class" in value:
            return self.instance(value, path)
        if type(value) is not dict or len(value) != 1:
            raise self._damaged(path, value, "an object with one key")
        ((tag, content),) = value.items()
        match tag:
            case "int":
                return int(self._str(content, path), 16)
            case "float" if content in ("nan", "inf", "-inf"):
                return float(content)
            case "text":
                return self._bytes(content, path).decode("utf-8", "surrogatepass")
            case "bytes":
                return self._bytes(content, path)
            case "tuple":
                return tuple(self._items(content, path))
            case "set" | "frozenset":
                found = frozenset(self._items(content, path))
                if len(found) != len(content):
                    raise self._damaged(path, content, "a set of different values")
                return found if tag == "frozenset" else set(found)
            case "dict":
                return self._dict(content, path)
            case "enum":
                return self._member(content, path)
            case "scalar":
                dtype, data = self._pair(content, path)
                return self._numbers(dtype, 1, data, path)[0]
            case "array":
                return self._array(content, path)
        raise self._damaged(path, tag, "a kind of value that a snapshot holds")

    def _items(self, content: Any, path: Path) -> list[Any]:
        if type(content) is not list:
            raise self._damaged(path, content, "a list")
        return [self.value(one, (*path, str(i))) for i, one in enumerate(content)]

    def _pair(self, content: Any, path: Path) -> tuple[Any, Any]:
        if type(content) is not list or len(content) != 2:
            raise self._damaged(path, content, "a list of two")
        return content[0], content[1]

    def _str(self, content: Any, path: Path) -> str:
        if type(content) is not str:
            raise self._damaged(path, content, "a text")
        return content

    def _bytes(self, content: Any, path: Path) -> bytes:
        return base64.b64decode(self._str(content, path), validate=True)

    def _dict(self, content: Any, path: Path) -> dict[Any, Any]:
        if type(content) is not list:
            raise self._damaged(path, content, "a list of keys and values")
        pairs = [self._pair(pair, path) for pair in content]
        keys = self._items([key for key, _ in pairs], (*path, "keys"))
        found = dict(zip(keys, self._items([one for _, one in pairs], path), strict=True))
        if len(found) != len(pairs):
            raise self._damaged(path, content, "a dict of different keys")
        return found

    def _member(self, content: Any, path: Path) -> enum.Enum:
        where, named = self._pair(content, path)
        cls = self.find(where)
        if not issubclass(cls, enum.Enum):
            raise self._damaged(path, where, "the path of an enum")
        if issubclass(cls, enum.Flag) and type(named) is int:
            return cls(named)
        if type(named) is not str or named not in cls.__members__:
            raise SchemaError(
                f"{self.resource}: {'.'.join(path)} is {excerpt(named)} of {cls.__name__}, which "
                f"has {', '.join(cls.__members__)} today; bring it back, if need be as a second "
                f"name of another"
            )
        return cls.__members__[named]

    def _array(self, content: Any, path: Path) -> Array:
        keys = {"dtype", "shape", "order", "writeable", "data"}
        if type(content) is not dict or content.keys() != keys:
            raise self._damaged(path, content, f"an array: {', '.join(sorted(keys))}")
        shape, order = content["shape"], content["order"]
        if type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
            raise self._damaged(path, shape, "a shape")
        if order not in ("C", "F"):
            raise self._damaged(path, order, "'C' or 'F'")
        flat = self._numbers(content["dtype"], math.prod(shape), content["data"], path)
        array = flat.reshape(shape, order=order)
        array.flags.writeable = content["writeable"] is True
        return array

    def _numbers(self, code: Any, n: int, data: Any, path: Path) -> Array:
        """n numbers of a dtype, (n,), in memory of their own."""
        if type(code) is not str or code not in _DTYPES:
            raise self._damaged(path, code, "the dtype of a column")
        dtype = _DTYPES[code]
        match data:
            case list():
                kinds = {"b": (bool,), "f": (int, float)}.get(dtype.kind, (int,))
                if dtype.kind == "c" or not all(type(one) in kinds for one in data):
                    raise self._damaged(path, data, f"numbers of dtype {dtype.name}")
                with np.errstate(over="ignore"):
                    found = np.array(data, dtype)
                if dtype.kind == "f" and not np.isfinite(found).all():
                    raise self._damaged(path, data, f"numbers of dtype {dtype.name}")
            case {"bytes": content} if dtype.kind in "fc":
                found = np.frombuffer(self._bytes(content, path), dtype).copy()
            case {"column": str(name)}:
                column = self.arrays.get(name)
                want = _column_dtype(dtype)
                if column is None or column.ndim != 1 or column.dtype != want:
                    raise self._damaged(path, name, f"a column of {want.name} in the snapshot")
                found = np.array(column).view(_little(dtype)).astype(dtype, copy=False)
            case _:
                raise self._damaged(path, data, "the numbers of an array")
        if found.shape != (n,):
            raise self._damaged(path, found.size, f"{n:,} numbers")
        return found

    def _damaged(self, path: Path, found: Any, want: str) -> SnapshotError:
        where = f": {'.'.join(path)}" if path else ""
        return SnapshotError(
            f"{self.resource}{where} is damaged: {excerpt(found)} stands where {want} belongs"
        )


def _is_instance(value: Any) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _is_dataclass(cls: Any) -> bool:
    return dataclasses.is_dataclass(cls) and isinstance(cls, type)


def _takes_its_fields(cls: Any) -> bool:
    """Whether the constructor needs nothing but the fields: none that is hand-written, as a rule,
    or that has an `InitVar`."""
    wanted = {part.name for part in dataclasses.fields(cls) if part.init}
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    needed = {part.name for part in parameters if part.default is part.empty}
    return needed <= wanted <= {part.name for part in parameters}


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")


def _column_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of the column that holds an array's numbers: two floats for a complex one."""
    return np.dtype(f"<f{dtype.itemsize // 2}") if dtype.kind == "c" else _little(dtype)


def _data(flat: Array) -> Any:
    """The numbers of a small array, each as short as it can be and still be read as itself."""
    if flat.dtype.kind in "biu":
        return flat.tolist()
    if flat.dtype.kind == "f" and np.isfinite(flat).all():
        return [float(str(one)) for one in flat]
    return {"bytes": _base64(flat.tobytes())}


def _text(text: str) -> Any:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no file in UTF-8 can hold
        return {"text": _base64(text.encode("utf-8", "surrogatepass"))}
    return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
