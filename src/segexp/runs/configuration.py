"""The resolved configuration of a run in plain containers, as config.yaml and run.json hold it."""

from typing import Any, Literal, NotRequired, TypedDict


class Node(TypedDict, total=False):
    """What Hydra builds an object from: the path of a class or function; its arguments are further keys."""

    _target_: str
    _partial_: bool


class CallbackNode(Node, total=False):
    """A callback that can be switched off; ``save_top_k`` is a checkpoint's."""

    enabled: bool
    save_top_k: int


class LabelsNode(Node):
    """Classes of the masks; ``regions`` are null or overlapping targets in place of the classes."""

    num_classes: int
    regions: dict[str, list[int]] | None


class GeometryNode(Node):
    """Axes and pixel sizes of what the network sees."""

    spatial_dims: int
    context: int
    spacing: str | list[float] | None
    spacing_unit: str


class SamplingNode(Node):
    """Drawing of training patches."""

    patch_size: list[int]
    patches_per_epoch: int
    foreground_fraction: float


class DataNode(Node):
    """The data module: the groups that other rooms read."""

    channels: int
    source: Node
    labels: LabelsNode
    geometry: GeometryNode
    sampling: SamplingNode


class PredictorNode(Node, total=False):
    """Prediction of whole images; its further keys are a ``Tiling``."""

    activation: str


class Inference(TypedDict):
    """Prediction of whole images, and what is averaged and adapted for the final metrics."""

    predictor: PredictorNode
    averaging: Node | None
    adapt: float


class TrainerNode(Node, total=False):
    """Lightning's trainer: the arguments that this package reads or replaces."""

    accelerator: str
    devices: int | str
    num_nodes: int
    strategy: str
    precision: str
    max_epochs: int
    accumulate_grad_batches: int
    check_val_every_n_epoch: int | None
    limit_train_batches: int | float | None
    limit_val_batches: int | float | None
    deterministic: bool
    fast_dev_run: bool | int
    enable_checkpointing: bool
    enable_model_summary: bool
    enable_progress_bar: bool
    use_distributed_sampler: bool
    plugins: list[Node]


class LoggerNode(Node, total=False):
    """A logger; ``purge_step`` is TensorBoard's."""

    purge_step: int | None


class Scored(TypedDict):
    """Scoring of a trained run: what sets its metrics apart from those of the end of the training."""

    split: str
    postprocess: str
    networks: NotRequired[int]


class Config(TypedDict):
    """Configuration of a run; ``evaluate`` stands in that of `segexp evaluate` alone."""

    name: str
    plan: str | None
    seed: int
    minutes: float | str | None
    init: str | None
    page: bool
    resume: str | None
    allow_changes: list[str]
    on_divergence: Literal["stop", "skip", "rollback"]
    monitor: str
    monitor_mode: Literal["max", "min"] | None
    data: DataNode
    augment: Node | None
    weight_map: Node | None
    model: Node
    loss: Node
    deep_supervision: Node
    metrics: dict[str, Node]
    optimizer: Node
    scheduler: Node
    performance: Node
    inference: Inference
    trainer: TrainerNode
    callbacks: dict[str, CallbackNode]
    logger: LoggerNode | None
    paths: dict[str, str]  # folders; ``run_dir`` is that of the run
    evaluate: NotRequired[Scored]


class RecordedSplit(TypedDict, total=False):
    """The fold that was tested."""

    fold: int | None


class RecordedData(TypedDict, total=False):
    """Where the data were, and how they were split."""

    source: dict[str, Any]
    split: RecordedSplit | None


class Recorded(TypedDict, total=False):
    """What is read of a recorded configuration, which another version may have written."""

    seed: int | None
    monitor: str
    monitor_mode: str | None
    data: RecordedData
    trainer: dict[str, Any]
    paths: dict[str, Any]
