"""``segexp export``: hand a trained network over as one file of weights and a JSON file that says how to use it."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.export import export as write
from segexp.checkpoints.package import SUFFIXES, Facts, Scores, Verification, json_beside, read_package
from segexp.commands.arguments import REQUIRED, parse
from segexp.config import compose, config_dir
from segexp.data import Case
from segexp.data.case import slices_first
from segexp.data.intensity.rules import rule_from
from segexp.errors import short_path
from segexp.evaluation.rescoring import in_words
from segexp.inference.slices import with_neighbours
from segexp.pictures.figures import COLORS
from segexp.runs.folder import RunFolder
from segexp.runs.record import Record
from segexp.training.warnings import quiet

DEFAULTS = {"run": REQUIRED, "format": "safetensors", "output": "", "verify": True}
COMMENTS = {
    "run": "run folder (its best epoch), checkpoint, or exported .safetensors",
    "format": ", ".join(SUFFIXES),
    "output": "file to write; its JSON file comes beside it; default: model.<suffix> in the run folder",
    "verify": "compare the file with the network before it is left: true, false",
}
PATCHES = 4  # real ones, from as many cases
MOST_BYTES = 2 << 30  # of the files of a case that is read for a patch


def export(words: list[str]) -> None:
    """Write a trained network as safetensors, ONNX or torch.export, compare it with the original, and say how it went.

    Raises:
        FileNotFoundError: There is no such run.
        ImportError: A package that the format needs is not there.
        ValueError: A word is wrong, the run is broken or foreign, or the file does not agree with the network.
    """
    given = parse(words, DEFAULTS, COMMENTS, "export")
    quiet()
    source, form = Path(given["run"]), given["format"]
    model = open_model(source)
    folder = RunFolder.holding(source)
    suffix = SUFFIXES.get(form, "")
    path = Path(given["output"] or (folder.path if folder else source.parent) / f"model{suffix}")
    patches, why = _real_patches(model, folder) if given["verify"] else ([], "")
    verified = write(model, path, form, _facts(source, folder, model), patches, given["verify"])
    _report(path, verified, why)
    if model.description.postprocess:
        print(f"with it goes the post-processing that the run keeps: {in_words(model.description.postprocess)}")
    if form != "safetensors":
        sizes = model.network.even_sizes
        shown = ", ".join(str(sizes.least + i * sizes.multiple_of) for i in range(3))
        print(f"image sizes: {shown}, … px per axis; others must be tiled or padded to one of these")


def _report(path: Path, verified: Verification | None, why: str) -> None:
    print(f"wrote {short_path(path)} and {json_beside(path).name}")
    if verified is None:
        print("not compared with the network: verify=false")
        return
    print(
        f"{verified['with']} gives what the network gives on {verified['real_patches']} real patches and "
        f"{verified['noise_images']} images of noise: largest deviation {verified['largest_deviation']:.2g} of the "
        f"largest logit, tolerance {verified['tolerance']:g}"
    )
    if why:
        print(f"no real patches: {why}")


def _facts(source: Path, folder: RunFolder | None, model: Model) -> Facts:
    """Gather what the JSON file tells beside the description; the scores are those of the best epoch alone."""
    if source.suffix == SUFFIXES["safetensors"]:
        package = read_package(source)
        return Facts(package.colors, package.scores, package.data_fingerprint)
    background: list[list[int] | None] = [] if model.description.regions else [None]
    count = len(model.description.output_names) - len(background)
    colors = [*background, *itertools.islice(itertools.cycle(COLORS.tolist()), count)]
    if folder is None:
        return Facts(colors)
    best = source.is_dir() or source.name == folder.best_checkpoint.name
    scores = _scores(folder, model) if best and folder.results_path.is_file() else None
    return Facts(colors, scores, folder.record().get("data_fingerprint"))


def _scores(folder: RunFolder, model: Model) -> Scores:
    results: Any = folder.results()
    headline = results.get("headline")
    if not isinstance(headline, dict) or headline.get("split") not in ("val", "test"):
        raise ValueError(f"{folder.results_path}: headline must name a split, val or test")
    note = headline.get("note")
    scores: Any = {  # whether they are plain scores is checked where they are written
        "split": headline["split"],
        "metric": headline.get("metric"),
        "value": headline.get("value"),
        "note": f"{note}; before post-processing" if model.description.postprocess else note,
        "metrics": results.get(headline["split"]),
    }
    return scores


# Real patches


def _real_patches(model: Model, folder: RunFolder | None) -> tuple[list[Tensor], str]:
    """Take patches from the middle of the first cases of the run's data, if they lie on this machine.

    Returns:
        The patches (C, *T) as the network takes them, and why there are none.
    """
    if folder is None:
        return [], "there is no run folder that names its data"
    try:
        return [_patch(model, case) for case in itertools.islice(_cases(folder.record()), PATCHES)], ""
    except (ValueError, OSError, KeyError, TypeError, HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        return [], f"the data of the run cannot be read here ({str(cause).splitlines()[0]})"


def _cases(record: Record) -> Iterator[Case]:
    """Read cases of the data set that a run names, without its leave to download.

    The source is built from our own configuration; of the record only the option's name and texts such as paths count.

    Raises:
        ValueError: There is no such data set among ours, or its files are too large.
        FileNotFoundError: Files are missing.
    """
    option = record["choices"]["data"]
    if option not in [path.stem for path in (config_dir() / "data").glob("*.yaml")]:
        raise ValueError(f"data={option!r} is none of our data sets")
    node = compose([f"data={option}"]).data.source
    known = set(node)
    for key, value in record["config"]["data"]["source"].items():
        if key in known and not key.startswith("_") and isinstance(value, str) and "${" not in value:
            OmegaConf.update(node, key, value)
    source = instantiate(OmegaConf.to_container(node, resolve=True, throw_on_missing=True), _convert_="all")
    for entry in source.entries():
        if sum(file.stat().st_size for file in entry.files) > MOST_BYTES:
            raise ValueError(f"case {entry.name} has files of more than {MOST_BYTES} bytes")
        yield source.read(entry.name)


def _patch(model: Model, case: Case) -> Tensor:
    """Make the middle of a case ready for the network: (C, *T), T the training patch or the next size of a graph."""
    description, sizes = model.description, model.network.even_sizes
    case = slices_first(case, description.slice_axis) if case.image.ndim == 4 else case
    intensity = rule_from(description.intensity).of(case.image, case.valid)
    image = torch.from_numpy(np.ascontiguousarray(intensity.standardize(intensity.to_unit(case.image)), np.float32))
    if image.ndim == 4 and description.spatial_dims == 2:
        image = with_neighbours(image, torch.tensor([image.shape[1] // 2]), description.context)[0]
    if image.ndim != description.spatial_dims + 1 or len(image) != description.in_channels:
        raise ValueError(f"case {case.name} has shape {tuple(case.image.shape)}, which the network does not take")
    return _middle(image, [sizes.at_least(side) for side in description.patch_size])


def _middle(image: Tensor, size: list[int]) -> Tensor:
    """Crop image (C, *S) about its middle, mirrored where it is smaller: (C, *size)."""
    lacks = [max(0, want - have) for want, have in zip(size, image.shape[1:], strict=True)]
    padded = np.pad(image.numpy(), [(0, 0), *((lack // 2, lack - lack // 2) for lack in lacks)], mode="symmetric")
    starts = [(have - want) // 2 for want, have in zip(size, padded.shape[1:], strict=True)]
    window = (slice(None), *(slice(first, first + want) for first, want in zip(starts, size, strict=True)))
    return torch.from_numpy(np.ascontiguousarray(padded[window]))
