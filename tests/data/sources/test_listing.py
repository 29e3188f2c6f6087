"""What lies in a folder: images, volumes and the rest by reason."""

import pytest

from segexp.data.sources.listing import look_through


@pytest.fixture
def root(tmp_path):
    """Make images, hidden files, other files, links and a folder of DICOM files."""
    for name in (
        "b.png",
        "a.NII.GZ",
        ".hidden.png",
        "._b.png",
        "notes.txt",
        "Thumbs.db",
        "README",
        "p1/c.tif",
        ".git/d.png",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "series").mkdir()
    (tmp_path / "series" / "1").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_everything_is_seen_once(root):
    (root / "linked").symlink_to(root / "p1", target_is_directory=True)
    (root / "p1" / "loop").symlink_to(root, target_is_directory=True)
    listing = look_through(root)
    assert [(found.relative, found.stem) for found in listing.images] == [
        ("a.NII.GZ", "a"), ("b.png", "b"), ("linked/c.tif", "linked/c"), ("series", "series")
    ]  # fmt: skip
    assert listing.rest == {
        "hidden": ["._b.png", ".git", ".hidden.png"],
        "no image: without suffix": ["README"],
        "no image: .db": ["Thumbs.db"],
        "no image: .txt": ["notes.txt"],
    }


def test_a_folder_can_be_passed_over(root):
    assert "p1/c.tif" in [found.relative for found in look_through(root).images]
    assert "p1/c.tif" not in [found.relative for found in look_through(root, without=root / "p1").images]
    assert len(look_through(root, without=root).images) == 4


def test_a_folder_without_images_says_what_it_has(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere is not a folder: check the path"):
        look_through(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"has no image files: .*; it has nothing"):
        look_through(tmp_path)
    for name in ("a.xml", "b.XML", ".c"):
        (tmp_path / name).write_text("")
    with pytest.raises(ValueError, match=r"subfolders of DICOM files; it has 1 hidden, 2 \.xml"):
        look_through(tmp_path)


def test_letters_of_one_and_of_two_code_points_are_one(tmp_path):
    (tmp_path / "u\u0308.png").write_bytes(b"")
    found = look_through(tmp_path).images[0]
    assert found.stem == "\u00fc"
    assert found.path.name == "u\u0308.png"
