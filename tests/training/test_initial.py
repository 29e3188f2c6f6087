import json

import pytest
import torch

from segexp.command_line import with_network_of
from segexp.models import UNet
from segexp.training.initial import start_from
from tests.conftest import trained

NAMES = ["background", "cell"]


def unet(in_channels: int = 1, num_classes: int = 2, depth: int = 2, seed: int = 0) -> UNet:
    torch.manual_seed(seed)
    return UNet(in_channels=in_channels, num_classes=num_classes, base_channels=4, depth=depth).eval()


def test_the_same_network_is_taken_over_whole():
    first, second = unet(), unet(seed=1)
    started = start_from(second, first.state_dict(), NAMES, NAMES)
    image = torch.rand(1, 1, 16, 16)
    assert torch.equal(first(image), second(image))
    assert (started.share, started.new, started.adapted) == (1.0, [], {})


def test_classes_of_the_same_names_keep_their_outputs():
    first, second = unet(num_classes=3), unet(num_classes=4, seed=1)
    old, new = ["background", "liver", "tumor"], ["background", "vessel", "tumor", "liver"]
    before = second.state_dict()["head.0.weight"].clone()
    started = start_from(second, first.state_dict(), new, old)
    image = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(second(image)[:, [0, 3, 2]], first(image))
    assert started.new == []
    assert all("keeps background, tumor, liver" in how for how in started.adapted.values())
    assert torch.equal(second.state_dict()["head.0.weight"][1], before[1])


@pytest.mark.parametrize(("before", "now"), [(1, 3), (3, 1), (2, 3)])
def test_equal_channels_give_what_they_gave(before, now):
    first, second = unet(before), unet(now, seed=1)
    started = start_from(second, first.state_dict(), NAMES, NAMES)
    gray = torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(second(gray.expand(1, now, 16, 16)), first(gray.expand(1, before, 16, 16)))
    assert list(started.adapted.values()) == [f"takes the mean of {before} channels for {now}"]


def test_a_deeper_network_takes_what_it_shares_and_says_how_much():
    deeper = unet(depth=3, seed=1)
    started = start_from(deeper, unet().state_dict(), NAMES, NAMES)
    assert started.new
    assert 0 < started.share < 0.6
    assert f"{started.share:.0%} of the parameters" in started.told()


def test_a_network_of_other_names_is_refused():
    with pytest.raises(ValueError, match="no tensor fits"):
        start_from(unet(), {"encoder.weight": torch.ones(3)}, NAMES, NAMES)


def test_a_run_starts_from_another(tmp_path):
    small = ["model.base_channels=4", "trainer.max_epochs=1", "data.sampling.patches_per_epoch=8"]
    first = trained(tmp_path / "first", *small)
    words = with_network_of([f"init={first}"])
    assert "model.base_channels=4" in words
    assert words[-1] == f"init={first}"
    assert with_network_of([f"init={first}", "model=unet"]) == [f"init={first}", "model=unet"]
    still = [
        "optimizer.lr=0",
        "callbacks.ema.enabled=false",
        "trainer.max_epochs=1",
        "data.sampling.patches_per_epoch=8",
    ]
    second = trained(tmp_path / "second", *words, *still)
    record = json.loads((second / "run.json").read_text())
    assert "100% of the parameters" in record["init"]["took_over"]
    weights = [
        torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]["network.stem.0.weight"]
        for run in (first, second)
    ]
    assert torch.equal(*weights)
