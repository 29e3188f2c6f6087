"""The messages that docs/extending.md explains are those that are printed."""

import re

import pytest
import torch
from torch import Tensor, nn

from tests.conftest import ROOT, sentence

HERE = "tests.docs.test_extending"
ROW = re.compile(r"^\| `(.*?)` \| .* \|$", re.MULTILINE)
CUSTOM = ["model=custom", f"model._target_={HERE}.Net"]


class Net(nn.Module):
    def __init__(self, gives: str = "logits", in_channels: int = 1, num_classes: int = 2) -> None:
        super().__init__()
        self.gives = gives
        self.layer = nn.Conv2d(in_channels, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor | dict[str, Tensor]:
        logits = self.layer(image)
        if self.gives == "a dict":
            return {"out": logits}
        return logits[..., ::2, ::2] if self.gives == "half" else logits


def overlap(probs: Tensor, target: Tensor) -> Tensor:
    return 1 - (probs[:, 1] * target).sum() / target.sum().clamp_min(1)


def of_three(logits: Tensor, target: Tensor, x: Tensor) -> Tensor:
    return logits.mean() + target.sum() + x


def two_scores(prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
    return {"right": torch.eq(prediction, truth).float().mean()}


TRIED = [
    [f"model._target_={HERE}.Net"],
    [*CUSTOM, "+model.gives=a dict"],
    [*CUSTOM, "+model.num_classes=3"],
    [*CUSTOM, "+model.gives=half"],
    [*CUSTOM, "+model.in_channels=3"],
    ["loss=custom", f"loss._target_={HERE}.overlap", "+loss._partial_=true"],
    ["loss=custom", f"loss._target_={HERE}.of_three", "+loss._partial_=true"],
    ["loss=custom", f"loss._target_={HERE}.overlap"],
    [f"+metrics.x={{_target_: {HERE}.two_scores, _partial_: true}}"],
    ["metrics=calibration"],
    ["model=custom", f"model._target_={HERE}.Typo"],
]


def messages() -> list[str]:
    section = (ROOT / "docs" / "extending.md").read_text().partition("## What messages mean")[2]
    return ROW.findall(section)


def test_every_message_is_tried():
    assert len(messages()) == len(TRIED)


@pytest.mark.parametrize(("message", "words"), list(zip(messages(), TRIED, strict=False)))
def test_a_message_is_what_is_printed(answer, message, words):
    pattern = ".*".join(map(re.escape, message.split("…")))
    assert re.search(pattern, sentence(answer, "trainer=cpu", *words))
