import pytest
import torch

from segexp.models import UNet
from segexp.training.checkpoint import load_checkpoint, load_network

SMALL = {"base_channels": 2, "depth": 1}


def checkpoint(**changes) -> dict:
    torch.manual_seed(0)
    state = {f"network.{name}": value for name, value in UNet(**SMALL).state_dict().items()}
    return {"state_dict": state, "segexp": {"network": "UNet", "model": SMALL}} | changes


def test_a_network_comes_back_with_its_weights(tmp_path):
    torch.save(checkpoint(), tmp_path / "a.ckpt")
    network, _ = load_network(tmp_path / "a.ckpt")
    torch.manual_seed(0)
    original = UNet(**SMALL).eval()
    image = torch.randn(1, 1, 8, 8)
    with torch.no_grad():
        assert torch.equal(network(image), original(image))


def test_a_name_that_is_not_ours_is_refused(tmp_path):
    torch.save(checkpoint(segexp={"network": "os.system", "model": {"command": "true"}}), tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="network 'os.system' is none of"):
        load_network(tmp_path / "a.ckpt")


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"segexp": Hostile()}, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=r"a.ckpt cannot be read as a checkpoint of tensors and plain values"):
        load_checkpoint(tmp_path / "a.ckpt")


def test_absent_and_foreign_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "none.ckpt")
    torch.save({"weights": torch.zeros(1)}, tmp_path / "b.ckpt")
    with pytest.raises(ValueError, match="does not describe itself"):
        load_checkpoint(tmp_path / "b.ckpt")
