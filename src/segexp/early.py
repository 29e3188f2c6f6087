"""What is wrong on a command line is told before PyTorch is loaded, which takes seconds.

Looked at is what the words of the command line touch: types by the source of the classes, and whatever else the parts
of the data refuse that can be built without a heavy library. All the rest is told when everything is built, which has
the last word on these values, too.
"""

import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

from omegaconf import DictConfig, OmegaConf

from segexp.config import given_words, plain
from segexp.importable import targets_in
from segexp.making import make
from segexp.ranks import follows
from segexp.signatures import OURS, require_types
from segexp.sweeps.jobs import key_of
from segexp.training.settings import refuse_epochs_beside_minutes, require_facts, require_settings

HEAVY = ("torch", "pytorch_lightning", "lightning_fabric", "torchmetrics", "torchvision", "albumentations")
NETWORKS = "segexp.models."  # start of the names of networks of ours
ANY_PRECISION = "32-true"  # in place of that which this machine is best at, for PyTorch would be asked


class Heavy(BaseException):
    """A heavy library would be loaded; no handler of a library's own takes it for a package that is missing."""


class _Refusing(MetaPathFinder):
    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Refuse heavy libraries; leave all others to the next finder."""
        if name.partition(".")[0] in HEAVY:
            raise Heavy(name)
        return None


@contextmanager
def without_heavy() -> Iterator[None]:
    """Load no heavy library inside; where one is needed, end the block there."""
    finder = _Refusing()
    sys.meta_path.insert(0, finder)
    try:
        with suppress(Heavy):
            yield
    finally:
        sys.meta_path.remove(finder)


def refuse_early(cfg: DictConfig, training: bool) -> None:
    """Refuse what can be refused without a heavy library; where one is loaded already, leave all to the command.

    Args:
        cfg: Composed configuration of a command.
        training: Whether it is that of a training.

    Raises:
        ValueError: A value is wrong; names key, value and rule.
        FileNotFoundError: The data are not there.
        MissingMandatoryValue: A value must be given.
    """
    if any(name in sys.modules for name in HEAVY):
        return
    words = given_words()
    keys = [key_of(word).partition("@")[0] for word in words if not word.startswith("~")]
    if training and cfg.plan is None:  # a plan chooses some of them
        with without_heavy():
            _require_settings(cfg, words)
    for place, touched in _nodes_of(cfg, keys).items():
        with without_heavy():
            _require_node(place, _content(cfg, place), touched)
    reads_data = cfg.get("subject", "data") == "data"  # a benchmark of anything else takes noise
    if reads_data and any(re.match(r"data\b", key) for key in keys) and not follows():
        with without_heavy():
            _require_files(_content(cfg, "data"))


def _require_settings(cfg: DictConfig, words: Sequence[str]) -> None:
    """Refuse settings of a training that could not end well."""
    settled = cfg.copy()
    trainer = settled.get("trainer")
    if isinstance(trainer, DictConfig) and OmegaConf.is_interpolation(trainer, "precision"):
        trainer.precision = ANY_PRECISION
    config = plain(settled)
    require_settings(config, imported=False)
    refuse_epochs_beside_minutes(config, words)
    if str(config["model"].get("_target_")).startswith(NETWORKS):
        require_facts(config)


def _nodes_of(cfg: DictConfig, keys: Sequence[str]) -> dict[str, set[str]]:
    """Places of nodes that name a class, and which of their arguments the keys touch."""
    touched: dict[str, set[str]] = {}
    for key in keys:
        if place := _node_of(cfg, key):
            touched.setdefault(place, set()).add(key[len(place) + 1 :].partition(".")[0])
    return touched


def _node_of(cfg: DictConfig, key: str) -> str:
    """Place of the innermost node above a key that names a class; empty where there is none."""
    place = key.rpartition(".")[0]
    while place and "_target_" not in (OmegaConf.select(cfg, place) or {}):
        place = place.rpartition(".")[0]
    return place


def _content(cfg: DictConfig, place: str) -> Any:
    return OmegaConf.to_container(OmegaConf.select(cfg, place), resolve=True, throw_on_missing=True)


def _require_node(place: str, node: Mapping[str, Any], touched: Collection[str]) -> None:
    """Refuse values of a node, by their types, and of parts of the data, by building them.

    What is null may be settled when all is built, as the modes of callbacks and schedules are by the monitored score.
    """
    given = {key: node[key] for key in touched if node.get(key) is not None}
    require_types(place, {**given, "_target_": node["_target_"]}, imported=False)
    if place.startswith("data."):
        _made(place, node)


def _made(place: str, node: Any) -> Any:
    """Build a node of classes of ours; None of any other, which might do more than to look at its arguments."""
    return make(place, node) if all(target.startswith(OURS) for target in targets_in(node)) else None


def _require_files(data: Mapping[str, Any]) -> None:
    """Refuse data that are not there; such as may be downloaded are left to the command."""
    origin = data.get("origin") or {}
    if data["source"].get("download") or origin.get("download"):
        return
    source = _made("data.source", data["source"])
    try:
        if source is not None:
            source.prepare()
    except FileNotFoundError as error:
        if not origin:
            raise
        made = _made("data.origin", origin)
        if made is not None:
            made.supply(source.prepare, error)
