"""Peers in C++: compiled here and now, called in this process, so that they take turns.

    library = compiled("loops.cpp")
    moving = Made(library, "moving", n, columns)
    step = moving.bind("step", np.float32(0.25))

What is compiled lies in `build/bench` below a name made of the source, the compiler and the
headers, so that a change of any of them compiles anew.
Cost of a call: 0.4 µs beyond what it does.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..peers import Peer

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "bench"
SYSTEM = Path("/usr/include")
FLAGS = ("-O3", "-march=native", "-fPIC", "-w")
C, CPP = ("-x", "c"), ("-std=c++17",)
LINKED = ("-shared",)
"""Without -ffast-math: g++ would add code that lets the whole process take subnormals for 0."""
LONGEST_S = 600


class CompilationError(RuntimeError):
    """A compiler is missing, or refused the source."""


def compiler() -> str:
    """The C++ compiler: $CXX, or g++; "" if there is none."""
    return shutil.which(os.environ.get("CXX") or "g++") or ""


@cache
def compiler_version(command: str) -> str:
    """Its name and version, "g++ 12.2.0"."""
    told = subprocess.run(
        [command, "-dumpfullversion", "-dumpversion"], capture_output=True, text=True, check=True
    )
    return f"{Path(command).name} {told.stdout.split()[0]}"


def header(name: str, variable: str) -> Path | None:
    """The folder that has a header: $variable if it is set, else /usr/include; None if neither."""
    given = os.environ.get(variable)
    for folder in (*([Path(given)] if given else ()), SYSTEM):
        if (folder / name).is_file():
            return folder
    return None


@dataclass(frozen=True, slots=True)
class Source:
    """What is compiled to one library.

    file: in this folder. flags: beyond FLAGS. folders: of headers. beside: sources in C of the peer
    itself, linked in. needs: headers of the peer, on which the result depends.
    """

    file: str
    flags: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    needs: tuple[Path, ...] = ()


def run(command: Sequence[str]) -> None:
    """Run a compiler. Raises CompilationError with the first error that it tells."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line]
        raise CompilationError((errors or done.stderr.splitlines() or ["no reason told"])[0])


@cache
def compiled(source: Source) -> ctypes.CDLL:
    """The library of a source, compiled if it is not there yet. Raises CompilationError."""
    command = compiler()
    if not command:
        raise CompilationError("no C++ compiler: install g++, or name one with CXX=...")
    files = (HERE / source.file, *sorted(HERE.glob("*.hpp")), *source.beside, *source.needs)
    known = hashlib.sha256(repr((compiler_version(command), FLAGS, LINKED, source.flags)).encode())
    for file in files:
        known.update(file.read_bytes())
    key = known.hexdigest()[:16]
    made = BUILT / f"{Path(source.file).stem}-{key}.so"
    if not made.exists():
        BUILT.mkdir(parents=True, exist_ok=True)
        includes = [f"-I{folder}" for folder in source.folders]
        objects = []
        for part, language in ((HERE / source.file, CPP), *((each, C) for each in source.beside)):
            objects.append(str(BUILT / f"{part.name}-{key}.{os.getpid()}.o"))
            told = [*language, *FLAGS, *source.flags, *includes]
            run([command, *told, "-c", str(part), "-o", objects[-1]])
        half = made.with_suffix(f".{os.getpid()}")  # whole or not there, whoever else compiles
        run([command, *LINKED, *objects, "-o", str(half)])
        for each in objects:
            Path(each).unlink()
        half.replace(made)
    return ctypes.CDLL(str(made))


# -- calling it ----------------------------------------------------------------------------------


def passed(value: Any) -> Any:
    """A number or an array as C takes it: f4 as float, an integer as int64_t, an array as its
    address. The array must outlive the call."""
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError(f"C takes arrays without gaps; got strides {value.strides}")
        return ctypes.c_void_p(value.ctypes.data)
    if isinstance(value, (float, np.floating)):
        return ctypes.c_float(value)
    return ctypes.c_int64(value)


class Pointer(ctypes.c_void_p):
    """What a library made; freed with the last reference."""

    free: Callable[[Any], object] | None = None

    def __del__(self) -> None:
        if self.free is not None and self.value:
            self.free(ctypes.c_void_p(self.value))


class Made:
    """An object of a library: made by NAME_new, freed by NAME_free when the last reference goes,
    those of its bound functions among them."""

    def __init__(self, library: ctypes.CDLL, name: str, *given: Any) -> None:
        make = getattr(library, f"{name}_new")
        make.restype = ctypes.c_void_p
        self.library, self.name = library, name
        self.kept = given  # arrays that the library goes on reading
        self.pointer = Pointer(make(*map(passed, given)))
        self.pointer.free = getattr(library, f"{name}_free")

    def bind(self, method: str, *given: Any) -> Callable[[], int]:
        """NAME_method with these arguments, to be called."""
        function = getattr(self.library, f"{self.name}_{method}")
        function.restype = ctypes.c_int64
        bound = partial(function, self.pointer, *map(passed, given))
        bound.kept = (self.kept, given)  # type: ignore[attr-defined]
        return bound

    def call(self, method: str, *given: Any) -> int:
        """NAME_method, called."""
        return self.bind(method, *given)()


@dataclass(frozen=True, slots=True)
class CompiledPeer(Peer):
    """A peer that is compiled here. told: its version, "" for plain C++."""

    told: Callable[[], str] = field(default=str)

    def version(self) -> str:
        """Its own version, and the compiler's; "" if it does not take part."""
        if self.why_absent():
            return ""
        return ", ".join(filter(None, (self.told(), compiler_version(compiler()))))


def why_not(source: Callable[[], Source | None], missing: str) -> str | None:
    """Why a peer cannot be compiled: no compiler, `missing` headers, an error; None if it can."""
    if not compiler():
        return "not installed: no C++ compiler; install g++, or name one with CXX=..."
    found = source()
    if found is None:
        return f"not installed: {missing}"
    try:
        compiled(found)
    except CompilationError as error:
        return f"not compiled: {error}"
    return None
