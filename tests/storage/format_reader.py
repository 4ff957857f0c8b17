"""A reader of snapshots, written from docs/format.md alone: it imports nothing of Populace.

It checks the manifest and the files, and gives arrays, texts and plain values: what a program in
another language would do.
"""

import base64
import hashlib
import hmac
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KEYS = set(
    "format version number written populace tick now_us seed steps phases components events tables "
    "slots generations n_texts texts queues journals tracked caches private sealed key files "
    "kept".split()
)
FREE = {"text_patches", "free_texts"}
OWN = {"id": "<u8", "generation": "<u4"}
PLAIN = {
    **{"tuple": tuple, "set": set, "frozenset": frozenset, "dict": dict, "enum": tuple},
    **{"int": lambda held: int(held, 16), "float": float, "bytes": base64.b64decode},
    "text": lambda held: base64.b64decode(held).decode("utf-8", "surrogatepass"),
}


class Snapshot:
    """A snapshot of a directory by its number. secret: its encryption key, in bytes."""

    def __init__(self, directory, number, secret=None):
        self.directory, self.secret = Path(directory), secret
        held = (self.directory / f"snapshot-{number:010}.json").read_bytes()
        self.manifest = json.loads(held[88:-2])
        assert held == b'{"sha256":"%s","manifest":%s}\n' % (sha256(held[88:-2]), held[88:-2])
        version = 2 if FREE & set(self.manifest) else 1
        assert set(self.manifest) - (FREE if version == 2 else set()) == KEYS
        about = [self.manifest[key] for key in ("format", "version", "number", "key")]
        fingerprint = self.derived("fingerprint").hex()[:16] if secret else None
        assert about == ["populace snapshot", version, number, fingerprint]
        self.components = [(c["class"], dtypes(c["fields"])) for c in self.manifest["components"]]
        self.events = [(e["class"], dtypes(e["fields"])) for e in self.manifest["events"]]
        self.private = self.manifest["private"]
        if sealed := self.manifest["sealed"]:
            self.private = json.loads(b"".join(self.open(sealed).column("bytes").to_pylist()))

    def tables(self):
        """(paths of components, number, {(path, field): column}) each; ids are (None, "id")."""
        for table in self.manifest["tables"]:
            groups = [self.group(group, table["rows"]) for group in table["groups"]]
            columns = {key: column for group in groups for key, column in group.items()}
            yield [self.components[c][0] for c in table["components"]], table["number"], columns

    def generations(self):
        """(slots,) u4."""
        return self.group(self.manifest["generations"], self.manifest["slots"])[None, "generation"]

    def texts(self):
        """The strings by their codes."""
        columns = [self.open(each["file"]).column("text") for each in self.manifest["texts"]]
        texts = [text for column in columns for text in column.to_pylist()]
        assert len(texts) == self.manifest["n_texts"]
        for table in map(self.open, self.manifest.get("text_patches", [])):
            for row in table.select(["code", "text"]).to_pylist():
                texts[row["code"]] = row["text"]
        for code in self.free_texts():
            texts[code] = ""
        return [t if isinstance(t, str) else t.decode("utf-8", "surrogatepass") for t in texts]

    def free_texts(self):
        """The codes that no string has, ascending."""
        name = self.manifest.get("free_texts")
        return self.open(name).column("code").to_pylist() if name else []

    def queues(self):
        """Pending events: (path, next, before_step, batches, columns) each."""
        for queue in self.manifest["queues"]:
            path, columns = self.event(queue, [queue] if queue["file"] else [])
            yield path, queue["next"], queue["before_step"], queue["batches"], columns

    def journals(self):
        """Kept events: (path, rows, cursor, columns) each."""
        for journal in self.manifest["journals"]:
            path, columns = self.event(journal, journal["stretches"])
            yield path, journal["rows"], journal["cursor"], columns

    def resources(self):
        """(path, value) each; instances are {"class", "fields"}, members of enums (path, name)."""
        for each in self.private["resources"]:
            yield each["path"], self.plain(each["value"], each["arrays"])

    def derived(self, what):
        """What follows from the secret: the key's fingerprint, or the key of a file."""
        n = len(self.secret)
        return hmac.digest(self.secret, f"populace {n} {what}".encode(), "sha256")[:n]

    def open(self, name):
        """A data file as an Arrow table."""
        held, listed, how = (self.directory / name).read_bytes(), self.manifest["files"][name], None
        assert (listed["bytes"], listed["sha256"].encode()) == (len(held), sha256(held))
        if self.secret:
            from pyarrow.parquet.encryption import create_decryption_properties

            prefix = f"populace {self.manifest['key']} {name}".encode()
            how = create_decryption_properties(self.derived(f"file {name}"), aad_prefix=prefix)
        return pq.read_table(pa.BufferReader(held), decryption_properties=how)

    def event(self, held, stretches):
        """(path of the event's class, its columns with the rows of all stretches)."""
        path, fields = self.events[held["event"]]
        columns = {key: np.empty(0, dtype) for key, dtype in fields.items()}
        for table in [self.open(each["file"]) for each in stretches]:
            for key, column in columns.items():
                columns[key] = np.concatenate([column, values(table, key, column)])
        return path, columns

    def group(self, group, n):
        """The columns of a group by (path of the component, field): its segments, patched."""
        columns, meant = {}, {}
        for each in group["columns"]:
            name, place = each["name"], each["component"]
            path, fields = (None, OWN) if place is None else self.components[place]
            meant[name] = (path, name if place is None else each["field"])
            columns[name] = np.empty(n, fields[meant[name][1]])
        for segment in group["segments"]:
            begin, end = segment["begin"], segment["end"]
            for file in [segment["file"], *segment["patches"]]:
                table = self.open(file)
                whole = file == segment["file"]
                rows = np.arange(len(table)) + begin if whole else table.column("row").to_numpy()
                here = (begin <= rows) & (rows < end)
                for name, column in columns.items():
                    column[rows[here]] = values(table, name, column)[here]
        return {meant[name]: column for name, column in columns.items()}

    def plain(self, value, arrays):
        """A value of a resource."""
        if isinstance(value, list):
            return [self.plain(each, arrays) for each in value]
        if not isinstance(value, dict):
            return value
        if "class" in value:
            fields = {key: self.plain(each, arrays) for key, each in value["fields"].items()}
            return {"class": value["class"], "fields": fields}
        ((kind, held),) = value.items()
        if kind in PLAIN:
            return PLAIN[kind](self.plain(held, arrays))
        if kind == "scalar":
            return self.data(*held, arrays)[0]
        made = self.data(held["dtype"], held["data"], arrays)
        made = made.reshape(held["shape"], order=held["order"])
        made.flags.writeable = held["writeable"]
        return made

    def data(self, dtype, held, arrays):
        """(n,) values of an array or scalar."""
        if isinstance(held, list):
            return np.array(held, dtype)
        if "bytes" in held:
            return np.frombuffer(bytearray(base64.b64decode(held["bytes"])), dtype)
        little = np.dtype(dtype).newbyteorder("<")
        stored = {"<c8": "<f4", "<c16": "<f8"}.get(little.str, little)  # real and imaginary
        array = arrays[held["column"]]
        flat = values(self.open(array["file"]), "value", np.empty(0, stored))
        head = f"{flat.dtype.str} {flat.size} ".encode()
        assert array["sha256"].encode() == sha256(head + flat.tobytes())
        return flat.view(little).astype(dtype)


def sha256(held):
    return hashlib.sha256(held).hexdigest().encode()


def dtypes(fields):
    """{field: dtype} of those that have columns; that of a vector has its width."""
    stored = [each for each in fields if not each["derived"]]
    return {f["name"]: np.dtype((f["dtype"], (f["width"],) if f["width"] else ())) for f in stored}


def values(table, name, like):
    """A column of an Arrow table, with the dtype and width of `like`."""
    column = table.column(name)
    if like.ndim == 2:
        return np.frombuffer(b"".join(column.to_pylist()), like.dtype).reshape(-1, like.shape[1])
    assert column.to_numpy().dtype == like.dtype
    return column.to_numpy()
