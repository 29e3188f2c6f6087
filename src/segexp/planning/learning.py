"""Choices of learning: width and batch, loss, sampling, intensities, augmentation, schedule."""

from math import prod

from segexp.errors import times
from segexp.planning.draft import MEMORY_SHARE, Draft, StepCost
from segexp.planning.shape import BATCH, STEPS
from segexp.training.pace import presumed_scoring

WIDTH = "model.base_channels"
WIDTHS = (8, 12, 16, 24, 32, 48, 64)  # base channels
WIDEST = {2: 64, 3: 32}  # as Ronneberger et al. 2015 and nnU-Net have it
FIRST = 16  # that is measured first
FEWEST_STEPS = 1000  # that this width should make; of a patch of which STEPS are affordable it does on any day
RARE = 0.1  # fraction of foreground below which patches look for it
WHOLE = 0.8  # fraction of a case from where on a patch shows the foreground anyway
SCORING_SHARE = 0.1  # of the minutes, for the views that final scores average
VIEWS = 8  # flips and turns of a plane
EPOCHS = 40  # into which a training is divided
LOADING_SHARE = 0.1  # of a step, from where on a process of its own loads


def choose_learning(draft: Draft) -> None:
    """Choose everything beside axes and shape; the shape stands already."""
    _intensity(draft)
    _loss(draft)
    _augmentation(draft)
    _rate(draft)
    cost = _width_and_batch(draft)
    _views(draft, cost)
    _loaders(draft, cost)
    _epochs(draft, cost)


def _dims(draft: Draft) -> int:
    return int(draft.value("data.geometry.spatial_dims", draft.facts.axes))


def _intensity(draft: Draft) -> None:
    if draft.facts.ct:
        why = "the values are those of CT (Hounsfield units): one scale for all cases"
        draft.choose("data/intensity", "training", why, group=True)
    else:
        draft.choose(
            "data/intensity", "zscore", "scales differ from image to image: mean 0, deviation 1 each", group=True
        )


def _loss(draft: Draft) -> None:
    facts = draft.facts
    if draft.given.get("data.labels.regions"):
        draft.choose("loss", "dice_bce", "the regions overlap", group=True)
    else:
        draft.choose("loss", "dice_ce", f"overlap and pixels; the foreground is {facts.foreground:.1%}", group=True)
    patch = draft.value("data.sampling.patch_size")
    shown = prod(patch) / prod(draft.seen_size)
    if facts.foreground < RARE and shown < WHOLE:
        why = f"the foreground is {facts.foreground:.1%} of the pixels: a third of the patches is centered on it"
        draft.choose("data.sampling.foreground_fraction", 0.33, why)
    else:
        why = "patches show the foreground anyway"
        draft.choose("data.sampling.foreground_fraction", 0.0, why)


def _augmentation(draft: Draft) -> None:
    """Choose a preset of augment by the kind of images."""
    facts = draft.facts
    if facts.unit == "mm" or facts.axes == 3 or facts.sided:
        why = f"classes are named by their side ({', '.join(facts.sided)})" if facts.sided else "bodies lie one way"
        draft.choose("augment", "volume", f"rotation, scale, intensities; no flips: {why}", group=True)
    elif facts.colored:
        draft.choose("augment", "fundus", "photographs in color: any turn, flips, color and light", group=True)
    else:
        draft.choose("augment", "membrane", "no direction is preferred: any turn, flips, intensities", group=True)


def _views(draft: Draft, cost: StepCost) -> None:
    """Choose the views that the final scores average: those that the augmentation shows, if there is time."""
    share = VIEWS * _scoring(draft, cost) / (60 * draft.minutes)
    if cost.symmetries and share > SCORING_SHARE:
        why = f"{VIEWS} views of {draft.facts.validation + draft.facts.test} cases would take {share:.0%} of the time"
        draft.choose("inference", "tiled", why, group=True)
    elif cost.symmetries:
        why = f"final scores average what training shows: {', '.join(cost.symmetries)}"
        draft.choose("inference", "tiled_seen", why, group=True)
    else:
        draft.choose("inference", "tiled", "training shows no flips: none are averaged", group=True)


def _scoring(draft: Draft, cost: StepCost) -> float:
    """Seconds to predict every case that is scored once, by those of a step."""
    patch = prod(draft.value("data.sampling.patch_size")) * int(draft.value("data.sampling.batch_size"))
    slices = prod(draft.facts.size) / prod(draft.facts.size[-len(draft.seen_size) :])
    pixels = (draft.facts.validation + draft.facts.test) * prod(draft.seen_size) * max(1, slices)
    return pixels * presumed_scoring(cost.seconds, patch)


def _rate(draft: Draft) -> None:
    draft.choose("optimizer", "adamw", "it takes rates from 1e-3 to 3e-3 alike", group=True)
    draft.choose("optimizer.lr", 0.002, "with a warm-up, for batches of this size")
    draft.choose("scheduler", "cosine", "down to 0 at the end of the minutes", group=True)
    draft.choose("scheduler.warmup", 0.1, "a tenth of the steps")
    draft.choose("callbacks.ema.enabled", True, "the average of the last weights is steadier than the last ones")
    draft.choose("callbacks.ema.decay", "auto", "over a twentieth of all steps")


def _width_and_batch(draft: Draft) -> StepCost:
    """Choose the batch, and the widest network that makes enough steps; return the cost of a step with them."""
    dims = _dims(draft)
    draft.choose(
        "data.sampling.batch_size", BATCH[dims], f"patches of {times(draft.value('data.sampling.patch_size'))}"
    )
    if draft.is_given(WIDTH):
        return _lighter(draft)
    seen: dict[int, StepCost] = {}
    position = WIDTHS.index(FIRST)
    while True:
        seen[position] = draft.cost(f"{WIDTH}={WIDTHS[position]}")
        further = position + 1 if _affordable(draft, seen[position], WIDTHS[position]) else position - 1
        if further in seen or further not in range(WIDTHS.index(WIDEST[dims]) + 1):
            break
        position = further
    position = max((n for n, cost in seen.items() if _affordable(draft, cost, WIDTHS[n])), default=min(seen))
    draft.choose(WIDTH, WIDTHS[position], "")
    cost = _lighter(draft)
    steps = int(draft.training_seconds / cost.seconds)
    why = f"{cost.seconds:.2g} s a step here, {steps:,} steps in {draft.minutes:g} minutes"
    draft.choose(WIDTH, WIDTHS[position], why)
    return cost


def _affordable(draft: Draft, cost: StepCost, width: int) -> bool:
    least = STEPS if width > FIRST else FEWEST_STEPS
    enough = draft.training_seconds / cost.seconds >= least
    return enough and cost.memory <= MEMORY_SHARE * draft.machine.memory


def _lighter(draft: Draft) -> StepCost:
    """Measure a step; where it does not fit into the memory, choose what takes less until it does."""
    key = "data.sampling.batch_size"
    room = MEMORY_SHARE * draft.machine.memory
    cost = draft.cost()
    while cost.memory > room and (batch := int(draft.value(key))) > 1 and not draft.is_given(key):
        why = f"{batch} would take {cost.memory / 2**30:.1f} GiB of {draft.machine.memory / 2**30:.1f} that are free"
        draft.choose(key, batch // 2, why)
        cost = draft.cost()
    if cost.memory > room and not draft.is_given("model"):
        draft.choose("model.checkpointing", True, f"else a step takes {cost.memory / 2**30:.1f} GiB")
        cost = draft.cost()
    return cost


def _loaders(draft: Draft, cost: StepCost) -> None:
    share = cost.loading / cost.seconds
    if draft.machine.gpu:
        return  # auto: one per core
    workers = min(max(1, draft.machine.cores - 1), 1 + int(share)) if share > LOADING_SHARE else 0
    why = f"to load a batch takes {share:.0%} of a step"
    draft.choose("data.sampling.num_workers", workers, why)


def _epochs(draft: Draft, cost: StepCost) -> None:
    """Choose the patches of an epoch: a fortieth of the training, in round numbers so that runs repeat each other."""
    batch = int(draft.value("data.sampling.batch_size"))
    steps = draft.training_seconds / cost.seconds / EPOCHS
    rounded = max(5, 5 * round(steps / 5)) if steps < 100 else 50 * round(steps / 50)
    draft.choose("data.sampling.patches_per_epoch", rounded * batch, f"{rounded} steps, about {EPOCHS} epochs in all")
