"""Configuration files of ours and of Hydra, parsed once in a process; Hydra would parse them at each composition.

`install_cache` puts that into Hydra's loader. What a file says is kept as it was read: whatever is merged is a copy. A
file that changes is read again.
"""

import copy
from importlib import resources
from pathlib import Path
from typing import Any

from hydra._internal import defaults_list as hydra_defaults
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.default_element import InputDefault
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from omegaconf import DictConfig, OmegaConf

KEPT = ("main", "hydra")  # providers: those of folders that a user adds are read each time
parsed: dict[tuple[Any, ...], ConfigResult] = {}
_load_config = ConfigRepository.load_config
_interpolation_map = hydra_defaults._create_interpolation_map
_embed = ConfigLoaderImpl._embed_result_config


def load_config(repo: ConfigRepository, config_path: str) -> ConfigResult | None:
    """Read a configuration file, unless it was read before and has not changed since."""
    source = repo._find_object_source(config_path=config_path, object_type=ObjectType.CONFIG)
    key = None if source is None else _stamp(source, config_path)
    if key is None or repo.get_schema_source().is_config(config_path):  # Hydra takes keys out of what has a schema
        return _load_config(repo, config_path)
    if key not in parsed:
        read = _load_config(repo, config_path)
        assert read is not None
        parsed[key] = read
    return copy.copy(parsed[key])


def _stamp(source: ConfigSource, config_path: str) -> tuple[Any, ...] | None:
    """What changes with a file; None for what is no file or not kept."""
    if source.provider not in KEPT or source.scheme() not in ("file", "pkg"):
        return None
    folder = resources.files(source.path) if source.scheme() == "pkg" else Path(source.path)
    file = folder / source._normalize_file_name(config_path)
    if not isinstance(file, Path):
        return None
    state = file.stat()
    return config_path, source.provider, source.path, state.st_ino, state.st_mtime_ns, state.st_size


def embed(read: ConfigResult, package: str | None) -> ConfigResult:
    """Put what a file says into its package, as a copy also where that is the root."""
    embedded = _embed(read, package)
    if embedded.config is read.config:
        embedded = copy.copy(read)
        embedded.config = copy.deepcopy(read.config)
    return embedded


def interpolation_map(overrides: Any, defaults_list: list[InputDefault], self_added: bool) -> DictConfig:
    """Choices that interpolations in a defaults list may name; empty for a list without interpolations."""
    if any(default.is_interpolation() for default in defaults_list if not default.is_self()):
        return _interpolation_map(overrides, defaults_list, self_added)
    return OmegaConf.create()


def install_cache() -> None:
    """Put the cache into Hydra's loader, for this process."""
    ConfigRepository.load_config = load_config  # type: ignore[method-assign, assignment]
    ConfigLoaderImpl._embed_result_config = staticmethod(embed)  # type: ignore[method-assign, assignment]
    hydra_defaults._create_interpolation_map = interpolation_map
