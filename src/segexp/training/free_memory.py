"""Memory that is free: of a GPU, else of the machine, the container and the limits of the process."""

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

CGROUPS = Path("/sys/fs/cgroup")
OF_VERSION_2 = ("memory.max", "memory.current", "inactive_file")
OF_VERSION_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_memory(device: torch.device | None = None) -> int:
    """Bytes of memory that are free for this process.

    Args:
        device: Device that is asked; one that is no CUDA device, and None, stand for the machine.
    """
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    return max(0, min(_of_machine(), *of_groups(), _of_process()))


def _of_machine() -> int:
    """Bytes that are free on the machine; all that it has where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        rows = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
        return int(rows["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def of_groups(root: Path = CGROUPS, own: Path = Path("/proc/self/cgroup")) -> Iterator[int]:
    """Yield the bytes that are free in each control group (container, job) of this process that has a limit.

    Pages of files that were read count as used there, and are freed where memory is needed: they are free.

    Args:
        root: Folder of the control groups.
        own: File that names those of this process.
    """
    for line in own.read_text(encoding="utf-8").splitlines() if own.is_file() else ():
        _, controllers, path = line.split(":", 2)
        base, names = (root / "memory", OF_VERSION_1) if controllers else (root, OF_VERSION_2)
        if controllers and "memory" not in controllers.split(","):
            continue
        folder = base / path.lstrip("/")
        # In a container the path may be the host's, and the folder of the container the root.
        for group in [folder, *folder.parents]:
            if group.is_relative_to(base):
                yield from _of_group(group, *names)


def _of_group(group: Path, limit: str, used: str, cached: str) -> Iterator[int]:
    try:
        most = int((group / limit).read_text(encoding="ascii"))  # the word "max" is no number
        taken = int((group / used).read_text(encoding="ascii"))
        rows = dict(line.split() for line in (group / "memory.stat").read_text(encoding="ascii").splitlines())
    except (OSError, ValueError):
        return
    yield most - taken + int(rows.get(cached, 0))


def _of_process() -> int:
    """Bytes of address space that a limit of the process (``ulimit -v``) leaves."""
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if most == resource.RLIM_INFINITY or not statm.is_file():
        return sys.maxsize
    return most - int(statm.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
