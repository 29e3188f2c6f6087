"""Folders in which files are made until they are whole."""

import shutil
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hidden_folder(parent: Path, word: str) -> Iterator[Path]:
    """Name a folder ``.word-<random>`` that whoever enters may make; afterwards it is removed, whenever Ctrl-C comes.

    ``tempfile.TemporaryDirectory`` leaves its folder if Ctrl-C comes while it is being made or emptied.

    Args:
        parent: Folder that it lies in, on the disk of the files to come, so that they can be moved into place.
        word: Word for what is made in it.
    """
    folder = parent / f".{word}-{uuid.uuid4().hex}"
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_folder(folder: Path) -> None:
    """Remove a folder, if it is there and as far as possible.

    ``shutil.rmtree`` runs in another thread, because Ctrl-C comes to the main one: there, it would leave the folder
    half removed, or raise an OSError (bad file descriptor) in place of KeyboardInterrupt.
    """
    remover = threading.Thread(target=shutil.rmtree, args=(folder, True))
    remover.start()
    remover.join()
