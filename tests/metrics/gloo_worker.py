"""One of several gloo processes, run as `gloo_worker.py <rank> <world> <folder>`: scores its share of each job."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist

from segexp.metrics import (
    CalibrationScores,
    CenterlineScores,
    ObjectScores,
    OverlapScores,
    PartitionScores,
    RankingScores,
    SurfaceScores,
)


def fresh():
    names = ["cell", "membrane"]
    per_class = [
        kind(names) for kind in (OverlapScores, CalibrationScores, CenterlineScores, ObjectScores, RankingScores)
    ]
    return [*per_class, SurfaceScores(names, unit="px"), PartitionScores(thresholds=(0.3, 0.6))]


def used_and_reset():
    metrics = fresh()
    for metric in metrics:
        metric.update(torch.rand(1, 2, 8, 8), torch.zeros(1, 8, 8), torch.tensor([0]))
        metric.reset()
    return metrics


def scored(metric):
    """What is found, and in which words."""
    return asdict(metric.compute()) | {"info": {name: asdict(info) for name, info in metric.info.items()}}


def result_of(metric, share):
    for batch in share:
        metric.take(*batch)
    try:
        return scored(metric)
    except ValueError as error:
        return {"error": str(error)}


def main(rank: int, world: int, folder: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=world)
    results = [
        {state.__name__: [result_of(metric, job[rank]) for metric in state()] for state in (fresh, used_and_reset)}
        for job in torch.load(folder / "jobs.pt")
    ]
    (folder / f"{rank}.json").write_text(json.dumps(results))
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
