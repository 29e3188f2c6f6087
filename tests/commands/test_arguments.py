import pytest

from segexp.commands.arguments import REQUIRED, own_arguments, parse

DEFAULTS = {"run": REQUIRED, "tta": "none", "overwrite": False, "tile": None, "overlap": 0.25}
COMMENTS = {"run": "run folder", "tile": "px"}


def parsed(*words: str) -> dict:
    return parse(words, DEFAULTS, COMMENTS, "predict")


def test_values_have_the_type_that_their_key_asks_for():
    assert parsed("run=a", "overwrite=true", "tile=[64, 32]", "overlap=1e-1") == {
        "run": "a",
        "tta": "none",
        "overwrite": True,
        "tile": [64, 32],
        "overlap": 0.1,
    }
    assert parsed("run=a", "tile=whole", "tile=96")["tile"] == 96  # the last one counts
    assert parsed("run=a", "tile=null")["tile"] is None


@pytest.mark.parametrize("path", ["*.png", "2024-01-01", "017", "a: b", "x #1.png", "[0-9]/*.tif", "k=v/run", "null"])
def test_paths_are_taken_as_they_stand(path):
    assert parsed(f"run={path}")["run"] == path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run=a", "overwite=true"], r"overwite: no such key \(did you mean 'overwrite'\?\); there are: run, tta"),
        (["cells", "scans"], r"'cells' is no key=value, such as run=cells; there are: run, tta, overwrite"),
        (["--run=a"], "--run: keys have no dashes: write run=a"),
        (["run=a", "overwrite"], "overwrite lacks its value: write overwrite=<value>"),
        (["run=a", "overwrite=ja"], r"overwrite='ja' is not one of \['true', 'false'\]"),
        (["run=a", "tile=[64"], r"tile=\[64 cannot be read as YAML"),
        (["run="], "run= is empty"),
        (["tile=64"], "run=<value> must be given: --help"),
    ],
)
def test_what_cannot_be_read_is_told(words, message):
    with pytest.raises(ValueError, match=message):
        parsed(*words)


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_lists_every_key_with_default_and_comment(word, capsys):
    with pytest.raises(SystemExit) as stop:
        parsed(word)
    assert stop.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: segexp predict [key=value ...]"
    assert [line.split() for line in lines[2:]] == [
        ["run=<must", "be", "given>", "run", "folder"],
        ["tta=none"],
        ["overwrite=false"],
        ["tile=null", "px"],
        ["overlap=0.25"],
    ]


def test_arguments_of_the_command_are_told_from_overrides():
    own, others = own_arguments(["run=a", "data=isbi", "--help", "~callbacks.best"], ["run", "split"])
    assert (own, others) == (["run=a", "--help"], ["data=isbi", "~callbacks.best"])
