"""Handing a trained network over: safetensors, ONNX or torch.export, compared with the network before it is done."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

import segexp
from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.graph_sizes import graph_sizes
from segexp.checkpoints.package import SUFFIXES, json_beside, read_content, write_content, write_tensors
from segexp.data.files.hidden import hidden_folder
from segexp.errors import require_choice

TOLERANCE = 1e-4  # of the largest logit, or of 1 where all are smaller; float32 sums in another order differ by less
Logits = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Facts:
    """What goes into the JSON file beside the description, as plain values.

    Attributes:
        colours: RGB per class or region, None for the background.
        scores: Final figures of the run, None = unknown.
        data_fingerprint: Of the data that the run saw, None = unknown.
    """

    colours: Sequence[Sequence[int] | None]
    scores: Mapping[str, Any] | None = None
    data_fingerprint: str | None = None


def export(
    model: Model, path: Path, form: str, facts: Facts, patches: Sequence[Tensor], verify: bool = True
) -> dict[str, Any]:
    """Write a model and its JSON file; where it does not agree with the network, leave nothing.

    Args:
        model: What is exported.
        path: Of the file, with the suffix of its format; it appears, or is replaced, whole.
        form: "safetensors", "onnx" or "torch_export".
        facts: More for the JSON file.
        patches: Real patches (C, *T), as the network takes them, to compare on; noise is taken beside them.
        verify: False = do not compare.

    Returns:
        What the comparison found, as in the JSON file; empty if there was none.

    Raises:
        ImportError: A package that the format needs is not there.
        ValueError: The format is unknown, the path has another suffix, or the file does not agree with the network.
    """
    require_choice("format", form, SUFFIXES)
    if path.suffix != SUFFIXES[form]:
        raise ValueError(f"output={path} must end in {SUFFIXES[form]} for format={form}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with hidden_folder(path.parent, "export") as folder:
        folder.mkdir()
        draft = folder / path.name
        WRITERS[form](model, draft)
        content = _content(model, form, facts)
        write_content(draft, content)
        found = _verified(model, draft, form, patches) if verify else None
        write_content(draft, content | {"verified": found})
        draft.replace(path)
        json_beside(draft).replace(json_beside(path))
    return found or {}


def _content(model: Model, form: str, facts: Facts) -> dict[str, Any]:
    return {
        "format": form,
        "parameters": sum(parameter.numel() for parameter in model.network.parameters()),
        "description": model.description.to_plain(),
        "sizes": None if form == "safetensors" else graph_sizes(model).plain,
        **vars(facts),
        "verified": None,
        "segexp_version": segexp.__version__,
    }


# Writing


def _write_safetensors(model: Model, path: Path) -> None:
    write_tensors(path, model.network.state_dict())


def _write_torch_export(model: Model, path: Path) -> None:
    torch.export.save(_graph(model), path)


def _write_onnx(model: Model, path: Path) -> None:
    """Write one ONNX file, weights included.

    Raises:
        ImportError: onnx or onnxscript is not there.
    """
    _require("onnx", "onnxscript", "onnxruntime")
    with _quiet():
        program = torch.onnx.export(
            _graph(model), dynamo=True, input_names=["image"], output_names=["logits"], verbose=False
        )
    assert program is not None
    program.save(path, external_data=False)


WRITERS: dict[str, Callable[[Model, Path], None]] = {
    "safetensors": _write_safetensors,
    "onnx": _write_onnx,
    "torch_export": _write_torch_export,
}


def _graph(model: Model) -> ExportedProgram:
    """Trace the network for any batch and any of its ``graph_sizes``."""
    sizes = graph_sizes(model)
    dims, step = model.config["spatial_dims"], sizes.multiple_of
    plus, most = sizes.least % step, sizes.least // step
    axes: dict[int, Any] = {0: Dim("batch", min=1)}
    for axis in range(dims):
        steps = step * Dim(f"steps_{axis}", min=most)
        axes[2 + axis] = steps + plus if plus else steps
    # Unequal sides, so that the trace takes no two of them for one.
    example = torch.zeros(2, model.config["in_channels"], *(sizes.least + step * (axis + 1) for axis in range(dims)))
    with _quiet():
        graph = torch.export.export(model.network, (example,), dynamic_shapes={"image": axes})
    for node in graph.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the exporters say of themselves from the terminal."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _require(*packages: str) -> None:
    for name in packages:
        try:
            __import__(name)
        except ImportError as error:
            raise ImportError(
                f"format=onnx needs {name}, which is not installed: pip install 'segexp[onnx]', "
                "or take format=safetensors or torch_export"
            ) from error


# Comparing


def _read_safetensors(path: Path) -> tuple[Logits, str]:
    return open_model(path).network, f"segexp {segexp.__version__}"


def _read_torch_export(path: Path) -> tuple[Logits, str]:
    return torch.export.load(path).module(), f"torch {torch.__version__}"


def _read_onnx(path: Path) -> tuple[Logits, str]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return (
        lambda image: torch.from_numpy(session.run(["logits"], {"image": image.numpy()})[0]),
        f"onnxruntime {metadata.version('onnxruntime')}",
    )


READERS: dict[str, Callable[[Path], tuple[Logits, str]]] = {
    "safetensors": _read_safetensors,
    "onnx": _read_onnx,
    "torch_export": _read_torch_export,
}


def _verified(model: Model, path: Path, form: str, patches: Sequence[Tensor]) -> dict[str, Any]:
    """Compare a file with the network on real patches and on noise.

    Raises:
        ValueError: They do not agree.
    """
    read_content(path)
    again, reader = READERS[form](path)
    noise = noise_images(model)
    far, tolerance = 0.0, TOLERANCE
    with torch.inference_mode():
        for image in [*(patch[None] for patch in patches), *noise]:
            wanted = model.network(image)
            scale = max(1.0, float(wanted.abs().max()))
            difference = deviation(wanted, again(image)) / scale
            if not difference <= tolerance:
                raise ValueError(
                    f"the {form} file differs from the network by {difference:.3g} of its largest logit on an image of "
                    f"{list(image.shape)}, more than {tolerance:g}: nothing was left at its place"
                )
            far = max(far, difference)
    return {
        "with": reader,
        "real_patches": len(patches),
        "noise_images": len(noise),
        "largest_deviation": far,
        "tolerance": tolerance,
    }


def deviation(one: Tensor, two: Tensor) -> float:
    """Largest difference; infinite where the sizes differ or a value is not finite."""
    if one.shape != two.shape or not (one.isfinite().all() and two.isfinite().all()):
        return float("inf")
    return float((one - two).abs().max())


def noise_images(model: Model) -> list[Tensor]:
    """Noise (B, C, *S) of three sizes: the training patch (or the next size that a graph takes) and two others."""
    sizes, generator = graph_sizes(model), torch.Generator().manual_seed(0)
    patch = [sizes.at_least(side) for side in model.description.patch_size]
    other = [side + sizes.multiple_of * (axis + 1) for axis, side in enumerate(patch)]
    channels = model.config["in_channels"]
    shapes = ((1, *patch), (1, *other), (2, *[sizes.least] * len(patch)))
    return [torch.randn(batch, channels, *size, generator=generator) for batch, *size in shapes]
