"""The cache gives back what was decoded, notices what changed or broke, and bears company."""

import importlib
import json
import logging
import multiprocessing
import os
import resource
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile

from segexp.data.cache import CaseCache, cache, hashes, settings_of
from segexp.data.case import Case, Entry
from segexp.data.files.volumes import opened_files, read_volume
from segexp.data.sources import ISBI, Folder
from tests.data.files.test_dicom import save_slices

SETTINGS = {"class": "tests.Source", "values": {0: 0, 255: 1}}


def full_case(name="c", seed=0):
    """A case that has everything; the image in Fortran's order."""
    rng = np.random.default_rng(seed)
    return Case(
        name,
        np.asfortranarray(rng.normal(size=(1, 3, 4, 5)).astype(np.float32)),
        rng.integers(0, 3, (3, 4, 5), dtype=np.uint8),
        (1.5, 0.7, np.float32(0.1)),
        "mm",
        (Path("images/c.nii.gz"), Path("labels/c.nii.gz")),
        rng.random((3, 4, 5)) > 0.5,
        {"2nd/HO": rng.integers(0, 3, (3, 4, 5), dtype=np.uint8), "": np.zeros((3, 4, 5), np.uint8)},
        rng.normal(size=(4, 4)),
        "LPS",
        {"image_dtype": "float32", "mask_values": {0: 50, 255: 10}, "range": (np.uint16(1), 2.5), "none": None},
        rng.integers(0, 9, (3, 4, 5), dtype=np.int32),
    )


class Decoder:
    """Reads one case and counts."""

    def __init__(self, case):
        self.case, self.times = case, 0

    def __call__(self):
        self.times += 1
        return self.case


def require_equal(one, other):
    for field in fields(Case):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if field.name == "others":
            assert list(a) == list(b)
            a, b = np.array(list(a.values())), np.array(list(b.values()))
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)
        else:
            assert a == b
            assert type(a) is type(b)


@pytest.fixture
def entry(tmp_path):
    files = (tmp_path / "c.nii.gz", tmp_path / "c_label.nii.gz")
    for file in files:
        file.write_bytes(file.name.encode())
    return Entry("c", files)


def only_place(folder):
    (place,) = (folder / "cases").iterdir()
    return place


@pytest.mark.parametrize("bare", [False, True])
def test_a_case_comes_back_whole_and_is_decoded_once(tmp_path, entry, bare):
    case = full_case()
    if bare:
        case = Case("c", np.arange(12, dtype=">u2").reshape(1, 3, 4), None, (1.0, 1.0))
    decoder = Decoder(case)
    found = [CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder) for _ in range(3)]
    assert decoder.times == 1
    for other, digest in [*found, CaseCache(None).case(entry, SETTINGS, decoder)]:
        require_equal(case, other)
        assert digest == found[0][1]
        for array in (other.image, other.target, other.valid, other.instances, *other.others.values()):
            assert array is None or not array.flags.writeable
    assert case.image.flags.writeable  # the source's own array stays as it was


def test_arrays_are_mapped_and_hold_no_file_descriptor(tmp_path, entry):
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    before = len(os.listdir("/proc/self/fd"))
    found = [CaseCache(tmp_path / "cache").case(entry, SETTINGS, full_case)[0] for _ in range(5)]
    assert len(os.listdir("/proc/self/fd")) == before
    mapped = [
        line for line in Path("/proc/self/maps").read_text().splitlines() if str(only_place(tmp_path / "cache")) in line
    ]
    assert len(mapped) == 6 * len(found) == 30
    np.testing.assert_array_equal(np.load(only_place(tmp_path / "cache") / "0.npy"), full_case().image)


def test_equal_data_have_equal_digests_and_others_do_not():
    case = full_case()
    pixel = case.image.copy()
    pixel[0, 0, 0, 0] += 1
    variants = [
        case,
        replace(case, image=pixel),
        replace(case, image=case.image.reshape(1, 4, 3, 5)),
        replace(case, image=case.image.view(np.int32)),
        replace(case, target=None),
        replace(case, valid=None),
        replace(case, instances=None),
        replace(case, instances=case.instances + 1),
        replace(case, others={}),
        replace(case, others={"1st": case.others["2nd/HO"], "": case.others[""]}),
    ]
    digests = [CaseCache(None).case(Entry("c"), {}, lambda case=case: case)[1] for case in variants]
    assert len(set(digests)) == len(variants)
    same = replace(case, name="d", image=np.ascontiguousarray(case.image), others=dict(reversed(case.others.items())))
    assert CaseCache(None).case(Entry("d"), {}, lambda: same)[1] == digests[0]


def changed_content(entry, _):
    entry.files[1].write_bytes(b"C_label.nii.gz")
    return entry, SETTINGS


def changed_file_name(entry, _):
    return replace(entry, files=(entry.files[0].rename(entry.files[0].with_name("d.nii.gz")), entry.files[1])), SETTINGS


def changed_settings(entry, _):
    return entry, {**SETTINGS, "values": {0: 0, 255: 2}}


def changed_case(entry, _):
    return replace(entry, name="slice_1"), SETTINGS


def changed_code(entry, monkeypatch):
    monkeypatch.setattr(cache, "hash_code", lambda: "0" * 64)
    return entry, SETTINGS


def changed_version(entry, monkeypatch):
    monkeypatch.setattr(cache, "__version__", "99.0")
    return entry, SETTINGS


def changed_library(entry, monkeypatch):
    monkeypatch.setattr(cache, "library_versions", lambda: {"nibabel": "99.0"})
    return entry, SETTINGS


CHANGES = [
    changed_content,
    changed_file_name,
    changed_settings,
    changed_case,
    changed_code,
    changed_version,
    changed_library,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_decides_the_result_decides_the_key(tmp_path, entry, change, monkeypatch):
    decoder = Decoder(full_case())
    CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder)
    entry, settings = change(entry, monkeypatch)
    CaseCache(tmp_path / "cache").case(entry, settings, decoder)
    assert decoder.times == 2


def test_the_code_that_counts_is_all_of_the_room():
    room = Path(cache.__file__).parents[1]
    copy = {path.relative_to(room).as_posix(): path.read_bytes() for path in room.rglob("*.py")}
    assert {"cache/cache.py", "files/images.py", "sources/isbi.py"} <= copy.keys()
    assert hashes.hash_code() == hashes.hash_plain(
        [[name, hashes.hashlib.sha256(content).hexdigest()] for name, content in sorted(copy.items())]
    )


def test_a_moved_data_set_is_found_again(tmp_path, entry):
    decoder = Decoder(full_case())
    CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder)
    (tmp_path / "new").mkdir()
    moved = tuple(file.rename(tmp_path / "new" / file.name) for file in entry.files)
    CaseCache(tmp_path / "cache").case(replace(entry, files=moved), SETTINGS, decoder)
    assert decoder.times == 1


DAMAGES = {
    "an array is missing": lambda place: (place / "1.npy").unlink(),
    "an array is cut off": lambda place: os.truncate(place / "0.npy", 200),
    "an array is empty": lambda place: (place / "0.npy").write_bytes(b""),
    "an array has grown": lambda place: (place / "0.npy").write_bytes((place / "0.npy").read_bytes() + b"0"),
    "an array is no .npy": lambda place: (place / "0.npy").write_bytes(b"0" * (place / "0.npy").stat().st_size),
    "no JSON": lambda place: (place / "case.json").unlink(),
    "half a JSON": lambda place: os.truncate(place / "case.json", 100),
    "not text": lambda place: (place / "case.json").write_bytes(b"\xff\xfe"),
    "a list": lambda place: (place / "case.json").write_text("[]"),
    "other keys": lambda place: (place / "case.json").write_text('{"format": 1, "arrays": {}}'),
    "another format": lambda place: rewrite(place / "case.json", format=99),
    "no affine": lambda place: rewrite(place / "case.json", case={"mapping": [["name", "c"]]}),
    "a bit of an array": lambda place: flip(place / "0.npy", -1),
    "a bit of the last array": lambda place: flip(place / "4.npy", -7),
    "a bit of the spacing": lambda place: flip(
        place / "case.json", (place / "case.json").read_bytes().index(b"0.7") + 2
    ),
}


def flip(path, byte):
    data = bytearray(path.read_bytes())
    data[byte] ^= 1
    path.write_bytes(data)


def rewrite(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_made_anew(tmp_path, entry, damage, caplog):
    decoder = Decoder(full_case())
    folder = tmp_path / "cache"
    _, digest = CaseCache(folder).case(entry, SETTINGS, decoder)
    DAMAGES[damage](only_place(folder))
    for _ in range(2):
        case, again = CaseCache(folder).case(entry, SETTINGS, decoder)
        require_equal(decoder.case, case)
        assert again == digest
    assert decoder.times == 2
    assert (only_place(folder) / "case.json").is_file()
    assert [record.getMessage().split(" (")[0] for record in caplog.records] == ["case c is damaged in the cache"]


def test_checksums_of_a_case_are_compared_once_per_object(tmp_path, entry):
    cases, decoder = CaseCache(tmp_path / "cache"), Decoder(full_case())
    cases.case(entry, SETTINGS, decoder)
    flip(only_place(tmp_path / "cache") / "0.npy", -1)
    cases.case(entry, SETTINGS, decoder)
    assert decoder.times == 1
    CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder)
    assert decoder.times == 2


META = "ObjectType = Image\nNDims = 3\nDimSize = 4 4 2\nElementType = MET_UCHAR\nElementDataFile = "
NRRD = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 4 2\nencoding: raw\n"
HEADERS = {
    "a.mhd": META + "s1.raw",
    "list.mhd": META + "LIST\ns0.raw\ns1.raw\n",
    "pattern.mhd": META + "s%d.raw 0 1 1",
    "a.nhdr": NRRD + "data file: s1.raw\n",
    "list.nhdr": NRRD + "data file: LIST\ns0.raw\ns1.raw\n",
    "pattern.nhdr": NRRD + "data file: s%d.raw 0 1 1\n",
    "dicom": "",
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_byte_of_any_file_that_is_read_makes_a_new_entry(tmp_path, name):
    """Whatever file holds the voxels, and though the header stays as it is."""
    path, count = tmp_path / "v" / name, 1 if name.startswith("a.") else 2
    path.parent.mkdir()
    (path.parent / "s0.raw").write_bytes(bytes(16))
    raw = path.parent / "s1.raw"
    raw.write_bytes(bytes(32 // count))
    if name == "dicom":
        raw = sorted(save_slices(path, np.zeros((2, 4, 4), np.uint8)).iterdir())[1]
    else:
        path.write_text(HEADERS[name])
    found = []
    for _ in range(2):
        entry = Entry("c", opened_files([path]))
        found.append(CaseCache(tmp_path / "cache").case(entry, SETTINGS, lambda: read_volume(path)))
        flip(raw, -1)
    assert found[0][1] != found[1][1]
    assert [int(case.image.sum()) for case, _ in found] == [0, 1]


def test_without_a_folder_every_case_is_decoded_in_silence(entry, caplog):
    decoder = Decoder(full_case())
    for _ in range(2):
        require_equal(decoder.case, CaseCache(None).case(entry, SETTINGS, decoder)[0])
    assert decoder.times == 2
    assert not caplog.records


def require_one_warning(folder, entry, caplog):
    cases, decoder = CaseCache(folder), Decoder(full_case())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            case, digest = cases.case(entry, SETTINGS, decoder)
            require_equal(decoder.case, case)
            assert not case.image.flags.writeable
            assert digest == CaseCache(None).case(entry, SETTINGS, full_case)[1]
    assert decoder.times == 2
    (record,) = caplog.records
    assert f"in {folder} (" in record.getMessage()
    assert "paths.cache_dir or SEGEXP_CACHE_DIR" in record.getMessage()


def test_where_no_folder_can_be_made_cases_stay_in_memory(tmp_path, entry, caplog):
    (tmp_path / "file").touch()
    require_one_warning(tmp_path / "file" / "cache", entry, caplog)


def test_on_a_full_disk_cases_stay_in_memory(tmp_path, entry, caplog):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, limits[1]))  # the system refuses to write larger files
    try:
        require_one_warning(tmp_path / "cache", entry, caplog)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list((tmp_path / "cache" / "cases").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_gives_what_it_has(tmp_path, entry, caplog):
    decoder = Decoder(full_case())
    CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder)
    for folder in (tmp_path / "cache", tmp_path / "cache" / "cases", tmp_path / "cache" / "hashes"):
        folder.chmod(0o555)
    require_equal(decoder.case, CaseCache(tmp_path / "cache").case(entry, SETTINGS, decoder)[0])
    assert decoder.times == 1
    require_one_warning(tmp_path / "cache", replace(entry, name="d"), caplog)


def test_slices_of_a_stack_share_its_hash(tmp_path, monkeypatch):
    read = []
    real = hashes.hash_file
    monkeypatch.setattr(hashes, "hash_file", lambda path: read.append(path.name) or real(path))
    rng = np.random.default_rng(0)
    tifffile.imwrite(tmp_path / "train-volume.tif", rng.integers(0, 256, (30, 16, 16), dtype=np.uint8))
    tifffile.imwrite(tmp_path / "train-labels.tif", rng.integers(0, 2, (30, 16, 16), dtype=np.uint8) * 255)
    source = ISBI(tmp_path, download=False)
    for _ in range(2):
        cases = CaseCache(tmp_path / "cache")
        for entry in source.entries():
            found, _ = cases.case(entry, settings_of(source), lambda name=entry.name: source.read(name))
            require_equal(source.read(entry.name), found)
    assert sorted(name for name in read if name.endswith(".tif")) == ["train-labels.tif", "train-volume.tif"]
    assert len(list((tmp_path / "cache" / "cases").iterdir())) == 30


def test_who_comes_second_takes_what_the_first_has_stored(tmp_path, entry):
    folder = tmp_path / "cache"

    def decode_slowly():
        CaseCache(folder).case(entry, SETTINGS, full_case)
        return full_case(seed=1)  # as if the decoder were not deterministic

    case, _ = CaseCache(folder).case(entry, SETTINGS, decode_slowly)
    require_equal(full_case(), case)
    only_place(folder)


def fill(folder, start, answers):
    """Store 20 cases; the two processes set off together."""
    cases, decoder = CaseCache(folder), Decoder(None)
    start.wait(60)
    digests = []
    for number in range(20):
        decoder.case = full_case(f"c{number}", number)
        case, digest = cases.case(Entry(f"c{number}", (Path(folder) / "file",)), SETTINGS, decoder)
        digests.append(digest)
        require_equal(decoder.case, case)
    answers.put((decoder.times, digests))


def test_two_processes_fill_one_folder_at_once(tmp_path):
    (tmp_path / "file").write_bytes(b"pixels")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # both start at once, after one import
    start, answers = context.Barrier(2), context.Queue()
    processes = [context.Process(target=fill, args=(str(tmp_path), start, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    (times, digests), (other_times, other_digests) = (answers.get(timeout=120) for _ in processes)
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    plain = [CaseCache(None).case(Entry("c"), {}, lambda seed=seed: full_case(seed=seed))[1] for seed in range(20)]
    assert digests == other_digests == plain
    assert 20 <= times + other_times <= 40
    assert len(list((tmp_path / "cases").iterdir())) == 20
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]
    decoder = Decoder(full_case("c3", 3))
    CaseCache(tmp_path).case(Entry("c3", (tmp_path / "file",)), SETTINGS, decoder)
    assert decoder.times == 0


def test_trimming_removes_what_was_not_used_for_longest(tmp_path):
    def has(name):
        decoder = Decoder(full_case(name))
        CaseCache(tmp_path).case(Entry(name), SETTINGS, decoder)
        return decoder.times == 0

    held = {name: CaseCache(tmp_path).case(Entry(name), SETTINGS, full_case)[0] for name in "abcd"}
    for age, place in enumerate(sorted((tmp_path / "cases").iterdir(), key=lambda place: place.stat().st_mtime)):
        os.utime(place, (time.time() - 1000 + age,) * 2)
    CaseCache(tmp_path).case(Entry("a"), SETTINGS, full_case)
    one = sum(file.stat().st_size for file in next((tmp_path / "cases").iterdir()).iterdir())
    CaseCache(tmp_path, limit_gb=2.5 * one / 1e9).trim()
    assert len(list((tmp_path / "cases").iterdir())) == 2
    for case in held.values():
        np.testing.assert_array_equal(case.image, full_case().image)  # maps outlive their files
    assert [has("a"), has("d")] == [True, True]
    assert [has("b"), has("c")] == [False, False]


def test_trimming_leaves_what_this_object_uses(tmp_path):
    CaseCache(tmp_path).case(Entry("a"), SETTINGS, full_case)
    cases = CaseCache(tmp_path, limit_gb=0)
    cases.case(Entry("b"), SETTINGS, full_case)
    cases.trim()
    decoder = Decoder(full_case())
    CaseCache(tmp_path).case(Entry("b"), SETTINGS, decoder)
    assert decoder.times == 0
    assert len(list((tmp_path / "cases").iterdir())) == 1
    CaseCache(None).trim()
    CaseCache(tmp_path / "none").trim()


def test_settings_are_the_public_attributes(tmp_path):
    source = Folder(tmp_path, tmp_path / "masks", {0: 0, 200: 1}, spacing=(0.5, 0.5))
    settings = settings_of(source)
    assert settings["class"] == "segexp.data.sources.folder.Folder"
    assert settings["images"] == str(tmp_path)
    assert settings["channels"] == 1
    assert not [name for name in settings if name.startswith("_")]
    assert json.loads(json.dumps(settings)) == settings
    assert settings == settings_of(Folder(tmp_path, tmp_path / "masks", {0: 0, 200: 1}, spacing=(0.5, 0.5)))
    assert settings != settings_of(Folder(tmp_path, tmp_path / "masks", {0: 0, 200: 2}, spacing=(0.5, 0.5)))


def test_a_setting_that_is_no_plain_value_is_refused(tmp_path):
    source = Folder(tmp_path, tmp_path / "masks")
    source.rule = {1, 2}
    with pytest.raises(ValueError, match="Folder.rule holds a set"):
        settings_of(source)


def test_a_users_own_source_counts_with_its_code(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for gray in (1, 20):
        (tmp_path / "my_source.py").write_text(f"class Mine:\n    GRAY = {gray}\n")
        hashes.hash_module.cache_clear()
        importlib.invalidate_caches()
        sys.modules.pop("my_source", None)
        found.append(settings_of(importlib.import_module("my_source").Mine()))
    assert found[0]["class"] == found[1]["class"] == "my_source.Mine"
    assert found[0] != found[1]


def test_facts_must_be_plain_and_files_must_be_there(tmp_path, entry):
    with pytest.raises(ValueError, match="case c holds a set"):
        CaseCache(tmp_path / "cache").case(entry, SETTINGS, lambda: replace(full_case(), facts={"values": {1}}))
    assert list((tmp_path / "cache" / "cases").iterdir()) == []
    entry.files[0].unlink()
    with pytest.raises(FileNotFoundError, match="c.nii.gz cannot be read"):
        CaseCache(tmp_path / "cache").case(entry, SETTINGS, full_case)
    with pytest.raises(ValueError, match="limit_gb=-1"):
        CaseCache(tmp_path, limit_gb=-1)


@pytest.mark.skipif("SEGEXP_DATA_DIR" not in os.environ, reason="SEGEXP_DATA_DIR is not set: no real data")
def test_real_volumes_against_nibabel(tmp_path):
    folder = Path(os.environ["SEGEXP_DATA_DIR"]) / "Task04_Hippocampus"
    paths = sorted((folder / "imagesTr").glob("*.nii.gz"))[:6]

    def read(path):
        image = nibabel.load(path)
        target = np.asarray(nibabel.load(folder / "labelsTr" / path.name).dataobj).astype(np.uint8)
        pixels = np.asarray(image.dataobj).T[None]
        spacing = tuple(image.header.get_zooms()[::-1])
        return Case(path.stem, pixels, target.T, spacing, "mm", (path,), affine=image.affine)

    for path in [*paths, *paths]:
        found, _ = CaseCache(tmp_path).case(Entry(path.stem, (path,)), {}, lambda path=path: read(path))
        require_equal(replace(read(path), spacing=found.spacing), found)
        np.testing.assert_array_equal(found.spacing, read(path).spacing)
    assert len(list((tmp_path / "cases").iterdir())) == 6


def test_the_cache_removes_nothing_that_it_did_not_make(tmp_path, entry):
    """Neither a folder of cases of somebody else, nor links, nor one of its own with more in it."""
    cases = tmp_path / "cases"
    (cases / "patient_1").mkdir(parents=True)
    (cases / "patient_1" / "0.npy").write_bytes(bytes(1000))
    digest = "0" * 64
    (cases / digest).mkdir()
    (cases / digest / "notes.txt").write_text("mine")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "case.json").write_text("{}")
    (cases / ("1" * 64)).symlink_to(elsewhere)
    (cases / "plain.txt").write_text("mine")
    kept = sorted(tmp_path.rglob("*"))
    CaseCache(tmp_path).case(entry, SETTINGS, Decoder(full_case()))
    CaseCache(tmp_path, limit_gb=0).trim()
    assert [path for path in kept if not path.exists()] == []
    assert len(list(cases.iterdir())) == 4
