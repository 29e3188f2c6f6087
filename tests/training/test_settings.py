"""Settings of a training that could not end well."""

import pytest

from segexp.training.settings import refuse_epochs_beside_minutes, require_settings
from tests.training.test_at_start import config


@pytest.mark.parametrize(
    "word",
    ["best.filename=mine", "best.filename=null", "best.dirpath=elsewhere", "last.path=''", "table.path=elsewhere.csv"],
)
def test_what_is_looked_for_in_the_run_folder_is_written_there(word):
    with pytest.raises(ValueError, match=rf"callbacks\.{word.split('=')[0]}=.* must be .*, where it is looked for"):
        require_settings(config(f"callbacks.{word}"))
    name = word.partition(".")[0]
    require_settings(config(f"callbacks.{word}", f"callbacks.{name}.enabled=false"))


def test_without_validation_in_between_the_training_loss_may_choose():
    require_settings(config("trainer.check_val_every_n_epoch=5", "monitor=train/loss"))


@pytest.mark.parametrize("minutes", [0, -1, "20", True])
def test_minutes_are_a_number_above_0(minutes):
    with pytest.raises(ValueError, match=f"minutes={minutes!r} must be a number above 0"):
        require_settings(config() | {"minutes": minutes})


def test_minutes_and_epochs_do_not_go_together_on_the_command_line():
    words = ["data=isbi", "trainer.max_epochs=5"]
    with pytest.raises(ValueError, match=r"minutes=20 and trainer.max_epochs=5.*leave one of them out"):
        refuse_epochs_beside_minutes(config("minutes=20"), words)
    refuse_epochs_beside_minutes(config(), words)
    refuse_epochs_beside_minutes(config("minutes=20"), ["data=isbi"])
