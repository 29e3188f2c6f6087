"""What only a GPU can show; run with `pytest -m gpu`."""

import json

import pytest
import torch

from segexp.commands.train import train
from segexp.config import compose
from segexp.inference import FlipTurnPredictor, TiledPredictor
from segexp.models import UNet
from segexp.training.performance import Performance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL = ["name=test", "data.source.size=[64,64]", "data.source.count=8", "data.patch_size=[32,32]", "data.batch_size=4"]


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("compile_network", [False, True])
def test_training_runs_in_every_precision(tmp_path, precision, compile_network):
    words = [
        *SMALL,
        "trainer=gpu",
        f"trainer.precision={precision}",
        f"performance.compile={str(compile_network).lower()}",
    ]
    train(compose([*words, "metrics=membrane", "inference=tiled_turns"], run_dir=tmp_path))
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["test"]["dice"] > 0.5
    assert json.loads((tmp_path / "run.json").read_text())["machine"]["gpus"]


@pytest.mark.parametrize("channels_last", [False, True])
def test_gpu_predicts_what_the_cpu_predicts(channels_last):
    torch.manual_seed(0)
    network = UNet(base_channels=8).eval()
    image = torch.randn(1, 1, 150, 131)
    predict = FlipTurnPredictor(TiledPredictor(tile=64))
    expected = predict(network, image)
    Performance(channels_last=channels_last, tf32=False).apply(network, 2)
    torch.testing.assert_close(predict(network.cuda(), image.cuda()).cpu(), expected, atol=1e-4, rtol=1e-3)
