import pickle
import zipfile

import pytest
import torch

from segexp.checkpoints.archive import require_checkpoint
from tests.safety.corpus import checkpoint, repacked, saved, two_directories


def test_what_torch_saves_is_a_checkpoint(tmp_path):
    path = saved(tmp_path / "a.ckpt", checkpoint())
    assert require_checkpoint(path) == path.stat().st_size
    assert require_checkpoint(repacked(tmp_path / "b.ckpt")) == (tmp_path / "b.ckpt").stat().st_size


@pytest.mark.parametrize(
    ("write", "rule"),
    [
        (lambda path: path.write_bytes(pickle.dumps({"segexp": {}})), "must be a zip archive"),
        (lambda path: torch.save({}, path, _use_new_zipfile_serialization=False), "must be a zip archive"),
        (lambda path: repacked(path, zipfile.ZIP_DEFLATED), "must be stored as it is"),
        (lambda path: repacked(path, **{"archive/more.txt": b""}), "holds 'archive/more.txt': that is no part"),
        (lambda path: path.write_bytes(saved(path, checkpoint()).read_bytes()[:-9]), "is a broken archive"),
    ],
)
def test_other_files_are_named_with_their_rule(tmp_path, write, rule):
    path = tmp_path / "a.ckpt"
    write(path)
    with pytest.raises(ValueError, match=rule) as caught:
        require_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("how", ["offset", "locator", "name", "between"])
def test_python_and_torch_see_the_same_members_or_the_archive_is_refused(tmp_path, how):
    path = two_directories(tmp_path / "a.ckpt", how)
    with pytest.raises(ValueError, match="is a broken archive"):
        require_checkpoint(path)


def test_large_archives_and_those_with_many_members_are_checkpoints(tmp_path):
    content = checkpoint() | {"more": [torch.zeros(3 + i) for i in range(300)]}
    assert require_checkpoint(saved(tmp_path / "a.ckpt", content)) > 300 * 64
