"""What a class of any library refuses is told with key, value and reason."""

import pytest
import torch
from hydra.errors import InstantiationException

from segexp.making import called, make, make_function
from tests.conftest import sentence


def refuse(size: int) -> None:
    raise RuntimeError(f"size {size} is\n too small for it")


def test_a_refusal_names_the_settings_that_it_is_about():
    node = {"_target_": "torch.nn.Conv2d", "in_channels": 3, "out_channels": 4, "kernel_size": 3, "groups": 2}
    with pytest.raises(ValueError, match=r"^torch.nn.Conv2d refuses model.in_channels=3, .*: in_channels must be"):
        make("model", node)


def test_a_refusal_of_a_function_of_ones_own():
    with pytest.raises(ValueError, match=r"refuses x\.size=-3: size -3 is too small for it$"):
        make("x", {"_target_": f"{__name__}.refuse", "size": -3})


@pytest.mark.parametrize(
    ("place", "node", "told"),
    [
        ("model", {"_target_": "segexp.models.UNet", "in_channels": 1, "num_classes": 2, "depth": 0}, "model.depth=0"),
        ("loss", {"_target_": "builtins.dict", "a": {"_target_": "segexp.losses.Dice", "smooth": -1}}, "loss.a.smooth"),
    ],
)
def test_a_refusal_of_our_own_class_begins_with_the_whole_key(place, node, told):
    with pytest.raises(ValueError, match=f"^{told}") as error:
        make(place, node)
    assert "full_key" not in str(error.value)


def test_names_that_are_no_arguments_are_left_to_the_explanation():
    with pytest.raises(InstantiationException):
        make("model", {"_target_": "torch.nn.Conv2d", "channels": 3})


@pytest.mark.parametrize("node", [3, "text", {"a": 1}, [1]])
def test_what_names_no_class(node):
    with pytest.raises(ValueError, match=r"^model=.* names no class: choose an option with model=<option>"):
        make("model", node)


def test_null_is_nothing():
    assert make("weight_map", None) is None


ADAM = {"_target_": "torch.optim.AdamW", "_partial_": True}


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_settings_of_functions_are_finite(value):
    with pytest.raises(ValueError, match=r"^optimizer\.lr=(inf|nan) must be finite"):
        make_function("optimizer", ADAM | {"lr": value})


def test_what_a_function_refuses_when_it_is_called():
    node = ADAM | {"lr": -1.0, "weight_decay": 0.5}
    with pytest.raises(ValueError, match=r"^torch.optim.AdamW refuses optimizer.lr=-1.0: Invalid learning rate: -1.0$"):
        called("optimizer", node, make_function("optimizer", node), [torch.zeros(1, requires_grad=True)])


@pytest.mark.parametrize(
    ("word", "rule"),
    [
        ("optimizer.lr=-1", "torch.optim.AdamW refuses optimizer.lr=-1: Invalid learning rate: -1"),
        ("optimizer.lr=inf", "optimizer.lr=inf must be finite"),
        ("optimizer.lr=fast", "optimizer.lr='fast' must be a number"),
        ("data.sampling.patch_size=256", "data.sampling.patch_size=256 must be a list […], each an integer"),
        ("data.patch_size=256", "data.patch_size: no such key (did you mean 'data.sampling.patch_size'?)"),
        ("data.labels=null", "data.labels must be a mapping"),
        ("trainer.devices=0", "trainer.devices=0"),
        ("trainer.check_val_every_n_epoch=text", "trainer.check_val_every_n_epoch='text' must be an integer or null"),
        ("loss.parts=3", "loss.parts=3 must be a mapping"),
        ("callbacks.best.monitor=3", "monitor=3 is logged by nothing"),
        ("monitor=3", "monitor=3 must be text"),
        ("seed=-1", "seed=-1 must be an integer of at least 0"),
        ("allow_changes=3", "allow_changes=3 must be a list […], each text"),
        ("augment.transforms=3", "augment.transforms=3 must be a list"),
        ("model.depth=[1,2]", "model.depth=[1, 2] must be an integer"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_written(answer, tmp_path, word, rule):
    assert rule in sentence(answer, "trainer=cpu", word)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("nowhere.Net", r"^nowhere.Net cannot be imported: there is no module 'nowhere' .*, in the working directory"),
        ("torch.nn.Conv2", r"^torch.nn.Conv2 is not there: .*__init__\.py has no 'Conv2' \(did you mean 'Conv2d'\?\)"),
    ],
)
def test_of_what_is_not_there_is_told_where_it_was_looked_for(target, sentence):
    with pytest.raises(ImportError, match=sentence):
        make("model", {"_target_": target, "in_channels": 3})


def test_a_list_for_a_tensor_is_answered_with_how_one_is_written():
    with pytest.raises(
        ValueError, match=r"as a tensor: \+loss\.weight=\{_target_: torch\.tensor, data: \[1\.0, 5\.0\]\}$"
    ):
        make("loss", {"_target_": "torch.nn.CrossEntropyLoss", "weight": [1, 5]})
