"""Secrets are masked before a run folder keeps them, since run folders are handed on."""

import os
import re
from typing import Any

MASK = "<masked>"
SHORTEST = 6  # characters of a secret; shorter values stand for something else
_WORDS = r"token|secret|passw|passphrase|credential|api_?key|access_?key|private_?key"
_NAME = re.compile(rf"{_WORDS}|_(pass|pwd|key)$", re.IGNORECASE)
_TOKENS = (  # as services write them
    r"gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{16,}|sk-[\w-]{16,}|xox[a-z]-[\w-]{10,}"
    r"|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END|$)"
)
_PATTERNS = (
    (re.compile(_TOKENS), MASK),
    (re.compile(r"(\w://)[^/\s@]*:[^/\s@]+@"), rf"\1{MASK}@"),  # user and password of a URL
    (re.compile(rf"""(?i)((?:{_WORDS})[\w-]*["']?\s*[:=]\s*(["']))[^"'\n]{{{SHORTEST},}}(?=\2)"""), rf"\1{MASK}"),
    (re.compile(rf"(?im)(^[+-]?\s*(?:export )?\w*(?:{_WORDS})\w*=)[^\s\"'(\[]{{{SHORTEST},}}$"), rf"\1{MASK}"),
)


def masked(value: Any) -> Any:
    """Mask secrets in plain values: those of environment variables, tokens, passwords in URLs and assignments.

    Args:
        value: Texts, numbers, lists and mappings; a text under a key that names a secret is masked whole.

    Returns:
        The same, with ``MASK`` in place of each secret.
    """
    known = sorted({own for name, own in os.environ.items() if _NAME.search(name) and len(own) >= SHORTEST}, key=len)
    return _masked(value, known[::-1])


def _masked(value: Any, known: list[str]) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if isinstance(item, str) and item and _NAME.search(str(key)) else _masked(item, known)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(item, known) for item in value]
    if not isinstance(value, str):
        return value
    for secret in known:
        value = value.replace(secret, MASK)
    for pattern, mask in _PATTERNS:
        value = pattern.sub(mask, value)
    return value
