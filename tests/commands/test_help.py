import pytest

from segexp.cli import COMMANDS, WITHOUT_CONFIGURATION
from segexp.commands.help import CHOICES, EXAMPLES, KEYS, explained, of_command, usage


def test_every_command_is_listed_once():
    lines = usage().splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(COMMANDS)
    assert lines[2:4] == ["every day:", f"  train          {COMMANDS['train']}"]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in WITHOUT_CONFIGURATION])
def test_a_command_is_explained_on_one_screen(command):
    text = of_command(command)
    assert len(text.splitlines()) <= 60
    assert all(f"  {key}=" in text for key in KEYS[command])
    assert all(f"  {group}= " in text for group in CHOICES[command])
    assert all(example in text for example in EXAMPLES[command])


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("loss", "dice_ce"),
        ("data/intensity", "zscore"),
        ("minutes", "minutes=null   (conf/train.yaml)"),
        ("data.sampling.patch_size", "pixels per axis of a training patch"),
        ("patches_per_epoch", "data.sampling.patches_per_epoch=256"),
        ("train", "segexp train data=isbi minutes=10"),
        ("predict", "segexp predict --help lists its keys"),
    ],
)
def test_a_word_is_explained(word, said):
    assert said in explained(word)


def test_a_word_that_is_none_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"minuts: no command, group or key .* .did you mean 'minutes'"):
        explained("minuts")


def test_options_of_the_working_directory_are_explained_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf/data").mkdir(parents=True)
    (tmp_path / "conf/data/mine.yaml").write_text("# Twenty slices of mine.\n")
    assert "Twenty slices of mine." in explained("data")
