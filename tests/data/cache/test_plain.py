import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segexp.data.cache.plain import from_json, to_json

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=12,
)


@given(VALUES)
@settings(max_examples=40, deadline=None)
def test_plain_values_come_back_as_they_were(value):
    back = from_json(json.loads(json.dumps(to_json(value, "it"))))
    assert back == value
    assert repr(back) == repr(value)  # 1, 1.0 and True are equal but not the same


def test_numbers_of_numpy_become_pythons_and_paths_become_text():
    stored = to_json({np.uint8(255): np.float32(0.5), "root": Path("data") / "a"}, "it")
    assert repr(from_json(stored)) == repr({255: 0.5, "root": str(Path("data/a"))})


@pytest.mark.parametrize("value", [np.array([None]), {1, 2}, object(), b"x", lambda: 0])
def test_anything_else_is_refused(value):
    with pytest.raises(ValueError, match=f"Folder.rule holds a {type(value).__name__}: .* starts with _"):
        to_json([{"deep": value}], "Folder.rule")
