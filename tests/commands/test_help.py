import pytest

from segexp.cli import COMMANDS, WITHOUT_CONFIGURATION
from segexp.commands.help import CHOICES, EXAMPLES, KEYS, explained, of_command, usage


def test_every_command_is_listed_once(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    lines = usage().splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(COMMANDS)
    assert lines[2:4] == ["every day:", f"  train           {COMMANDS['train']}"]


@pytest.mark.parametrize("text", [usage, lambda: of_command("train"), lambda: explained("augment")])
@pytest.mark.parametrize("columns", [80, 140])
def test_texts_have_the_width_of_the_terminal(monkeypatch, columns, text):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = [line for line in text().splitlines() if not line.startswith("  segexp ")]  # commands are copied whole
    assert min(columns, 120) - 20 < max(map(len, lines)) <= min(columns, 120)


def test_a_comment_is_cut_between_its_parts_and_says_so():
    text = " ".join(of_command("train").split())
    assert "to its last line; … trainer.max_epochs" in text
    assert "where it runs out (docs/memory.md) data.split.fold" in text


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
