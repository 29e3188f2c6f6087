"""Handing a trained network over: safetensors, ONNX or torch.export, compared with the network before it is done."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.export import Dim, ExportedProgram

import segexp
from segexp.checkpoints.checkpoint import Model, open_model
from segexp.checkpoints.package import Facts, Package, Verification, json_beside, read_package, write_package
from segexp.checkpoints.rules import SUFFIXES
from segexp.errors import require_choice
from segexp.models import own_module
from segexp.models.sizes import EvenSizes, along_axes, pad_end
from segexp.writing import hidden_folder, replacing, settle

TOLERANCE = 1e-4  # of the largest logit, or of 1 where all are smaller; float32 sums in another order differ by less
WIDER_STEPS = (32, 64)  # pixels between two sizes of a graph; each takes a trace
Logits = Callable[[Tensor], Tensor]
Sizes = tuple[EvenSizes, ...]  # per axis


def export(
    model: Model, path: Path, form: str, facts: Facts, patches: Sequence[Tensor], verify: bool = True
) -> Verification | None:
    """Write a model and its JSON file; where it does not agree with the network, leave nothing.

    Args:
        model: Model to export.
        path: Path to the file, with the suffix of its format; it appears, or is replaced, whole.
        form: Format: "safetensors", "onnx" or "torch_export".
        facts: Facts of its run, for the JSON file.
        patches: Real patches (C, *T), as the network takes them, to compare on; noise is taken beside them.
        verify: False = do not compare.

    Returns:
        The result of the comparison, as in the JSON file; None if there was none.

    Raises:
        ImportError: A package that the format needs is not there.
        ValueError: The format is unknown, the path has another suffix, or the file does not agree with the network.
    """
    require_choice("format", form, SUFFIXES)
    if path.suffix != SUFFIXES[form]:
        raise ValueError(f"output={path} must end in {SUFFIXES[form]} for format={form}")
    path.parent.mkdir(parents=True, exist_ok=True)
    graph, sizes = (None, None) if form == "safetensors" else _graph(model)
    package = Package(
        **vars(facts),
        format=form,
        parameters=sum(parameter.numel() for parameter in model.network.parameters()),
        description=model.description,
        sizes=None if sizes is None else in_plain_values(sizes),
        verified=None,
        segexp_version=segexp.__version__,
    )
    with hidden_folder(path.parent) as folder:
        folder.mkdir(exist_ok=True)
        draft = folder / path.name
        WRITERS[form](model, graph, draft)
        write_package(draft, package)  # the comparison reads it, as whoever opens the file will
        if verify:
            package = replace(package, verified=_verify(model, draft, form, patches, sizes or next(_candidates(model))))
            write_package(draft, package)
        settle(draft, path)
        settle(json_beside(draft), json_beside(path))
    return package.verified


def _write_safetensors(model: Model, _: Any, path: Path) -> None:
    tensors = model.network.state_dict()
    with replacing(path) as part:  # with the mode that umask gives, which save_file does not heed
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, part)


def _write_onnx(_: Model, graph: Any, path: Path) -> None:
    """Write one ONNX file, weights included."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            __import__(name)
        except ImportError as error:
            raise ImportError(
                f"format=onnx needs {name}, which is not installed: pip install 'segexp[onnx]', "
                "or take format=safetensors or torch_export"
            ) from error
    with _quiet():
        program = torch.onnx.export(graph, dynamo=True, input_names=["image"], output_names=["logits"], verbose=False)
    assert program is not None
    program.save(path, external_data=False)


WRITERS: dict[str, Callable[[Model, Any, Path], None]] = {
    "safetensors": _write_safetensors,
    "onnx": _write_onnx,
    "torch_export": lambda _, graph, path: torch.export.save(graph, path),
}


def in_plain_values(sizes: Sizes) -> dict[str, int | list[int]]:
    """Sizes in plain values, each one number for all axes, or where these differ one per axis."""
    by_name = {name: [getattr(one, name) for one in sizes] for name in ("least", "multiple_of", "plus")}
    alike = all(one == sizes[0] for one in sizes)
    return {name: values[0] if alike else values for name, values in by_name.items()}


def _graph(model: Model) -> tuple[ExportedProgram, Sizes]:
    """Trace the network for any batch and any of its even sizes; return these, too.

    At other sizes the network pads, crops or rounds, which a graph has no branches for. A network of others may do so
    at sizes that it takes: then sizes farther apart are tried.

    Raises:
        ValueError: The network cannot be traced; says why.
    """
    faults = []
    for sizes in _candidates(model):
        try:
            graph = _traced(model, sizes)
            if own_module(model.network) is not model.network:
                _try(graph, model, sizes)
            return graph, sizes
        except Exception as error:  # whatever the tracer or a network may raise
            faults.append(error)
    why = " ".join(str(faults[0]).split())[:400]
    raise ValueError(
        f"{type(own_module(model.network)).__name__} cannot be traced: {type(faults[0]).__name__}: {why}; "
        "format=safetensors needs no tracing"
    ) from faults[0]


def _try(graph: ExportedProgram, model: Model, sizes: Sizes) -> None:
    """Run a graph at several sizes; at some it may hold what was true of the traced one alone.

    Raises:
        ValueError: It gives something else than the network.
    """
    run = graph.module()
    with torch.inference_mode():
        for image in noise_images(model, sizes):
            expected = model.network(image)
            if not deviation(expected, run(image)) <= TOLERANCE * max(1.0, float(expected.abs().max())):
                raise ValueError(f"the graph differs from the network on an image of {list(image.shape)}")


def _candidates(model: Model) -> Iterator[Sizes]:
    """Sizes for which a graph may be traced: those that the network tells; of an adapted one wider steps, too."""
    told = along_axes(model.network.even_sizes, model.description.spatial_dims)
    yield told
    widest = max(even.multiple_of for even in told)
    if own_module(model.network) is not model.network:
        for step in WIDER_STEPS:
            if 0 < widest < step:
                yield tuple(_every(step // widest, even) for even in told)
    if widest:  # at least the one of the training
        longest = max(model.description.patch_size)
        yield tuple(EvenSizes(even.at_least(longest), 0) for even in told)


def _every(factor: int, even: EvenSizes) -> EvenSizes:
    """Keep every so many of the sizes."""
    step = factor * even.multiple_of
    return EvenSizes(EvenSizes(even.plus, step).at_least(even.least), step)


def _traced(model: Model, sizes: Sizes) -> ExportedProgram:
    axes: dict[int, Any] = {0: Dim("batch", min=1)}
    for axis, even in enumerate(sizes):
        step = even.multiple_of
        if step:
            many = step > 1
            steps = step * Dim(f"steps_{axis}", min=even.least // step) if many else Dim(f"side_{axis}", min=even.least)
            axes[2 + axis] = steps + even.plus if even.plus else steps
    # Unequal sides, so that the trace takes no two of them for one.
    sides = [even.least + even.multiple_of * (axis + 1) for axis, even in enumerate(sizes)]
    example = torch.zeros(2, model.description.in_channels, *sides)
    with _quiet():
        graph = torch.export.export(own_module(model.network), (example,), dynamic_shapes=(axes,))
    for node in graph.graph.nodes:
        node.meta.pop("stack_trace", None)  # it names folders of this machine
    return graph


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' own messages from the terminal."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


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
    "safetensors": lambda path: (open_model(path).network, f"segexp {segexp.__version__}"),
    "onnx": _read_onnx,
    "torch_export": lambda path: (torch.export.load(path).module(), f"torch {torch.__version__}"),
}


def _verify(model: Model, path: Path, form: str, patches: Sequence[Tensor], sizes: Sizes) -> Verification:
    """Compare a file with the network on real patches and on noise; refuses one that does not agree."""
    read_package(path)
    exported, reader = READERS[form](path)
    noise = noise_images(model, sizes)
    largest = 0.0
    real = []
    for patch in patches:
        sides = [even.at_least(side) for even, side in zip(sizes, patch.shape[1:], strict=True)]
        real.append(pad_end(patch[None], sides))
    with torch.inference_mode():
        for image in [*real, *noise]:
            expected = model.network(image)
            scale = max(1.0, float(expected.abs().max()))
            difference = deviation(expected, exported(image)) / scale
            if not difference <= TOLERANCE:  # nan included
                raise ValueError(
                    f"the {form} file differs from the network by {difference:.3g} of its largest logit on an image of "
                    f"{list(image.shape)}, more than {TOLERANCE:g}: nothing was left at its place"
                )
            largest = max(largest, difference)
    return {
        "with": reader,
        "real_patches": len(patches),
        "noise_images": len(noise),
        "largest_deviation": largest,
        "tolerance": TOLERANCE,
    }


def deviation(one: Tensor, two: Tensor) -> float:
    """Largest difference; infinite where the sizes differ or a value is not finite."""
    if one.shape != two.shape or not (one.isfinite().all() and two.isfinite().all()):
        return float("inf")
    return float((one - two).abs().max())


def noise_images(model: Model, sizes: Sizes) -> list[Tensor]:
    """Noise (B, C, *S) of three sizes: the training patch (or the next size that a graph takes) and two others."""
    channels = model.description.in_channels
    patch = [even.at_least(side) for even, side in zip(sizes, model.description.patch_size, strict=True)]
    other = [side + even.multiple_of * (axis + 1) for axis, (even, side) in enumerate(zip(sizes, patch, strict=True))]
    smallest = [even.least for even in sizes]
    generator = torch.Generator().manual_seed(0)
    shapes = ((1, channels, *patch), (1, channels, *other), (2, channels, *smallest))
    return [torch.randn(shape, generator=generator) for shape in shapes]
