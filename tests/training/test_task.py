"""The LightningModule with tiny networks and Lightning's own trainer on the CPU."""

import math
from functools import partial

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from segexp.losses import Compound, CrossEntropy, DeepSupervision, Dice
from segexp.metrics import ObjectScores, OverlapScores
from segexp.training import Task
from segexp.training.progress import Progress
from segexp.training.schedules import constant, cosine


class TwoHeads(nn.Module):
    """Logits at full and at half resolution."""

    heads = 2

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 2, stride=2)

    def forward(self, image, every_head=False):
        return [self.fine(image), self.coarse(image)] if every_head else self.fine(image)


def softmax(network, image):
    return network(image).softmax(1)


def inside(network, image):
    """Certain that every pixel is inside."""
    del network
    return torch.stack([torch.zeros_like(image[:, 0]), torch.ones_like(image[:, 0])], dim=1)


def task(network=None, loss=None, **more):
    torch.manual_seed(0)
    return Task(
        network=network or nn.Conv2d(1, 2, 1),
        loss=loss or CrossEntropy(),
        metrics=[OverlapScores(["background", "object"])],
        optimizer=partial(torch.optim.SGD, lr=more.pop("lr", 0.1)),
        scheduler=more.pop("scheduler", constant),
        predictor=more.pop("predictor", softmax),
        **more,
    )


def patches(count=4, size=8):
    generator = torch.Generator().manual_seed(1)
    image = torch.randn(count, 1, size, size, generator=generator)
    return {"image": image, "target": (image[:, 0] > 0).long()}


def case(index, **more):
    one = patches(1)
    return {"image": one["image"][0], "target": one["target"][0], "case_index": index, "name": f"case {index}", **more}


def trainer(folder, **settings):
    return pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **settings,
    )


def test_terms_of_a_compound_loss_are_logged_unweighted_and_learning_lowers_it(tmp_path):
    loss = Compound({"ce": 2, "dice": 3}, {"ce": CrossEntropy(), "dice": Dice()})
    learner = task(loss=loss)
    before = loss(learner.network(patches()["image"]), patches()["target"]).item()
    runner = trainer(tmp_path)
    runner.fit(learner, DataLoader([patches()] * 5, batch_size=None))
    logged = {name: float(value) for name, value in runner.callback_metrics.items()}
    total = 2 * logged["train/loss_ce"] + 3 * logged["train/loss_dice"]
    assert logged["train/loss"] == pytest.approx(total, rel=1e-5)
    assert loss(learner.network(patches()["image"]), patches()["target"]).item() < before


def test_a_loss_without_terms_is_logged_alone(tmp_path):
    runner = trainer(tmp_path)
    runner.fit(task(), DataLoader([patches()], batch_size=None))
    assert set(runner.callback_metrics) == {"loss", "train/loss"}


def test_logits_of_an_unpadded_network_meet_the_center_of_target_and_weight():
    learner = task(network=nn.Conv2d(1, 2, 3))
    batch = patches() | {"weight": torch.rand(4, 8, 8)}
    loss, _ = learner.batch_loss(learner.network, batch)
    each = F.cross_entropy(learner.network(batch["image"]), batch["target"][:, 1:-1, 1:-1], reduction="none")
    torch.testing.assert_close(loss, (each * batch["weight"][:, 1:-1, 1:-1]).mean())


def test_losses_of_several_heads_are_summed_and_the_terms_are_those_of_the_finest():
    loss = Compound({"ce": 1}, {"ce": CrossEntropy()})
    learner = task(network=TwoHeads(), loss=loss, deep_supervision=DeepSupervision([1, 3]))
    coarse_target = patches(size=4)["target"]
    batch = patches() | {"target": coarse_target.repeat_interleave(2, 1).repeat_interleave(2, 2)}
    total, terms = learner.batch_loss(learner.network, batch)
    fine, coarse = learner.network(batch["image"], every_head=True)
    finest = F.cross_entropy(fine, batch["target"])
    at_half = F.cross_entropy(coarse, coarse_target)
    torch.testing.assert_close(terms["loss_ce"], finest)
    torch.testing.assert_close(total, finest + 3 * at_half)


def test_random_numbers_of_a_batch_follow_from_seed_and_batch_alone(tmp_path):
    drawn = []

    class Draws(nn.Conv2d):
        def forward(self, image):
            drawn.append(torch.rand(1).item())
            return super().forward(image)

    for seed in (0, 0, 1):
        torch.manual_seed(len(drawn))
        trainer(tmp_path).fit(task(network=Draws(1, 2, 1), seed=seed), DataLoader([patches()] * 2, batch_size=None))
    assert drawn[:2] == drawn[2:4]
    assert len(set(drawn)) == 4  # no two batches and no two seeds alike


def test_counts_are_asked_for_only_where_weights_are_balanced():
    def refuses():
        raise AssertionError

    assert task(loss=CrossEntropy([1, 2])).fit_class_weights(refuses) == []
    balanced = task(loss=Compound({"ce": 1}, {"ce": CrossEntropy("auto")}))
    weights = balanced.fit_class_weights(lambda: torch.tensor([[75, 100], [25, 100]]))
    assert weights[1] == pytest.approx(3 * weights[0])
    assert balanced.fit_class_weights(refuses) == []  # once is enough


def test_validation_during_training_uses_the_predictor_and_the_final_one_the_scorer(tmp_path):
    learner = task(scorer=inside)
    cases = DataLoader([case(0), case(1)], batch_size=1)
    runner = trainer(tmp_path, num_sanity_val_steps=0)
    runner.fit(learner, DataLoader([patches()], batch_size=None), cases)
    during = learner.results["val"].scores["dice"]
    assert float(runner.callback_metrics["val/dice"]) == pytest.approx(during)
    runner.validate(learner, cases, verbose=False)
    fraction = case(0)["target"].double().mean().item()
    assert learner.results["val"].scores["dice"] == pytest.approx(2 * fraction / (1 + fraction))
    assert [row.case for row in learner.results["val"].rows] == [0, 1]


def test_probabilities_are_brought_to_the_size_of_the_target(tmp_path):
    learner = task(scorer=lambda network, image: F.avg_pool2d(inside(network, image), 2))
    trainer(tmp_path).validate(learner, DataLoader([case(0)], batch_size=1), verbose=False)
    fraction = case(0)["target"].double().mean().item()
    assert learner.results["val"].scores["dice"] == pytest.approx(2 * fraction / (1 + fraction))


class Gradients(pl.Callback):
    """Keeps the gradient of each optimizer step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.seen.append(torch.cat([p.grad.flatten() for p in pl_module.network.parameters()]).clone())


def test_a_last_group_of_fewer_batches_steps_by_its_own_mean(tmp_path):
    """Four batches in groups of three: the last one's gradient is that of its one batch, not a third of it."""
    found = []
    for every in (1, 3):
        gradients = Gradients()
        settings = {"accumulate_grad_batches": every, "callbacks": [gradients]}
        trainer(tmp_path, **settings).fit(task(lr=1e-9), DataLoader([patches()] * 4, batch_size=None))
        found.append(gradients.seen)
    assert len(found[1]) == 2
    torch.testing.assert_close(found[1][0], torch.stack(found[0][:3]).mean(0))
    torch.testing.assert_close(found[1][1], found[0][3])


def test_a_case_of_another_process_does_not_count(tmp_path):
    network = nn.Conv2d(1, 2, 1)
    cases = [case(0), case(-1, image=100 * torch.randn(1, 8, 8))]
    scored, alone = task(network), task(network)
    trainer(tmp_path).validate(scored, DataLoader(cases, batch_size=1), verbose=False)
    trainer(tmp_path).validate(alone, DataLoader(cases[:1], batch_size=1), verbose=False)
    assert scored.results["val"].rows == alone.results["val"].rows


def test_true_objects_go_by_their_numbers_where_the_case_has_them(tmp_path):
    whole = {"target": torch.ones(8, 8, dtype=torch.int64)}
    found = []
    for more in (whole, {**whole, "instances": 1 + torch.arange(64).reshape(8, 8) // 32}):
        scored = task(predictor=inside)
        scored.metrics.append(ObjectScores(["background", "object"]))
        trainer(tmp_path).validate(scored, DataLoader([case(0, **more)], batch_size=1), verbose=False)
        found.append(scored.results["val"])
    assert "components" in found[0].info["object_f1"].protocol
    assert "true ones those of the instance masks" in found[1].info["object_f1"].protocol
    assert [result.scores["object_f1"] for result in found] == [1, 0]  # of two halves none matches


def test_a_monitored_loss_is_among_the_final_scores(tmp_path):
    learner = task(predictor=inside, monitored_loss="loss")
    trainer(tmp_path).validate(learner, DataLoader([case(0), case(1)], batch_size=1), verbose=False)
    found, missed = learner.results["val"], float((patches(1)["target"] == 0).float().mean())
    assert not found.info["loss"].higher_is_better
    assert found.scores["loss"] == pytest.approx(-math.log(1e-7) * missed, rel=1e-3)


class Rates(pl.Callback):
    """Notes the learning rate of every step; may change the number of steps before one of them."""

    def __init__(self, change=None):
        self.rates, self.change = [], change

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if self.change and self.change[0] == trainer.global_step:
            pl_module.progress.change(*self.change)
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize("schedule", [cosine, lambda o, n: {"scheduler": OneCycleLR(o, 0.1, n), "interval": "step"}])
def test_a_schedule_ends_where_it_was_to_end_also_after_more_or_fewer_steps(tmp_path, schedule):
    def rates(steps, progress=None, change=None):
        noted, learner = Rates(change), task(scheduler=schedule)
        learner.progress = progress
        trainer(tmp_path, callbacks=[noted]).fit(learner, DataLoader([patches()] * steps, batch_size=None))
        return noted.rates

    whole = rates(20)
    assert rates(20, Progress(20, 20)) == whole
    assert rates(12, Progress(20, 20), (4, 12)) == whole[:4] + whole[4::2]
    longer = rates(36, Progress(20, 20), (4, 36))
    assert longer == whole[:4] + [rate for rate in whole[4:] for _ in range(2)]
