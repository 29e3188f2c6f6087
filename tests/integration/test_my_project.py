"""examples/my_project as its author uses it: beside an installed wheel, far from the checkout."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT, only, table

EXAMPLE = ROOT / "examples" / "my_project"
ROW = re.compile(r"^\| [^|`]+ \| (?:`(\w+)` in `(\S+)`|–) \| (\d+) \| `(\S+)` \| (\d+) \|$", re.MULTILINE)


def lines_of_code(text: str, name: str) -> int:
    """Lines of a class or function, without docstrings, comments and blank ones."""
    (found,) = [node for node in ast.parse(text).body if getattr(node, "name", None) == name]
    numbers = set(range(found.lineno, found.end_lineno + 1))
    for node in ast.walk(found):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            numbers -= set(range(node.lineno, node.end_lineno + 1))
    return lines([line for number, line in enumerate(text.splitlines(), start=1) if number in numbers])


def lines(texts: list[str]) -> int:
    return len([text for text in texts if text.strip() and not text.strip().startswith("#")])


def test_the_readme_counts_the_lines_of_every_part():
    rows = ROW.findall((EXAMPLE / "README.md").read_text())
    files = {str(path.relative_to(EXAMPLE)) for path in (EXAMPLE / "conf").rglob("*.yaml")}
    assert {row[3] for row in rows} == files
    counted = []
    for name, module, _, options, _ in rows:
        in_python = lines_of_code((EXAMPLE / module).read_text(), name) if name else 0
        in_yaml = lines((EXAMPLE / options).read_text().splitlines())
        counted.append((name, module, str(in_python), options, str(in_yaml)))
    assert rows == counted


@pytest.fixture(scope="module")
def project(wheel, tmp_path_factory) -> Path:
    """A copy of the example, and the wheel installed in a folder beside it."""
    folder = tmp_path_factory.mktemp("home") / "my_project"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", "outputs"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", folder.parent / "installed", wheel], check=True)
    return folder


def run(project: Path, program: str | Path, *words: str) -> str:
    """Run a program in the project; the environment sees the wheel, and nothing of the checkout."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SEGEXP", "PYTHON"))}
    environment = kept | {"PYTHONPATH": str(project.parent / "installed"), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    done = subprocess.run(
        [program, *words], cwd=project, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
    return done.stdout


def segexp(project: Path, *words: str) -> str:
    return run(project, project.parent / "installed" / "bin" / "segexp", *words)


@pytest.mark.slow
def test_the_wheel_is_what_is_used_and_the_projects_own_test_passes(project):
    where = run(project, sys.executable, "-c", "import segexp; print(segexp.__file__)")
    assert Path(where.strip()).is_relative_to(project.parent)
    assert "5 passed" in run(project, sys.executable, "-m", "pytest", "-q")


@pytest.mark.slow
def test_the_example_from_a_training_to_masks(project):
    words = ["--config-dir", "conf", "experiment=discs", "trainer=cpu", "callbacks.progress.enabled=false"]
    segexp(project, "train", *words)
    trained = only(project, "outputs/discs/*")
    norms = [float(row["weight_norm"]) for row in table(trained / "metrics.csv")]
    assert len(set(norms)) == 3
    assert "the same figures as at the end of the training" in segexp(project, "evaluate", f"run={trained}")

    networks = ["three_lines", "unet_tiny", *["monai_unet"] * (find_spec("monai") is not None)]
    sweep = [
        "data=disc_pairs",
        "name=sweep",
        "sweep.name=networks",
        f"model={','.join(networks)}",
        "trainer.max_epochs=1",
    ]
    segexp(project, "train", "-m", *words, *sweep)
    jobs = table(project / "outputs" / "networks" / "summary.csv")
    assert [row["runs"] for row in jobs] == ["1 of 1"] * len(networks)
    compared = segexp(project, "compare", "outputs/networks", "--metric", "area_difference")
    assert all(name in compared for name in (*networks, "area_difference"))

    (project / "scans").mkdir()
    image = np.random.default_rng(0).integers(0, 255, (70, 53), np.uint8)
    Image.fromarray(image).save(project / "scans" / "scan.png")
    segexp(project, "predict", f"run={trained}", "input=scans", "output=predicted")
    with Image.open(project / "predicted" / "scan.png") as mask:
        assert mask.size == (53, 70)
    other = only(project, "outputs/networks/*unet_tiny*")
    segexp(project, "predict", f"run={trained},{other}", "input=scans", "output=ensemble")
    assert (project / "ensemble" / "scan.png").is_file()
    for form in ("safetensors", "torch_export", *["onnx"] * (find_spec("onnxruntime") is not None)):
        assert "gives what the network gives" in segexp(project, "export", f"run={trained}", f"format={form}")
