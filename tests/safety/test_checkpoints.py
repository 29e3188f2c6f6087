"""Hostile checkpoints: nothing of them is run, little memory is taken, the sentence names the file."""

import json
import os
import reprlib
import resource
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch

from segexp.checkpoints.checkpoint import load_checkpoint, open_model
from segexp.checkpoints.description import LATER
from tests.safety.corpus import (
    archive,
    checkpoint,
    description,
    laughing,
    nested,
    overlapping,
    pickles,
    repacked,
    saved,
)

MOST_MEMORY = 100 << 20  # bytes by which the peak of the process may rise; each bomb here is worth ten times as much


def refused(path: Path, words: str | None = None, name: str | None = None) -> None:
    """Open a hostile file: a ValueError that names it, and hardly any memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=words) as caught:
        open_model(path)
    assert (name or path.name) in str(caught.value)
    assert len(str(caught.value)) < 2000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MOST_MEMORY


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


def test_the_corpus_starts_from_a_good_file(tmp_path):
    network = open_model(saved(tmp_path / "good.ckpt", checkpoint())).network
    assert network(torch.zeros(1, 1, 8, 8)).shape == (1, 2, 8, 8)
    open_model(repacked(tmp_path / "again.ckpt"))


@pytest.mark.parametrize("name", pickles(Path("x")))
def test_no_pickle_is_run(tmp_path, canary, name):
    pickled = pickles(canary)[name]
    refused(archive(tmp_path / "zipped.ckpt", pickled))
    (tmp_path / "plain.ckpt").write_bytes(pickled)
    refused(tmp_path / "plain.ckpt", "must be a zip archive")


def test_the_pickles_would_do_harm_if_they_were_run(tmp_path):
    """The corpus is no straw man: Python's own unpickler runs it."""
    import pickle

    for name in ("os.system", "builtins.exec", "stack global", "protocol 0", "inst", "obj", "partial called"):
        canary = tmp_path / name.replace(" ", "_")
        pickle.loads(pickles(canary)[name])
        assert canary.exists(), name


def test_files_of_before_pytorch_1_6_are_refused(tmp_path):
    refused(saved(tmp_path / "old.ckpt", checkpoint(), _use_new_zipfile_serialization=False), "must be a zip archive")
    saved(tmp_path / "inner", checkpoint())
    with tarfile.open(tmp_path / "tar.ckpt", "w") as file:
        file.add(tmp_path / "inner", "storages")
    refused(tmp_path / "tar.ckpt", "must be a zip archive")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("archive/code/__torch__.py", "TorchScript, which is a program"),
        ("archive/constants.pkl", "TorchScript, which is a program"),
        ("../../canary", "no part of a checkpoint"),
        ("/tmp/canary", "no part of a checkpoint"),
        ("archive/../../canary", "no part of a checkpoint"),
        ("archive\\data\\0", "no part of a checkpoint"),
        ("archive/data/0.so", "no part of a checkpoint"),
        ("other/data.pkl", "must hold one folder"),
        ("../data.pkl", "no part of a checkpoint"),
    ],
)
def test_members_that_no_checkpoint_has_are_refused(tmp_path, canary, member, words):
    refused(repacked(tmp_path / "a.ckpt", **{member: b"x"}), words)


def test_archives_that_grow_are_refused(tmp_path):
    path = repacked(tmp_path / "a.ckpt")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as file, file.open("archive/data/99", "w") as member:
        for _ in range(200):
            member.write(bytes(1 << 20))
    refused(path, "neither compressed nor encrypted")
    refused(overlapping(tmp_path / "b.ckpt"), "its members overlap")


def test_a_pickle_or_a_table_of_contents_of_many_megabytes_is_refused(tmp_path):
    refused(archive(tmp_path / "a.ckpt", b"\x80\x02" + b"N0" * (5 << 20) + b"N."), "data.pkl of 8388608 bytes at most")
    names = {f"archive/data/{i:0200d}": b"" for i in range(40_000)}
    refused(repacked(tmp_path / "b.ckpt", **names), "table of contents of .* bytes")


def test_broken_archives_are_named(tmp_path):
    good = repacked(tmp_path / "good.ckpt").read_bytes()
    for i, content in enumerate(
        [good[: len(good) // 2], good + b"more", good[:4], b"", bytes(1000), good[:-2] + b"\xff\xff"]
    ):
        path = tmp_path / f"{i}.ckpt"
        path.write_bytes(content)
        refused(path)


def test_a_member_twice_is_refused(tmp_path):
    path = repacked(tmp_path / "a.ckpt")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as file:
        file.writestr("archive/data.pkl", pickles(tmp_path / "canary")["os.system"])
    refused(path, "each name in it once")


def test_tensors_that_claim_more_than_the_file_has_are_refused(tmp_path):
    path = saved(tmp_path / "a.ckpt", {"segexp": description(), "state_dict": {"network.x": torch.arange(4.0)}})
    with zipfile.ZipFile(path) as file:
        pickled = file.read("a/data.pkl")
        members = {name: file.read(name) for name in file.namelist()}
    many = b"J" + (1 << 28).to_bytes(4, "little")
    members["a/data.pkl"] = pickled.replace(b"K\x04tq", many + b"tq").replace(
        b"K\x00K\x04\x85", b"K\x00" + many + b"\x85"
    )
    assert members["a/data.pkl"] != pickled
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    refused(path, "cannot be read as a checkpoint")


def test_one_number_spread_over_a_large_tensor_is_refused(tmp_path):
    """The description asks for 2 GB, the file tells tensors of these sizes, and holds one number of each."""
    from segexp.models import UNet

    large = {"base_channels": 1024, "depth": 2}
    with torch.device("meta"):
        network = UNet(**large)
    state = {
        f"network.{name}": torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)
        for name, tensor in network.state_dict().items()
    }
    told = description(model=network.config)
    refused(saved(tmp_path / "a.ckpt", checkpoint(told, state_dict=state)), "would take .* bytes, but the file has")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"network": "os.system", "model": {"command": "true"}}, "its network is of 'os.system', which is no"),
        ({"network": "torch.hub.load"}, "no class of segexp: a file may not name what is called"),
        ({"network": "segexp.models.UNet"}, "no class of segexp: a file may not name what is called"),
        ({"network": "unet"}, "network='unet' is not one of"),
        ({"network": "UNet\x00"}, "printable characters"),
        ({"network": ["UNet"]}, "network=.* must be"),
        ({"_target_": "os.system"}, "_target_='os.system': a file may not name what is to be called"),
        ({"model___target_": "os.system"}, "_target_"),
        ({"model__norm": {"_target_": "builtins.eval", "expression": "1"}}, "_target_"),
        ({"intensity___target_": "os.system"}, "_target_"),
        ({"postprocess": {"fill_holes": {"_target_": "os.system"}}}, "_target_"),
        ({"intensity": {"rule": "os.system"}}, "rule"),
        ({"intensity": {"rule": "ZScore", "command": "true"}}, "cannot have the settings"),
        ({"intensity": {"rule": "Window", "low": "a", "high": "b"}}, "intensity"),
        ({"field_of_view": "os.system"}, r"field_of_view='os.system' must be none or one of \['fundus'\]"),
        ({"postprocess": {"os.system": {}}}, "postprocess"),
        ({"surprise": 1}, "'surprise' is no key"),
        ({"model__surprise": 1}, "argument='surprise' is not one of"),
        ({"model__depth": True}, "depth=True must be of type int"),
        ({"inference__overlap": [0.5, 1.5]}, "inference: overlap="),
        ({"inference__overlap": 10**9}, "or a whole number of px"),
        ({"inference__sigma": 0}, "inference: sigma=0 must be a number from 0.001"),
        ({"inference__padding_mode": "circular"}, "padding_mode='circular' must be one of"),
        ({"model__depth": [1]}, "must be of type int"),
        ({"model__channels": [10**6, 8]}, "65536 at most"),
        ({"model__channels": [8] * 17}, "channels="),
        ({"model__channels": [[[8]], 8]}, "model="),
        ({"model__channels": [8, "8"]}, "channels"),
        ({"model__channels": [60_000] * 2}, "asks for a tensor"),
        ({"model__kernels": [[1, 3], [3, 10**6]]}, "kernels="),
        ({"model__kernels": "3"}, "must be of type int or Sequence"),
        ({"model__strides": [[2, 2, 2]]}, "strides="),
        ({"model__depth": 1.0}, "depth=1.0 must be of type int"),
        ({"model__depth": 10**9}, "depth=1000000000 must be 10 at most"),
        ({"model__depth": -1}, "depth=-1 must be an integer of at least 1"),
        ({"model__base_channels": 2**62}, "1024 at most"),
        ({"model__base_channels": 2**100}, "model="),
        ({"network": "UNetPlusPlus", "model__base_channels": 1024, "model__depth": 10}, "asks for a tensor"),
        ({"model__num_classes": 10**7}, "1000 at most"),
        ({"model__dropout": float("nan")}, "model="),
        ({"model__dropout": float("inf")}, "model="),
        ({"model__norm": "x" * 10**6}, "model="),
        ({"model__norm": nested(6)}, "model="),
        ({"model__norm": nested(50)}, "levels: no description of ours"),
        ({"model__norm": laughing(7)}, "values or 8 levels: no description of ours"),
        ({"chosen": {"threshold": float("nan")}}, "chosen="),
        ({"chosen": {"threshold": "0.5"}}, "chosen="),
        ({"channels": 2}, "model.in_channels=1, but the rest of the description makes it 2"),
        ({"context": 1}, "model.in_channels=1"),
        ({"class_names": ["a"], "label_values": [0]}, "model.num_classes=2"),
        ({"class_names": ["a", "\x1b[2J"]}, "printable"),
        ({"class_names": "ab"}, "class_names="),
        ({"label_values": [0]}, "label_values"),
        ({"label_values": [1, 1]}, "all different"),
        ({"regions": {"whole": [1, 2]}}, "there are 2 classes"),
        ({"regions": {}}, "regions"),
        ({"spatial_dims": 3, "patch_size": [8, 8, 8], "inference__tile": 8}, "model.spatial_dims=2"),
        ({"patch_size": [2**16, 2**16]}, "pixels at most"),
        ({"inference__tile": [2**16, 2**16]}, "pixels at most"),
        ({"inference__tile": [16]}, "inference: tile="),
        ({"inference__overlap": 1.0}, "overlap=1.0 must be"),
        ({"inference__batch_size": 10**9}, "batch_size"),
        ({"spacing": [0.0, 1.0]}, "spacing="),
        ({"activation": "torch.relu"}, "activation="),
        ({"network": "PretrainedUNet", "model": {"weights": "imagenet"}}, "weights='imagenet' must be null"),
        ({"network": "PretrainedUNet", "model": {}}, "must be null"),
        (
            {"network": "PretrainedUNet", "model": {"weights": None, "encoder": "tu-hf-hub:evil/model"}},
            "must be a name",
        ),
        (
            {"network": "PretrainedUNet", "model": {"weights": None, "encoder": "tu-local-dir:/tmp/evil"}},
            "must be a name",
        ),
    ],
    ids=reprlib.repr,
)
def test_descriptions_are_checked_key_by_key(tmp_path, told, words):
    refused(saved(tmp_path / "a.ckpt", checkpoint(description(**told))), words)


def test_every_key_must_be_there(tmp_path):
    for key in description().keys() - LATER.keys():
        less = {name: value for name, value in description().items() if name != key}
        refused(saved(tmp_path / f"{key}.ckpt", checkpoint(less)), f"{key} must be there")


@pytest.mark.parametrize(
    "changes",
    [
        {"state_dict": {"network.x": "text"}},
        {"state_dict": [1]},
        {"state_dict": {1: torch.zeros(1)}},
        {"state_dict": {}},
        {"segexp": torch.zeros(3)},
        {"segexp": None},
        {"segexp": [["network", "UNet"]]},
        {"segexp": {1: 2}},
    ],
    ids=str,
)
def test_content_of_another_kind_is_refused(tmp_path, changes):
    refused(saved(tmp_path / "a.ckpt", checkpoint() | changes))


def test_tensors_of_another_size_type_or_name_are_refused(tmp_path):
    content = checkpoint()
    name, weight = next(iter(content["state_dict"].items()))
    for i, other in enumerate((weight[:1].clone(), weight.double(), weight.half())):
        state = content["state_dict"] | {name: other}
        refused(saved(tmp_path / f"{i}.ckpt", content | {"state_dict": state}), "asks for a tensor 'stem.0.weight' of")
    more = content["state_dict"] | {"network.more": torch.zeros(1)}
    refused(saved(tmp_path / "more.ckpt", content | {"state_dict": more}), "'more' of none")


def test_paths_that_callbacks_remember_must_not_lead_upwards(tmp_path):
    """A resumed run removes what its callbacks remember as an older checkpoint."""
    inside = str(tmp_path / "checkpoints")
    for i, state in enumerate(
        [
            {"best_model_path": f"{inside}/../../victim"},
            {"best_k_models": {f"{inside}/../../victim": torch.tensor(1.0)}},
            {"kth_best_model_path": f"{inside}\\..\\victim"},
        ]
    ):
        path = saved(tmp_path / f"{i}.ckpt", checkpoint(callbacks={"ModelCheckpoint": state}))
        with pytest.raises(ValueError, match=r"must not lead upwards"):
            load_checkpoint(path)
    load_checkpoint(saved(tmp_path / "a.ckpt", checkpoint(callbacks={"M": {"best_model_path": f"{inside}/best.ckpt"}})))


def run_folder(folder: Path) -> Path:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": "done"}))
    return folder


def test_links_out_of_a_run_folder_are_refused(tmp_path):
    outside, run = saved(tmp_path / "secret.ckpt", checkpoint()), run_folder(tmp_path / "run")
    best = run / "checkpoints" / "best.ckpt"
    best.symlink_to(outside)
    refused(run, "is a link that leads out of", name="best.ckpt")
    best.unlink()
    saved(run / "checkpoints" / "epoch.ckpt", checkpoint())
    best.symlink_to("epoch.ckpt")  # inside, it may be one
    open_model(run)
    (tmp_path / "shortcut").symlink_to(run)
    open_model(tmp_path / "shortcut")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"fill_holes": {"_target_": "os.system"}}', "_target_"),
        ('{"os.system": {}}', "postprocess"),
        ('["fill_holes"]', "must be a mapping of steps"),
        ('{"fill_holes": {}, "fill_holes": {}}', "twice"),
        ("[" * 10**5, "cannot be read as JSON|levels"),
    ],
    ids=lambda value: value[:20],
)
def test_the_steps_that_a_run_folder_keeps_are_checked_too(tmp_path, content, words):
    run = run_folder(tmp_path / "run")
    saved(run / "checkpoints" / "best.ckpt", checkpoint())
    (run / "postprocess.json").write_text('{"fill_holes": {}}')
    assert open_model(run).description.postprocess == {"fill_holes": {}}
    assert open_model(run / "checkpoints" / "best.ckpt").description.postprocess is None
    (run / "postprocess.json").write_text(content)
    refused(run, words, name="postprocess.json")


def test_devices_and_pipes_are_not_waited_for(tmp_path):
    run = run_folder(tmp_path / "run")
    best = run / "checkpoints" / "best.ckpt"
    os.mkfifo(best)
    refused(run, "must be a regular file", name="best.ckpt")
    best.unlink()
    best.symlink_to("/dev/zero")
    refused(run, "must be a regular file", name="best.ckpt")
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        open_model(tmp_path)
