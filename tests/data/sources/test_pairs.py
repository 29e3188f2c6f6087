"""Cases of several files: channels of two formats, masks in other axes, and what is checked between them."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from segexp.data.sources.pairs import CaseFiles, PairReader, natural_order

LPS = np.diag([-1.0, -2.0, 3.0, 1.0])


@pytest.fixture
def values():
    return np.arange(24, dtype=np.int16).reshape(2, 3, 4) % 5


def test_a_case_of_two_channels_in_two_formats_and_a_mask_in_other_axes(tmp_path, values):
    first, second, mask = tmp_path / "a.nii", tmp_path / "b.nrrd", tmp_path / "m.nii"
    nib.save(nib.Nifti1Image(values, LPS), first)
    image = sitk.GetImageFromArray(values.T + np.int16(1))
    image.SetSpacing((1.0, 2.0, 3.0))
    sitk.WriteImage(image, str(second))
    nib.save(nib.as_closest_canonical(nib.Nifti1Image((values > 0).astype(np.float32) * 7, LPS)), mask)
    case = PairReader({0: 0, 7: 255}).read_files("p1", CaseFiles((first, second), (mask,), others={"two": mask}))
    np.testing.assert_array_equal(case.image[1], case.image[0] + 1)
    np.testing.assert_array_equal(case.target, np.where(case.image[0] > 0, 255, 0))
    np.testing.assert_array_equal(case.others["two"], case.target)
    assert (case.target.dtype, case.orientation) == (np.uint8, "LPS")
    assert (case.spacing, case.spacing_unit) == ((3.0, 2.0, 1.0), "mm")
    assert case.files == (first, second, mask, mask)
    count = int((values > 0).sum())
    assert case.facts["mask_values"] == {0: values.size - count, 7: count}
    assert (case.facts["image_dtype"], case.facts["mask_dtype"]) == ("int16", "float32")


def test_masks_beside_the_truth_must_lie_where_the_image_does(tmp_path, values):
    nib.save(nib.Nifti1Image(values, LPS), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image((values > 0).astype(np.uint8), LPS), tmp_path / "m.nii")
    nib.save(nib.Nifti1Image((values > 0).astype(np.uint8), np.eye(4)), tmp_path / "far.nii")
    reader, paths = PairReader({0: 0, 1: 1}), ((tmp_path / "a.nii",), (tmp_path / "m.nii",))
    assert reader.read_files("p", CaseFiles(*paths, valid=tmp_path / "m.nii")).valid.any()
    for beside in ({"valid": tmp_path / "far.nii"}, {"others": {"two": tmp_path / "far.nii"}}):
        with pytest.raises(ValueError, match=r"a\.nii and .*far\.nii lie up to .* mm apart"):
            reader.read_files("p", CaseFiles(*paths, **beside))


def test_natural_order():
    assert sorted(["b", "a10", "a2", "a", "10", "9"], key=natural_order) == ["9", "10", "a", "a2", "a10", "b"]
