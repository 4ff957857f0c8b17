"""The data of a mind, one small file per subject. No behaviour: that is in `populace.systems`.

What changes together stays together. A time is `int64` simulated µs since 1970 (its field's unit
says so, and exports make it a timestamp), a duration is in seconds.
"""

from .biography import Biography, Survey
from .contact import Contact, Met
from .memory import NEVER, Memory, MemoryKind, Pinned, Statement
from .observation import Observed, Recalled
from .persona import Persona, Stream
from .trace import LONGEST_HALF_LIFE_S, Capacity, Retentiveness, Strength, Trace

__all__ = [
    "LONGEST_HALF_LIFE_S",
    "NEVER",
    "Biography",
    "Capacity",
    "Contact",
    "Memory",
    "MemoryKind",
    "Met",
    "Observed",
    "Persona",
    "Pinned",
    "Recalled",
    "Retentiveness",
    "Statement",
    "Strength",
    "Stream",
    "Survey",
    "Trace",
]
