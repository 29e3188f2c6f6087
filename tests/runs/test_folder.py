import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from segexp.config import compose
from segexp.runs.folder import RunFolder

SOURCE = Path(__file__).parents[2] / "src" / "segexp"
NAMES = re.compile(
    r"(run|results|postprocess)\.json|(cases|metrics)\.csv|(config|overrides)\.yaml|(last|best)\.ckpt|\.lock|log\.txt"
    r"|events\.out\.tfevents\.\*"
)
FOLDERS = {"checkpoints", "figures"}
OTHERS = {"pictures/audit_report.py"}  # the table of an audit, which is no run, has a name that a run uses, too


def names_in(code: str) -> Iterator[str]:
    """Find the file names of a run that code uses as paths; sentences that mention one are left alone."""
    nodes = list(ast.walk(ast.parse(code)))
    inside = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
        elif isinstance(node, ast.Constant) and id(node) not in inside:
            text = str(node.value)
        else:
            text = ""
        if NAMES.fullmatch(text.rpartition("/")[2]):
            yield text
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            yield from {str(node.right.value)} & FOLDERS


@pytest.mark.parametrize(
    ("code", "names"),
    [
        ('folder / "run.json"', ["run.json"]),
        ('f"{folder}/last.ckpt"', ["x/last.ckpt"]),
        ('folder / "figures" / "a.png"', ["figures"]),
        ('result["figures"]', []),
        ('"there is no run.json in it"', []),
        ('f"{path.name}.mlflow.lock"', []),
    ],
)
def test_the_search_for_file_names_finds_paths_alone(code, names):
    assert list(names_in(code)) == names


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_the_run_folder_knows_the_names_of_its_files(path):
    found, name = list(names_in(path.read_text())), str(path.relative_to(SOURCE))
    assert bool(found) == (name in {"runs/folder.py", *OTHERS}), found


def test_the_configuration_names_the_same_files(tmp_path):
    run, callbacks = RunFolder(tmp_path), compose([f"paths.run_dir={tmp_path}"]).callbacks
    assert callbacks.table.path == str(run.curves_path)
    assert callbacks.overview.record == str(run.record_path)
    assert callbacks.panels.folder == str(run.figures)
    assert callbacks.last.path == str(run.last_checkpoint)
    assert f"{callbacks.best.dirpath}/{callbacks.best.filename}.ckpt" == str(run.best_checkpoint)


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_what_is_not_there_yet_is_empty(tmp_path):
    run = RunFolder(tmp_path / "none")
    assert (run.record(), run.results(), run.postprocess(), run.cases(), run.curves()) == ({}, {}, {}, [], [])
    assert not run.is_resumable


def test_arguments_are_read_as_they_were_written(tmp_path):
    run = RunFolder(tmp_path)
    run.write_arguments({"seed": 1, "data": {"name": "é"}}, ["seed=1", "loss=ce"])
    assert run.config() == {"seed": 1, "data": {"name": "é"}}
    assert run.overrides() == ["seed=1", "loss=ce"]
    write(run.last_checkpoint, "")
    assert run.is_resumable


def test_a_run_is_found_itself_or_below(tmp_path):
    write(tmp_path / "a" / "b" / "run.json", "{}")
    write(tmp_path / "c" / "run.json", "{}")
    write(tmp_path / "c" / "d" / "run.json", "{}")
    assert {run.path for run in RunFolder.below(tmp_path)} == {
        tmp_path / "a" / "b",
        tmp_path / "c",
        tmp_path / "c" / "d",
    }
    assert [run.path for run in RunFolder.below(tmp_path / "c")] == [tmp_path / "c"]
    assert RunFolder(tmp_path / "c").holds_others()
    assert not RunFolder(tmp_path / "a" / "b").holds_others()


def test_a_checkpoint_leads_to_its_run(tmp_path):
    record = write(tmp_path / "a" / "run.json", "{}")
    run = RunFolder(record.parent, foreign=True)
    inside, elsewhere = write(run.best_checkpoint, ""), write(tmp_path / "best.ckpt", "")
    assert RunFolder.holding(inside) == RunFolder.holding(record.parent) == run
    assert RunFolder.holding(elsewhere) is RunFolder.holding(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"status": "done", "status": "done"}', "cannot be read as JSON: a key stands there twice"),
        ('{"status": "done", "x": NaN}', "NaN is not finite"),
        ('{"status": "' + "a" * (8 << 20) + '"}', "a JSON file of ours has 8388608 at most"),
    ],
)
def test_a_run_of_somebody_else_is_read_with_more_care(tmp_path, content, said):
    write(tmp_path / "run.json", content)
    assert RunFolder(tmp_path).record()
    with pytest.raises(ValueError, match=rf"run.json.*{said}.*; remove that run, or leave it out"):
        RunFolder(tmp_path, foreign=True).record()


def test_a_link_out_of_a_foreign_run_is_refused(tmp_path):
    write(tmp_path / "secret.json", '{"status": "done"}')
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").symlink_to(tmp_path / "secret.json")
    assert RunFolder(tmp_path / "run").record() == {"status": "done"}
    with pytest.raises(ValueError, match="is a link that leads out of"):
        RunFolder(tmp_path / "run", foreign=True).record()


def test_steps_must_be_a_mapping(tmp_path):
    write(tmp_path / "postprocess.json", "[]")
    with pytest.raises(ValueError, match="postprocess.json must be a mapping of steps"):
        RunFolder(tmp_path).postprocess()
