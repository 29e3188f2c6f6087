"""What ``segexp export`` does once its arguments are read: write a network, compare it with the original, tell."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from segexp.build import build_data
from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.export import export as write
from segexp.checkpoints.package import Facts, Scores, json_beside, read_package
from segexp.checkpoints.rules import SUFFIXES
from segexp.config import compose, config_dir
from segexp.data import Case
from segexp.data.case import slices_first
from segexp.data.intensity.named import rule_from
from segexp.data.patches import crop
from segexp.errors import short_path
from segexp.evaluation.trained import compose_again, open_trained
from segexp.inference.slices import with_neighbors
from segexp.models.sizes import along_axes
from segexp.pictures.figures import class_colors
from segexp.postprocessing.postprocess import in_words
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.ownership import is_own
from segexp.sweeps.jobs import quoted
from segexp.trust import Foreign, Vouched, compose_checked

PATCHES = 4  # real ones, from as many cases
MOST_BYTES = 2 << 30  # of the files of a case that is read for a patch


def export_network(arguments: Mapping[str, Any], vouched: Vouched) -> None:
    """Write a trained network, compare it with the original, and print the result.

    Args:
        arguments: Arguments of the command, by their keys.
        vouched: What the user vouches for.

    Raises:
        ImportError: A package that the format needs is not there.
        ValueError: The run is broken or foreign, or the file does not agree with the network.
    """
    source = Path(arguments["run"])
    form = arguments["format"]
    model = open_model(source, trust=vouched.networks())
    run = RunFolder.holding(source)
    default = (run.path if run else source.parent) / f"model{SUFFIXES.get(form, '')}"
    path = Path(arguments["output"] or default)
    patches, why_none = _real_patches(model, run, vouched) if arguments["verify"] else ([], "")
    verified = write(model, path, form, _facts(source, run, model), patches, arguments["verify"])
    print(f"wrote {short_path(path)} and {json_beside(path).name}")
    if verified is None:
        print("not compared with the network: verify=false")
    else:
        print(
            f"{verified['with']} gives what the network gives on {verified['real_patches']} real patches and "
            f"{verified['noise_images']} images of noise: largest deviation {verified['largest_deviation']:.2g} of the "
            f"largest logit, tolerance {verified['tolerance']:g}"
        )
    if why_none:
        print(f"no real patches: {why_none}")
    if model.description.postprocess:
        print(f"with it goes the post-processing that the run keeps: {in_words(model.description.postprocess)}")
    sizes = read_package(path).sizes
    if sizes:
        least, step = (along_axes(sizes[name], 1) for name in ("least", "multiple_of"))
        of_axes = "; ".join(map(_first_sizes, least, step))
        print(f"image sizes: {of_axes} px per axis; others must be tiled or padded to one of these")


def _first_sizes(least: int, step: int) -> str:
    """Name the first sizes of an axis."""
    return ", ".join(str(least + index * step) for index in range(3)) + ", …" if step else str(least)


def _facts(source: Path, run: RunFolder | None, model: Model) -> Facts:
    """Gather what the JSON file says beside the description; scores are those of the best epoch alone."""
    if source.suffix == SUFFIXES["safetensors"]:
        package = read_package(source)
        return Facts(package.colors, package.scores, package.data_fingerprint)
    background: list[list[int] | None] = [] if model.description.regions else [None]
    count = len(model.description.output_names) - len(background)
    colors = [*background, *map(list, class_colors(count))]
    if run is None:
        return Facts(colors)
    best = source.is_dir() or source.name == run.best_checkpoint.name
    scores = _scores(run, model) if best and run.results() else None
    return Facts(colors, scores, run.record().get("data_fingerprint"))


def _scores(run: RunFolder, model: Model) -> Scores:
    results: Any = run.results()
    headline = results.get("headline")
    if not isinstance(headline, dict) or headline.get("split") not in ("val", "test"):
        raise ValueError(f"{run.results_path}: headline must name a split, val or test")
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


def _real_patches(model: Model, run: RunFolder | None, vouched: Vouched) -> tuple[list[Tensor], str]:
    """Patches (C, *T) from the middle of the run's first cases, where they lie on this machine, else why not."""
    if run is None:
        return [], "there is no run folder that names its data"
    try:
        return [_patch(model, case) for case in itertools.islice(_cases(run, vouched), PATCHES)], ""
    except (ValueError, OSError, KeyError, TypeError, HydraException, OmegaConfBaseException) as error:
        cause = error.__cause__ if isinstance(error, HydraException) and error.__cause__ else error
        return [], f"the data of the run cannot be read here ({str(cause).splitlines()[0]})"


def _cases(run: RunFolder, vouched: Vouched) -> Iterator[Case]:
    """Read cases of the data set that a run names; nothing is downloaded."""
    source = build_data(_config(run, vouched)).source
    for entry in source.entries():
        if sum(file.stat().st_size for file in entry.files) > MOST_BYTES:
            raise ValueError(f"case {entry.name} has files of more than {MOST_BYTES} bytes")
        yield source.read(entry.name)


def _config(run: RunFolder, vouched: Vouched) -> Config:
    """Compose the configuration of the data: of our own run as it was trained; else see `segexp.trust`.

    Of a stranger's record only the option's name and texts such as paths count, and those as far as a run may name
    them.
    """
    record = run.record()
    if is_own(record) or vouched.everything:
        return compose_again(open_trained(run.path), vouched.words(), run.path)
    option = record["choices"]["data"]
    if option not in [path.stem for path in (config_dir() / "data").glob("*.yaml")]:
        raise ValueError(f"data={option!r} is none of our data sets")
    texts = record["config"]["data"]["source"].items()
    known = set(compose([f"data={option}"]).data.source)  # "in" does not see what must be given
    words = [
        f"data.source.{key}={quoted(Path(value))}"
        for key, value in texts
        if key in known and not key.startswith("_") and isinstance(value, str) and value
    ]
    remedy = "its data are not read"
    foreign = Foreign([f"data={option}", *words], run.path, run.record_path, remedy)
    return compose_checked(foreign, [], run.path)


def _patch(model: Model, case: Case) -> Tensor:
    """Make the center of a case ready for the network: (C, *T), T the training patch or the next size of a graph."""
    description = model.description
    if case.image.ndim == 4:
        case = slices_first(case, description.slice_axis)
    intensity = rule_from(description.intensity).of(case.image, case.valid)
    array = intensity.standardize(intensity.to_unit(case.image))
    image = torch.from_numpy(np.ascontiguousarray(array, np.float32))
    if image.ndim == 4 and description.spatial_dims == 2:  # the middle slice stands for the volume
        image = with_neighbors(image, torch.tensor([image.shape[1] // 2]), description.context)[0]
    if image.ndim != description.spatial_dims + 1 or len(image) != description.in_channels:
        raise ValueError(f"case {case.name} has shape {tuple(case.image.shape)}, which the network does not take")
    sizes = along_axes(model.network.even_sizes, description.spatial_dims)
    size = [even.at_least(side) for even, side in zip(sizes, description.patch_size, strict=True)]
    begin = [(have - want) // 2 for have, want in zip(image.shape[1:], size, strict=True)]
    return torch.from_numpy(np.ascontiguousarray(crop(image.numpy(), begin, size)))
