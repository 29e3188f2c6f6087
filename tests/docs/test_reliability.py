"""Each promise of docs/reliability.md is held by a test that exists."""

import ast
import re

import pytest

from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text()
PROMISES = re.findall(r"^\| .+ \| `(tests/[\w/]+\.py)::(\w+)` \|$", PAGE, re.MULTILINE)


def test_every_row_of_promises_is_read():
    in_sentences = 1
    assert len(PROMISES) == PAGE.count(".py::test_") - in_sentences


@pytest.mark.parametrize(("path", "name"), PROMISES)
def test_a_promise_is_held_by_a_test(path, name):
    tree = ast.parse((ROOT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
