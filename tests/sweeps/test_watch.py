import csv
import io
import re
import time

import pytest
import yaml

from segexp.sweeps.jobs import Job
from segexp.sweeps.ledger import DONE, FAILED, INTERRUPTED, PRUNED, QUEUED, RUNNING
from segexp.sweeps.pool import Tracked
from segexp.sweeps.watch import LiveTable, PlainLines, duration, shortened, watcher
from segexp.terminal import Console

LONG = "base_channels-64__lr-0.0003__loss-dice_ce__augment-membrane__optimizer-adamw__seed-1__0123abcd"


class Running:
    where = "GPU 0, process 4711"

    def poll(self):
        return None

    def stop(self):
        """Never asked."""

    def kill(self):
        """Never asked."""


def tracked(folder, name="loss-ce__seed-1__0123abcd", state=QUEUED, why="", epochs=0, best=0.5) -> Tracked:
    """A job as the pool sees it, with the files of a run that has finished some epochs of ten."""
    item = Tracked(Job((f"name={name}",), folder / name), state, why, Running() if state == RUNNING else None)
    if epochs:
        item.job.folder.mkdir(parents=True, exist_ok=True)
        config = {"trainer": {"max_epochs": 10}, "monitor": "val/dice", "monitor_mode": "max"}
        (item.job.folder / "config.yaml").write_text(yaml.safe_dump(config))
        with (item.job.folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "seconds", "validation_seconds", "val/dice"])
            writer.writerows([[epoch, 50, 10, best] for epoch in range(epochs)])
        item.progress.refresh()
    return item


def console(width=100, height=24, terminal=True) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, height=height, color_system=None)


def drawn(jobs, **size) -> list[str]:
    """Lines of the last picture of a live table."""
    screen = console(**size)
    table = LiveTable(screen)
    table.update(jobs)
    table.close()
    pictures = re.split(r"(?:\x1b\[[0-9?]*[A-Za-z]|\r)+", screen.file.getvalue())
    return [line.rstrip() for line in [picture for picture in pictures if picture.strip()][-1].splitlines()]


def printed(*pictures) -> list[str]:
    output = console(width=60, terminal=False)
    lines = PlainLines(output)
    for jobs in pictures:
        lines.update(jobs)
    lines.close()
    return output.file.getvalue().splitlines()


def test_a_row_tells_state_epoch_figure_and_time_left(tmp_path):
    told = "\n".join(drawn([tracked(tmp_path, state=RUNNING, epochs=4, best=0.8125)]))
    for word in ("loss-ce__seed-1", "running", "4/10", "0.8125", "6 min", "GPU 0"):
        assert word in told


@pytest.mark.parametrize("width", [60, 80, 200])
def test_every_job_has_one_line_that_fits(tmp_path, width):
    jobs = [tracked(tmp_path, f"{index}__{LONG}", RUNNING, epochs=3) for index in range(5)]
    jobs.append(tracked(tmp_path, f"5__{LONG}", FAILED, "ValueError: " + "a long reason " * 20))
    lines = drawn(jobs, width=width)
    assert max(map(len, lines)) <= width
    assert sum("3/10" in line and "running" in line for line in lines) == 5
    assert sum("failed" in line for line in lines[1:]) == 1
    assert len(lines) == len(jobs) + 3  # title, headings, rule


def test_names_that_are_cut_still_differ(tmp_path):
    names = [
        f"base_channels-64__lr-0.0003__loss-dice_ce__augment-membrane__seed-{seed}__{seed}abc" for seed in range(3)
    ]
    lines = drawn([tracked(tmp_path, name, RUNNING, epochs=1) for name in names], width=60)
    rows = [line for line in lines if "1/10" in line]
    assert len(set(rows)) == 3


def test_running_jobs_come_first_and_the_rest_is_counted(tmp_path):
    jobs = [tracked(tmp_path, f"done-{index}", DONE) for index in range(40)]
    jobs += [tracked(tmp_path, "failed-0", FAILED, "killed by signal 9"), tracked(tmp_path, "now-0", RUNNING, epochs=1)]
    lines = drawn(jobs, height=14)
    assert len(lines) <= 14
    order = [next(i for i, line in enumerate(lines) if word in line) for word in ("now-0", "failed-0", "done-0")]
    assert order == sorted(order)
    assert any("40 done" in line and "1 failed" in line and "1 running" in line for line in lines)
    shown = sum("done-" in line for line in lines)
    assert any(f"and {40 - shown} more" in line for line in lines)


def test_a_job_of_another_driver_and_reasons_are_shown(tmp_path):
    elsewhere = tracked(tmp_path, "elsewhere", RUNNING, epochs=1)
    elsewhere.running = None
    jobs = [elsewhere, tracked(tmp_path, "cut", INTERRUPTED, "the sweep was stopped"), tracked(tmp_path, "low", PRUNED)]
    told = "\n".join(drawn(jobs))
    assert "another process" in told
    assert "the sweep was stopped" in told
    assert "pruned" in told


def test_brackets_in_a_reason_are_no_markup(tmp_path):
    jobs = [tracked(tmp_path, "a", FAILED, "patch_size=[32, 32] [/red] is wrong")]
    assert any("[32, 32] [/red]" in line for line in drawn(jobs, width=120))
    assert "[32, 32] [/red]" in printed(jobs)[0]


def test_plain_lines_tell_each_change_once(tmp_path):
    before = tracked(tmp_path, "a")
    running, later = tracked(tmp_path, "a", RUNNING), tracked(tmp_path, "a", RUNNING, epochs=1, best=0.25)
    done = tracked(tmp_path, "a", DONE, epochs=10, best=0.75)
    lines = printed([before], [running], [running], [later], [later], [done], [done])
    assert lines == [
        "[0/1] a: running, GPU 0, process 4711",
        "[0/1] a: running, epoch 1/10, val/dice 0.2500, 9 min left, GPU 0, process 4711",
        "[1/1] a: done, epoch 10/10, val/dice 0.7500",
    ]


def test_plain_lines_are_not_broken(tmp_path):
    assert len(printed([tracked(tmp_path, LONG, FAILED, "x" * 300)])) == 1


def test_an_undefined_figure_is_left_out(tmp_path):
    assert "nan" not in printed([tracked(tmp_path, "a", RUNNING, epochs=2, best="nan")])[0]


def test_many_jobs_are_drawn_in_little_time(tmp_path):
    jobs = [tracked(tmp_path, f"job-{index}", RUNNING if index < 8 else QUEUED) for index in range(2000)]
    table = LiveTable(console())
    start = time.process_time()
    for _ in range(5):
        table.update(jobs)
    table.close()
    assert (time.process_time() - start) / 5 < 0.1  # it is drawn five times a second


def test_the_digest_is_left_out_where_names_differ_without_it(tmp_path):
    told = "\n".join(drawn([tracked(tmp_path, f"loss-{loss}__0123abcd") for loss in ("ce", "dice", "bce")]))
    assert "loss-dice " in told
    assert "0123abcd" not in told


def test_a_name_is_cut_in_its_middle():
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened(LONG, 30) == "base_channels-6…ed-1__0123abcd"
    assert [len(shortened(LONG, length)) for length in (16, 40, 90)] == [16, 40, 90]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (172_799, "48.0 h"), (1e6, "11.6 d")],
)
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words


def test_the_watcher_suits_the_output(capsys):
    assert isinstance(watcher(), PlainLines)
