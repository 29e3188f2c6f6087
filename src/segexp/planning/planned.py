"""``plan=auto``: look at the data and the machine, choose what the user has left open, compose anew."""

import fcntl
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from segexp.build import build_data
from segexp.config import as_written, plain
from segexp.errors import require_choice
from segexp.planning.draft import Choice, StepCost, written
from segexp.planning.facts import data_facts, this_machine
from segexp.planning.measuring import step_cost
from segexp.planning.plan import Plan, draw_up
from segexp.ranks import follows
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.runs import REPLICATE_KEYS
from segexp.sweeps.jobs import digest, key_of
from segexp.sweeps.ledger import LEDGER
from segexp.terminal import Console, Table
from segexp.writing import write_text

MINUTES = 10.0  # where none are given
FEWEST_CASES = 3  # one each for learning, choosing, testing
PLANS = "plans"  # folder, in that of a sweep, of the plans that its jobs share
OWN = ("plan", "minutes", "name", "folder")  # keys that are none of the settings of a training


@dataclass(frozen=True)
class Words:
    """Overrides of the command line.

    Args:
        hydra: Those of Hydra's own settings.
        task: All others but ``plan=``.
    """

    hydra: list[str]
    task: list[str]

    @classmethod
    def present(cls) -> "Words":
        """Those of this process."""
        overrides = HydraConfig.get().overrides
        return cls(as_written(overrides.hydra), [w for w in as_written(overrides.task) if key_of(w) != "plan"])

    def composed(self, below: Sequence[str] = (), above: Sequence[str] = ()) -> DictConfig:
        """Compose the configuration of a training, with overrides that these win over, and others that win."""
        task = [word for word in self.task if key_of(word) not in ("folder", "minutes")]
        return compose("train", [*self.hydra, *below, *task, *above], return_hydra_config=True)


def planned(cfg: DictConfig) -> tuple[DictConfig, str | None]:
    """Put a plan below the overrides of a training with ``plan=auto``; any other configuration stays as it is.

    Returns:
        The configuration, and the plan as an experiment file; None where nothing was planned.

    Raises:
        ValueError: The data have errors, or an experiment is chosen, too.
    """
    require_choice("plan", cfg.plan, (None, "auto"))
    if cfg.plan is None or cfg.resume:
        return cfg, None
    if isinstance(cfg.minutes, str):
        raise ValueError(f"plan=auto with minutes={cfg.minutes}: that run has its settings; leave plan=auto out")
    words = Words.present()
    folder = Path(cfg.paths.run_dir)
    if follows():  # the first process has planned
        return _adopt(words.hydra, RunFolder(folder).overrides()), None
    plan = shared_plan(folder, words, cfg)
    print_plan(plan)
    minutes = [] if cfg.minutes else [f"minutes={MINUTES:g}"]
    return _adopt(words.hydra, [*plan.words, *minutes, *words.task]), experiment_file(plan, words, cfg.name)


def make_plan(words: Words, minutes: float | None) -> Plan:
    """Audit the data, measure the machine, and choose.

    Raises:
        ValueError: The data have errors, or an experiment is chosen, too.
    """
    chosen = [word for word in words.task if key_of(word) == "experiment"]
    if chosen:
        raise ValueError(
            f"plan=auto with {chosen[0]}: an experiment chooses what a plan would choose; leave one of the two out"
        )
    cfg = words.composed()
    settings = given(words, cfg)
    data = build_data(plain_of(cfg))
    data.prepare_data()
    first = []
    if len(data.source.entries()) < FEWEST_CASES and not any(key.startswith("data.split") for key in settings):
        why = f"{len(data.source.entries())} cases are too few to hold any back: none tells how good the network is"
        first = [Choice("data.split.method", "all", why)]
        data = build_data(plain_of(words.composed([one.word for one in first])))
    report, cases = data.audit()
    report.raise_errors()
    facts = data_facts(report.measures, cases, data.labels.class_names, data.labels.num_classes)

    def measure(below: Sequence[str], above: Sequence[str]) -> StepCost:
        return step_cost(plain_of(words.composed(below, above)), minutes or MINUTES)

    return draw_up(facts, this_machine(), minutes or MINUTES, measure, settings, first)


def shared_plan(folder: Path, words: Words, cfg: DictConfig) -> Plan:
    """Plan of a run; jobs of a sweep that differ in seed and fold alone share one, that of the first to be ready."""
    if not (folder.parent / LEDGER).is_file():
        return make_plan(words, cfg.minutes)
    settings = [word for word in words.task if key_of(word) not in REPLICATE_KEYS]
    path = folder.parent / PLANS / f"{digest(settings)}.json"
    path.parent.mkdir(exist_ok=True)
    with path.with_suffix(".planning").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # jobs that start at once wait for the first one
        if not path.is_file():
            write_text(path, json.dumps(make_plan(words, cfg.minutes).to_plain(), indent=1))
    return Plan.from_plain(json.loads(path.read_text(encoding="utf-8")))


def given(words: Words, cfg: DictConfig) -> dict[str, Any]:
    """Settings of the user: value of each key, and option of each group."""
    choices = cfg.hydra.runtime.choices
    keys = [key_of(word) for word in words.task if not word.startswith("~")]
    settings = {key: choices[key] if key in choices else OmegaConf.select(cfg, key) for key in keys if key not in OWN}
    return {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in settings.items()}


def experiment_file(plan: Plan, words: Words, name: str) -> str:
    """Text of an experiment file that makes the same choices as the plan and the user."""
    cfg = words.composed()
    return plan.as_experiment(name, given(words, cfg), [str(key) for key in cfg.hydra.runtime.choices])


def plain_of(cfg: DictConfig) -> Config:
    """Resolved configuration of a training that was composed with Hydra's settings."""
    return plain(_without_hydra(cfg))


def print_plan(plan: Plan) -> None:
    """Print the facts and the choices."""
    console = Console()
    for fact in plan.facts:
        console.print(fact, highlight=False, soft_wrap=True)
    table = Table("setting", "value", "because")
    for one in plan.choices:
        table.add_row(one.key, written(one.value), one.reason)
    console.print(table)


def _adopt(hydra: Sequence[str], task: Sequence[str]) -> DictConfig:
    """Compose anew with these overrides, which are those of this process from now on."""
    cfg = compose("train", [*hydra, *task], return_hydra_config=True)
    present: Any = HydraConfig.get()
    with read_write(present), open_dict(present):
        present.overrides.task = list(task)
        present.runtime.choices = cfg.hydra.runtime.choices
    return _without_hydra(cfg)


def _without_hydra(cfg: DictConfig) -> DictConfig:
    """The configuration itself, its parent links intact."""
    own = cfg.copy()
    with open_dict(own):
        own.pop("hydra")
    return own
