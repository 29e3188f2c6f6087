from tests.comparison.test_learning_curve import write_curve


def test_the_command_prints_and_writes(answer, tmp_path):
    write_curve(tmp_path / "runs")
    status, out, error = answer("learning-curve", "runs", "--metric", "dice", "--output", "curve")
    assert (status, error) == (0, "")
    assert "2 times the cases (400) are expected to bring" in " ".join(out.split())
    assert {path.name for path in (tmp_path / "curve").iterdir()} == {
        f"learning_curve.{kind}" for kind in ("csv", "json", "png")
    }


def test_runs_that_make_no_curve_are_refused_with_what_to_do(answer, tmp_path):
    write_curve(tmp_path / "runs", sizes={1: 200})
    status, _, error = answer("learning-curve", "runs")
    assert status == 1
    assert "data.split.train_fraction=0.1,0.2,0.4,0.7,1" in error
    assert not (tmp_path / "learning_curve").exists()
