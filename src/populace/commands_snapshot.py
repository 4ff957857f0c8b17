"""`populace info`, `compact` and `prune`: what a directory of snapshots holds, and less of it."""

from __future__ import annotations

import argparse
from typing import Any

from .options import add_key, find_snapshots, key_of, make_command, tell, whole

INFO_EXAMPLES = """examples:
  populace info town
  populace info town --verify
      reads every file and compares it with its SHA-256
  populace info town --json
"""
COMPACT_EXAMPLES = """examples:
  populace compact town
"""
PRUNE_EXAMPLES = """examples:
  populace prune town --keep 3
"""


def add(commands: Any) -> None:
    """Add the commands to the parser."""
    info = make_command(
        commands.add_parser,
        INFO_EXAMPLES,
        "info",
        help="say what a directory of snapshots holds",
        description="List the snapshots in a directory: simulated time, rows, sizes, and whether "
        "each is good. A damaged one is named with the reason; exit code 2 if none is good.",
    )
    info.add_argument("--verify", action="store_true", help="compare every file with its SHA-256")
    _add_common(info, _info)
    compact = make_command(
        commands.add_parser,
        COMPACT_EXAMPLES,
        "compact",
        help="fold the deltas of the newest snapshot",
        description="Write the newest snapshot anew so that it rests on no delta, put it in that "
        "one's place, and delete what no snapshot needs any more.",
    )
    _add_common(compact, _compact)
    prune = make_command(
        commands.add_parser,
        PRUNE_EXAMPLES,
        "prune",
        help="delete old snapshots",
        description="Keep the newest full snapshots and what is newer than the oldest of them; "
        "delete the others, and the files that only they need.",
    )
    prune.add_argument(
        "--keep", type=whole(1, 10**6), required=True, metavar="N", help="full snapshots to keep"
    )
    _add_common(prune, _prune)


def _add_common(parser: argparse.ArgumentParser, command: Any) -> None:
    parser.add_argument("directory", metavar="DIR", help="the directory of snapshots, or a URI")
    add_key(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.set_defaults(command=command, misuse=parser.error)


def _info(options: argparse.Namespace) -> None:
    from populace.ecs.errors import SnapshotError
    from populace.storage import Snapshots

    from .report import print_snapshots, snapshot_facts

    find_snapshots(options)
    snapshots = Snapshots(options.directory, key=key_of(options))
    facts = snapshot_facts(snapshots, verify=options.verify)
    tell(options, facts, lambda console: print_snapshots(facts, console))
    if not any("damage" not in told for told in facts["snapshots"]):
        why = "no snapshot is good" if facts["snapshots"] else "holds no snapshot"
        raise SnapshotError(f"{options.directory}: {why}")


def _compact(options: argparse.Namespace) -> None:
    from populace.storage import Snapshots

    find_snapshots(options)
    manifest = Snapshots(options.directory, key=key_of(options)).compact()
    facts = {"number": manifest.number, "rows": manifest.rows, "bytes": manifest.bytes}
    tell(options, facts, lambda console: console.print(
        f"snapshot {manifest.number} is full: {manifest.rows:,} rows, {manifest.bytes:,} bytes",
        highlight=False,
    ))  # fmt: skip


def _prune(options: argparse.Namespace) -> None:
    from populace.storage import Snapshots

    find_snapshots(options)
    snapshots = Snapshots(options.directory, key=key_of(options))
    gone = snapshots.prune(options.keep)
    facts = {"deleted": gone, "kept": snapshots.numbers()}
    tell(options, facts, lambda console: console.print(
        f"deleted {len(gone):,} snapshots, {len(facts['kept']):,} are kept", highlight=False
    ))  # fmt: skip
