from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from segexp.evaluation.ensemble import EnsemblePredictor, ensemble_predictor, shared_choices, shared_steps
from segexp.inference import TiledPredictor
from segexp.runs.folder import RunFolder, SweepFolder
from segexp.runs.postprocess import keep_together


def network(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Conv2d(1, 2, 3, padding=1).eval()


def test_probabilities_are_averaged():
    image = torch.rand(1, 1, 16, 16)
    networks = [network(seed) for seed in range(3)]
    together = EnsemblePredictor(TiledPredictor(tile=[16, 16]), networks[1:])(networks[0], image)
    alone = torch.stack([net(image).softmax(1) for net in networks])
    torch.testing.assert_close(together, alone.mean(0))


def test_one_run_keeps_its_predictor():
    predictor = TiledPredictor(tile=[16, 16])
    assert ensemble_predictor(predictor, [SimpleNamespace(description=SimpleNamespace(intensity={}))]) is predictor


def run(folder: Path, steps: str, threshold: float) -> SimpleNamespace:
    folder.mkdir()
    (folder / "postprocess.json").write_text(steps)
    return SimpleNamespace(files=RunFolder(folder), checkpoint={"epoch": 0}, chosen={"threshold": threshold})


def test_runs_share_the_lower_middle_threshold_and_the_steps_that_all_keep(tmp_path):
    holes = '{"fill_holes": {}}'
    runs = [run(tmp_path / str(place), holes, value) for place, value in enumerate((0.7, 0.3, 0.4, 0.6))]
    assert shared_choices(runs) == {"threshold": 0.4}
    assert shared_steps(runs) == {"fill_holes": {}}
    assert shared_steps([*runs, run(tmp_path / "other", "{}", 0.5)]) == {}


def test_what_was_chosen_for_runs_together_comes_before_their_own(tmp_path):
    runs = [run(tmp_path / str(place), '{"fill_holes": {}}', 0.5) for place in range(2)]
    for place, one in enumerate(runs):
        (one.files.path / "run.json").write_text(f'{{"status": "done", "id": "{place}"}}')
    keep_together(SweepFolder(tmp_path), {"runs": {"0": 0, "1": 0}, "steps": {}, "chosen": {"threshold": 0.3}})
    assert shared_choices(runs) == {"threshold": 0.3}
    assert shared_steps(runs) == {}
    assert shared_steps(runs[:1]) == {"fill_holes": {}}
