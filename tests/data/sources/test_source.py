"""What is asked of any source, beside its three methods."""

from segexp.data.sources import Synthetic, left_out


def test_a_source_that_does_not_look_around_leaves_nothing_out():
    class Looking(Synthetic):
        def left_out(self) -> dict[str, tuple[str, ...]]:
            return {"hidden": (".DS_Store",)}

    assert left_out(Synthetic()) == {}
    assert left_out(Looking()) == {"hidden": (".DS_Store",)}
