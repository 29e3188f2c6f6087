"""Arguments as the source tells them, against those of the imported class."""

import inspect
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_type_hints

import pytest
import torch

from segexp.config import config_dir
from segexp.importable import found
from segexp.unimported import OBJECTS, signature_of

TARGETS = sorted(
    {
        target
        for path in config_dir().rglob("*.yaml")
        for target in re.findall(r"^\s*(?:- )?_target_: ([\w.]+)$", path.read_text(), re.MULTILINE)
        if target.startswith(("segexp.", "torch.", "pytorch_lightning.Trainer", "pytorch_lightning.callbacks"))
    }
)
UNKNOWN = {  # they take what their bases take
    *("segexp.data.QuarterTurns", "segexp.inference.FlipTurnPredictor", "segexp.training.callbacks.LearningRate"),
    *(f"segexp.data.intensity.{name}" for name in ("N4", "PercentileClip", "Window")),
}


def made(tmp_path: Path, monkeypatch, text: str) -> None:
    (tmp_path / "made_for_this.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)


def test_there_are_targets():
    assert len(TARGETS) > 60


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_tells_what_the_class_takes(target, monkeypatch):
    monkeypatch.setitem(OBJECTS, "Tensor", torch.Tensor)
    read, imported = signature_of(target), inspect.signature(found(target))
    if read is None:
        assert target in UNKNOWN or not imported.parameters
        return
    assert list(read.parameters) == list(imported.parameters)
    place = found(target)
    hints = get_type_hints(place.__init__ if inspect.isclass(place) else place)
    for name, parameter in read.parameters.items():
        known = imported.parameters[name]
        assert parameter.kind == known.kind
        assert (parameter.default is parameter.empty) == (known.default is known.empty)
        if parameter.annotation is not Any:  # what is read is what is meant
            assert parameter.annotation == hints[name]
            assert parameter.default == known.default


def test_most_annotations_are_read():
    parameters = [item for target in TARGETS if (read := signature_of(target)) for item in read.parameters.values()]
    assert sum(item.annotation is not Any for item in parameters) > 0.8 * len(parameters)


def test_nothing_is_imported():
    code = (
        "import sys; from segexp.unimported import signature_of; "
        "print(list(signature_of('torch.optim.SGD').parameters), *(n for n in sys.modules if 'torch' in n))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("['params', 'lr', 'momentum'")
    assert done.stdout.strip().endswith("]")


def test_forms_of_arguments(tmp_path, monkeypatch):
    made(
        tmp_path,
        monkeypatch,
        "from collections.abc import Sequence\nfrom pathlib import Path as P\nfrom typing import Literal, Optional\n"
        "from somewhere import Thing\nLIMIT = 3\n"
        "class Base:\n    def __init__(self, a: int, *, b: 'float | None' = None, **more: str) -> None: ...\n"
        "class Child(Base): ...\n"
        "def call(size: Sequence[int], how: Literal['x', 'y'] = 'x', at: Optional[P] = None, it: Thing = None,\n"
        "         most: int = LIMIT, pair: tuple[int, ...] = (1, 2)): ...\n",
    )
    child = signature_of("made_for_this.Child")
    assert str(child) == "(a: int, *, b: Optional[float] = None, **more)"
    hints = {name: item.annotation for name, item in signature_of("made_for_this.call").parameters.items()}
    assert hints == {
        "size": Sequence[int],
        "how": Literal["x", "y"],
        "at": Path | None,
        "it": Any,  # a name that only the module knows
        "most": Any,  # so is the default
        "pair": tuple[int, ...],
    }


def test_a_class_of_the_module_is_none_of_python(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch, "class list: ...\ndef call(a: list, b: list[int]): ...\n")
    assert {item.annotation for item in signature_of("made_for_this.call").parameters.values()} == {Any}


def test_of_several_definitions_the_last_counts(tmp_path, monkeypatch):
    overloads = "    @overload\n    def __init__(self, a: int) -> None: ...\n"
    last = "    def __init__(self, a: int | str) -> None: ...\n"
    functions = "@overload\ndef call(a: int): ...\ndef call(a: str): ...\n"
    made(tmp_path, monkeypatch, f"from typing import overload\nclass Kind:\n{overloads}{last}{functions}")
    assert str(signature_of("made_for_this.Kind")) == "(a: Union[int, str])"
    assert str(signature_of("made_for_this.call")) == "(a: str)"


@pytest.mark.parametrize(
    "target", ["no_such.Thing", "torch.optim.NoSuch", "numpy.linalg.LinAlgError.x", "x", "", "a..b"]
)
def test_what_is_not_there_is_not_known(target):
    assert signature_of(target) is None


def test_a_module_that_cannot_be_parsed_is_not_known(tmp_path, monkeypatch):
    made(tmp_path, monkeypatch, "def broken(:\n")
    assert signature_of("made_for_this.broken") is None
