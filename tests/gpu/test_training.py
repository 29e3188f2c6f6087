"""What only a GPU can show; run with `pytest -m gpu`."""

import json

import numpy as np
import pytest
import torch

from segexp.commands.train import train
from segexp.config import compose
from segexp.inference import Ensemble, FlipTurnPredictor, TiledPredictor, optimized_for_inference, predict_blocks, views
from segexp.models import UNet
from segexp.training.performance import Performance

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

SMALL = [
    "name=test",
    "data.source.size=[64,64]",
    "data.source.count=8",
    "data.sampling.patch_size=[32,32]",
    "data.sampling.batch_size=4",
]


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


@pytest.mark.parametrize("accumulate", ["device", "cpu"])
@pytest.mark.parametrize("dims", [2, 3])
def test_gpu_predicts_blocks_of_an_optimized_network_as_the_cpu_does(accumulate, dims):
    torch.manual_seed(0)
    network = UNet(spatial_dims=dims, base_channels=8, depth=2).eval()
    image = np.random.default_rng(0).random((1, *(45,) * dims))
    settings = TiledPredictor(tile=32, batch_size=3)
    expected = settings(Ensemble([network], views()), torch.from_numpy(image[None]).float())[0]
    Performance(channels_last=False, tf32=False).apply(network, dims)
    ensemble = Ensemble([optimized_for_inference(network, "cuda")], views())
    where = {"device": "cuda", "accumulate": accumulate}
    for px, probs in predict_blocks(ensemble, image, np.float32, settings, dims, **where):
        torch.testing.assert_close(probs, expected[(slice(None), *px)], atol=1e-4, rtol=1e-3)
