"""Codes of a second factor, by time (RFC 6238), as authenticators on telephones make them."""

from __future__ import annotations

import base64
import hmac
import secrets

import pyotp
import segno

STEP_US = 30_000_000
DRIFT = 1  # the clock of a telephone may be a step off
CODES = 10
CODE_BYTES, GROUP = 10, 4


def new_secret() -> str:
    """Return the secret of a new second factor: 160 bits, as RFC 4226 recommends."""
    return pyotp.random_base32()


def address_of(secret: str, account: str, issuer: str) -> str:
    """Return the address that an authenticator takes a secret from."""
    return pyotp.TOTP(secret).provisioning_uri(name=account, issuer_name=issuer)


def drawing_of(address: str) -> str:
    """Return an address as a QR code, the address of a picture in itself."""
    return segno.make(address, error="m").svg_data_uri(scale=4, light="#fff")


def step_of(secret: str, code: str, now_us: int) -> int | None:
    """Return the time step that a code is of, within a step of now; None for a wrong code."""
    totp, now = pyotp.TOTP(secret), now_us // STEP_US
    given = code.replace(" ", "").encode()
    for step in range(now - DRIFT, now + DRIFT + 1):
        if hmac.compare_digest(totp.generate_otp(step).encode(), given):
            return step
    return None


def new_recovery_codes() -> list[str]:
    """Return codes of 80 random bits, in groups that a person can copy."""
    codes = [
        base64.b32encode(secrets.token_bytes(CODE_BYTES)).decode().lower() for _ in range(CODES)
    ]
    return ["-".join(code[i : i + GROUP] for i in range(0, len(code), GROUP)) for code in codes]


def plain(code: str) -> str:
    """Return a recovery code as it is stored, however it was typed."""
    return code.replace("-", "").replace(" ", "").lower()


def is_recovery(code: str) -> bool:
    """Tell whether a code has the length of a recovery code."""
    return len(plain(code)) == CODE_BYTES * 8 // 5
