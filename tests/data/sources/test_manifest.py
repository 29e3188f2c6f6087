"""CSV files as spreadsheets and people write them, and what is refused."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from segexp.data.case import Entry
from segexp.data.sources import Manifest
from tests.data.sources import names

HEADER = "image,mask\n"


@pytest.fixture
def files(tmp_path):
    """Write images/<stem>.png and masks/<stem>.png for stems a2, a10 and ä b."""
    for stem in ("a2", "a10", "ä b"):
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(np.full((4, 5), 255, dtype=np.uint8)).save(tmp_path / kind / f"{stem}.png")
    return tmp_path


@pytest.fixture
def manifest(files):
    """Return the Manifest of a CSV file with the given content."""

    def write(text: str | bytes, **options) -> Manifest:
        content = text.encode() if isinstance(text, str) else text
        (files / "cases.csv").write_bytes(content)
        return Manifest(files / "cases.csv", **options)

    return write


def test_rows_become_entries_in_natural_order(manifest, files):
    source = manifest(
        "image,mask,group,split,stratum,name\n"
        "images/a10.png,masks/a10.png,p1,train,ill,\n"
        "images/a2.png,masks/a2.png,p1,train,,\n"
        "images/ä b.png,masks/ä b.png,p2,test,well,other\n"
    )
    source.prepare()
    pairs = {stem: (files / "images" / f"{stem}.png", files / "masks" / f"{stem}.png") for stem in ("a2", "a10", "ä b")}
    assert source.entries() == [
        Entry("a2", pairs["a2"], "p1", "", "train"),
        Entry("a10", pairs["a10"], "p1", "ill", "train"),
        Entry("other", pairs["ä b"], "p2", "well", "test"),
    ]
    case = source.read("other")
    assert (case.image.shape, case.target.min(), case.files) == ((1, 4, 5), 1, pairs["ä b"])
    assert (case.facts["image_dtype"], case.facts["mask_values"]) == ("uint8", {255: 20})
    with pytest.raises(ValueError, match=r"cases\.csv has no case 'othr' \(did you mean 'other'\?\)"):
        source.read("othr")


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffimage,mask\r\nimages/ä b.png,masks/ä b.png\r\n",
        "mask;image\nmasks/ä b.png;images/ä b.png\n",
        "image\tmask\nimages/ä b.png\tmasks/ä b.png",
        ' image , mask \n\n  "images/ä b.png", masks/ä b.png \n,\n',
    ],
)
def test_bom_separators_blanks_and_quotes(manifest, text):
    assert names(manifest(text)) == ["ä b"]


def test_volumes_and_ignored_values(manifest, files):
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    for kind in ("images", "masks"):
        nib.save(nib.Nifti1Image(values % 3, np.diag([-1, 2, 3, 1])), files / kind / "v.nii.gz")
    source = manifest("image,mask\nimages/v.nii.gz,masks/v.nii.gz\n", values={0: 0, 1: 1, 2: 255})
    assert names(source) == ["v"]
    np.testing.assert_array_equal(source.read("v").target, np.array([0, 1, 255])[(values % 3)[::-1].T])


def test_field_of_view_second_observer_and_spacing(manifest, files):
    view, other = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint8)
    view[1:], other[2] = 1, 255
    for name, pixels in (("view", view), ("other", other)):
        Image.fromarray(pixels).save(files / f"{name}.png")
    source = manifest(
        "image,mask,field_of_view,second_observer,spacing\n"
        "images/a2.png,masks/a2.png,view.png,other.png,0.5 0.25\n"
        "images/a10.png,masks/a10.png,,,.5\n"
        "images/ä b.png,masks/ä b.png,,,\n",
        spacing=[3, 3],
    )
    case = source.read("a2")
    np.testing.assert_array_equal(case.valid, view == 1)
    np.testing.assert_array_equal(case.others["second_observer"], other == 255)
    assert (case.spacing, case.spacing_unit) == ((0.5, 0.25), "mm")
    assert source.entries()[0].files == case.files
    assert [path.name for path in case.files] == ["a2.png", "a2.png", "view.png", "other.png"]
    assert [source.read(name).spacing for name in ("a10", "ä b")] == [(0.5, 0.5), (3, 3)]
    assert (source.read("a10").valid, source.read("a10").others) == (None, {})


def test_numbers_of_objects_beside_their_classes(manifest, files):
    classes, numbers = np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.uint16)
    classes[:, :2], classes[:, 2] = 1, 2
    numbers[:, 0], numbers[:, 1], numbers[:, 2] = 500, 3, 700
    Image.fromarray(classes).save(files / "classes.png")
    Image.fromarray(numbers).save(files / "numbers.png")
    rows = "image,mask,instances\nimages/a2.png,classes.png,numbers.png\nimages/a10.png,masks/a10.png,\n"
    source = manifest(rows, values={0: 0, 255: 1, 1: 1, 2: 2})
    case = source.read("a2")
    assert (case.target[0].tolist(), case.instances[0].tolist()) == ([1, 1, 2, 0, 0], [2, 1, 3, 0, 0])
    assert [path.name for path in source.entries()[0].files] == ["a2.png", "classes.png", "numbers.png"]
    assert source.read("a10").instances is None
    parted = manifest(rows, values={0: 0, 1: 1, 2: 2}, border_width=1).read("a2")
    assert (parted.target[0].tolist(), parted.instances[0].tolist()) == ([3, 3, 3, 0, 0], [0] * 5)
    with pytest.raises(
        ValueError, match=r"numbers\.png numbers objects that have no class in mask .*classes\.png: 700"
    ):
        manifest(rows, values={0: 0, 1: 1, 2: 0}).read("a2")


def test_a_field_of_view_is_found_where_no_mask_of_it_is_given(manifest, files):
    photo = np.zeros((4, 5), np.uint8)
    photo[:, 2:] = 100
    Image.fromarray(photo).save(files / "images" / "a2.png")
    Image.fromarray(np.eye(4, 5, dtype=np.uint8)).save(files / "view.png")
    rows = "image,mask,field_of_view\nimages/a2.png,masks/a2.png,\nimages/a10.png,masks/a10.png,view.png\n"
    source = manifest(rows, field_of_view="fundus")
    np.testing.assert_array_equal(source.read("a2").valid, photo > 0)
    np.testing.assert_array_equal(source.read("a10").valid, np.eye(4, 5))
    with pytest.raises(ValueError, match=r"field_of_view='fundos' is not one of .*did you mean 'fundus'"):
        manifest(rows, field_of_view="fundos")
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), files / "v.nii")
    with pytest.raises(ValueError, match=r"field_of_view=fundus is found in 2-D images, and .*v\.nii is a volume"):
        manifest("image,mask,name\nv.nii,v.nii,v\n", field_of_view="fundus").read("v")


def test_further_channels_and_masks(manifest, files):
    header = "image,image_2,mask,mask_2\n"
    row = "images/a2.png,images/a10.png,masks/a2.png,masks/a10.png\n"
    assert manifest(header + row, merge_masks=True).read("a2").image.shape == (2, 4, 5)
    with pytest.raises(ValueError, match=r"one image has 2 masks \(.*set data\.source\.merge_masks=true"):
        manifest(header + row).read("a2")


@pytest.mark.parametrize(
    ("column", "pixels", "message"),
    [
        (
            "field_of_view",
            np.zeros((4, 5)),
            r"field of view .*x\.png is 0 everywhere: it must have another value inside",
        ),
        (
            "field_of_view",
            np.arange(20).reshape(4, 5),
            r"x\.png has values without a class: 1, 2, .*declared are 0, 19",
        ),
        ("field_of_view", np.ones((4, 4)), r"image .*a2\.png is 4×5 .* mask .*x\.png is 4×4"),
        ("second_observer", np.ones((4, 4)), r"image .*a2\.png is 4×5 .* mask .*x\.png is 4×4"),
        ("second_observer", np.full((4, 5), 7), r"x\.png has values without a class: 7"),
    ],
)
def test_masks_beside_the_truth_that_cannot_be_used(manifest, files, column, pixels, message):
    Image.fromarray(pixels.astype(np.uint8)).save(files / "x.png")
    with pytest.raises(ValueError, match=message):
        manifest(f"image,mask,{column}\nimages/a2.png,masks/a2.png,x.png\n").read("a2")


@pytest.mark.parametrize("spacing", ["0", "-1", "1 0", "1 2 3", "1,5", "1.2.3", "nan", "mm", "inf"])
def test_spacings_that_are_none(manifest, spacing):
    with pytest.raises(ValueError, match=r"cases\.csv has spacing '.*' for case a2: write height and width of a pixel"):
        manifest(f"image;mask;spacing\nimages/a2.png;masks/a2.png;{spacing}\n").prepare()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("images/a2.png,masks/v.nii.gz", r"v\.nii\.gz is a volume, and .*a2\.png is none: all files of a case must"),
        ("masks/v.nii.gz,masks/a2.png", r"v\.nii\.gz is a volume, and .*a2\.png is none: all files of a case must"),
        ("images,masks/a2.png", r"images is a folder without DICOM files: give a file, or"),
    ],
)
def test_files_of_two_kinds_are_no_case(manifest, files, row, message):
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.uint8), np.eye(4)), files / "masks" / "v.nii.gz")
    source = manifest(f"image,mask,name\n{row},x\n")
    with pytest.raises(ValueError, match=message):
        source.read("x")


def test_channels_of_two_sizes_are_no_image(manifest, files):
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(files / "wide.png")
    with pytest.raises(ValueError, match=r"a2\.png and .*wide\.png, channels of case a2, differ in size"):
        manifest("image,image_2,mask\nimages/a2.png,wide.png,masks/a2.png\n").read("a2")


@pytest.mark.parametrize("name", ["x/y", "..", ".x", "a\x1b[31m"])
def test_names_that_name_no_file(manifest, name):
    with pytest.raises(ValueError, match=r"has the names '.*': files are named after cases"):
        manifest(f"image,mask,name\nimages/a2.png,masks/a2.png,{name}\n").prepare()


def test_missing_files_are_listed_all_at_once(manifest):
    source = manifest("image,mask\nimages/a2.png,masks/no.png\nimages/nor.png,masks/a2.png\n")
    with pytest.raises(FileNotFoundError, match=r"not there: .*masks/no\.png, .*images/nor\.png: correct the paths"):
        source.prepare()
    with pytest.raises(FileNotFoundError, match=r"images\\a2\.png: write / in place of"):
        manifest("image,mask\nimages\\a2.png,masks/a2.png\n").prepare()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it lacks image, mask; allowed are image, mask, group, split, stratum, name"),
        ("image,masks\na,b\n", r"it lacks mask; has unknown 'masks' \(did you mean 'mask'\?\)"),
        ("image,mask,image\na,b,c\n", "it has twice image"),
        ("image,mask,image_3\na,b,c\n", "it lacks image_2"),
        ("image,mask,image_1\na,b,c\n", "it lacks image_2; has unknown 'image_1'"),
        ("image,image_2,mask\na,b,c\nd,,f\n", r"has lines without image_2 \(3\): all cases have the same channels"),
        ("image,mask,spcing\na,b,c\n", r"has unknown 'spcing' \(did you mean 'spacing'\?\)"),
        (HEADER, "has no line below its header"),
        (HEADER + "a.png,b.png\na.png\nb.png,c,d.png\n", "has lines 3, 4 with other than 2 values"),
        (HEADER + "a.png, \n,b.png\n", r"has lines without image or mask \(2, 3\)"),
        ("image,mask,split\na.png,b.png,training\n", "has split training: it must be train, val or test, or empty"),
        (HEADER + "a/x.png,m/1.png\nb/x.tif,m/2.png\n", "has x more than once as name"),
        ("image,mask,name\nx.png,m/1.png,p\nx.png,m/2.png,q\n", r"has x\.png more than once as image"),
        ("image,mask\nä.png,ö.png\n".encode("latin-1"), "is not in UTF-8"),
        ("image,mask\nä.png,ö.png\n".encode("utf-16"), "is not in UTF-8"),
    ],
)
def test_files_that_cannot_be_used(manifest, text, message):
    with pytest.raises(ValueError, match=rf"cases\.csv.*{message}"):
        manifest(text).prepare()


def test_no_csv_and_arguments_out_of_range(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no\.csv is not there: set data\.source\.csv"):
        Manifest(tmp_path / "no.csv").prepare()
    with pytest.raises(ValueError, match="must be two numbers above 0"):
        Manifest("a.csv", spacing=[1.0])
