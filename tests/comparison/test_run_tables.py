import pytest

from segexp.comparison.run_tables import DEFINITIONS, amount, definitions, sortable_table


@pytest.mark.parametrize(
    ("value", "text"), [(0.127, "0.13"), (2.77, "2.77"), (22.34, "22.3"), (930.9, "931"), (12345.6, "12,346"), (5, "5")]
)
def test_amounts_have_the_digits_that_people_read(value, text):
    assert amount(value) == text


def test_many_definitions_are_folded_away_and_none_is_lost():
    names = [f"metric_{n}" for n in range(DEFINITIONS + 3)]
    html = definitions(dict.fromkeys(names, "text"))
    shown, folded = html.split("<details>")
    assert "<summary>3 more</summary>" in folded
    assert [name for name in names if f"<dt>{name}<" in shown] == names[:DEFINITIONS]
    assert [name for name in names if f"<dt>{name}<" in folded] == names[DEFINITIONS:]
    assert "<details>" not in definitions(dict.fromkeys(names[:DEFINITIONS], "text"))


def test_cells_are_text_numbers_short_and_undefined_ones_empty():
    rows = [{"case": "<b>", "dice": 0.123456, "iou": "0.9999999", "ece": float("nan"), "split": "val"}]
    assert sortable_table(rows, "split").endswith("<tr><td>&lt;b&gt;<td>0.1235<td>1.0000<td></table></div>")
    assert sortable_table([]) == ""
