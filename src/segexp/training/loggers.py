"""Where curves and pictures go: TensorBoard, fit for sweeps and resumed runs, or any other of Lightning's loggers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

START = "events.out.tfevents.0000000000.start"  # before the curves by name, as TensorBoard reads files in this order
END = "end"  # last part of the name of the file with the final figures


class TensorBoard(TensorBoardLogger):
    """TensorBoard's event files in the run folder itself.

    What is said once per run (configuration, layout, final figures) has files of its own, which a resumed run writes
    anew: nothing is shown twice. Hyper-parameters come without a table of contents ("experiment summary"), because
    TensorBoard would take that of the first run for all runs: so it gathers the columns from all runs of a sweep, and
    shows first those in which the runs differ.

    Args:
        folder: Run folder.
        purge_step: Of a resumed run: TensorBoard drops what an earlier process wrote from this step on.
    """

    def __init__(self, folder: str, purge_step: int | None = None) -> None:
        super().__init__(folder, name="", version="", default_hp_metric=False, purge_step=purge_step)
        self._ending: Any = None

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add points; the number of the epoch, which Lightning adds, is no figure."""
        super().log_metrics({name: value for name, value in metrics.items() if name != "epoch"}, step)

    @rank_zero_only
    def log_image(self, key: str, images: list[np.ndarray], step: int) -> None:
        """Show pictures (H, W, 3) uint8 under one name."""
        for image in images:
            self.experiment.add_image(key, image, step, dataformats="HWC")

    @rank_zero_only
    def log_start(self, texts: Mapping[str, str], layout: dict[str, Any]) -> None:
        """Write texts (Markdown) and the layout of the Custom Scalars tab; final figures of an earlier end go."""
        self._remove_end()
        writer = self._writer("part")
        for name, text in texts.items():
            writer.add_text(name, text, 0)
        writer.add_custom_scalars(layout)
        writer.close()
        next(Path(self.log_dir).glob("*.tfevents.*.part")).replace(Path(self.log_dir) / START)

    @property
    def ending(self) -> Any:
        """SummaryWriter of what is written after training; `log_end` closes it."""
        if self._ending is None:
            self._remove_end()
            self._ending = self._writer(END)
        return self._ending

    @rank_zero_only
    def log_end(self, params: Mapping[str, Any], figures: Mapping[str, float], step: int) -> None:
        """Write hyper-parameters and final figures, and close."""
        from torch.utils.tensorboard.summary import hparams

        for name, value in figures.items():
            self.ending.add_scalar(name, value, step)
        words = {name: str(value).lower() if isinstance(value, bool) else value for name, value in params.items()}
        _, *session = hparams(words, {})
        for summary in session:
            self.ending._get_file_writer().add_summary(summary, step)
        self.ending.close()
        self._ending = None

    @rank_zero_only
    def save(self) -> None:
        """Write to the disk what waits; config.yaml of the run takes the place of Lightning's hparams.yaml."""
        self.experiment.flush()

    def _writer(self, suffix: str) -> Any:
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(self.log_dir, filename_suffix=f".{suffix}")

    def _remove_end(self) -> None:
        for path in Path(self.log_dir).glob(f"*.tfevents.*.{END}"):
            path.unlink()


def mlflow(folder: str, experiment_name: str, run_dir: str, tracking_uri: str | None = None) -> Any:
    """Build Lightning's logger of MLflow; its database is laid out by one process at a time, so that a sweep can start.

    Args:
        folder: Where the database and the pictures go.
        experiment_name: Of MLflow.
        run_dir: Run folder, noted as a tag.
        tracking_uri: Such as http://host:port of a server; None = mlflow.db in the folder.
    """
    from filelock import FileLock
    from pytorch_lightning.loggers import MLFlowLogger

    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / ".mlflow.lock"):
        logger = MLFlowLogger(
            experiment_name=experiment_name,
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


def log_end(logger: Any, params: dict[str, Any], figures: dict[str, float], step: int) -> None:
    """Give a logger the hyper-parameters and final figures of a run, and close it."""
    if isinstance(logger, TensorBoard):
        logger.log_end(params, figures, step)
    else:
        logger.log_hyperparams(params)
        logger.log_metrics(figures, step)
    logger.finalize("success")
    finish = getattr(logger.experiment, "finish", None)
    if finish is not None:  # W&B: the next run of this process is one of its own
        finish()
