"""What this process may use of the machine."""

from __future__ import annotations

import os


def n_cores() -> int:
    """Cores that this process may use; of the machine, where the system does not tell."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
