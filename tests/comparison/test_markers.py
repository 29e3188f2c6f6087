from pathlib import Path

import pytest

from segexp.comparison.markers import choose_sheets, filled, find_markers, provenance
from segexp.comparison.tables import Sheet
from segexp.runs.runs import Run

PAGE = """# Losses

<!-- segexp: compare outputs/losses --metric dice -->
old
<!-- /segexp -->

Text, and `<!-- segexp: compare x -->` in a line.

```markdown
<!-- segexp: compare example -->
<!-- /segexp -->
```

<!-- segexp: compare a b
     --where "dice > 0.5" -->
<!-- /segexp -->
end
"""


def test_markers_are_found_outside_of_code():
    first, second = find_markers(PAGE, "README.md")
    assert first.line == 3
    assert first.words == ["compare", "outputs/losses", "--metric", "dice"]
    assert PAGE[first.start : first.end] == "old\n"
    assert second.line == 14
    assert second.words == ["compare", "a", "b", "--where", "dice > 0.5"]


def test_only_what_stands_between_markers_is_replaced_and_once_is_enough():
    text, changed = filled(PAGE, "README.md", lambda words: f"| {words[1]} |\n")
    assert changed == [3, 14]
    expected = PAGE.replace("old\n", "\n| outputs/losses |\n\n")
    expected = expected.replace('0.5" -->\n<!--', '0.5" -->\n\n| a |\n\n<!--')
    assert text == expected
    assert filled(text, "README.md", lambda words: f"| {words[1]} |") == (text, [])
    assert filled(text, "README.md", lambda words: f"| {words[-1]} |")[1] == [3, 16]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n<!-- segexp: compare x -->\n", "README.md:2: the marker is never closed"),
        ("<!-- /segexp -->\n", "README.md:1: a marker closes, but none is open"),
        (
            "<!-- segexp: compare x -->\n\n<!-- segexp: compare y -->\n<!-- /segexp -->",
            "README.md:3: a marker opens, but the one of line 1 is open",
        ),
        ("<!-- segexp: -->\n<!-- /segexp -->", "README.md:1: the marker does not say what to write"),
        ("<!-- segexp compare x -->\n<!-- /segexp -->", "README.md:1: the marker does not say what to write"),
        ("<!-- segexp: compare 'x -->\n<!-- /segexp -->", "README.md:1: the marker cannot be read"),
        ("<!-- segexp: compare x --> text\n<!-- /segexp -->\n", "README.md:1: 'text' follows a marker"),
        ("# nothing\n", "README.md has no marker"),
    ],
)
def test_what_is_wrong_with_markers_is_told_by_line(text, said):
    with pytest.raises(ValueError, match=said):
        filled(text, "README.md", lambda words: "")


def test_an_error_below_a_marker_names_its_line():
    def fill(words: list[str]) -> str:
        raise FileNotFoundError(f"{words[1]}: no run there")

    with pytest.raises(ValueError, match="^README.md:14: a: no run there"):
        filled(PAGE, "README.md", fill)


SHEETS = [
    Sheet(title, [], [])
    for title in ("Experiments", "dice, higher is better", "dice of cell, higher is better", "Marginal effect of loss")
]


@pytest.mark.parametrize(
    ("names", "places"),
    [
        (["dice"], [1]),
        (["dice of cell", "experiments"], [2, 0]),
        (["Marginal", " dice "], [3, 1]),
    ],
)
def test_tables_are_chosen_by_name(names, places):
    assert choose_sheets(SHEETS, names) == [SHEETS[place] for place in places]


def test_an_unknown_table_is_guessed():
    with pytest.raises(ValueError, match="sheets=experimets: no such table .did you mean 'experiments'"):
        choose_sheets(SHEETS, ["experimets"])


def run(end: str, torch: str, results: bool = True) -> Run:
    record = {
        "end": f"{end}T12:00:00+00:00",
        "segexp_version": "0.1.0",
        "git": {"commit": "0123456789abcdef", "diff": "diff" if torch == "2" else ""},
        "packages": {"torch": torch, "numpy": "1"},
        "machine": {"gpus": ["H100", "H100"] if torch == "2" else [], "processor": "EPYC"},
    }
    made = Run(Path(), record)
    made.__dict__["results"] = {"headline": {}} if results else {}  # as read from the disk
    return made


def test_the_line_below_tells_command_date_hardware_and_versions():
    runs = [run("2026-01-02", "1"), run("2026-01-04", "2"), run("2026-01-09", "3", results=False)]
    assert provenance(["compare", "a b", "--metric", "dice"], runs) == (
        "`segexp compare 'a b' --metric dice`; newest of 2 runs: 2026-01-04; EPYC and H100, EPYC; "
        "segexp 0.1.0 (0123456789), torch 1 and segexp 0.1.0 (0123456789 with uncommitted changes), torch 2."
    )
