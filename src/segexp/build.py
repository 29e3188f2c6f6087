"""From configuration to objects: the only place that instantiates."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

import segexp
from segexp.checkpoints.description import ModelDescription, require_arguments
from segexp.checkpoints.networks import name_and_arguments
from segexp.data import DataModule
from segexp.data.description import DataDescription
from segexp.errors import did_you_mean, require_choice
from segexp.inference import AdaptivePredictor, SlicePredictor
from segexp.losses.adapter import adapted as adapted_loss
from segexp.making import called, make, make_class, make_function
from segexp.metrics import CaseMetric, find_info
from segexp.metrics.adapter import adapted as adapted_metric
from segexp.models import Network, adapted
from segexp.runs.configuration import Config
from segexp.runs.ownership import sign_network
from segexp.signatures import parameters, require_types
from segexp.training.divergence import Divergence
from segexp.training.processes import StopAtSignal, leave_signals
from segexp.training.saving import CheckpointFiles
from segexp.training.settings import channels_of, outputs_of, require_facts
from segexp.training.task import Task

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")


def build_data(config: Config) -> DataModule:
    """Build the data module of a resolved, plain configuration."""
    objects = {key: make(key, config[key]) for key in ("augment", "weight_map")}
    return make("data", config["data"], seed=config["seed"], **objects)


def build_task(config: Config, symmetries: list[str] | None = None) -> Task:
    """Build network, loss, metrics, optimizer, schedule and predictors, and the task of them all.

    Args:
        config: Resolved configuration.
        symmetries: Flips and turns that the training shows to the network, as the data module tells; None = not known.

    Raises:
        ValueError: The parts do not go together, or predictions are to be averaged over views that are not shown.
    """
    pl.seed_everything(config["seed"], workers=True, verbose=False)
    network = _network(config)
    performance = make("performance", config["performance"])
    dims = config["data"]["geometry"]["spatial_dims"]
    performance.apply(network, dims)
    predictor, scorer = _predictors(config, symmetries)
    loss = _loss(config)
    metrics = build_metrics(config)
    settle_monitor_mode(config, metrics)  # a schedule may watch the monitored score
    regions = config["data"]["labels"]["regions"] is not None
    remedy = "loss=bce or loss=dice_bce" if regions else "loss=dice_ce"
    _require_target("loss", loss, loss.target_kinds, regions, remedy)
    for name, metric in metrics.items():
        takes = ("regions",) if metric.multilabel else ("classes",)
        _require_target(f"metrics.{name}", metric, takes, regions, "metrics=overlap")
    score = config["monitor"].partition("/")[2]
    deep_supervision = make("deep_supervision", config["deep_supervision"])
    deep_supervision.factors(network.heads)
    # Both are built once, for what they refuse to be told now.
    optimizer, scheduler = (make_function(key, config[key]) for key in ("optimizer", "scheduler"))
    tried = called("optimizer", config["optimizer"], optimizer, network.parameters())
    called("scheduler", config["scheduler"], scheduler, tried, 1000)
    return Task(
        network=network,
        loss=loss,
        metrics=list(metrics.values()),
        optimizer=optimizer,
        scheduler=scheduler,
        predictor=predictor,
        scorer=scorer,
        deep_supervision=deep_supervision,
        memory_format=performance.memory_format(dims),
        seed=config["seed"],
        monitored_loss=score if is_loss(score) else None,
    )


def settle_monitor_mode(config: Config, metrics: Mapping[str, CaseMetric] | None = None) -> None:
    """Fill in whether a higher monitored score is better, where the configuration leaves that to the metric.

    Args:
        config: Resolved configuration.
        metrics: Its metrics by name; None = they are built if need be.
    """
    if config["monitor_mode"] is None:
        known = build_metrics(config) if metrics is None else metrics
        config["monitor_mode"] = monitor_mode(config["monitor"], known.values())
    # Interpolations are resolved by now: what took over the open mode gets it, too.
    nodes: list[Any] = [config["scheduler"], *config["callbacks"].values()]
    for node in nodes:
        if "mode" in node and node["mode"] is None:
            node["mode"] = config["monitor_mode"]


def build_metrics(config: Config) -> dict[str, CaseMetric]:
    """Build the metrics by name, of whatever library.

    Raises:
        ValueError: One does not go with the data, see ``segexp.metrics.adapter``, or two give a score of one name.
    """
    labels: Any = config["data"]["labels"]
    axes = config["data"]["geometry"]["spatial_dims"]
    metrics: dict[str, CaseMetric] = {}
    known: dict[str, str] = {}
    for name, node in config["metrics"].items():
        metrics[name] = adapted_metric(
            make_class(f"metrics.{name}", node), name, labels["class_names"], labels["regions"], axes
        )
        for score in metrics[name].info:
            if score in known or is_loss(score):
                other = f"metrics.{known[score]}" if score in known else "the loss"
                raise ValueError(f"metrics.{name} and {other} both give a score {score!r}: choose another name")
            known[score] = name
    return metrics


def monitor_mode(monitor: str, metrics: Collection[CaseMetric]) -> Literal["max", "min"]:
    """Whether a higher ("max") or a lower monitored score, such as ``val/dice``, is better, as its metric says.

    Raises:
        ValueError: No metric describes it.
    """
    name = monitor.partition("/")[2]
    if is_loss(name):
        return "min"
    info = find_info(name, metrics)
    if info is None:
        near = did_you_mean(monitor, [f"val/{score}" for metric in metrics for score in metric.info])
        raise ValueError(
            f"monitor={monitor} is no score of the metrics{near}; of one that something else logs, say which is better "
            "with monitor_mode=max or monitor_mode=min"
        )
    return "max" if info.higher_is_better else "min"


def is_loss(name: str) -> bool:
    """Whether a score goes by the name of the loss, or of one of its terms, as the task logs them."""
    return name.partition("_")[0] == "loss"


def build_trainer(config: Config, purge_step: int | None = None, more: Sequence[pl.Callback] = ()) -> pl.Trainer:
    """Build the trainer with callbacks and logger.

    Args:
        config: Resolved configuration.
        purge_step: Step of a resumed run after which TensorBoard drops earlier points; None = none.
        more: Callbacks beside those of the configuration.

    Raises:
        ValueError: ``trainer.precision`` is not known.
    """
    settle_monitor_mode(config)
    _require_precision(config)
    callbacks = [*more, *_callbacks(config), StopAtSignal()]
    logger = config.get("logger") or None
    if logger and "purge_step" in logger:  # TensorBoard's alone
        logger = logger | {"purge_step": purge_step}
    trainer = _trainer(config, callbacks, make("logger", logger) or False)
    leave_signals(trainer)
    return trainer


def _trainer(config: Config, callbacks: list[pl.Callback], logger: Any) -> pl.Trainer:
    # Lightning would add a checkpoint of its own where there is none, and with None a logger.
    saves = any(isinstance(callback, Checkpoint) for callback in callbacks)
    settled = config["trainer"] | {"enable_checkpointing": saves}
    plugins = [*(make("trainer.plugins", node) for node in config["trainer"].get("plugins") or ()), CheckpointFiles()]
    return make("trainer", settled, callbacks=callbacks, logger=logger, plugins=plugins)


def _callbacks(config: Config) -> list[pl.Callback]:
    callbacks = []
    for name, node in config["callbacks"].items():
        settings = dict(node)
        if settings.pop("enabled", True):
            callbacks.append(make(f"callbacks.{name}", settings))
    return [*callbacks, Divergence(config.get("on_divergence", "stop"))]


def require_trainer(config: Config) -> pl.Trainer:
    """Refuse settings of trainer and callbacks that these, or this machine, do not take; nothing is written.

    Returns:
        A trainer without logger.

    Raises:
        ValueError: Names settings, reason and remedy.
    """
    settle_monitor_mode(config)
    _require_precision(config)
    callbacks = _callbacks(config)
    require_types("logger", config.get("logger"))  # which may write something when it is built
    try:
        return _trainer(config, callbacks, False)
    except ValueError as error:
        raise ValueError(f"{error}; trainer=auto and trainer=cpu go with this machine") from error


def _require_precision(config: Config) -> None:
    require_choice("trainer.precision", config["trainer"]["precision"], PRECISIONS)


def describe(config: Config, network: Any, data: DataDescription) -> ModelDescription:
    """Describe a network for its checkpoints; post-processing and what metrics choose come later."""
    predictor = config["inference"]["predictor"]
    tiling: Any = {key: value for key, value in predictor.items() if key not in ("_target_", "activation")}
    name, arguments = name_and_arguments(network, config["model"])
    require_arguments(name, arguments, "the configuration")
    return ModelDescription(
        **vars(data),
        network=name,
        model=arguments,
        signature=sign_network(name, arguments),
        activation=predictor.get("activation", "softmax"),
        inference=tiling,
        chosen={},
        postprocess=None,
        quality=[],
        plan=None,
        segexp_version=segexp.__version__,
    )


def _loss(config: Config) -> Any:
    """Build the loss, of whatever library; so may be the parts of a sum.

    Raises:
        ValueError: It does not go with the data, see ``adapted``.
    """
    regions, channels = config["data"]["labels"]["regions"], outputs_of(config)
    axes, weighted = config["data"]["geometry"]["spatial_dims"], config["weight_map"] is not None

    def fitting(loss: Any) -> Any:
        return adapted_loss(loss, channels, axes, regions is not None, weighted)

    node: Any = dict(config["loss"])
    if isinstance(node.get("parts"), dict) and "terms" in node:  # a sum of losses, some of which may be of others
        node["parts"] = {name: fitting(make(f"loss.parts.{name}", part)) for name, part in node["parts"].items()}
    return fitting(make_class("loss", node))


def _network(config: Config) -> Network:
    """Build the network, of whatever class.

    Raises:
        ValueError: It does not take what the data give, or does not give what they need; see ``adapted``.
    """
    network = make_class("model", config["model"])
    taken = adapted(network, channels_of(config), outputs_of(config), config["data"]["sampling"]["patch_size"])
    if taken is network:  # one of ours, which was not tried
        require_facts(config)
    return taken


def _require_target(key: str, part: Any, takes: Sequence[str], regions: bool, remedy: str) -> None:
    """Refuse a loss or metric of classes where the data give overlapping regions, and the other way round."""
    what = f"{key} {type(part).__name__}"
    if regions and "regions" not in takes:
        raise ValueError(f"{what} is for classes that exclude each other, not for data.labels.regions: choose {remedy}")
    if not regions and "classes" not in takes:
        raise ValueError(
            f"{what} is for overlapping regions, but data.labels.regions is null: "
            f"name some, such as data.labels.regions={{object: [1]}}, or choose {remedy}"
        )


def _predictors(config: Config, symmetries: list[str] | None) -> tuple[Any, Any]:
    """Build the predictor for validation during training and the one for the final metrics."""
    predictor = make("inference.predictor", config["inference"]["predictor"])
    node, axes = config["inference"]["averaging"], config["data"]["geometry"]["spatial_dims"]
    scorer = predictor
    if node:
        seen = {"seen": symmetries} if "seen" in parameters(str(node.get("_target_"))) else {}
        scorer = make("inference.averaging", node, **seen)(predictor)
        if axes == 2 and any(view.flip_z for view in getattr(scorer, "views", ())):
            raise ValueError("inference.averaging.flips names z, but images have no such axis: leave it out")
    if axes == 2:
        context = config["data"]["geometry"]["context"]
        predictor, scorer = SlicePredictor(predictor, context), SlicePredictor(scorer, context)
    weight = config["inference"].get("adapt", 0)  # runs of earlier versions do not have it
    return predictor, AdaptivePredictor(scorer, weight) if weight else scorer
