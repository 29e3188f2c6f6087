"""A callback that logs a value per epoch: any callback of Lightning."""

import pytorch_lightning as pl
from torch.nn.utils import get_total_norm


class WeightNorm(pl.Callback):
    """Logs the norm of all weights; it stands in metrics.csv and in TensorBoard."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log it."""
        pl_module.log("weight_norm", get_total_norm([weight.detach() for weight in pl_module.parameters()]))
