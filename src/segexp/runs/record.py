"""What run.json holds: what ran, where, on what, and how it ended."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypedDict

from segexp.runs.configuration import Config, Recorded
from segexp.runs.files import Json

SplitName = Literal["train", "val", "test"]
CaseNames = dict[str, list[str]]  # by split
Changes = dict[str, tuple[Json, Json]]  # settings by key: before a run was resumed, and since


class Git(TypedDict):
    """Commit of the checkout, and what was not committed."""

    commit: str
    diff: str


class Machine(TypedDict, total=False):
    """Machine of the run; ``threads`` are CPU threads."""

    system: str
    processor: str
    threads: int
    gpus: list[str]
    cuda: str | None


class Environment(TypedDict, total=False):
    """Code, packages and machine of a process; ``git`` is None outside a checkout."""

    segexp_version: str
    git: Git | None
    python: str
    packages: dict[str, str]
    machine: Machine


class EvaluationFacts(TypedDict, total=False):
    """What `segexp evaluate` scored: folders of the runs with commas between, further overrides, split, steps."""

    run: str
    words: list[str]
    split: SplitName
    postprocess: dict[str, Any]


class InitFacts(TypedDict):
    """Trained network that a run started from, with the CRC-32 of its file, and in words what was taken over."""

    file: str
    crc32: str
    took_over: str


class Headline(TypedDict):
    """Metric that stands for the run; its value is None where it is undefined."""

    split: SplitName
    metric: str
    value: float | None
    higher_is_better: bool
    note: str


class ClockChange(TypedDict):
    """A change of the number of epochs within a run: how many there are since an epoch and step."""

    epoch: int
    step: int
    epochs: int
    batches: int  # after which the epoch at work was ended, the last one; 0 = it was whole


class ClockFacts(TypedDict, total=False):
    """How a run was fitted into its minutes: as planned before the first step, and as it came."""

    minutes: float
    epochs_planned: int
    epochs: int
    steps_planned: int
    steps: int
    patches_per_epoch: int
    validated_every: int  # epochs; the last one is, too
    reserve_minutes: float  # kept for the final scoring
    changes: list[ClockChange]


SteppedDown = TypedDict(
    "SteppedDown",
    {"epoch": int, "batch": int | None, "from": str, "to": str, "why": str},
)
"""A setting that was changed since memory ran out; ``batch`` is None where cases were predicted."""


class Record(Environment, total=False):
    """Content of run.json; what a run did not reach lacks."""

    id: str  # random; also in the checkpoints of the run
    status: str
    why: str
    command: list[str]
    overrides: list[str]
    config_dirs: list[str]  # absolute folders of configuration beside segexp's
    sources: dict[str, str]  # digests of the user's own modules that its classes come from, by name
    signature: str | None  # of the overrides and folders
    seed: int
    start: str
    end: str | None
    resumed: list[str]
    changed: dict[str, Any]  # as Changes
    choices: dict[str, Any]
    config: Annotated[Config, Recorded]
    data_fingerprint: str
    split: CaseNames
    class_weights: list[float]
    diverged: dict[str, int]
    parameters: int
    multiply_adds: int
    step_memory_mib: float
    receptive_field: int | Sequence[int] | None
    evaluation: EvaluationFacts
    init: InitFacts
    clock: ClockFacts
    stepped_down: list[SteppedDown]
    headline: Headline
