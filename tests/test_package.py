"""The wheel, installed in an empty folder, trains."""

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from segexp import __version__

ROOT = Path(__file__).parents[1]


def test_wheel_holds_configuration_and_pinned_hashes(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "segexp/conf/train.yaml" in names
    assert "segexp/conf/model/unet_bilinear.yaml" in names
    assert {f"segexp/data/sources/{name}.sha256" for name in ("isbi2012", "hippocampus")} <= set(names)
    assert {"segexp/conf/hydra/launcher/local.yaml", "hydra_plugins/segexp_sweeps/launcher.py"} <= set(names)
    assert "segexp/comparison/page_assets/page.html" in names
    assert "segexp/py.typed" in names
    assert not [name for name in names if name.startswith(("outputs", "tests", "segexp/conf/local"))]


def test_every_extra_stands_on_the_page_of_installing():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "install.md").read_text()
    extras = set(project["optional-dependencies"]) - {"dev", "docs"}
    assert {extra for extra in extras if f"`{extra}`" not in page} == set()


def test_make_sets_up_users_without_what_developers_need():
    """What ``make setup`` installs is the dependencies; ``make test``, ``lint`` and ``docs`` want the extra dev."""
    rules = (ROOT / "Makefile").read_text()
    assert "\ntrain: $(READY)" in rules
    for target in ("test", "test-slow", "lint", "docs"):
        assert f"\n{target}: $(DEV)" in rules
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    assert not names & {"scikit-learn", "pandas", "matplotlib", "monai", "pytest"}


def test_citation_has_what_the_format_requires():
    """Citation File Format 1.2.0: https://doi.org/10.5281/zenodo.5171937."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == __version__
    assert all("name" in author for author in citation["authors"])


def test_changelog_begins_with_this_version():
    lines = (ROOT / "CHANGELOG.md").read_text().splitlines()
    versions = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert versions[0] == __version__


def test_workflow_and_pre_commit_run_what_the_makefile_runs():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    steps = workflow["jobs"]["check"]["steps"]
    assert steps[-1] == {"run": "bash .ci/run"}
    assert (ROOT / ".ci" / "run").is_file()
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert [hook["entry"].split()[0] for hook in hooks] == [".venv/bin/ruff", ".venv/bin/ruff", ".venv/bin/mypy"]


def test_every_pinned_version_fits_the_declared_one():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    texts = [*project["dependencies"], *extras["dev"], *extras["docs"], *extras["io"]]
    requirements = [Requirement(text) for text in texts]
    names = {canonicalize_name(name): version for name, version in pinned.items()}
    for requirement in requirements:
        if requirement.name != "segexp":
            version = names[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} is pinned at {version}"


def test_installed_wheel_trains_in_an_empty_folder(wheel, tmp_path):
    """The wheel's own files are used: the environment sees this one's dependencies, but not the checkout."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    site = next((home / "lib").glob("python*/site-packages"))
    zipfile.ZipFile(wheel).extractall(site)
    outer = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    ours = ("segexp", "hydra_plugins")
    links = [path for path in outer.iterdir() if not path.name.startswith(ours) and path.suffix != ".pth"]
    for path in links:
        (site / path.name).symlink_to(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    words = [
        "data.source.size=[48,48]",
        "data.source.count=5",
        "data.sampling.patch_size=[32,32]",
        "data.sampling.patches_per_epoch=8",
    ]
    words += ["model.base_channels=2", "model.depth=1", "trainer=cpu", "trainer.max_epochs=1"]
    code = "import sys, segexp; from segexp.cli import main; assert 'environment' in segexp.__file__; main()"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SEGEXP", "PYTHON"))}
    done = subprocess.run(
        [python, "-c", code, "train", *words], cwd=empty, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(list(empty.glob("outputs/synthetic-unet_tiny/*/results.json"))) == 1
