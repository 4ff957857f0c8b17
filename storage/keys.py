"""Encryption keys: AES, 128, 192 or 256 bits, that do not show themselves.

Invariants: the secret is in no repr, error message or fingerprint. Each file is encrypted under a
key of its own, made from the secret and the file's name by HMAC-SHA256, so that no AES-GCM key
wears out however many files there are, and no file can pass for another.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import os
from pathlib import Path
from typing import NoReturn

from populace.ecs.errors import KeyMismatchError, StorageError

SIZES = (16, 24, 32)
HOW = "make one with: openssl rand -hex 32"


class Key:
    """A secret of 16, 24 or 32 bytes. Raises KeyMismatchError for one that cannot be a key.

    >>> from populace.storage.keys import Key
    >>> Key(bytes(32))
    Key(fingerprint='dc3bc4f5a1c5971b')
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if not isinstance(secret, bytes) or len(secret) not in SIZES:
            found = f"{len(secret)} bytes" if isinstance(secret, bytes) else type(secret).__name__
            raise KeyMismatchError(f"a key is 16, 24 or 32 bytes, got {found}; {HOW}")
        self._secret = secret

    @classmethod
    def from_text(cls, text: str, source: str = "the text") -> Key:
        """From hex or base64; white space around it does not count.

        source: where the text is from, for the message of the KeyMismatchError that anything else
        raises.
        """
        secret = b""
        try:
            secret = bytes.fromhex(text.strip())
        except ValueError:
            with contextlib.suppress(ValueError):
                secret = base64.b64decode(text.strip(), validate=True)
        if len(secret) not in SIZES:
            raise KeyMismatchError(
                f"{source} holds no key: 16, 24 or 32 bytes in hex or base64 are wanted; {HOW}"
            )
        return cls(secret)

    @classmethod
    def from_file(cls, path: str | Path) -> Key:
        """From a file that holds hex or base64. Raises StorageError where it cannot be read."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise StorageError(
                error.errno, f"key cannot be read: {error.strerror}", str(path)
            ) from error
        return cls.from_text(data.decode("ascii", errors="replace"), str(path))

    @classmethod
    def from_environment(cls, name: str = "POPULACE_KEY") -> Key:
        """From an environment variable that holds hex or base64."""
        if name not in os.environ:
            raise KeyMismatchError(f"the environment has no {name}; {HOW}")
        return cls.from_text(os.environ[name], f"the environment's {name}")

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell keys apart, safe to publish."""
        return self._derived(b"fingerprint")[:8].hex()

    def for_file(self, name: str) -> bytes:
        """The secret under which the file of that name is encrypted, as long as this one."""
        return self._derived(b"file " + name.encode())[: len(self._secret)]

    def _derived(self, purpose: bytes) -> bytes:
        """32 bytes that only this secret gives; its length counts, which HMAC pads away."""
        text = b"populace %d %b" % (len(self._secret), purpose)
        return hmac.digest(self._secret, text, "sha256")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Key is not pickled or copied: it would show; make it where it is used")

    def __repr__(self) -> str:
        return f"Key(fingerprint={self.fingerprint!r})"
