"""What of benchmarks.equal_minutes needs neither peers nor data: layouts, scores, the table, the watch on train.py."""

import json
import sys
import time

import nibabel as nib
import numpy as np
import pytest
from benchmarks.equal_minutes import __main__ as command_line
from benchmarks.equal_minutes.datasets import SETS, DataSet, prepare, read_labels, truths, write
from benchmarks.equal_minutes.methods import METHODS, NAMES, Job, Outcome, steps_of
from benchmarks.equal_minutes.peers import Peers, command
from benchmarks.equal_minutes.pytorch_unet import Watch, evenly, train
from benchmarks.equal_minutes.scores import Row, score, table
from PIL import Image

from tests.conftest import write_pairs


def images(folder):
    write_pairs(folder / "files", 6)
    source = [f"data.source.images={folder}/files/images", f"data.source.masks={folder}/files/masks"]
    split = ["data.split.val=0.2", "data.split.test=0.4"]
    return DataSet("pairs", ("data=folder", *source, *split), ("background", "object"), channel_names=("gray",))


@pytest.fixture
def layouts(tmp_path):
    return prepare(images(tmp_path), tmp_path / "prepared")


def test_every_case_lies_in_one_part_of_each_layout(layouts):
    split = layouts.split
    assert (len(split.train), len(split.val), len(split.test)) == (3, 1, 2)
    learned = {*split.train, *split.val}
    for folder in (layouts.raw / "labelsTr", layouts.slices / "imgs", layouts.slices / "masks"):
        assert {path.stem for path in folder.iterdir()} == learned
    assert {path.name for path in (layouts.raw / "imagesTs").iterdir()} == {f"{name}_0000.png" for name in split.test}
    assert {path.stem for path in layouts.test.iterdir()} == set(split.test)
    lists = json.loads(layouts.monai.read_text())
    assert [len(lists[part]) for part in ("train", "val", "test")] == [3, 1, 2]
    assert all("label" not in files for files in lists["test"])
    assert json.loads((layouts.raw / "dataset.json").read_text())["numTraining"] == 4


def test_files_hold_what_the_source_has(layouts, tmp_path):
    name = layouts.split.train[0]
    original = np.asarray(Image.open(tmp_path / "files" / "masks" / f"{name}.png")) // 255
    np.testing.assert_array_equal(read_labels(layouts.mask(name)), original)
    np.testing.assert_array_equal(Image.open(layouts.image(name)), Image.open(tmp_path / f"files/images/{name}.png"))


def test_a_set_that_is_there_is_left_as_it_is(layouts):
    before = layouts.lists.stat().st_mtime_ns
    again = prepare(layouts.data_set, layouts.folder)
    assert (again, again.lists.stat().st_mtime_ns) == (layouts, before)
    with pytest.raises(
        ValueError, match=r"prepared.json tells of another number of cases than --cases=1: give another"
    ):
        prepare(layouts.data_set, layouts.folder, most=1)


def test_a_trial_has_few_cases(tmp_path):
    split = prepare(images(tmp_path), tmp_path / "prepared", most=1).split
    assert [len(names) for names in (split.train, split.val, split.test)] == [1, 1, 1]


def test_a_volume_goes_to_nifti_and_back(tmp_path):
    labels = np.arange(2 * 3 * 4).reshape(2, 3, 4).astype(np.uint8)
    write(tmp_path / "mask.nii.gz", labels[None], np.diag([4.0, 3.0, 2.0, 1.0]))
    assert nib.load(tmp_path / "mask.nii.gz").shape == (4, 3, 2)
    np.testing.assert_array_equal(read_labels(tmp_path / "mask.nii.gz"), labels)


def test_scores_of_masks(layouts, tmp_path):
    cases = truths(layouts.data_set, layouts.split.test)
    (tmp_path / "predictions").mkdir()
    for number, case in enumerate(cases):
        labels = case.target * 255 if number == 0 else np.zeros_like(case.target)
        write(tmp_path / "predictions" / f"{case.name}.png", labels[None])
    assert score(layouts.data_set, cases, tmp_path / "predictions") == {
        "Dice": {cases[0].name: 1.0, cases[1].name: 0.0},
    }


def test_a_mask_of_another_size_is_refused(layouts, tmp_path):
    cases = truths(layouts.data_set, layouts.split.test)
    for case in cases:
        write(tmp_path / f"{case.name}.png", np.zeros((1, 5, 5), np.uint8))
    with pytest.raises(ValueError, match=rf"{cases[0].name} has size \(5, 5\), not \(48, 48\)"):
        score(layouts.data_set, cases, tmp_path)


def row(method, values, minutes=10.0):
    scores = {"Dice": {f"case {number}": value for number, value in enumerate(values)}}
    return Row("pairs", minutes, method, Outcome(600.0, 90.0, 12.0, 300, 1_940_000, "note"), scores, 0.5, "2026-01-01")


def test_the_table_tells_means_differences_and_what_it_took():
    rows = [row("monai", [0.6] * 9 + [0.7]), row("segexp", [0.8] * 9 + [0.9]), row("nnunet", [0.5] * 10, minutes=20.0)]
    lines = table(rows).splitlines()
    assert lines[0].startswith("| pairs | minutes | Dice | segexp ahead by | trained, min |")
    assert lines[2].startswith("| segexp, its plan | 10 | 0.810 (")
    assert "| 0.610 (" in lines[3]
    assert "| +0.200 (+0.200 to +0.200) | 10.0 | 1.5 | 12 | 1,940,000 | 300 | note |" in lines[3]
    assert lines[4].startswith("| nnU-Net v2 | 20 | 0.500 (0.500 to 0.500) |  |")


def test_every_method_has_a_name_and_none_is_run_twice():
    assert METHODS.keys() == NAMES.keys()
    left_out = {name: METHODS.keys() - command_line.methods_of(SETS[name], METHODS) for name in SETS}
    assert left_out == {"hippocampus": {"pytorch_unet_full"}, "drive": set(), "nuclei": set()}


def test_a_job_that_is_done_is_skipped_and_one_that_fails_does_not_end_the_others(
    layouts, tmp_path, monkeypatch, capsys
):
    begun = []

    def empty(job: Job) -> Outcome:
        begun.append(job.folder.name)
        if job.folder.name == "monai":
            raise RuntimeError("it broke")
        for name in layouts.split.test:
            write(job.predictions / f"{name}.png", np.zeros((1, 48, 48), np.uint8))
        return Outcome(1.0, 0.0, 1.0, 3, 5)

    monkeypatch.setattr(command_line, "SETS", {"pairs": layouts.data_set})
    monkeypatch.setattr(command_line, "METHODS", {"segexp": empty, "monai": empty})
    monkeypatch.setattr(command_line, "set_up", lambda folder, unet, threads: Peers(folder, folder, threads))
    page = tmp_path / "README.md"
    page.write_text(f"# Page\n{command_line.BEGIN}old{command_line.END}\nrest")
    monkeypatch.setattr(command_line, "PAGE", page)
    words = ["--folder", str(tmp_path / "out"), "--sets", "pairs", "--minutes", "1", "--methods", "segexp", "monai"]
    monkeypatch.setattr(sys, "argv", ["equal_minutes", *words])
    for _ in range(2):
        with pytest.raises(SystemExit, match="failed: monai on pairs, 1 minutes"):
            command_line.main()
    assert begun == ["segexp", "monai", "monai"]
    assert "it broke" in capsys.readouterr().err
    written = page.read_text()
    assert "| segexp, its plan | 1 | 0.000" in written
    assert "old" not in written
    assert written.endswith(f"{command_line.END}\nrest")


def test_what_was_trained_is_not_trained_again_where_its_scores_failed(layouts, tmp_path, monkeypatch):
    begun = []

    def without_masks(job: Job) -> Outcome:
        begun.append(job)
        return Outcome(1.0, 0.0, 1.0, 3, 5)

    monkeypatch.setattr(command_line, "METHODS", {"segexp": without_masks})
    job = Job(layouts.data_set, layouts, 1.0, tmp_path / "job", Peers(tmp_path, tmp_path, 1), ())
    assert not command_line.done(job, "segexp")
    for name in layouts.split.test:
        write(job.predictions / f"{name}.png", np.zeros((1, 48, 48), np.uint8))
    assert command_line.done(job, "segexp")
    assert begun == [job]
    assert json.loads((job.folder / "result.json").read_text())["outcome"]["steps"] == 3


PROGRESS = "\rEpoch 1/100000:   4%|4         | {done}/800 [00:{seconds}<02:22,  5.6img/s, loss (batch)=1.4]"


def test_training_ends_when_the_time_is_up_and_an_epoch_is_saved(tmp_path):
    log = tmp_path / "log.txt"
    log.write_text("INFO: Checkpoint 7 saved!\n")  # of an earlier run in the same log
    watch = Watch(log, time.time() - 1, probe=20, thinned=False)
    assert not watch.stop()
    with log.open("a") as file:
        file.write("INFO: Checkpoint 1 saved!\nINFO: Checkpoint 2 saved!\n")
    assert watch.stop()
    assert watch.saved == [1, 2]


@pytest.mark.parametrize(("seconds", "left", "stops"), [(10, 30, False), (25, 5000, False), (25, 100, True)])
def test_training_ends_where_no_epoch_would_fit(tmp_path, seconds, left, stops):
    log = tmp_path / "log.txt"
    watch = Watch(log, time.time() + left, probe=20, thinned=False)
    log.write_text(PROGRESS.format(done=40, seconds=seconds))
    assert watch.stop() == stops
    if stops:  # 800 images take 500 s, and a quarter more with validations; there are 125 s
        assert watch.fits == pytest.approx(0.8 * 125 / 625, rel=0.01)


TRAIN_PY = """
import pathlib, time
count = len(list(pathlib.Path("data/imgs").iterdir()))
print(f"Epoch 1/9:   1%|1         | 1/{count} [00:30<", flush=True)
while count > 10:
    time.sleep(0.1)
pathlib.Path("checkpoints").mkdir()
for epoch in (1, 2):
    pathlib.Path(f"checkpoints/checkpoint_epoch{epoch}.pth").touch()
    print(f"INFO: Checkpoint {epoch} saved!", flush=True)
time.sleep(60)
"""


def test_training_begins_anew_with_fewer_images_and_keeps_the_last_checkpoint(layouts, tmp_path):
    names = [f"slice_{number:02d}.png" for number in range(30)]
    peers = Peers(tmp_path / "environment", tmp_path, 1)
    peers.python.parent.mkdir(parents=True)
    peers.python.symlink_to(sys.executable)
    (tmp_path / "train.py").write_text(TRAIN_PY)
    trained = train(layouts, tmp_path, peers, 0.01, [], names)
    assert (trained.images, trained.epochs, trained.steps) == (10, 2, 18)
    assert list(trained.checkpoint.parent.iterdir()) == [trained.checkpoint]
    assert trained.checkpoint.name == "checkpoint_epoch2.pth"


def test_kept_images_are_spread_evenly():
    names = [f"{number:03d}" for number in range(100)]
    assert evenly(names, 0.2) == sorted(evenly(names, 0.2))
    assert len(evenly(names, 0.2)) == 20
    assert evenly(names, 0.01)[::9] == ["000", "099"]


def test_the_steps_of_a_run_are_those_of_its_last_epoch(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,step,val/dice\n0,32,0.1\n1,64,0.2\n")
    assert steps_of(tmp_path) == 64


def test_a_command_is_stopped_and_one_that_fails_is_told_with_its_log(tmp_path):
    log = tmp_path / "log.txt"
    variables = Peers(tmp_path, tmp_path, 1).variables(MORE=5)
    assert (variables["OMP_NUM_THREADS"], variables["MORE"]) == ("1", "5")
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert command(sleep, log, variables, stop=lambda: True) < 30
    with pytest.raises(RuntimeError, match=rf"status 3: see {log}"):
        command([sys.executable, "-c", "print('why'); raise SystemExit(3)"], log, variables)
    assert "why" in log.read_text()
