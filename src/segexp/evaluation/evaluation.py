"""Scoring a trained run on whole cases, as the end of its training does."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from segexp.build import build_trainer, settle_monitor_mode
from segexp.checkpoints.checkpoint import hash_weights
from segexp.checkpoints.quality import Calibration, kept_calibrations
from segexp.data.patches import CaseDataset, WholeCase
from segexp.data.prepared import Prepared
from segexp.data.reference import deviations
from segexp.data.sources import require_files
from segexp.evaluation.ensemble import ensemble_predictor, shared_choices
from segexp.evaluation.one_by_one import Heed, OneByOne
from segexp.evaluation.quality import (
    TEMPERATURES,
    Knowledge,
    Meter,
    PairsAside,
    dice_of_cases,
    knowledge,
    views_of_predictor,
)
from segexp.evaluation.rescoring import LabelScorer, Predictions
from segexp.evaluation.trained import Trained, build_again, changes_data, compose_again
from segexp.evaluation.tuning import Tuner, Tuning
from segexp.metrics import DecisionRule, SplitResult
from segexp.postprocessing.postprocess import Steps
from segexp.prediction.quality import Quality, estimated, fit, matching, names_of, require_as_trained
from segexp.prediction.views import shared_symmetries
from segexp.runs.configuration import Config, TrainerNode
from segexp.runs.record import SplitName
from segexp.terminal import Console
from segexp.trust import Vouched


class Evaluation:
    """A run with data and network built again, or several as an ensemble with the data and metrics of the first.

    Attributes:
        chosen: Values chosen on validation cases, such as a threshold; of several runs the middle one.
        views: Views that are averaged over beside the image as it is.
        meters: Measures of the cases of each split that was measured.
        calibration: How measures of a case become an estimate of its Dice; None = not known.

    Raises:
        ValueError: They do not fit the run, or the runs do not go together.
    """

    def __init__(self, runs: Sequence[Trained], arguments: Sequence[str]) -> None:
        self.runs = list(runs)
        self.arguments = list(arguments)
        self.run = self.runs[0]
        self.config = self.config_in(self.run.folder)
        symmetries = shared_symmetries([run.description for run in self.runs])
        self.data, self.task = build_again(self.config, self.run, symmetries)
        vouched, _ = Vouched.of(self.arguments)
        self.task.scorer = ensemble_predictor(self.task.scorer, self.runs, vouched.networks())
        self.chosen = shared_choices(self.runs)
        self._others = getattr(self.task.scorer, "others", ())
        self.views = views_of_predictor(self.task.scorer)
        self._scorer = self.task.scorer
        self.aside: PairsAside | None = None
        if len(self.runs) > 1 or self.views:
            self.aside = PairsAside(self._scorer, len(self.run.description.output_names))
        self.meters: dict[str, Meter] = {}
        self.calibration: Calibration | None = None

    def open(self, split: str) -> SplitName:
        """Read the data, and settle which split is scored: "auto" is the test cases, else those of validation.

        Raises:
            FileNotFoundError: The data are not there.
            ValueError: The split has no cases.
        """
        if changes_data(self.arguments):
            self.data.prepare_data()
        else:
            remedy = "set SEGEXP_DATA_DIR, or name the data set again with data=<its name>, which may download it"
            if self.data.origin is not None:
                remedy += f"; {self.data.origin.remedy}"
            require_files(self.data.source, remedy)
        self.data.setup()
        if split == "auto":
            split = "test" if self.data.split.test else "val"
        if not getattr(self.data.split, split):
            remedy = f"give another split, or data.split.{split}=0.2"
            raise ValueError(f"split={split}: the data have no such cases; {remedy}")
        return cast(SplitName, split)

    def config_in(self, folder: Path) -> Config:
        """Compose the run's configuration with the further arguments, with a folder in place of the run's."""
        config = compose_again(self.run, self.arguments, folder)
        settle_monitor_mode(config)
        return config

    @property
    def several(self) -> bool:
        """Whether an ensemble is scored."""
        return len(self.runs) > 1

    @property
    def same_data(self) -> bool:
        """Whether these are the data of the training."""
        return self.data.fingerprint() == self.run.record.get("data_fingerprint")

    @property
    def own_validation(self) -> bool:
        """Whether the validation cases are those that chose epochs and thresholds, of all runs."""
        val = list(self.data.split.val)
        return self.same_data and all((run.record.get("split") or {}).get("val") == val for run in self.runs)

    @property
    def metric(self) -> str:
        """Name of the headline metric."""
        return str(self.config["monitor"]).partition("/")[2]

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher headline score is the better one."""
        return self.config["monitor_mode"] == "max"

    @property
    def decision_rule(self) -> DecisionRule:
        """How the headline metric makes labels."""
        rules = [metric.decision_rule(self.chosen) for metric in self.task.metrics if self.metric in metric.info]
        return rules[0] if rules else DecisionRule()

    def deviations(self, split: str) -> list[str]:
        """Tell in what the cases of a split are far from those that the network was trained on, if they are others."""
        if self.same_data:
            return []
        cases = [prepared.original for prepared in self.data.cases(split)]
        found: dict[str, list[str]] = {}
        for case in cases:
            for deviation in deviations(case, self.run.description.reference):
                found.setdefault(deviation.rule, []).append(f"{case.name}: {deviation.sentence}")
        return [
            f"{rule} of {len(sentences)} of {len(cases)} cases are not as in training, such as {sentences[0]}"
            for rule, sentences in found.items()
        ]

    def notes(self, split: str) -> list[str]:
        """What must be known of the data beside the scores."""
        notes = []
        if not self.same_data:
            digits = [str(print_)[:10] for print_ in (self.data.fingerprint(), self.run.record.get("data_fingerprint"))]
            notes.append(f"these are not the data of the training: fingerprint {digits[0]}, there {digits[1]}")
        notes += self.deviations(split)
        if not changes_data(self.arguments):
            for run in self.runs:
                notes += self._seen_by(run, split)
        return notes

    def _seen_by(self, run: Trained, split: str) -> list[str]:
        """Note what a run has seen of a split in its training."""
        trained_on = run.record.get("split") or {}
        cases = getattr(self.data.split, split)
        who = f"{run.folder.name}: " if self.several else ""
        notes = []
        for other, role in (("train", "the network has learned from"), ("val", "chose epoch and thresholds:")):
            seen = len(set(cases) & set(trained_on.get(other, ())))
            if seen and (other != split or run is not self.run):
                notes.append(f"{who}{role} {seen} of these {len(cases)} cases: their scores are optimistically biased")
        return notes

    def tune(self) -> Tuning:
        """Choose post-processing on the run's own validation cases.

        Raises:
            ValueError: The validation cases are not those of the run, or there are several runs.
        """
        if self.several:
            raise ValueError("tune=true chooses for one run: tune each on its own; steps that all keep are applied")
        if not self.own_validation:
            rule = "tune=true chooses for the run, on the validation cases of its training"
            raise ValueError(f"{rule}, but data or split are others: leave data and data.split as they were")
        _, predictions = self.score("val")
        scorer = LabelScorer(self.data, self.data.cases("val"))
        return Tuner(self.task.metrics, scorer, predictions, self.config["monitor"], self.chosen).run()

    def calibrate(self, steps: Steps) -> Calibration:
        """Fit on the run's own validation cases how measures of a case become an estimate of its Dice.

        Args:
            steps: Post-processing of the masks.

        Raises:
            ValueError: The validation cases are not those of all runs, or too few.
        """
        require_as_trained(self.config["inference"].get("adapt", 0))
        if not self.own_validation:
            rule = "quality=true learns from the validation cases of the training, of several runs the same ones"
            raise ValueError(f"{rule}, but data or split are others: leave data and data.split as they were")
        _, predictions = self.score("val", TEMPERATURES)
        scores = dice_of_cases(LabelScorer(self.data, self.data.cases("val")), predictions, self.data, steps)
        meter = self.meters["val"]
        measures = meter.measures(meter.temperature)
        self.calibration = fit(measures, scores, self.networks, names_of(self.views), steps, meter.temperature)
        return self.calibration

    def find_calibration(self, steps: Steps) -> None:
        """Take the calibration that the runs keep for these networks, views and steps, if any."""
        if self.config["inference"].get("adapt", 0):
            return
        kept = [one for run in self.runs for one in kept_calibrations(run.files)]
        self.calibration = matching(kept, self.networks, self.views, steps) if kept else None

    def estimates(self, split: str, scores: Sequence[float]) -> tuple[dict[str, Quality], Knowledge]:
        """Estimate the quality of each case of a split that was scored with a calibration.

        Args:
            split: Name of the split.
            scores: True Dice of each case.

        Returns:
            Quality of each case by its name, and how well the estimates agree with the truth.
        """
        assert self.calibration is not None
        measures = self.meters[split].measures(self.calibration["temperature"])
        found = [estimated(one, self.calibration) for one in measures]
        names = getattr(self.data.split, split)
        return dict(zip(names, found, strict=True)), knowledge(found, scores, self.calibration["measure"])

    @cached_property
    def networks(self) -> list[str]:
        """SHA-256 of the weights of each network."""
        return sorted(map(hash_weights, (self.task.network, *self._others)))

    def score(
        self, split: str, temperatures: Sequence[float] = (), folder: Path | None = None
    ) -> tuple[SplitResult, Predictions]:
        """Score a split as the end of the training does.

        What was chosen on validation cases holds; only the run's own validation cases choose once more, the same.

        Args:
            split: Name of the split.
            temperatures: Temperatures at which the cases are measured; none = that of the calibration. Without either
                they are not.
            folder: Folder that labels are kept in, see ``Predictions``; None = in memory.
        """
        if self.calibration and not temperatures:
            temperatures = [self.calibration["temperature"]]
        rules = [metric.decision_rule(self.chosen) for metric in self.task.metrics]
        predictions = Predictions(self.data.labels.regions is not None, rules, folder)
        meters = [self._meter(split, temperatures)] if temperatures else []
        self.task.scorer = self.aside if meters and self.aside else self._scorer
        trainer = self._trainer(predictions, *meters)
        loader = self._loader(self.data.cases(split))
        if split == "val" and self.own_validation:
            trainer.validate(self.task, dataloaders=loader, verbose=False)
            return self.task.results["val"], predictions
        self._test(trainer, loader)
        return self.task.results["test"], predictions

    def score_each(self, cases: Sequence[Prepared], steps: Steps, heed: Heed) -> None:
        """Score cases one by one, each as a set of its own, with what was chosen on validation cases.

        Args:
            cases: Cases, ready; they may be made as they are asked for.
            steps: Steps of post-processing.
            heed: Function that is called with each scored case.
        """
        self.task.scorer = self._scorer
        trainer = self._trainer(OneByOne(self.data, self.task.metrics, self.decision_rule, steps, heed), bar=False)
        self._test(trainer, self._loader(cases))

    def _loader(self, cases: Sequence[Prepared]) -> DataLoader[WholeCase]:
        dataset = CaseDataset(cases, self.data.labels.regions, self.data.geometry.distance_unit)
        return DataLoader(dataset, batch_size=1)

    def _test(self, trainer: pl.Trainer, loader: DataLoader[WholeCase]) -> None:
        for metric in self.task.metrics:
            metric.chosen = dict(self.chosen)
        trainer.test(self.task, dataloaders=loader, verbose=False)

    def _meter(self, split: str, temperatures: Sequence[float]) -> Meter:
        """Measure the cases of a split while they are scored."""
        insides = [prepared.original.valid for prepared in self.data.cases(split)]
        self.meters[split] = Meter(self.run.description.activation, insides, self.aside, temperatures)
        return self.meters[split]

    def _trainer(self, *callbacks: pl.Callback, bar: bool = True) -> pl.Trainer:
        """One device, nothing written, all cases; device and precision as configured."""
        configured = self.config["trainer"]
        trainer_node: TrainerNode = {
            "accelerator": configured["accelerator"],
            "precision": configured["precision"],
            "deterministic": configured["deterministic"],
            "_target_": "pytorch_lightning.Trainer",
            "devices": 1,
            "enable_checkpointing": False,
            "enable_model_summary": False,
            "enable_progress_bar": bar and Console().is_terminal,
            "use_distributed_sampler": False,
        }
        trainer = build_trainer(self.config | {"trainer": trainer_node, "callbacks": {}, "logger": None})
        trainer.callbacks += callbacks  # type: ignore[attr-defined]
        return trainer
