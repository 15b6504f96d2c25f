"""Secrets that have to be read again, sealed: what holds them alone cannot read or change them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from twin.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

KEY_BYTES_MIN = 32
NONCE_BYTES = 12  # NIST SP 800-38D, 8.2: 96 random bits


class Seal:
    """AES-256-GCM with a key of a file; what was sealed for one purpose opens for no other."""

    def __init__(self, secret: bytes) -> None:
        key = HKDF(SHA256(), length=32, salt=None, info=b"parktwin seal").derive(secret)
        self._cipher = AESGCM(key)

    def close(self, purpose: str, content: bytes) -> bytes:
        """Return sealed content."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, content, purpose.encode())

    def open(self, purpose: str, sealed: bytes) -> bytes | None:
        """Return the content; None for one that was changed, or sealed for something else."""
        nonce, content = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, purpose.encode())
        except (InvalidTag, ValueError):
            return None


def read_seal(file: Path | None) -> Seal | None:
    """Return the seal of a key file; raises SettingsError where it is named and no key."""
    if file is None:
        return None
    hint = f"PARKTWIN_SECRET_KEY names a file of {KEY_BYTES_MIN} random bytes or more"
    try:
        secret = file.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"the key of secrets cannot be read: {error}", hint=hint) from None
    if len(secret) < KEY_BYTES_MIN:
        raise SettingsError(f"{file} is too short for the key of secrets", hint=hint)
    return Seal(secret)
