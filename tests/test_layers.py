"""Imports run downwards only; heavy libraries stay in their rooms."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "segexp"

GROUND = {"models", "losses", "metrics", "data", "inference", "analysis"}
MAY_IMPORT = {
    **{room: {room, "errors"} for room in GROUND},
    "training": {"training", "models", "losses", "metrics", "data", "inference", "errors"},
    "build": {"training", *GROUND, "errors"},
    "prediction": {"prediction", "training", "data", "inference", "errors"},
    "scoring": {
        "scoring",
        "prediction",
        "build",
        "config",
        "training",
        "data",
        "inference",
        "metrics",
        "analysis",
        "sweeps",
        "errors",
    },
    "sweeps": {"sweeps", "errors"},
    "commands": {
        "commands",
        "prediction",
        "scoring",
        "build",
        "config",
        "analysis",
        "sweeps",
        "training",
        "data",
        "inference",
        "metrics",
        "errors",
    },
    "cli": {"commands", "config", "errors"},
    "config": {"training", "data", "sweeps"},  # inside a resolver, at use
    "errors": set(),
    "__main__": {"cli"},
}
ONLY_IN = {
    "hydra": {"cli", "config", "build", "commands", "sweeps"},
    "omegaconf": {"cli", "config", "build", "commands", "sweeps"},
    "pytorch_lightning": {"training", "build", "scoring", "commands", "data"},
    "albumentations": {"data"},
    "monai": set(),
}
TORCH_ALONE = {"models", "losses", "inference"}  # beside the standard library
ARRAYS = {
    "streaming": {"numpy"},
    "postprocess": {"numpy", "scipy", "skimage"},
    "components": {"numpy", "scipy", "skimage"},
}  # what leaves the network's tensors


def files() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        inner = path.relative_to(SOURCE)
        room = inner.parts[0] if len(inner.parts) > 1 else inner.stem
        if room != "__init__":
            found.append((room, path))
    return found


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize(("room", "path"), files(), ids=lambda value: str(value).rpartition("segexp/")[2])
def test_a_file_imports_only_what_its_room_may(room, path):
    names = imports(path)
    ours = {name.split(".")[1] for name in names if name.startswith("segexp.")}
    assert ours <= MAY_IMPORT[room], f"{path.name} imports {ours - MAY_IMPORT[room]}"
    outside = {name.split(".")[0] for name in names}
    for library, rooms in ONLY_IN.items():
        assert library not in outside or room in rooms, f"{path.name} imports {library}"
    if room in TORCH_ALONE:
        assert not outside & ({"numpy", "scipy", "skimage", "cv2", "torchmetrics"} - ARRAYS.get(path.stem, set())), path


def test_no_room_has_a_name_that_says_nothing():
    names = {path.stem for _, path in files()} | {path.name for path in SOURCE.rglob("*") if path.is_dir()}
    assert not names & {"utils", "common", "misc", "helpers", "core"}
