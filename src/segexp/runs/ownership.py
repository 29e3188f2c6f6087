"""Whose words a run folder holds: those of this user's own trainings are signed with a key that never leaves home.

A run of one's own may name own classes and any path, wherever it was moved; a stranger cannot sign, and who changes the
words breaks the signature. Without a readable key nothing is signed, and every run is taken for a stranger's. The class
and arguments of a network are signed on their own, for its checkpoint goes where the run does not.
"""

import hmac
import json
import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from segexp.runs.record import Record
from segexp.writing import link, remove

LENGTH = 32  # bytes of a key


def sign(words: Sequence[str], config_dirs: Sequence[str] = ()) -> str | None:
    """Sign overrides and folders of configuration of a training of the user; None where no key can be kept."""
    return _signed(_line(words, config_dirs))


def is_own(record: Record) -> bool:
    """Whether the user has signed the overrides and folders of a run."""
    words = _line(record.get("overrides", ()), record.get("config_dirs", ()))
    return _is_signed(words, record.get("signature"))


def sign_network(name: str, arguments: Any) -> str | None:
    """Sign class and arguments of a network that the user trains."""
    return _signed(_of_network(name, arguments))


def is_own_network(name: str, arguments: Any, signature: str | None) -> bool:
    """Whether the user has trained a network of this class with these arguments."""
    return _is_signed(_of_network(name, arguments), signature)


def config_dirs_of_run(record: Record, trusted: bool = False) -> list[Path]:
    """Folders of configuration that a run was started with, if it is the user's own, or trusted; else none."""
    return [Path(folder) for folder in record.get("config_dirs", ())] if trusted or is_own(record) else []


def require_config_dirs(folders: Sequence[Path]) -> None:
    """Refuse folders that a run was started with and that are gone.

    Raises:
        FileNotFoundError: One is gone; names it and the remedy.
    """
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"the run was started with --config-dir {folder}, where there is no folder now: tell where it lies "
                "with --config-dir <folder>"
            )


def _line(words: Sequence[str], config_dirs: Sequence[str]) -> list[str]:
    return [*words, *(f"--config-dir={folder}" for folder in config_dirs)]


def _of_network(name: str, arguments: Any) -> list[str]:
    return ["network", name, json.dumps(arguments, sort_keys=True)]


def _signed(words: Sequence[str]) -> str | None:
    key = _key(make=True)
    return None if key is None else _signature(words, key)


def _is_signed(words: Sequence[str], signature: str | None) -> bool:
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
