import math

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, PolynomialLR

from segexp.training.schedules import constant, cosine, plateau, poly


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)


def course(make, steps: int, **arguments) -> list[float]:
    adam = optimizer()
    scheduler = make(adam, steps, **arguments)["scheduler"]
    rates = []
    for _ in range(steps):
        rates.append(adam.param_groups[0]["lr"])
        adam.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda o: cosine(o, 20, warmup=0)["scheduler"], lambda o: CosineAnnealingLR(o, 20)),
        (lambda o: poly(o, 20, power=0.9)["scheduler"], lambda o: PolynomialLR(o, 20, power=0.9)),
    ],
)
def test_falls_as_torch_does(ours, theirs):
    first, second = optimizer(), optimizer()
    mine, other = ours(first), theirs(second)
    for _ in range(20):
        assert first.param_groups[0]["lr"] == pytest.approx(second.param_groups[0]["lr"], abs=1e-9)
        for stepped in (first, second, mine, other):
            stepped.step()


def test_warmup_rises_in_equal_steps_to_the_full_rate():
    rates = course(cosine, 20, warmup=0.2, floor=0.1)
    assert rates[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert rates[-1] == pytest.approx(0.1 * (0.1 + 0.9 * (1 + math.cos(math.pi * 15 / 16)) / 2))
    assert course(constant, 4, warmup=0.25) == pytest.approx([0.05, 0.1, 0.1, 0.1])


def test_plateau_halves_after_patience():
    adam = optimizer()
    entry = plateau(adam, 0, monitor="val/dice", mode="max", factor=0.5, patience=1)
    assert (entry["interval"], entry["monitor"]) == ("epoch", "val/dice")
    for value in (0.5, 0.5, 0.5):
        entry["scheduler"].step(value)
    assert adam.param_groups[0]["lr"] == pytest.approx(0.05)


@pytest.mark.parametrize("make", [constant, cosine, poly])
def test_warmup_must_be_a_fraction(make):
    with pytest.raises(ValueError, match="fraction of all steps"):
        make(optimizer(), 10, warmup=1)
