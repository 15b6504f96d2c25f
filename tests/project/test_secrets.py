"""No committed file has a secret: keys, tokens and passwords as programs write them."""

import math
import re
from collections import Counter

from tests.project.test_tidy import texts

# What is a secret by its form.
FORMS = (
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----",
    r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    r"\bgh[oprsu]_[0-9A-Za-z]{36}\b",
    r"\bgithub_pat_\w{60,}",
    r"\bglpat-[\w-]{20}\b",
    r"\bxox[abprs]-[\w-]{10,}",
    r"\bAIza[\w-]{35}\b",
    r"\bsk-(?:live|proj|ant)?-?[0-9A-Za-z_-]{32,}",
    r"\bpypi-[\w-]{50,}",
    r"\bnpm_[0-9A-Za-z]{36}\b",
    r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
    r"\$(?:argon2id?|2[aby]|7|6)\$[\w./,=$+-]{40,}",
)
# What is one where it is named so, unless a person could have made it up.
NAMED = re.compile(
    r"(?i)(?:password|passwd|secret|token|api_?key|credential)\w*[\"']?\s*[:=]\s*"
    r"[\"']?([0-9A-Za-z+/_=-]{16,})"
)
IN_ADDRESS = re.compile(r"\w+://[^\s/:@\"'{}$]+:([^\s/@\"'{}$<>*…]{8,})@")
BITS = 3.6  # of a character on the average; words have less


def bits(word):
    """Return the mean information of a character [bit]."""
    counts = Counter(word).values()
    return -sum(n / len(word) * math.log2(n / len(word)) for n in counts)


def secrets_in(text):
    """Return what looks like a secret in a text."""
    result = [match[0] for form in FORMS for match in re.finditer(form, text)]
    for pattern in (NAMED, IN_ADDRESS):
        result += [
            match[1]
            for match in pattern.finditer(text)
            if bits(match[1]) > BITS and re.search(r"\d", match[1])
        ]
    return result


def test_no_committed_file_has_a_secret():
    held = {
        path: sorted(set(result))
        for path, text in texts().items()
        if not path.endswith("package-lock.json") and (result := secrets_in(text))
    }
    assert held == {}


def test_what_looks_like_a_secret_is_seen():
    word = "9fX2kQ7vLr" + "4mZs8TbW1c"
    for text in (
        "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
        "AKIA" + "Q7LM4ZS8TBW1CX2K",
        "ghp_" + word + word[:16],
        f'password = "{word}"',
        f"PARKTWIN_NOTIFY_SECRET={word}",
        f"postgresql://park:{word}@db/park",
        "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTY3ODkwIn0." + "c2lnbmF0dXJlMTIz",
        "$argon2id$v=19$m=65536,t=3,p=4$" + word + "$" + word + word,
    ):
        assert secrets_in(text), text
    for text in (
        "password: str",
        'token = "a-token-of-mine"',
        "postgresql://park:password@db/park",
    ):
        assert not secrets_in(text), text
