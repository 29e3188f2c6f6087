import torch
from torch import nn

from segexp.models.trial import Trial, parameters_of


def trial(network: nn.Module, patch_size=(16, 16)) -> Trial:
    made = Trial(network, 1, 2, patch_size)
    made.require_logits()
    return made


def layers(*last: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), *last)


def test_what_makes_tensors_of_its_own_is_run_in_earnest():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = layers()

        def forward(self, image):
            return self.inner(image + torch.zeros(1, device="cpu"))

    assert trial(layers()).device == "meta"
    made = trial(Own())
    assert (made.device, made.lacking((16, 16)), made.sizes().even_sizes.least) == ("cpu", 0, 1)


def test_pixels_that_lack_are_counted_where_all_axes_lack_the_same_even_number():
    assert trial(nn.Conv2d(1, 2, 5)).lacking((16, 16)) == 4
    assert trial(nn.Conv2d(1, 2, 4)).lacking((16, 16)) is None
    assert trial(nn.Conv2d(1, 2, (3, 5))).lacking((16, 16)) is None
    assert trial(nn.Conv2d(1, 2, 5)).lacking((3, 3)) is None


def test_arguments_are_named():
    assert parameters_of(lambda image, every_head=False: None) == ["image", "every_head"]
    assert parameters_of(dict) == []
