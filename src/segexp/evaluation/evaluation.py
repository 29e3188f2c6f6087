"""Scoring a trained run on whole cases, as the end of its training does."""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from rich.console import Console
from torch.utils.data import DataLoader

from segexp.build import build_trainer
from segexp.data import DataModule
from segexp.data.patches import CaseDataset
from segexp.evaluation.ensemble import shared_choices, together
from segexp.evaluation.rescoring import Cut, LabelScorer, Predictions, Result, cut_of
from segexp.evaluation.trained import Trained, build_again, changes_data, compose_again
from segexp.evaluation.tuning import Tuner
from segexp.runs.configuration import TrainerNode


class Evaluation:
    """A run with data and network built again, or several as an ensemble.

    Args:
        runs: The runs; data and metrics are those of the first.
        words: Further options and overrides.

    Attributes:
        chosen: What was chosen on validation cases, such as a threshold; of several runs the middle one.

    Raises:
        ValueError: They do not fit the run, or the runs do not go together.
    """

    def __init__(self, runs: Sequence[Trained], words: Sequence[str]) -> None:
        self.runs, self.words = list(runs), list(words)
        self.run = self.runs[0]
        self.config = compose_again(self.run, words, self.run.folder)
        self.data, self.task = build_again(self.config, self.run)
        self.task.scorer = together(self.task.scorer, self.runs)
        self.chosen = shared_choices(self.runs)

    def open(self, split: str) -> str:
        """Read the data, and settle which side is scored.

        Raises:
            FileNotFoundError: The data are not there.
            ValueError: The side has no cases.
        """
        if changes_data(self.words):
            self.data.prepare_data()
        else:
            _require_files(self.data)
        self.data.setup()
        side = split if split != "auto" else "test" if self.data.split.test else "val"
        if not getattr(self.data.split, side):
            raise ValueError(f"split={side}: the data have no such cases; give another split, or data.split.{side}=0.2")
        return side

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
    def figure(self) -> str:
        """Name of the headline figure."""
        return str(self.config["monitor"]).partition("/")[2]

    @property
    def cut(self) -> Cut:
        """How the metric of the headline figure makes labels; once cases are scored."""
        for metric in self.task.metrics:
            if any(self.figure in row for row in metric.compute()["rows"][:1]):
                return cut_of(metric, self.chosen)
        return None

    def notes(self, side: str) -> list[str]:
        """What must be known of the data beside the figures."""
        found = []
        if not self.same_data:
            digits = [str(print_)[:10] for print_ in (self.data.fingerprint(), self.run.record.get("data_fingerprint"))]
            found.append(f"these are not the data of the training: fingerprint {digits[0]}, there {digits[1]}")
        if not changes_data(self.words):
            for run in self.runs:
                found += self._known(run, side)
        return found

    def _known(self, run: Trained, side: str) -> list[str]:
        """What a run has seen of a side in its training."""
        split, cases = run.record.get("split") or {}, getattr(self.data.split, side)
        who = f"{run.folder.name}: " if self.several else ""
        found = []
        for other, role in (("train", "the network has learnt from"), ("val", "chose epoch and thresholds:")):
            seen = len(set(cases) & set(split.get(other, ())))
            if seen and (other != side or run is not self.run):
                found.append(f"{who}{role} {seen} of these {len(cases)} cases: their scores are too kind")
        return found

    def tune(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Choose post-processing on the run's own validation cases.

        Raises:
            ValueError: The validation cases are not those of the run, or there are several runs.
        """
        if self.several:
            raise ValueError("tune=true chooses for one run: tune each on its own; steps that all keep are applied")
        if not self.own_validation:
            raise ValueError(
                "tune=true chooses for the run, on the validation cases of its training, but data or split are others: "
                "leave data and data.split as they were"
            )
        _, predictions = self.score("val")
        scorer = LabelScorer(self.data, "val")
        return Tuner(self.task.metrics, scorer, predictions, self.config["monitor"], self.chosen).run()

    def score(self, side: str) -> tuple[Result, Predictions]:
        """Score a side as the end of the training does.

        What was chosen on validation cases holds; only the run's own validation cases choose once more, the same.
        """
        cuts = [cut_of(metric, self.chosen) for metric in self.task.metrics]
        predictions = Predictions(self.data.labels.regions is not None, cuts)
        trainer = self._trainer(predictions)
        dataset = CaseDataset(self.data.cases(side), self.data.labels.regions, self.data.geometry.distance_unit)
        loader = DataLoader(dataset, batch_size=1)
        if side == "val" and self.own_validation:
            trainer.validate(self.task, dataloaders=loader, verbose=False)
            return self.task.results["val"], predictions
        for metric in self.task.metrics:
            metric.chosen = dict(self.chosen)
        trainer.test(self.task, dataloaders=loader, verbose=False)
        return self.task.results["test"], predictions

    def _trainer(self, predictions: Predictions) -> pl.Trainer:
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
            "enable_progress_bar": Console().is_terminal,
            "use_distributed_sampler": False,
        }
        trainer = build_trainer(self.config | {"trainer": trainer_node, "callbacks": {}, "logger": None})
        trainer.callbacks.append(predictions)  # type: ignore[attr-defined]
        return trainer


def _require_files(data: DataModule) -> None:
    """Refuse to go on where files of the run's data are missing: of its own accord nothing is downloaded.

    Raises:
        FileNotFoundError: Names one of them.
    """
    missing = [file for entry in data.source.entries() for file in entry.files if not file.exists()]
    if missing:
        raise FileNotFoundError(
            f"{missing[0]}: {len(missing)} files of the run's data are missing, this is the first; put them there, set "
            "SEGEXP_DATA_DIR, or name the data set again with data=<its name>, which may download it"
        )
