"""A real run on files, compared with the present and run again in a process of its own."""

import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from segexp.cli import main, resumed
from segexp.commands.reproduce import reproduce
from segexp.runs.recorder import present_facts
from tests.conftest import TINY, write_pairs

SETTINGS = [*TINY, "model.depth=1", "trainer=cpu", "trainer.max_epochs=1", "callbacks.progress.enabled=false"]
OVERRIDES = ["data=folder", "data.source.images=images", "data.source.masks=masks", *SETTINGS]


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A folder with data and a run of one epoch on them."""
    folder = tmp_path_factory.mktemp("project")
    write_pairs(folder, 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["segexp", "train", *OVERRIDES, "hydra.run.dir=outputs/first"])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        main()
        torch.set_num_threads(threads)
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch) -> Path:
    """A copy of it to change; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    now = present_facts()["git"]  # the checkout may be worked on while tests run
    change(folder / "outputs" / "first" / "run.json", lambda record: record.update(git=now))
    return folder


def status(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        reproduce(list(words))
    return int(stop.value.code)


def change(path: Path, edit) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    (path.parent / "checksums.json").unlink(missing_ok=True)  # as who changes a run on purpose would


def test_a_run_comes_out_again_bit_for_bit(project, capfd):
    run = project / "outputs" / "first"
    assert status("outputs/first") == 0
    printed = capfd.readouterr().out
    assert "nothing differs" in printed
    assert "the same, bit for bit" in printed
    again = project / "outputs" / "first-again"
    assert (again / "cases.csv").read_bytes() == (run / "cases.csv").read_bytes()
    assert json.loads((again / "run.json").read_text())["machine"]["threads"] == 1  # as recorded
    assert status("outputs/first") == 2
    assert "outputs/first-again is not empty" in capfd.readouterr().err


@pytest.mark.slow
def test_another_metric_is_shown_with_its_difference(project, capfd):
    def edit(results: dict) -> None:
        results["test"]["dice"] += 0.125

    change(project / "outputs" / "first" / "results.json", edit)
    assert status("outputs/first", "--output", "elsewhere") == 1
    printed = capfd.readouterr().out
    assert "not the same: 1 of " in printed
    assert "the largest difference is 0.125 (test/dice); nothing that was recorded differs" in printed
    assert (project / "elsewhere" / "results.json").is_file()


def test_check_names_what_differs_and_runs_nothing(project, capsys):
    def edit(record: dict) -> None:
        record["packages"]["torch"] = "1.13.0"
        record["config"]["model"]["depth"] = 3

    change(project / "outputs" / "first" / "run.json", edit)
    Image.new("L", (48, 48), 7).save(project / "images" / "scan_3.png")
    assert status("outputs/first", "--check") == 1
    printed = capsys.readouterr().out
    assert "what differs: torch, config, data fingerprint\n" in printed
    assert "1.13.0" in printed
    assert "model.depth" in printed
    assert [path.name for path in (project / "outputs").iterdir() if path.name.startswith("first")] == ["first"]


def test_missing_data_are_told_with_their_folder(project, capsys):
    (project / "masks" / "scan_1.png").unlink()
    (project / "images").rename(project / "moved")
    assert status("outputs/first") == 2
    said = capsys.readouterr()
    assert "images is not a folder" in said.err
    assert "nothing differs" in said.out  # code, packages and configuration are compared all the same


def test_data_that_would_be_downloaded_are_not(project, capsys):
    def edit(record: dict) -> None:
        record["overrides"] = ["data=isbi", f"data.source.root={project}/isbi", *SETTINGS]

    change(project / "outputs" / "first" / "run.json", edit)
    assert status("outputs/first", "--check") == 2
    said = capsys.readouterr()
    assert f"the data are not all there: 60 files are missing in {project}/isbi/train" in said.err
    assert "config: data.source._target_" in said.out
    assert not (project / "isbi").exists()


def test_an_override_that_is_no_longer_known_is_told(project, capsys):
    change(project / "outputs" / "first" / "run.json", lambda record: record["overrides"].append("model.dpeth=3"))
    assert status("outputs/first") == 2
    assert "do not fit the present configuration: segexp train: model.dpeth: no such key" in capsys.readouterr().err


def test_own_configuration_files_are_found_again(project, capsys):
    (project / "mine" / "model").mkdir(parents=True)
    (project / "mine" / "model" / "small.yaml").write_text("defaults: [unet_tiny]\ndropout: 0.5\n")

    def edit(record: dict) -> None:
        record["config_dirs"] = [str(project / "mine")]
        record["overrides"].insert(0, "model=small")
        record["config"]["model"]["dropout"] = 0.5

    change(project / "outputs" / "first" / "run.json", edit)
    assert status("outputs/first", "--check") == 2
    assert "give --trust if it is yours" in capsys.readouterr().err
    for own in ("--trust", "--config-dir=mine"):
        assert status("outputs/first", "--check", own) == 0
        assert "nothing differs" in capsys.readouterr().out
    (project / "mine").rename(project / "moved")
    assert status("outputs/first", "--check", "--trust") == 2
    assert "mine, where there is no folder now" in capsys.readouterr().err
    assert status("outputs/first", "--check", "--config-dir=moved") == 0


@pytest.mark.parametrize(
    "hostile",
    [
        "model._target_=mine.run",
        "model={_target_: mine.run}",
        "+callbacks.own={_target_: mine.run}",
        "hydra.searchpath=[file://mine]",
        "+hydra.searchpath=[file://mine]",
        "--config-dir=mine",
        ["model=unet"],
    ],
)
def test_what_a_run_brings_along_is_not_run(project, capsys, hostile):
    """Neither by reproduce nor by resume: `mine.py` would leave a mark."""
    (project / "mine.py").write_text("from pathlib import Path\nPath('ran').touch()\ndef run(**_): pass\n")
    folder = project / "outputs" / "first"
    change(folder / "run.json", lambda record: record["overrides"].append(hostile))
    (folder / "overrides.yaml").write_text(json.dumps([hostile]))
    for words in (("outputs/first", "--check"), ("outputs/first",)):
        assert status(*words) == 2
        assert re.search("holds|must be str", capsys.readouterr().err)
    change(folder / "run.json", lambda record: record.update(status="interrupted"))
    with pytest.raises(ValueError, match="holds|cannot be read|must be str"):
        resumed(["resume=outputs/first"])
    assert not (project / "ran").exists()


def test_code_that_is_given_again_may_be_resumed(project):
    folder = project / "outputs" / "first"
    change(folder / "run.json", lambda record: record.update(status="interrupted"))
    (folder / "overrides.yaml").write_text(json.dumps(["model._target_=mine.Net", "seed=1"]))
    words = resumed(["resume=outputs/first", "model._target_=mine.Net"])
    assert words.count("model._target_=mine.Net") == 2


@pytest.mark.parametrize(
    ("word", "said"), [("outputs/frist", "no run there"), ("outputs", "outputs holds 2 runs: name one of them")]
)
def test_one_run_must_be_meant(project, capsys, word, said):
    shutil.copytree(project / "outputs" / "first", project / "outputs" / "second")
    assert status(word) == 2
    assert said in capsys.readouterr().err


def test_a_run_without_results_can_only_be_checked(project, capsys):
    (project / "outputs" / "first" / "results.json").unlink()
    assert status("outputs/first") == 2
    assert "has no results.json (status done): only --check is possible" in capsys.readouterr().err
