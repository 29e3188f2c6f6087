"""The notebook is whole as it is stored, and runs."""

import ast
import json
import subprocess

import pytest

from segexp.config import compose
from tests.docs.notebook import NEEDED, PATH, execute
from tests.environment import environment

CELLS = [cell for cell in json.loads(PATH.read_text())["cells"] if cell["cell_type"] == "code"]


def outputs(cells: list[dict]) -> list[dict]:
    return [output for cell in cells for output in cell["outputs"]]


def test_all_cells_were_run_in_their_order_and_show_plots():
    assert [cell["execution_count"] for cell in CELLS] == list(range(1, len(CELLS) + 1))
    assert not [output for output in outputs(CELLS) if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs(CELLS)) >= 4


def test_the_words_of_its_trainings_compose():
    assigned = {}
    for cell in CELLS:
        for node in ast.parse("".join(line for line in cell["source"] if line[0] != "!")).body:  # commands of a shell
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
                assigned[ast.unparse(node.targets[0])] = node.value.elts
    words = [node.value for node in assigned["words"] if isinstance(node, ast.Constant)]
    assert len(words) > 5
    assert compose(words).model.depth == 3


@pytest.mark.slow
def test_it_runs_in_a_kernel(tmp_path):
    try:
        python = environment(tmp_path / "venv", *NEEDED)
    except subprocess.CalledProcessError:
        pytest.skip("the packages of a kernel cannot be installed here")
    execute(python, tmp_path / "run.ipynb", tmp_path)
    cells = json.loads((tmp_path / "run.ipynb").read_text())["cells"]
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", [])) >= 4
