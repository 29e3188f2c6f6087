"""Several trained runs scored as one: the mean of their probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_low

from torch import Tensor, nn

from segexp.checkpoints.checkpoint import open_model
from segexp.checkpoints.networks import Trust
from segexp.evaluation.trained import Trained
from segexp.inference import Ensemble, Predictor
from segexp.inference.probabilities import Network
from segexp.postprocessing.postprocess import Steps
from segexp.prediction.ensemble import require_same
from segexp.runs.postprocess import Together, choice_together, kept_steps


@dataclass(frozen=True)
class EnsemblePredictor:
    """A predictor that averages the probabilities of a network and others, tile by tile."""

    predictor: Predictor  # of one network
    others: Sequence[nn.Module]  # further networks, in evaluation mode

    def __call__(self, network: Network | Ensemble, image: Tensor) -> Tensor:
        """Return the mean probabilities (B, K, *S) of an image (B, C, *S)."""
        ensemble = Ensemble.of(network)
        others = [other.to(image.device) for other in self.others]
        return self.predictor(replace(ensemble, networks=[*ensemble.networks, *others]), image)


def ensemble_predictor(predictor: Predictor, runs: Sequence[Trained], trust: Trust = False) -> Predictor:
    """Let a predictor of the first run's network average those of all runs; of one run it stays as it is.

    Args:
        predictor: Predictor of one network.
        runs: Runs.
        trust: Classes of networks outside of segexp that may be built, see ``open_model``.

    Raises:
        ValueError: The runs differ in classes, in what the network sees, or in how intensities are made ready.
    """
    descriptions = [run.description for run in runs]
    require_same(descriptions)
    first = descriptions[0].intensity
    for number, description in enumerate(descriptions, start=1):
        if description.intensity != first:
            raise ValueError(
                f"run {number} has intensity={description.intensity} and run 1 has {first}: cases "
                "are made ready once for all, so score each run on its own; segexp predict can average them"
            )
    others = [open_model(run.folder, trust=trust).network for run in runs[1:]]
    return EnsemblePredictor(predictor, others) if others else predictor


def shared_steps(runs: Sequence[Trained]) -> Steps:
    """Post-processing steps that were chosen for these runs together, else those that all keep; none if they differ."""
    together = _together(runs)
    if together is not None:
        return together["steps"]
    steps = [kept_steps(run.files, run.checkpoint.get("epoch")) for run in runs]
    return steps[0] if all(other == steps[0] for other in steps) else {}


def shared_choices(runs: Sequence[Trained]) -> dict[str, float]:
    """Values such as a threshold: chosen for these runs together, else the middle of their own, the lower of two."""
    together = _together(runs)
    middle = {key: median_low(run.chosen[key] for run in runs) for key in runs[0].chosen}
    return middle if together is None else middle | together["chosen"]


def _together(runs: Sequence[Trained]) -> Together | None:
    return choice_together([run.files for run in runs], [run.checkpoint.get("epoch") for run in runs])
