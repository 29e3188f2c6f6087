"""Mistakes are answered in one sentence; the page shows what is answered."""

import pytest
from benchmarks.mistakes import BEGIN, END, MISTAKES, PAGE, Answer, fill, run, words_of


@pytest.mark.parametrize(
    ("status", "text", "good"),
    [
        (1, "note: x\nsegexp train: lr=-1 must be at least 0\n", True),
        (0, "segexp train: done\n", False),
        (1, "Traceback (most recent call last):\nsegexp train: x\n", False),
        (1, "Error executing job with overrides: []\nsegexp train: x\n", False),
        (1, "segexp train: KeyError: 'x' (HYDRA_FULL_ERROR=1 shows where)\n", False),
        (1, "ValueError: x\n", False),
    ],
)
def test_what_a_good_answer_is(status, text, good):
    assert Answer(status, 0.1, text).is_good is good


def test_the_page_has_an_answer_to_each_mistake():
    table = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    assert [line for _, line in MISTAKES if f"| `{line}` | segexp" not in table] == []
    assert len({line for _, line in MISTAKES}) == 34


@pytest.mark.slow
def test_each_mistake_is_answered_in_one_sentence(tmp_path):
    fill(tmp_path)
    answers = {line: run(words_of(line), tmp_path) for _, line in MISTAKES}
    assert {line: answer.text for line, answer in answers.items() if not answer.is_good} == {}
