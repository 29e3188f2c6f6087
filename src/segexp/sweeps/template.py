"""A process that has loaded what a training needs and done nothing else: ``python -m segexp.sweeps.template SOCKET``.

Each request on its socket makes a copy of it by fork, which becomes a job as ``python -m segexp`` would. What is copied
must hold nothing that a copy may not have, other threads or a GPU. That is checked before the first request; a template
that is not fit says so and ends.

It answers each message (JSON, with three open files: log, claim of the run folder, gate) with {"pid": number of the
job}. The job waits at the gate until a byte comes, so that whoever asked for it can hand the claim over first.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import threading
from importlib.util import find_spec
from typing import Any

MODULES = (  # the command line, and what a training loads after its start
    *("segexp.cli", "segexp.commands.train", "segexp.training.callbacks", "segexp.training.performance"),
    *("segexp.training.progress_bar", "segexp.training.tensorboard_callbacks", "segexp.data.sources.synthetic"),
    *(
        "segexp.data.augmentation.appearance",
        "segexp.data.augmentation.geometry",
        "segexp.data.augmentation.symmetries",
    ),
    *("segexp.data.sources", "segexp.losses", "segexp.metrics", "segexp.models"),
    *("albumentations", "torch.utils.tensorboard", "torch.utils.serialization.config", "hydra.main"),
    *("tensorboard.plugins.hparams.api_pb2", "tensorboard.plugins.hparams.metadata", "PIL.PngImagePlugin"),
)
LARGEST = 1 << 20  # bytes of a request
FILES = 3  # that come with it


def main() -> None:
    """Serve the socket until its other end is closed; in a copy, be the job."""
    line = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # that of a terminal is for who started it
    for name in MODULES:
        importlib.import_module(name)
    _compose()
    gc.collect()
    gc.freeze()  # what the copies share is not written to by their collectors
    unfit = _unfit()
    line.send(json.dumps({"unfit": unfit}).encode())
    request = None if unfit else _serve(line)
    line.close()
    if request is not None:
        _become(request)
        sys.modules["segexp.cli"].main()


def _compose() -> None:
    """Compose a configuration and let it go: Hydra has found its plugins then, and our files are parsed."""
    config = importlib.import_module("segexp.config")
    config.compose(["augment=light"])
    importlib.import_module("hydra.core.hydra_config").HydraConfig.instance().cfg = None


def _unfit() -> str:
    """Tell why this process cannot be copied; empty where it can."""
    import torch

    if threading.active_count() > 1:
        return f"threads were started: {', '.join(thread.name for thread in threading.enumerate())}"
    if torch.cuda.is_initialized():
        return "a GPU was initialized"
    # Libraries such as OpenBLAS end their threads when the process is copied; what is left would be lost in the copy.
    copy = os.fork()
    if copy == 0:
        os._exit(0)
    os.waitpid(copy, 0)
    left = len(os.listdir("/proc/self/task"))
    return "" if left == 1 else f"{left - 1} threads of libraries stay when it is copied"


def _serve(line: socket.socket) -> dict[str, Any] | None:
    """Answer requests; return one in the copy that is to be the job, None in the template itself, at the end."""
    while True:
        message, files, _, _ = socket.recv_fds(line, LARGEST, FILES)
        if not message:
            return None
        request: dict[str, Any] = json.loads(message) | {"files": files}
        job = _copied()
        if job == 0:
            return request
        for file in files:
            os.close(file)
        line.send(json.dumps({"pid": job}).encode())


def _copied() -> int:
    """Make a copy of this process that is the child of whoever adopts orphans; 0 in the copy, else its number."""
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        job = os.fork()
        if job == 0:
            os.close(reading)
            os.close(writing)
            return 0
        os.write(writing, str(job).encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(between, 0)  # from now on the job has its new parent
    with os.fdopen(reading, "rb") as pipe:
        return int(pipe.read())


def _become(request: dict[str, Any]) -> None:
    """Take a job's place: session, environment, standard files, arguments; wait at the gate."""
    log, _, gate = request["files"]  # the claim stays open as long as the job lives
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    if not os.read(gate, 1):  # who asked for the job is gone, and nobody has handed the folder over
        os._exit(1)
    os.close(gate)
    spec = find_spec("segexp.__main__")
    assert spec is not None
    assert spec.origin is not None
    sys.argv = [spec.origin, *request["words"]]
    # Processes that this one starts find the command where they would find it in a fresh one.
    this = sys.modules["__main__"]
    this.__spec__, this.__file__ = spec, spec.origin


if __name__ == "__main__":
    main()
