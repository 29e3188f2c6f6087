"""What completes in a shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from segexp.commands.completion import SCRIPTS, completing
from tests.conftest import ROOT


@pytest.mark.parametrize(
    ("words", "among"),
    [
        (["tr"], "train"),
        ([""], "completion"),
        (["completion", "z"], "zsh"),
        (["train", "mod"], "model="),
        (["train", "model=unet_t"], "model=unet_tiny"),
        (["train", "hydra/launcher=sl"], "hydra/launcher=slurm"),
        (["train", "model=fcn8s", "model.fc"], "model.fc_channels="),
        (["train", "-m", "data.sampling.ba"], "data.sampling.batch_size="),
        (["train", "data.sampling.batch_size="], "data.sampling.batch_size=8"),
        (["train", "seed=1", "--conf"], "--config-dir"),
        (["replay", "trainer.acc"], "trainer.accelerator="),
        (["predict", "out"], "output="),
        (["predict", "t"], "tta="),
        (["evaluate", "tu"], "tune="),
        (["compare", "--b"], "--baseline"),
        (["runs", "--s"], "--sort"),
    ],
)
def test_words_complete(words, among):
    found = completing(words)
    assert among in found
    assert all(word.startswith(words[-1]) for word in found)


@pytest.mark.parametrize("words", [["train", "--config-dir", ""], ["nothing", "a"], ["compare", "outputs/"]])
def test_where_a_path_is_wanted_the_shell_completes_it(words):
    assert completing(words) == []


def test_options_of_ones_own_complete(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("defaults: [unet, _self_]\n")
    assert completing(["train", "--config-dir", str(tmp_path), "model=mi"]) == ["model=mine"]


def test_a_word_of_nonsense_prints_nothing(answer):
    assert answer("completion", "words", "train", "modle=[", "mo") == (0, "", "")
    assert answer("completion", "words", "compare", "x") == (0, "", "")


def test_an_unknown_shell_is_answered(answer):
    status, _, said = answer("completion", "bsah")
    assert (status, "did you mean 'bash'?" in said) == (1, True)


def test_no_command_advertises_or_prints_what_a_shell_would_evaluate(answer):
    """The line that Hydra advertises evaluates what is printed."""
    assert answer("-sc", "install=bash")[1] == ""
    assert answer("train", "-sc", "install=bash")[1] == ""
    printed = answer("train", "--hydra-help")[1]
    assert "segexp completion bash" in printed
    assert "-sc" not in printed


COMPLETE = {  # shell: program that prints what completes the line $1
    "bash": 'COMP_LINE="$1"; COMP_POINT=${#1}; _segexp; printf "%s\\n" "${COMPREPLY[@]}"',
    "fish": "complete -C $argv[1]",
    "zsh": (
        "compadd() { while [[ $1 == -* ]]; do [[ $1 == -S ]] && shift; shift; done; print -l -- $@ }; "
        "words=(${(z)1}); CURRENT=$#words; _segexp"
    ),
}


@pytest.mark.parametrize("shell", list(SCRIPTS))
@pytest.mark.parametrize(
    ("line", "word"),
    [("segexp tr", "train"), ("segexp train model=unet_t", "model=unet_tiny"), ("segexp predict ou", "output=")],
)
def test_the_script_completes_in_the_shell(shell, line, word, tmp_path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    called = f'#!/bin/sh\nexec "{sys.executable}" -m segexp "$@"\n'
    (tmp_path / "segexp").write_text(called)
    (tmp_path / "segexp").chmod(0o755)
    script = SCRIPTS[shell] if shell != "zsh" else SCRIPTS[shell].replace("compdef _segexp segexp", "")
    done = subprocess.run(
        [program, "-c", f"{script}\n{COMPLETE[shell]}", *([shell] if shell != "fish" else []), line],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")},
        cwd=Path(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = [text.strip() for text in done.stdout.splitlines()]
    whole = word.partition("=")[2] or word if shell == "bash" and "model" in word else word  # what follows the =
    assert whole in found, (done.stdout, done.stderr)
