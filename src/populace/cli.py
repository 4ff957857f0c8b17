"""The command line, `populace COMMAND`.

Each command is in a module of its own, `commands_*.py`, which adds itself to the parser. Results go
to stdout (`--json` for scripts), progress and errors to stderr. Exit codes: 0 done, 1 the machine
failed (disk, memory, a directory that is in use) or runs of a sweep did, 2 misuse or a source that
cannot be read, 3 a run stopped at its memory limit, 130 interrupted. Nothing heavy is imported
before the arguments are known to be right, so `--help` is quick.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import (
    commands_import,
    commands_query,
    commands_report,
    commands_run,
    commands_scenario,
    commands_snapshot,
    commands_sweep,
)
from .options import make_command

EXAMPLES = """examples:
  populace run --agents 1000 --days 7 --dir town
  populace resume town
  populace report town
  populace sql town "SELECT kind, count(*) FROM memories GROUP BY kind"
  populace export town --to tables
  populace import ville saved/July1_the_ville --out minds
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. Misuse raises SystemExit(2), as argparse does."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest and getattr(options, "query", "") is None and not rest[0].startswith("-"):
        options.query = rest.pop(0)  # behind options, argparse has no place for it
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        command: Callable[[argparse.Namespace], int | None] = options.command
        with _plain_warnings():
            code = command(options) or 0
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("populace: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has left; stdout must not complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        print(f"populace: out of memory: {error}; ask for less", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"populace: {error}", file=sys.stderr)
        return 1
    except Exception as error:
        told = _code_of(error)
        if told is None:
            raise
        print(f"populace: {error}", file=sys.stderr)
        return told
    return code


def _code_of(error: Exception) -> int | None:
    """The exit code for an error that is told in a line; None for one that is a fault of ours."""
    from populace.ecs import errors

    told = (errors.SettingError, errors.SourceFileError, errors.SnapshotError,
            errors.SchemaError, errors.KeyMismatchError, errors.SqlError)  # fmt: skip
    if isinstance(error, errors.LockedError):
        return 1
    return 2 if isinstance(error, told) else None


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """What storage warns of, as a line on stderr."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"populace: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning, module=r"populace\.")
        warnings.showwarning = show
        yield


class _Version(argparse.Action):
    """`--version`, looked up only when asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from . import __version__

        print(f"populace {__version__}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = make_command(
        argparse.ArgumentParser,
        EXAMPLES,
        prog="populace",
        description="Societies of agents that remember, and forget.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in (
        commands_run,
        commands_scenario,
        commands_sweep,
        commands_import,
        commands_snapshot,
        commands_query,
        commands_report,
    ):
        module.add(commands)
    return parser
