"""Loggers of curves and pictures: TensorBoard, fit for sweeps and resumed runs, or any other of Lightning's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from segexp.training.tensorboard import Layout, Scalar
from segexp.writing import move, remove

# Before and after the curves by name, as TensorBoard reads files in this order. Names that the writers choose hold
# seconds and a counter: what trains and ends within a second would stand in the order of "10" and "9".
START = "events.out.tfevents.0000000000.start"
END = "events.out.tfevents.9999999999.end"
PART = "part"  # last part of the name until they are complete


class TensorBoard(TensorBoardLogger):
    """TensorBoard's event files in the run folder itself.

    What is written once per run (configuration, layout, final metrics) has separate files, which a resumed run writes
    anew: nothing is shown twice. Hyper-parameters come without an "experiment summary", because TensorBoard would take
    that of the first run for all runs: without it, it gathers the columns from all runs of a sweep, and shows first
    those in which the runs differ.

    Args:
        folder: Run folder.
        purge_step: Step from which on TensorBoard drops what an earlier process wrote, in a resumed run; None = none.
    """

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        super().__init__(folder, name="", version="", default_hp_metric=False, purge_step=purge_step)
        self._end: Any = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add points; the number of the epoch, which Lightning adds, is no metric."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)
        self.experiment.flush()  # what is here outlives the process, however that ends

    @rank_zero_only
    def log_image(self, key: str, images: list[np.ndarray], step: int) -> None:
        """Show pictures (H, W, 3) uint8 under one name."""
        for image in images:
            self.experiment.add_image(key, image, step, dataformats="HWC")

    @rank_zero_only
    def log_start(self, texts: Mapping[str, str], layout: Layout) -> None:
        """Write texts (Markdown) and the layout of the Custom Scalars tab; remove final metrics of an earlier end."""
        self._remove("end")
        writer = self._writer()
        for name, text in texts.items():
            writer.add_text(name, text, 0)
        writer.add_custom_scalars(layout)
        self._close(writer, START)

    @rank_zero_only
    def log_pr_curve(self, name: str, curve: tuple[np.ndarray, ...], step: int) -> None:
        """Write a precision-recall curve, as `precision_recall` gives it, among the final metrics."""
        self._end_writer().add_pr_curve_raw(name, *curve, step, num_thresholds=len(curve[0]))

    @rank_zero_only
    def log_end(self, params: Mapping[str, Scalar], metrics: Mapping[str, float], step: int) -> None:
        """Write hyper-parameters and final metrics, and close."""
        from torch.utils.tensorboard.summary import hparams

        writer = self._end_writer()
        for name, value in metrics.items():
            writer.add_scalar(name, value, step)
        written = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        _, *session = hparams(written, {})  # the first would be the experiment summary
        for summary in session:
            writer._get_file_writer().add_summary(summary, step)
        self._close(writer, END)
        self._end = None

    @rank_zero_only
    def save(self) -> None:
        """Write buffered points to disk; config.yaml of the run takes the place of Lightning's hparams.yaml."""
        self.experiment.flush()

    def _end_writer(self) -> Any:
        """SummaryWriter of what is written after training; `log_end` closes it."""
        if self._end is None:
            self._remove("end")
            self._end = self._writer()
        return self._end

    def _writer(self) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        self._remove(PART)  # of a process that was killed
        return SummaryWriter(self.log_dir, filename_suffix=f".{PART}")

    def _close(self, writer: Any, name: str) -> None:
        writer.close()
        move(next(Path(self.log_dir).glob(f"*.tfevents.*.{PART}")), Path(self.log_dir) / name)

    def _remove(self, suffix: str) -> None:
        for path in Path(self.log_dir).glob(f"*.tfevents.*.{suffix}"):
            remove(path)


def mlflow(folder: str, experiment_name: str, run_name: str, run_dir: str, tracking_uri: str | None = None) -> Any:
    """Build Lightning's logger of MLflow; one process at a time creates its database, so that a sweep can start.

    Args:
        folder: Folder of the database and the pictures.
        experiment_name: Name of the experiment in MLflow.
        run_name: Name of the run there.
        run_dir: Run folder, noted as a tag.
        tracking_uri: Address of a server, such as http://host:port; None = mlflow.db in the folder.
    """
    from filelock import FileLock
    from pytorch_lightning.loggers import MLFlowLogger

    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".mlflow.lock"):
        logger = MLFlowLogger(
            experiment_name=experiment_name,
            run_name=run_name,
            tracking_uri=tracking_uri or f"sqlite:///{place}/mlflow.db",
            artifact_location=None if tracking_uri else f"{place}/mlartifacts",
            tags={"run_dir": run_dir},
        )
        _ = logger.experiment  # makes the tables, the experiment and the run
    return logger


def show(logger: Any, name: str, picture: np.ndarray, step: int) -> None:
    """Show a picture (H, W, 3) uint8 in a logger that takes pictures: TensorBoard, W&B, MLflow."""
    client = logger.experiment
    if hasattr(logger, "log_image"):
        logger.log_image(name, [picture], step=step)
    elif hasattr(client, "log_image"):  # MLflow: the name of a file, without folders
        client.log_image(logger.run_id, picture, key=name.replace("/", "."), step=step)


def log_end(logger: Any, params: Mapping[str, Scalar], metrics: Mapping[str, float], step: int) -> None:
    """Give a logger the hyper-parameters and final metrics of a run, and close it."""
    if hasattr(logger, "log_end"):
        logger.log_end(params, metrics, step)
    else:
        logger.log_hyperparams(params)
        logger.log_metrics(metrics, step)
    logger.finalize("success")
    finish = getattr(logger.experiment, "finish", None)
    if finish is not None:  # W&B: the next run of this process is a new one
        finish()
