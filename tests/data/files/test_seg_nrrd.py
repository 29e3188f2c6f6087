"""Segmentations as slicerio, the reader of 3D Slicer's own project, and SimpleITK see them."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import slicerio

from segexp.data.files.seg_nrrd import require_whole_segmentation, write_seg_nrrd
from segexp.data.files.segments import Segment
from segexp.data.files.volumes import read_volume
from segexp.data.files.writing import is_whole
from tests.data.files.test_volumes import DIRECTIONS, affine_of

SEGMENTS = [Segment("left lobe", 7, (86, 180, 233)), Segment("right lobe", 300, (230, 159, 0))]
TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def labels_of(dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).choice([0, 7, 300 if dtype != "uint8" else 9], (4, 5, 6)).astype(dtype)


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "int32"])
def test_labels_names_colors_and_place_come_back(name, dtype, tmp_path):
    labels, affine = labels_of(dtype), affine_of(DIRECTIONS[name])
    write_seg_nrrd(labels, affine, SEGMENTS, tmp_path / "a.seg.nrrd")
    found = slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))
    assert np.array_equal(found["voxels"], labels)
    np.testing.assert_allclose(found["ijkToLPS"], TO_LPS @ affine)
    segments = found["segments"]
    assert [(one["id"], one["name"], one["labelValue"], one["layer"]) for one in segments] == [
        ("Segment_1", "left lobe", 7, 0),
        ("Segment_2", "right lobe", 300, 0),
    ]
    assert [one["extent"] for one in segments] == [[0, 3, 0, 4, 0, 5]] * 2
    for one, segment in zip(segments, SEGMENTS, strict=True):
        np.testing.assert_allclose(np.array(one["color"]) * 255, segment.color, atol=1e-3)


def test_overlapping_regions_are_layers(tmp_path):
    affine = affine_of(DIRECTIONS["LPS"])
    regions = np.stack([labels_of() > 0, labels_of() > 7]).astype(np.uint8)
    segments = [Segment("whole", 1, (1, 2, 3)), Segment("core", 1, (4, 5, 6))]
    write_seg_nrrd(regions, affine, segments, tmp_path / "a.seg.nrrd")
    found = slicerio.read_segmentation(str(tmp_path / "a.seg.nrrd"))
    for region, segment in zip(regions, found["segments"], strict=True):
        assert np.array_equal(found["voxels"][segment["layer"]] == segment["labelValue"], region)
    np.testing.assert_allclose(found["ijkToLPS"], TO_LPS @ affine)
    # Our own reader gives the layers as channels.
    case = read_volume(tmp_path / "a.seg.nrrd")
    assert case.image.shape == (2, 6, 5, 4)


def test_it_lies_on_a_nifti_of_the_same_place_for_itk(tmp_path):
    affine = affine_of(DIRECTIONS["PSL"])
    write_seg_nrrd(labels_of(), affine, SEGMENTS, tmp_path / "a.seg.nrrd")
    nib.save(nib.Nifti1Image(labels_of(), affine), tmp_path / "b.nii.gz")
    ours, other = (sitk.ReadImage(str(tmp_path / name)) for name in ("a.seg.nrrd", "b.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(ours), sitk.GetArrayFromImage(other))
    for fact in ("GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(ours, fact)(), getattr(other, fact)(), atol=1e-5)


def test_a_backslash_in_a_name_is_written_as_nrrd_has_it(tmp_path):
    """Teem, by which Slicer reads, takes \\n for a line break."""
    write_seg_nrrd(labels_of(), np.eye(4), [Segment("a\\nb", 7, (1, 2, 3))], tmp_path / "a.seg.nrrd")
    assert sitk.ReadImage(str(tmp_path / "a.seg.nrrd")).GetMetaData("Segment0_Name") == "a\\nb"


def test_the_same_twice_and_what_is_cut_or_turned_is_told(tmp_path):
    for name in ("a.seg.nrrd", "b.seg.nrrd"):
        write_seg_nrrd(labels_of(), np.eye(4), SEGMENTS, tmp_path / name)
    path = tmp_path / "a.seg.nrrd"
    whole = path.read_bytes()
    assert whole == (tmp_path / "b.seg.nrrd").read_bytes()
    require_whole_segmentation(path)
    assert is_whole(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="cut short"):
        require_whole_segmentation(path)
    turned = bytearray(whole)
    turned[-20] ^= 1
    path.write_bytes(turned)
    assert not is_whole(path)
    path.write_bytes(whole.replace(b"type: unsigned short", b"type: unsigned whole"))
    with pytest.raises(ValueError, match="its type 'unsigned whole' is none of unsigned char, "):
        require_whole_segmentation(path)
