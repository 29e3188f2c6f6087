"""The LightningModule: it is given network, loss, metrics, optimizer and schedule, and only connects them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from segexp.checkpoints.description import ModelDescription
from segexp.inference import Predictor, to_size
from segexp.losses import DeepSupervision
from segexp.metrics import CaseMetric, MetricInfo, SplitResult, gather
from segexp.models.recompute import run_in_parts
from segexp.training.batches import Batch, CaseBatch, counted
from segexp.training.loss_terms import loss_of_heads, losses_of_probs
from segexp.training.progress import Progress
from segexp.training.schedules import Schedule, step_watching

LOSS = MetricInfo(
    "training loss of the predicted probabilities, averaged over whole cases", False, "", "probabilities", "classes"
)


class Task(pl.LightningModule):
    """Segmentation: learns from patches, is scored on whole cases.

    Args:
        network: Module from image (B, C, *S) to logits (B, K, *S'), where S' may be smaller than S (unpadded
            convolutions). One whose attribute ``heads`` is above 1 returns a list of logits if called with
            ``every_head=True``.
        loss: Module from (logits, target, weight or None) to a scalar; the target is (B, *S), or (B, K, *S) of
            overlapping regions. One with a method ``with_terms`` returns its terms as well, which are logged.
        metrics: Metrics of whole cases; what they choose on validation cases (thresholds) holds for the test.
        optimizer: Function from parameters to an optimizer.
        scheduler: Function from (optimizer, total steps) to a schedule, see ``schedules``.
        predictor: Function from (network, image) to probabilities (B, K, *S), for validation during training.
        scorer: The same for the final metrics; None = ``predictor``.
        deep_supervision: Weighted sum of the losses of several heads.
        memory_format: Order in memory of images.
        seed: Seed of the run.
        monitored_loss: Name of a loss that chooses the epoch, such as ``loss``, to be among the final scores; None =
            it is none.

    Attributes:
        description: Description of the network for its checkpoints, see ``build.describe``; None = none yet.
        progress: Course of a run whose number of steps may change; None = the trainer's epochs.
        micro_batch: Number of patches whose feature maps are in memory at once; None = all of a batch.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: nn.Module,
        metrics: Sequence[CaseMetric],
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., Schedule],
        predictor: Predictor,
        scorer: Predictor | None = None,
        deep_supervision: DeepSupervision | None = None,
        memory_format: torch.memory_format = torch.contiguous_format,
        seed: int = 0,
        monitored_loss: str | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.loss = loss
        self.metrics = list(metrics)
        self._devices = nn.ModuleList(metrics)  # so that the metrics move to the GPU
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.predictor = predictor
        self.scorer = scorer or predictor
        self.deep_supervision = deep_supervision or DeepSupervision()
        self.memory_format = memory_format
        self.seed = seed
        self.monitored_loss = monitored_loss
        self.step_losses: dict[str, Tensor] = {}  # of the last batch, and its terms
        self._losses: dict[str, Tensor] = {}  # sum over the cases, and their number
        self._validated = -1  # epoch
        self.description: ModelDescription | None = None
        self.progress: Progress | None = None
        self.micro_batch: int | None = None
        self._patches = 0  # of the last batch
        self.results: dict[str, SplitResult] = {}

    def configure_optimizers(self) -> Any:
        """Build optimizer and schedule once the number of steps is known."""
        optimizer = self.make_optimizer(self.network.parameters())
        steps = self.progress.planned if self.progress else int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": self.make_scheduler(optimizer, steps)}

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule, as far as this step leads on its course: once, while the number of steps has not changed."""
        item = next(item for item in self.trainer.lr_scheduler_configs if item.scheduler is scheduler)
        times = self.progress.taken(self.global_step) if self.progress and item.interval == "step" else 1
        for _ in range(times):
            super().lr_scheduler_step(scheduler, metric)

    def fit_class_weights(self, counts: Callable[[], Tensor]) -> list[float]:
        """Balance the loss by the training cases where its weights are "auto".

        Args:
            counts: Function that counts pixels inside and pixels labeled (K, 2) of each class or region; called if
                needed.

        Returns:
            The weights; empty where nothing is balanced.
        """
        waiting: list[Any] = [part for part in self.loss.modules() if getattr(part, "awaits_counts", False)]
        if not waiting:
            return []
        pixels = counts()
        for part in waiting:
            part.fit(pixels)
        return waiting[0].values.tolist()

    # Training: patches

    def on_train_start(self) -> None:
        """Let the data of a resumed run begin where it was broken off.

        Lightning has begun to draw them already, to count the steps, and not known then that it resumes.
        """
        loop = self.trainer.fit_loop
        if loop.is_resuming:
            trained = loop.epoch_loop.batch_progress.current.ready if loop.restarting else 0
            loader: Any = self.trainer.train_dataloader
            loader.batch_sampler.go_on(self.current_epoch, trained)
            iter(loop._data_fetcher)  # type: ignore[arg-type]

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make dropout a function of (seed, epoch, batch, process), so that a resumed run equals the unbroken one."""
        sequence = np.random.SeedSequence([self.seed, self.current_epoch, batch_idx, self.global_rank])
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch of patches."""
        loss, terms = self.batch_loss(self.network, batch)
        self._patches = len(batch["image"])
        self.step_losses = {"loss": loss.detach(), **terms}
        return loss * self._share_of_step(batch_idx)

    def on_after_backward(self) -> None:
        """Log the loss; the terms of a compound one are logged one by one, unweighted.

        Not before: a batch for which memory runs out is done again, and counts once.
        """
        count, loss = self._patches, self.step_losses["loss"]
        self.log("loss", loss, on_step=True, on_epoch=False, prog_bar=True, logger=False, batch_size=count)
        for name, value in self.step_losses.items():
            # What is not finite is left out of the mean; `Divergence` sees it.
            counts: Any = count * value.isfinite().float()
            kept = torch.where(counts > 0, value, 0)
            self.log(
                f"train/{name}", kept, on_epoch=True, on_step=False, logger=False, sync_dist=True, batch_size=counts
            )

    def _share_of_step(self, batch_idx: int) -> float:
        """Make up for Lightning's division by ``accumulate_grad_batches`` where an epoch ends with fewer batches."""
        every, batches = self.trainer.accumulate_grad_batches, self.trainer.num_training_batches
        last = batches % every
        return every / last if last and batch_idx >= batches - last else 1.0

    def batch_loss(self, network: nn.Module, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a network, all its heads, on a batch of patches, and the terms of the finest head."""
        image = self._image(batch)
        several = getattr(network, "heads", 1) > 1
        options = {"every_head": True} if several else {}
        if self.micro_batch is None or self.micro_batch >= len(image):
            found = network(image, **options)
        else:
            found = run_in_parts(network, image, self.micro_batch, **options)
        return loss_of_heads(self.loss, self.deep_supervision, found if several else [found], batch)

    def on_train_epoch_end(self) -> None:
        """Log the epoch, and step a schedule that watches a score, before the checkpoint of the epoch is written.

        Lightning does both later: the resumed run would lack the step, and, after a SIGKILL in between, the points.
        """
        metrics = self.trainer.callback_metrics
        if self._validated != self.current_epoch:
            metrics = {name: value for name, value in metrics.items() if not name.startswith("val/")}  # of earlier ones
        points = {f"train/{name}": float(metrics[f"train/{name}"]) for name in self.step_losses}
        for logger in self.trainer.loggers:
            logger.log_metrics({**points, "epoch": self.current_epoch}, step=self.global_step - 1)
        step_watching(self.trainer.lr_scheduler_configs, metrics)

    # Scoring: whole cases

    def on_validation_epoch_start(self) -> None:
        """Free what the metrics had chosen: each validation chooses anew."""
        self._losses = {}
        for metric in self.metrics:
            metric.reset()
            metric.chosen = {}

    def on_test_epoch_start(self) -> None:
        """Keep what the last validation chose."""
        self._losses = {}
        for metric in self.metrics:
            metric.reset()

    def validation_step(self, batch: CaseBatch, batch_idx: int) -> dict[str, Tensor]:
        """Predict and score one whole case."""
        return {"probs": self._score(batch)}

    def test_step(self, batch: CaseBatch, batch_idx: int) -> dict[str, Tensor]:
        """Predict and score one whole case."""
        return {"probs": self._score(batch)}

    def _score(self, batch: CaseBatch) -> Tensor:
        probs = self.predict(self.predictor if self._fitting else self.scorer, self.network, batch)
        counts = counted(batch)
        if self._fitting or self.monitored_loss:
            for name, value in losses_of_probs(self.loss, probs, batch["target"], batch.get("weight")).items():
                self._losses[name] = self._losses.get(name, 0) + counts * torch.stack([value, torch.ones_like(value)])
        for metric in self.metrics if counts else ():
            metric.take(probs, batch["target"], batch["case_index"], batch.get("spacing"), batch.get("instances"))
        return probs

    def predict(self, predictor: Predictor, network: nn.Module, batch: CaseBatch) -> Tensor:
        """Probabilities (1, K, *S) of a whole case, in the size of its target."""
        probs = predictor(network, self._image(batch))
        return to_size(probs, batch["target"].shape[2 - probs.ndim :])  # from the network's spacing to the case's own

    @property
    def _fitting(self) -> bool:
        return self.trainer.state.fn == TrainerFn.FITTING

    def _image(self, batch: Batch) -> Tensor:
        image = batch["image"]
        sliced = image.ndim == 5 and self.memory_format == torch.channels_last  # a volume for a 2-D network
        return image if sliced else image.contiguous(memory_format=self.memory_format)

    def on_validation_epoch_end(self) -> None:
        """Gather the scores of all processes; fix what was chosen."""
        self._gather("val")

    def on_test_epoch_end(self) -> None:
        """Gather the scores of all processes."""
        self._gather("test")

    def _gather(self, split: str) -> None:
        """Score all cases of a split; what the metrics chose there is fixed for the next ones."""
        results = []
        for metric in self.metrics:
            result = metric.compute()
            results.append((result, metric.info))  # as it is before the choice is fixed
            metric.chosen = result.chosen
        found = gather(results)
        sums = {name: self.trainer.strategy.reduce(each, reduce_op="sum") for name, each in self._losses.items()}
        losses = {name: float(total / cases) for name, (total, cases) in sums.items()}
        if self._fitting:  # the final scores are no point of the curves
            self._validated = self.current_epoch
            watched = {next(iter(metric.info)) for metric in self.metrics}  # the first score of each metric
            for name, value in {**losses, **found.scores}.items():
                # Every process holds the gathered scores, so there is nothing to reduce.
                self.log(f"{split}/{name}", value, prog_bar=name in watched, sync_dist=False)
        elif self.monitored_loss in losses:
            found.scores[self.monitored_loss] = losses[self.monitored_loss]
            found.info[self.monitored_loss] = LOSS
        self.results[split] = found

    def chosen(self) -> dict[str, float]:
        """What the metrics have chosen on validation cases, such as a threshold."""
        return {name: value for metric in self.metrics for name, value in metric.chosen.items()}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Let the checkpoint describe itself.

        Raises:
            ValueError: A weight is not finite: it must not replace good ones.
        """
        broken = [name for name, weight in self.network.named_parameters() if not weight.isfinite().all()]
        if broken:
            raise ValueError(
                f"{broken[0]} and {len(broken) - 1} other weights are not finite after step {self.global_step}: "
                "training diverged, and the last good checkpoints are kept; lower optimizer.lr, set "
                "trainer.gradient_clip_val=1, or take trainer.precision=32-true"
            )
        if self.description is not None:
            checkpoint["segexp"] = replace(self.description, chosen=self.chosen()).to_plain()
