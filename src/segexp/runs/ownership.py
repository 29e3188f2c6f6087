"""Whose words a run folder holds: those of this user's own trainings are signed with a key that never leaves home.

A run of one's own may name own classes and any path, wherever it was moved; a stranger cannot sign, and who changes the
words breaks the signature. Without a readable key nothing is signed, and every run is taken for a stranger's.
"""

import hmac
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from segexp.writing import link, remove

LENGTH = 32  # bytes of a key


def sign(words: Sequence[str]) -> str | None:
    """Sign the overrides of a training that the user has started; None where no key can be kept."""
    key = _key(make=True)
    return None if key is None else _signature(words, key)


def is_own(words: Sequence[str], signature: str | None) -> bool:
    """Whether the user has signed these words."""
    key = _key(make=False)
    return bool(key and signature) and hmac.compare_digest(
        _signature(words, key or b"").encode(), str(signature).encode()
    )


def _signature(words: Sequence[str], key: bytes) -> str:
    return hmac.new(key, json.dumps(list(words)).encode(), "sha256").hexdigest()


def _key(make: bool) -> bytes | None:
    folder = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "segexp"
    path = folder / "key"
    if make and not path.exists():
        part = folder / f".key-{os.getpid()}-{secrets.token_hex(4)}"
        with suppress(OSError):  # another process was first, or there is no home
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(secrets.token_bytes(LENGTH))
            link(part, path)
        with suppress(OSError):
            remove(part)
    with suppress(OSError):
        key = path.read_bytes()
        return key if len(key) == LENGTH else None
    return None
