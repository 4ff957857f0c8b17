"""Encryption keys: where they come from, and that they never show."""

import base64
import pickle
import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from populace.ecs.errors import KeyMismatchError, StorageError
from populace.storage.keys import Key

secrets = st.sampled_from([16, 24, 32]).flatmap(lambda n: st.binary(min_size=n, max_size=n))


@given(secrets)
def test_a_key_is_what_its_text_says(secret):
    """Hex in either case and base64 are told apart by themselves, with or without a newline; all
    of 32 random base64 digits are hex digits once in 10^15 keys."""
    assume(set(base64.b64encode(secret)) - set(string.hexdigits.encode()))
    texts = (secret.hex(), secret.hex().upper() + "\n", base64.b64encode(secret).decode() + "\r\n")
    for text in texts:
        assert Key.from_text(text) == Key(secret)
        assert Key.from_text(text).for_file("x") == Key(secret).for_file("x")


@given(secrets, secrets)
def test_the_fingerprint_tells_keys_apart(one, other):
    """Equal keys have equal fingerprints, other keys others; nothing of the secret is in it."""
    assert (Key(one) == Key(other)) == (one == other)
    assert (Key(one).fingerprint == Key(other).fingerprint) == (one == other)
    assert len({Key(one), Key(one), Key(other)}) == 1 + (one != other)


@given(secrets)
def test_a_key_does_not_show_itself(secret):
    """Neither the bytes nor their hex are in what is printed of a key, and no pickle holds it."""
    key = Key(secret)
    shown = f"{key} {key!r} {key.fingerprint} {[key]}"
    assert secret.hex() not in shown
    assert repr(secret) not in shown
    assert not hasattr(key, "__dict__")
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(key)


@given(secrets, st.text(max_size=20), st.text(max_size=20))
def test_every_file_has_a_key_of_its_own(secret, one, other):
    """As long as the secret, and another for every other name."""
    key = Key(secret)
    assert len(key.for_file(one)) == len(secret)
    assert secret not in (key.for_file(one), key.for_file(other))
    assert (key.for_file(one) == key.for_file(other)) == (one == other)


@pytest.mark.parametrize("secret", [b"", b"short", bytes(33), "0" * 32, None])
def test_a_secret_of_another_size_is_refused(secret):
    """The error says which sizes there are and how to make a key, and does not show this one."""
    with pytest.raises(KeyMismatchError, match=r"16, 24 or 32 bytes.*openssl rand") as caught:
        Key(secret)
    assert "short" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["", "\n", "a pass phrase", "0" * 31, "0" * 30, "AAAA", "é" * 32, "0x" + "0" * 32]
)
def test_a_text_that_is_no_key_is_refused(tmp_path, monkeypatch, text):
    """From wherever it comes: the error says where from, and does not show it."""
    (tmp_path / "key").write_text(text)
    monkeypatch.setenv("POPULACE_KEY", text)
    for make, source in (
        (lambda: Key.from_text(text), "the text"),
        (lambda: Key.from_file(tmp_path / "key"), str(tmp_path / "key")),
        (Key.from_environment, "POPULACE_KEY"),
    ):
        with pytest.raises(KeyMismatchError, match=rf"{source} holds no key") as caught:
            make()
        assert len(text) < 5 or text not in str(caught.value)


def test_a_key_from_a_file_or_the_environment(tmp_path, monkeypatch):
    """As `openssl rand -hex 32 > key` makes it; a place without a key is named."""
    (tmp_path / "key").write_text("ab" * 32 + "\n")
    assert Key.from_file(tmp_path / "key") == Key(b"\xab" * 32)
    with pytest.raises(StorageError, match="key cannot be read: No such file"):
        Key.from_file(tmp_path / "nokey")
    monkeypatch.setenv("MY_KEY", "ab" * 32)
    monkeypatch.delenv("POPULACE_KEY", raising=False)
    assert Key.from_environment("MY_KEY") == Key(b"\xab" * 32)
    with pytest.raises(KeyMismatchError, match="the environment has no POPULACE_KEY"):
        Key.from_environment()
