"""The peers' own environment and sources, and commands in it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
IN_PEERS = Path(__file__).parent / "in_peers"
PACKAGES = ("torch==2.13.0", "torchvision==0.28.0", "monai==1.6.1", "nnunetv2==2.8.1", "wandb==0.31.0")
UNET_ADDRESS = "https://github.com/milesial/Pytorch-UNet"
UNET_COMMIT = "21d7850f2af30a9695bbeea75f3136aa538cfc4a"
# torchvision from PyPI is built for CUDA. Beside a torch for CPUs it stops on import, for operators that it lacks and
# that no peer calls: declared, they let it pass.
DECLARATION = """
if not _has_ops():
    for name in ("nms", "qnms"):
        torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


@dataclass(frozen=True)
class Peers:
    """Where the peers lie.

    Args:
        environment: Folder of their virtual environment.
        unet: Folder of a clone of Pytorch-UNet.
        threads: Number of threads of every command.
    """

    environment: Path
    unet: Path
    threads: int

    @property
    def python(self) -> Path:
        """Python of the environment."""
        return self.environment / "bin" / "python"

    def variables(self, **more: object) -> dict[str, str]:
        """Environment variables of a command."""
        count = str(self.threads)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), count)
        # nnU-Net's loader processes and those of its preprocessing; wandb neither asks nor sends.
        others = {"nnUNet_n_proc_DA": count, "nnUNet_def_n_proc": count, "WANDB_MODE": "disabled"}
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**kept, **threads, **others, "PATH": path, **{name: str(value) for name, value in more.items()}}


def set_up(folder: Path, unet: str, threads: int) -> Peers:
    """Make the environment and the clone of Pytorch-UNet, where they are not there yet.

    Args:
        folder: Folder for both.
        unet: Address or folder that Pytorch-UNet is cloned from.
        threads: Number of threads of every command.
    """
    peers = Peers(folder.absolute() / "environment", folder.absolute() / "Pytorch-UNet", threads)
    done = folder / "packages.txt"
    if not done.is_file() or done.read_text() != "\n".join(PACKAGES):
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", str(peers.environment)], check=True)
        subprocess.run([str(peers.python), "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
        repair_torchvision(peers)
        done.write_text("\n".join(PACKAGES))
    if not peers.unet.is_dir():
        subprocess.run(["git", "clone", "--quiet", unet, str(peers.unet)], check=True)
        subprocess.run(["git", "-C", str(peers.unet), "checkout", "--quiet", UNET_COMMIT], check=True)
    return peers


def repair_torchvision(peers: Peers) -> None:
    """Let torchvision be imported where it was built for another torch."""
    if subprocess.run([str(peers.python), "-c", "import torchvision"], capture_output=True).returncode:
        (place,) = peers.environment.glob("lib/python*/site-packages/torchvision/extension.py")
        place.write_text(place.read_text() + DECLARATION)
        subprocess.run([str(peers.python), "-c", "import torchvision"], check=True)


def command(
    words: list[str | Path],
    log: Path,
    variables: dict[str, str],
    folder: Path | None = None,
    stop: Callable[[], bool] | None = None,
) -> float:
    """Run a command to its end, or until it is to stop.

    Args:
        words: Command and arguments.
        log: Path to what it prints.
        variables: Environment variables.
        folder: Working folder; None = the present one.
        stop: Asked twice a second whether to end the command; None = it ends by itself.

    Returns:
        Seconds that it took.

    Raises:
        RuntimeError: It failed.
    """
    start = time.time()
    with log.open("a") as file:
        process = subprocess.Popen(list(map(str, words)), stdout=file, stderr=file, env=variables, cwd=folder)
        try:
            stopped = waited(process, stop)
        finally:
            process.kill()
            process.wait()
    if process.returncode and not stopped:
        raise RuntimeError(f"{words[0]} ended with status {process.returncode}: see {log}")
    return time.time() - start


def waited(process: subprocess.Popen[bytes], stop: Callable[[], bool] | None) -> bool:
    """Wait for a process; return whether it was told to stop."""
    while process.poll() is None:
        if stop is not None and stop():
            process.terminate()
            process.wait(30)
            return True
        time.sleep(0.5)
    return False
