import json

import pytest

from segexp.runs.folder import RunFolder, SweepFolder
from segexp.runs.postprocess import choice_together, keep_steps, keep_together, kept_steps

STEPS = {"min_size": {"size": 10}}


def test_steps_count_for_the_epoch_that_they_were_chosen_for(tmp_path, caplog):
    run = RunFolder(tmp_path)
    assert kept_steps(run, 3) == {}
    keep_steps(run, STEPS, 3)
    assert kept_steps(run, 3) == STEPS
    assert not caplog.text
    assert kept_steps(run, 4) == {}
    assert "postprocess.json was chosen for epoch 3, but the best epoch is now 4: it is not applied" in caplog.text


def test_steps_written_by_hand_count_for_every_epoch(tmp_path):
    (tmp_path / "postprocess.json").write_text('{"min_size": {"size": 10}}')
    assert kept_steps(RunFolder(tmp_path), 7) == STEPS


@pytest.mark.parametrize("content", ["[]", '{"epoch": "three"}', '{"epoch": [1]}'])
def test_what_is_no_mapping_of_steps_is_named(tmp_path, content):
    (tmp_path / "postprocess.json").write_text(content)
    with pytest.raises(ValueError, match=r"postprocess\.json.* must be"):
        kept_steps(RunFolder(tmp_path), 1)


def runs_of(folder, **epochs: int) -> tuple[list[RunFolder], list[int]]:
    """Runs of a folder, by name and best epoch."""
    for name in epochs:
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "run.json").write_text(json.dumps({"status": "done", "id": f"id-{name}"}))
    return [RunFolder(folder / name) for name in epochs], list(epochs.values())


def together(steps: dict, **epochs: int) -> dict:
    return {
        "runs": {f"id-{name}": epoch for name, epoch in epochs.items()},
        "steps": steps,
        "chosen": {"threshold": 0.4},
    }


def test_what_was_chosen_for_runs_together_is_that_of_just_these_runs_and_epochs(tmp_path, caplog):
    sweep = SweepFolder(tmp_path)
    assert choice_together(*runs_of(tmp_path, a=1, b=2)) is None
    keep_together(sweep, together({"fill_holes": {}}, a=1, b=2))
    keep_together(sweep, together({"min_size": {"size": 9}}, c=0, d=0))
    keep_together(sweep, together({"fill_holes": {"max_size": 5}}, a=1, b=2))  # in place of the first
    assert choice_together(*runs_of(tmp_path, b=2, a=1))["steps"] == {"fill_holes": {"max_size": 5}}
    assert choice_together(*runs_of(tmp_path, c=0, d=0))["steps"] == {"min_size": {"size": 9}}
    assert caplog.text == ""
    assert choice_together(*runs_of(tmp_path, a=3, b=2)) is None  # a was resumed since
    assert "chosen for other runs of this folder, or other epochs" in caplog.text
    assert choice_together(*runs_of(tmp_path, a=1)) is None


@pytest.mark.parametrize(
    "content", ["{}", "[1]", '[{"runs": {"a": 1}, "steps": {"fill_holes": 3}, "chosen": {}}]', '[{"runs": {}}]']
)
def test_a_file_of_choices_that_holds_none_is_refused(tmp_path, content):
    (tmp_path / "out_of_fold_choices.json").write_text(content)
    with pytest.raises(ValueError, match=r"out_of_fold_choices\.json must be a list of choices"):
        choice_together(*runs_of(tmp_path, a=1, b=2))
