"""A data module from settings by their bare names, whichever group they belong to."""

from dataclasses import fields
from typing import Any

from segexp.data import DataModule, Geometry, Labels, Sampling
from segexp.data.splits import SplitSettings

GROUPS = {"labels": Labels, "geometry": Geometry, "sampling": Sampling, "split": SplitSettings}


def data_module(**settings: Any) -> DataModule:
    groups = {}
    for name, group in GROUPS.items():
        keys = {field.name for field in fields(group)} & set(settings)
        groups[name] = group(**{key: settings.pop(key) for key in keys})
    return DataModule(**groups, **settings)
