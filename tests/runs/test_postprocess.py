import pytest

from segexp.runs.folder import RunFolder
from segexp.runs.postprocess import keep_steps, kept_steps

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
