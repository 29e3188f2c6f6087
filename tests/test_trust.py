from pathlib import Path

import pytest
from hydra.errors import HydraException

from segexp.trust import Foreign, Vouched, compose_checked

HOSTILE = [
    # What would be built of other classes, or of ours at places where they do not belong.
    "model={_target_: os.system, command: id}",
    "model._target_=os.system",
    "data.source={_target_: os.system, command: id}",
    "data.source={_target_: segexp.training.loggers.mlflow, tracking_uri: x, folder: x}",
    "data.source._target_=pytorch_lightning.loggers.WandbLogger",
    "data.source.size={_target_: builtins.list}",
    "data.source.size=[{_target_: builtins.list}]",
    "loss.parts.dice={_target_: segexp.models.UNet}",
    "+loss.parts.more={_target_: os.getcwd}",
    "+callbacks.own={_target_: os.getcwd}",
    "+callbacks.own={_target_: segexp.losses.Dice}",
    "augment.transforms=[{_target_: albumentations.load}]",
    "+trainer.plugins=[{_target_: os.getcwd}]",
    "optimizer._target_=segexp.training.schedules.cosine",
    "+model._args_=[1]",
    "logger@data.source=mlflow",
    "+model@hydra.run=unet",
    # Interpolations, in whatever clothes.
    "name=${oc.env:HOME}",
    "name=${oc.create:${oc.decode:x}}",
    "data.labels.class_names=['${oc.env:HOME}', b]",
    "data.labels.regions={'a': [1], b: '${oc.env:HOME}'}",
    "data.source.root='\\${oc.env:HOME}'",
    # Options by path, settings of Hydra.
    "model=../../../../tmp/evil",
    "model=/tmp/evil",
    "data/intensity=../../model/unet",
    "+../../tmp=evil",
    "hydra.run.dir=/tmp/x",
    "hydra/launcher=ray",
    "+hydra.job.name=x",
    "hydra.searchpath=[file://mine]",
    "--config-dir=mine",
    "resume=other",
    "seed=1,2",
    "seed=range(1,3)",
    # Paths that leave, other machines.
    "paths.cache_dir=/var/tmp/precious",
    "paths.output_dir=/var/tmp/precious",
    "data.cache.folder=/var/tmp/precious",
    "callbacks.table.path=/var/tmp/precious",
    "callbacks.table.path=setup.py",
    "callbacks.best.dirpath=../elsewhere",
    "+callbacks.best.every=/var/tmp/precious",
    "trainer.default_root_dir=/var/tmp/precious",
    "+trainer.profiler=simple",
    "data.split.lists=/etc/passwd",
    "data=polyps data.source.images=/etc",
    "data.source.root=/etc",
    "data.source.root=link",
    "data.source.url=https://evil.example/x",
    "logger.tracking_uri=https://evil.example",
    "logger=wandb logger.project=evil",
    "+logger.entity=evil",
    "model=unet_pretrained model.encoder=hf-hub:evil/net",
    "model=unet_pretrained model.encoder='tu-local-dir:/tmp/evil'",
    "name=../../x",
    "monitor=val/../x",
    "+optimizer.note=text",
    "+optimizer.note={deep: [text]}",
    "x=<masked>",
]
PLAIN = [
    "model=unet model.norm=instance model.base_channels=4",
    "data=isbi data.split.val=0-5 data.split.test='6-8,10'",
    "metrics=[overlap,surface] monitor=val/hd95_px monitor_mode=min",
    "loss=compound loss.terms={ce: 1.0, dice: 0.5}",
    "data=folder data.source.images=images data.source.masks=masks/x",
    "data.labels.class_names=['<b>','ü'] trainer.precision=32-true",
    "+optimizer.betas=[0.9,0.95] +trainer.val_check_interval=0.5",
    "callbacks.ema.enabled=true ~callbacks.panels augment=none logger=csv",
    "data.labels.regions={whole: [1]} loss=dice_bce data/intensity=percentile",
    "experiment=isbi scheduler=plateau name=my_experiment-2",
]


@pytest.fixture
def run(tmp_path, monkeypatch) -> Path:
    """A run folder in the working directory, with a link that leads out."""
    folder = tmp_path / "work" / "run"
    folder.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv("SEGEXP_DATA_DIR", str(tmp_path / "data"))
    return folder


def split(line: str) -> list[str]:
    """Words of a line; blanks within brackets belong to a word."""
    words, depth = [""], 0
    for one in line:
        depth += (one in "[{") - (one in "]}")
        if one == " " and depth == 0:
            words.append("")
        else:
            words[-1] += one
    return words


@pytest.mark.parametrize("line", HOSTILE)
def test_words_that_name_code_paths_or_machines_are_refused(run, line):
    foreign = Foreign(split(line), run, run / "run.json", "leave it")
    with pytest.raises((ValueError, HydraException), match=r"run\.json holds .*: leave it$|override"):
        compose_checked(foreign, [], run)


@pytest.mark.parametrize("line", PLAIN)
def test_words_of_the_vocabulary_are_composed(run, line):
    config = compose_checked(Foreign(split(line), run, run / "run.json", "leave it"), [], run)
    assert config["paths"]["run_dir"] == str(run)


@pytest.mark.parametrize(
    "word", ["loss={_target_: os.getcwd}", "data.cache.folder=/var/tmp/precious", "loss._target_=a.b"]
)
def test_words_that_the_user_repeats_are_the_users(run, word):
    foreign = Foreign([word], run, run / "run.json", "leave it")
    key = word.partition("=")[0].split(".")[0]
    assert compose_checked(foreign, [word], run)[key]


def test_own_configuration_files_widen_the_vocabulary_where_they_lie(run, tmp_path):
    mine = tmp_path / "mine" / "loss"
    mine.mkdir(parents=True)
    (mine / "own.yaml").write_text("_target_: mine.Loss\nrate: 1\n")
    options = [f"--config-dir={mine.parent}"]

    def config(*words: str):
        return compose_checked(Foreign(words, run, run / "run.json", "leave it"), options, run)

    assert config("loss=own", "loss.rate=2")["loss"] == {"_target_": "mine.Loss", "rate": 2}
    with pytest.raises(ValueError, match=r"'model: mine\.Loss', which none of the configuration files has"):
        config("model={_target_: mine.Loss}")


def test_paths_of_a_run_lie_inside_it_or_where_the_users_defaults_lead(run, tmp_path):
    for path in (run / "data", tmp_path / "data" / "x", "images"):
        words = ["data=folder", f"data.source.images={path}", "data.source.masks=m"]
        assert compose_checked(Foreign(words, run, run, "leave it"), [], run)["data"]["source"]["images"] == str(path)
    inside = Foreign([f"callbacks.table.path={run}/more.csv"], run, run, "leave it")
    assert compose_checked(inside, [], run)["callbacks"]["table"]["path"] == f"{run}/more.csv"


def test_signed_words_are_composed_as_they_are(run):
    words = ["name=${seed}", "data.cache.folder=/var/tmp/x", "+optimizer.note={_target_: os.getcwd}"]
    assert compose_checked(Foreign(words, run, run, "leave it", own=True), [], run)["name"] == 0
    with pytest.raises(ValueError, match="an interpolation"):
        compose_checked(Foreign(words, run, run, "leave it"), [], run)


def test_a_folder_of_configuration_vouches_for_the_networks_that_it_names(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [])
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "loss").mkdir()
    (tmp_path / "mine" / "model" / "own.yaml").write_text("_target_: own.Net\nparts: [{_target_: own.Part}]\n")
    (tmp_path / "mine" / "loss" / "own.yaml").write_text("_target_: own.Loss\n")
    vouched, others = Vouched.of(["run=x", "--config-dir", str(tmp_path / "mine"), "tta=flips"])
    assert vouched.networks() == {"own.Net", "own.Part"}
    assert others == ["run=x", "tta=flips"]
    assert Vouched.of(vouched.words()) == (vouched, [])
    assert Vouched.of([])[0].networks() == set()
    trusting, _ = Vouched.of(["--trust"])
    assert trusting.networks() is True
    assert Vouched.of(trusting.words())[0] == trusting
    with pytest.raises(FileNotFoundError, match="--config-dir .*gone: there is no such folder"):
        Vouched.of([f"--config-dir={tmp_path / 'gone'}"])
