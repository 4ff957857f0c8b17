"""Every error that Populace raises on purpose, in one hierarchy.

Each message says what was wrong, the value, what is allowed and the way out. Each class has a
builtin parent too, so that `except ValueError` written by somebody who has never seen this page
still catches what it should. An error raised by a batch means that nothing of it happened.
"""

from __future__ import annotations


class PopulaceError(Exception):
    """The parent of them all."""


# -- declarations ---------------------------------------------------------------------------


class ComponentDefinitionError(PopulaceError, TypeError):
    """A class under `@component` or `@event` that cannot be one."""


class SystemSignatureError(PopulaceError, TypeError):
    """A system whose signature does not say what it reads and writes."""


class KernelError(PopulaceError, TypeError):
    """A row function that cannot be compiled: names file and line."""


class ScheduleError(PopulaceError, ValueError):
    """An unknown phase or system, a cycle in `before` / `after`, an impossible interval."""


class QueryError(PopulaceError, ValueError):
    """A query, mask or selection that makes no sense."""


# -- values ---------------------------------------------------------------------------------


class UnknownFieldError(PopulaceError, TypeError, AttributeError):
    """A field that the component does not have, or that may not be given."""


class MissingFieldError(PopulaceError, TypeError):
    """A field without a default that was not given."""


class ColumnShapeError(PopulaceError, ValueError):
    """An array of the wrong length or number of dimensions."""


class ColumnTypeError(PopulaceError, TypeError):
    """An array whose dtype does not fit the field."""


class ColumnValueError(PopulaceError, ValueError):
    """A value that the field does not allow: NaN, infinite, out of range, no such choice."""


# -- entities and components ----------------------------------------------------------------


class UnknownComponentError(PopulaceError, LookupError):
    """A class that is not a component."""


class DeadEntityError(PopulaceError, LookupError):
    """An id that names no living entity: despawned, or never given out."""


class DuplicateEntityError(PopulaceError, ValueError):
    """The same id twice in one batch."""


class DuplicateComponentError(PopulaceError, ValueError):
    """The same component twice in one call."""


class ComponentPresentError(PopulaceError, ValueError):
    """A component added to an entity that has it."""


class ComponentMissingError(PopulaceError, LookupError):
    """A component read, set or removed where the entity lacks it."""


class RequiredComponentError(PopulaceError, ValueError):
    """A required component that cannot be made from defaults, or that is still required."""


class ReferencedEntityError(PopulaceError, ValueError):
    """A despawn of an entity that an `on_despawn="forbid"` reference still names."""


class DuplicatePairError(PopulaceError, ValueError):
    """A unique pair that exists already."""


class CapacityError(PopulaceError, MemoryError):
    """A limit of the layout: 2^32 - 2 entity slots, 2^32 - 1 rows in a table."""


class MemoryLimitReached(PopulaceError, MemoryError):
    """A run that holds more memory than it may, after everything was let go that can be."""


# -- time of access -------------------------------------------------------------------------


class StaleViewError(PopulaceError, RuntimeError):
    """A view or iteration whose table has changed structurally since."""


class StructuralChangeError(PopulaceError, RuntimeError):
    """A structural change where none is allowed: inside a system or an observer."""


class UntrackedError(PopulaceError, LookupError):
    """A question about the changes of a component that nobody asked to track."""


class ResourceError(PopulaceError, LookupError):
    """A resource that is absent, present twice, or not a dataclass."""


class InvariantError(PopulaceError, AssertionError):
    """`World.check` found the world inconsistent: a fault of Populace or of a raw write."""


class SettingError(PopulaceError, ValueError):
    """A parameter of a law that is of the wrong type, not finite, or out of its range."""


class SourceFileError(PopulaceError, ValueError):
    """A file that is damaged or not what it was taken for: names file and record."""


# -- storage ------------------------------------------------------------------------------------


class StorageError(PopulaceError, OSError):
    """A read or write that the disk or the object store refused: names path and cause."""


class SnapshotError(PopulaceError, ValueError):
    """A snapshot that is damaged, incomplete, foreign, or of a newer version: names the file."""


class SchemaError(PopulaceError, TypeError):
    """A component that changed as a snapshot cannot follow: names component and field."""


class LockedError(PopulaceError, RuntimeError):
    """A directory of snapshots that another process writes to."""


class KeyMismatchError(PopulaceError, ValueError):
    """An encryption key that is missing, malformed, or not the one a snapshot was written with."""


class SqlError(PopulaceError, ValueError):
    """A query that cannot be run, or that is not allowed."""
