import pytest
import torch

from segexp.checkpoints.checkpoint import load_checkpoint, open_model
from segexp.data.intensity import PercentileClip, rule_from
from segexp.models import UNet
from tests.safety.corpus import checkpoint, model_description, saved


def test_a_network_comes_back_with_its_weights_and_its_description(tmp_path):
    model = open_model(saved(tmp_path / "a.ckpt", checkpoint()))
    torch.manual_seed(0)
    original = UNet(base_channels=2, depth=1).eval()
    image = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(model.network(image), original(image))
    assert not model.network.training
    assert model.description == model_description()
    assert model.network.config == original.config
    assert rule_from(model.description.intensity) == PercentileClip(0.5, 99.5)


def test_a_run_folder_stands_for_its_best_epoch(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    saved(tmp_path / "checkpoints" / "best.ckpt", checkpoint())
    assert torch.equal(
        open_model(tmp_path).network.state_dict()["head.0.weight"], checkpoint()["state_dict"]["network.head.0.weight"]
    )


def test_the_weights_do_not_hang_on_the_file(tmp_path):
    path = saved(tmp_path / "a.ckpt", checkpoint())
    network = open_model(path).network
    before = network(torch.ones(1, 1, 8, 8))
    path.write_bytes(b"")
    assert torch.equal(network(torch.ones(1, 1, 8, 8)), before)


def test_opening_draws_no_random_number(tmp_path):
    path = saved(tmp_path / "a.ckpt", checkpoint())
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    open_model(path)
    assert torch.equal(torch.randn(3), expected)


def test_absent_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "none.ckpt")
    with pytest.raises(ValueError, match="does not describe itself"):
        load_checkpoint(saved(tmp_path / "b.ckpt", {"weights": torch.zeros(1)}))


def test_optimizer_and_schedule_come_back_as_they_were(tmp_path):
    """A resumed run needs them; the names that our list of a checkpoint allows are enough for every optimizer."""
    network = UNet(base_channels=2, depth=1)
    for make in (torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop):
        optimizer = make(network.parameters(), lr=0.1)
        network(torch.ones(1, 1, 8, 8)).sum().backward()
        optimizer.step()
        scaler = torch.amp.GradScaler("cpu").state_dict()
        more = {
            "optimizer_states": [optimizer.state_dict()],
            "MixedPrecision": scaler,
            "half": torch.ones(2).bfloat16(),
        }
        again = load_checkpoint(saved(tmp_path / "a.ckpt", checkpoint(**more)))
        new = make(network.parameters(), lr=0.1)
        new.load_state_dict(again["optimizer_states"][0])
        wanted, found = optimizer.state_dict(), new.state_dict()
        assert wanted["param_groups"] == found["param_groups"]
        for key, state in wanted["state"].items():
            assert all(
                value is found["state"][key][name] or torch.equal(value, found["state"][key][name])
                for name, value in state.items()
            )
