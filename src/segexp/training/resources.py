"""Resources that a run takes beside time: peak memory and energy, as far as the machine tells."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from segexp.runs.results import Training

RAPL = Path("/sys/class/powercap")  # counters of Intel and AMD processors; mostly readable by root alone


class ResourceMeter:
    """Measures from its construction to `read`.

    Args:
        counters: Folder of the processor's energy counters.
    """

    def __init__(self, counters: Path = RAPL) -> None:
        self._counters = counters
        for index in range(torch.cuda.device_count()):
            torch.cuda.reset_peak_memory_stats(index)
        self._start = _joules(counters)

    def read(self) -> Training:
        """Peak memory in MiB and energy in Wh.

        Returns:
            ``peak_memory_mib``: the largest sum of tensors on a GPU; without one, the process's own resident memory.
            ``energy_wh``: of all GPUs and processors that report it, other programs included; None = none reports it.
        """
        now = _joules(self._counters)
        # A counter that is smaller now has overflowed: its energy is not known.
        spent = [now[name] - begin for name, begin in self._start.items() if now.get(name, -1.0) >= begin]
        peak = max((torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count())), default=0)
        if not peak:
            unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {
            "peak_memory_mib": round(peak / 2**20, 1),
            "energy_wh": round(sum(spent) / 3600, 3) if spent else None,
        }


def _joules(counters: Path) -> dict[str, float]:
    """Energy counters of processors and GPUs by name, in joules."""
    joules = _gpu_joules()
    for path in counters.glob("intel-rapl:[0-9]*/energy_uj"):
        if path.parent.name.count(":") == 1:  # the others are parts of such a counter
            with suppress(OSError):
                joules[str(path)] = int(path.read_text(encoding="utf-8")) / 1e6
    return joules


def _gpu_joules() -> dict[str, float]:
    if not torch.cuda.is_available():
        return {}
    try:
        import pynvml

        pynvml.nvmlInit()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return {f"gpu{index}": pynvml.nvmlDeviceGetTotalEnergyConsumption(h) / 1e3 for index, h in enumerate(handles)}
    except Exception:  # not installed, or a GPU without a counter
        return {}
