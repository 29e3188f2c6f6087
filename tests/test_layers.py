"""Imports run downwards only; heavy libraries stay in their rooms."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "segexp"

FLOORS = [  # from the top; a room imports itself and the rooms of lower floors, never its neighbors
    {"__main__", "api"},
    {"commands"},
    {"stress", "viewers"},
    {"cli", "evaluation", "planning"},
    {"command_line", "early", "explain", "nearby"},
    {"trust"},
    {"build", "config"},
    {"prediction", "training"},
    {"checkpoints", "comparison"},
    {"pictures", "sweeps"},
    {"data", "inference", "losses", "metrics", "models", "postprocessing", "runs"},
    {"making", "merging", "parsed", "terminal"},
    {"signatures"},
    {"importable", "unimported"},
    {"begun", "crc", "errors", "foreign", "keys", "ranks", "stopping", "writing"},
]
BELOW = {room: set().union(*FLOORS[floor + 1 :]) for floor, rooms in enumerate(FLOORS) for room in rooms}
LIGHTNING = ("training", "build", "evaluation", "commands")
HYDRA = [
    "api",
    "cli",
    "config",
    "build",
    "early",
    "commands",
    "explain",
    "making",
    "merging",
    "parsed",
    "planning",
    "sweeps",
    "trust",
]
ONLY_IN = {
    "hydra": (*HYDRA, "trust"),
    "omegaconf": (*HYDRA, "trust"),
    "albumentations": ("data",),
    "monai": (),
}
TORCH_ALONE = {  # beside the standard library
    "models": {"segmentation_models_pytorch"},  # an extra
    "losses": set(),
    "inference": {"numpy"},  # mapped files
}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room_of(path: Path) -> str:
    inner = path.relative_to(SOURCE)
    return inner.parts[0] if len(inner.parts) > 1 else inner.stem


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def test_every_room_stands_on_a_floor():
    assert {room_of(path) for path in FILES} == set(BELOW)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_downwards_and_libraries_stay_in_their_rooms(path):
    room, names = room_of(path), set(imports(path))
    ours = {name.split(".")[1] for name in names if name.startswith("segexp.")}
    assert ours <= {room, *BELOW[room]}, f"{path} imports {ours - {room, *BELOW[room]}}"
    libraries = {name.split(".")[0] for name in names}
    for library, rooms in ONLY_IN.items():
        assert library not in libraries or room in rooms, f"{path} imports {library}"
    in_lightning = room in LIGHTNING or path == SOURCE / "data" / "datamodule.py"
    assert "pytorch_lightning" not in libraries or in_lightning, f"{path} imports Lightning"
    if room in TORCH_ALONE:
        others = libraries - sys.stdlib_module_names - {"torch", "segexp"}
        assert not others - TORCH_ALONE[room], f"{path} imports {others}"


def test_no_two_files_import_each_other_in_a_circle():
    modules = {".".join(path.relative_to(SOURCE.parent).with_suffix("").parts): path for path in FILES}
    arrows = {name: {other for other in imports(path) if other in modules} for name, path in modules.items()}
    while leaves := {name for name, targets in arrows.items() if not targets}:
        arrows = {name: targets - leaves for name, targets in arrows.items() if name not in leaves}
    assert not arrows, f"circle among {sorted(arrows)}"


@pytest.mark.parametrize(("module", "name"), [("segexp.prediction", "segment"), ("segexp.checkpoints", "open_model")])
def test_a_trained_network_is_used_without_lightning_and_hydra(module, name):
    script = f"import sys; from {module} import {name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert {"torch", module} <= loaded
    assert not loaded & {"pytorch_lightning", "hydra", "omegaconf", "torchmetrics", "albumentations"}
    assert not loaded & {"scipy", "skimage", "sklearn", "nibabel", "rich"}  # loaded where they are used


def test_no_room_has_a_name_that_says_nothing():
    names = {path.stem for path in FILES} | {path.name for path in SOURCE.rglob("*") if path.is_dir()}
    assert not names & {"utils", "common", "misc", "helpers", "core"}
