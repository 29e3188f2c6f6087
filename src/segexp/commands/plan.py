"""``segexp plan``: choose the settings of a training by its data and this machine, and write them as an experiment."""

import shlex
from pathlib import Path

from omegaconf import DictConfig

from segexp.config import own_config_dirs
from segexp.planning.planned import Words, experiment_file, make_plan, print_plan
from segexp.training.warnings import quiet
from segexp.writing import write_text


def plan(cfg: DictConfig) -> None:
    """Plan, print the choices with their reasons, and write the experiment file.

    Raises:
        ValueError: The data have errors; the sentence names value, rule and remedy.
    """
    quiet()
    words = Words.present()
    made = make_plan(words, cfg.minutes)
    print_plan(made)
    folder = Path(cfg.folder)
    path = folder / "experiment" / f"{cfg.name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, experiment_file(made, words, cfg.name))
    print(path)
    options = [word for one in [*own_config_dirs(), folder] for word in ("--config-dir", str(one))]
    print(f"train with: {shlex.join(['segexp', 'train', *options, f'experiment={cfg.name}'])}")
