import base64
import io

import numpy as np
import pytest
from PIL import Image

from segexp.comparison.comparison import compare
from segexp.comparison.page_pictures import EXPERIMENTS, LONGEST, Pictures, pictures, replicate_name
from segexp.runs.runs import find_runs
from tests.comparison.synthetic_runs import Sweep, write_runs


def made(folder, baseline=None, room=2_500_000) -> tuple[Pictures, dict]:
    """Pictures of the runs in a folder, and what was compared."""
    runs = find_runs([str(folder)])
    content = compare(runs, baseline=baseline)
    return pictures(content, runs, room), content


def data_of(address: str) -> bytes:
    return base64.b64decode(address.partition(",")[2])


@pytest.mark.slow
def test_large_pictures_are_made_small_and_broken_ones_left_out(tmp_path):
    write_runs(tmp_path, Sweep(seeds=1, cases=6, pictures=6))
    for path in tmp_path.glob("*/figures/*.png"):  # as large as those of real data
        Image.open(path).resize((2054, 528)).save(path)
    (tmp_path / "000_seed-1" / "figures" / "test_case_003.png").write_bytes(b"not a picture")
    found, content = made(tmp_path)
    assert set(found) == set(content["tables"][0]["cases"])
    assert "0" not in found["case_003"]
    address, about = found["case_000"]["0"]
    assert about == "seed 1"
    assert address.startswith("data:image/jpeg;base64,")
    assert len(address) < 80_000
    with Image.open(io.BytesIO(data_of(address))) as small:
        assert max(small.size) == LONGEST


def test_a_small_picture_is_taken_as_it_is(tmp_path):
    write_runs(tmp_path, Sweep(seeds=1, cases=2, pictures=1))
    path = tmp_path / "001_seed-1" / "figures" / "test_case_000.png"
    Image.new("RGB", (64, 16), "red").save(path)
    address, _ = made(tmp_path)[0]["case_000"]["1"]
    assert address.startswith("data:image/png;base64,")
    assert data_of(address) == path.read_bytes()


def test_the_most_different_cases_come_first_and_keep_their_pictures_where_room_is_short(tmp_path):
    write_runs(tmp_path, Sweep(seeds=1, pictures=20))
    room = 150_000
    found, content = made(tmp_path, room=room)
    scores = np.array(content["tables"][0]["scores"])
    order = [content["tables"][0]["cases"][place] for place in np.argsort(-np.ptp(scores, axis=0))]
    assert 0 < len(found) < 20
    assert list(found) == order[: len(found)]
    assert sum(len(address) for shown in found.values() for address, _ in shown.values()) <= room


def test_the_baseline_and_the_best_experiments_have_pictures(tmp_path):
    write_runs(tmp_path, Sweep(experiments=EXPERIMENTS + 3, seeds=1, cases=2, pictures=1))
    means = [summary.interval.value for summary in made(tmp_path, room=0)[1]["tables"][0]["summaries"]]
    order = np.argsort(means)[::-1].tolist()
    worst = order[-1]
    found, content = made(tmp_path, baseline=chr(ord("A") + worst))
    assert content["baseline"] == chr(ord("A") + worst)
    assert list(found["case_000"]) == [str(place) for place in [worst, *order[: EXPERIMENTS - 1]]]


def test_all_experiments_show_the_run_of_the_lowest_seed_that_has_a_picture(tmp_path):
    write_runs(tmp_path, Sweep(seeds=2, folds=2, cases=4, pictures=4))
    gone = tmp_path / "000_seed-1_fold-0" / "figures"
    lost = {path.stem.removeprefix("test_") for path in gone.iterdir()}
    for path in gone.iterdir():
        path.unlink()
    found, _ = made(tmp_path)
    for case, shown in found.items():
        fold = shown["1"][1].rpartition(" ")[2]
        assert shown["1"][1] == f"seed 1, fold {fold}"
        assert shown["0"][1] == f"seed {2 if case in lost else 1}, fold {fold}"
    assert lost
    assert set(found) > lost


@pytest.mark.parametrize(("fold", "name"), [(None, "seed 3"), (0, "seed 3, fold 0")])
def test_a_run_is_named_by_seed_and_fold(fold, name):
    assert replicate_name(3, fold) == name
