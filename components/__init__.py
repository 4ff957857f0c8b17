"""The data of a mind, one small file per subject. No behaviour: that is in `populace.systems`.

What changes together stays together. A time is `int64` simulated µs since 1970 (its field's unit
says so, and exports make it a timestamp), a duration is in seconds.
"""

from .biography import Biography, Survey
from .memory import NEVER, Memory, MemoryKind, Pinned, Statement
from .persona import Persona, Stream
from .trace import LONGEST_HALF_LIFE_S, Strength, Trace

__all__ = [
    "LONGEST_HALF_LIFE_S",
    "NEVER",
    "Biography",
    "Memory",
    "MemoryKind",
    "Persona",
    "Pinned",
    "Statement",
    "Strength",
    "Stream",
    "Survey",
    "Trace",
]
