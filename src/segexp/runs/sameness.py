"""What differs between a recorded run and the present, and between the metrics of two runs."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segexp.errors import some
from segexp.runs.configuration import Config
from segexp.runs.folder import RunFolder
from segexp.runs.recipe import present_sources
from segexp.runs.record import Environment, Git, Record
from segexp.runs.results import Metrics
from segexp.runs.runs import flat_settings

SHOWN = 4  # files that are named where more differ
HASH = 10  # digits of a commit or fingerprint that are shown


@dataclass(frozen=True)
class Fact:
    """Something that a run depends on: texts, maybe shortened, of its recorded and its present value."""

    name: str
    recorded: str
    present: str
    same: bool  # whether the two values are equal, not only their texts


@dataclass(frozen=True)
class Value:
    """A number that both of two runs left, such as "test/dice"; None = undefined or not there."""

    name: str
    recorded: float | None  # by the first run
    again: float | None  # by the second run

    @property
    def same(self) -> bool:
        """Whether they are equal, bit for bit."""
        return self.recorded == self.again

    @property
    def difference(self) -> float:
        """Distance of the two; infinite if one of them is undefined."""
        if self.same:
            return 0.0
        if self.recorded is None or self.again is None:
            return math.inf
        return abs(self.recorded - self.again)


def record_facts(recorded: Record, present: Environment) -> list[Fact]:
    """Compare code, packages and machine of run.json with `segexp.runs.recorder.present_facts`."""
    facts = [_fact("segexp", *(side.get("segexp_version") for side in (recorded, present)))]
    facts += _code(recorded.get("git"), present.get("git"))
    facts.append(_fact("python", recorded.get("python"), present.get("python")))
    facts += _named_facts("", recorded.get("packages", {}), present.get("packages", {}))
    facts += _named_facts("machine: ", recorded.get("machine", {}), present.get("machine", {}))
    return facts


def source_facts(recorded: Record, config_dirs: Iterable[Path | str]) -> list[Fact]:
    """Compare the user's own modules of run.json with those that lie in or beside folders of configuration now."""
    sources = recorded.get("sources", {})
    present = present_sources(sources, config_dirs)
    return [
        Fact(f"module: {name}", _digits(digest), _digits(present.get(name)), digest == present.get(name))
        for name, digest in sources.items()
    ]


def _named_facts(prefix: str, one: Mapping[str, object], two: Mapping[str, object]) -> list[Fact]:
    names = [name for name in dict.fromkeys([*one, *two]) if name != "threads"]  # the new run gets as many as before
    return [_fact(f"{prefix}{name}", one.get(name), two.get(name)) for name in names]


def config_facts(recorded: Config | None, present: Config) -> list[Fact]:
    """Name the keys of two resolved configurations that differ; paths of the runs do not count."""
    one, two = (flat_settings(json.loads(json.dumps(config or {}))) for config in (recorded, present))
    keys = [key for key in dict.fromkeys([*one, *two]) if one.get(key, ...) != two.get(key, ...)]
    differing = [Fact(f"config: {key}", _setting(one, key), _setting(two, key), same=False) for key in keys]
    return differing or [Fact("config", f"{len(one)} keys", f"{len(two)} keys", same=True)]


def data_facts(recorded: Record, fingerprint: str, split: Mapping[str, Sequence[str]]) -> list[Fact]:
    """Compare the data of run.json with fingerprint and cases of each split as they are now."""
    old, sides = recorded.get("data_fingerprint"), recorded.get("split") or {}
    same_split = {name: list(cases) for name, cases in split.items()} == sides
    return [
        Fact("data fingerprint", _digits(old), _digits(fingerprint), old == fingerprint),
        Fact("split", _counts(sides), _counts(split), same_split),
    ]


def compare_values(recorded: Path, again: Path) -> tuple[list[Value], list[Value]]:
    """Compare what two run folders hold: metrics of results.json, and numbers of cases.csv."""
    folders = (RunFolder(recorded), RunFolder(again))
    return _paired(*map(_metrics, folders)), _paired(*map(_scores, folders))


def _paired(one: Metrics, two: Metrics) -> list[Value]:
    return [Value(name, one.get(name), two.get(name)) for name in dict.fromkeys([*one, *two])]


def _fact(name: str, one: Any, two: Any) -> Fact:
    return Fact(name, _word(one), _word(two), one == two)


def _word(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _code(recorded: Git | None, present: Git | None) -> list[Fact]:
    """Compare commits, and the files with changes that are not committed."""
    commits = [git["commit"] if git else None for git in (recorded, present)]
    before, now = (_by_file(git["diff"]) if git else {} for git in (recorded, present))
    return [
        Fact("git commit", _digits(commits[0]), _digits(commits[1]), commits[0] == commits[1]),
        Fact("uncommitted changes", _changed_files(before, now), _changed_files(now, before), before == now),
    ]


def _changed_files(own: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Name the files whose changes the other side does not have; all where none differs."""
    names = [name for name in own if own[name] != other.get(name)] or list(own)
    return some(names, SHOWN) or "none"


def _by_file(diff: str) -> dict[str, str]:
    """Cut the output of ``git diff`` into its files."""
    parts = [part.partition("\n") for part in f"\n{diff}".split("\ndiff --git ")[1:]]
    return {head.rpartition(" b/")[2]: body for head, _, body in parts}


def _digits(value: str | None) -> str:
    return value[:HASH] if value else "none"


def _counts(split: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{side} {len(cases)}" for side, cases in split.items()) or "none"


def _setting(config: Mapping[str, Any], key: str) -> str:
    return _word(config[key]) if key in config else "no such key"


def _metrics(folder: RunFolder) -> Metrics:
    results = folder.results()
    splits = {"val": results.get("val", {}), "test": results.get("test", {})}
    metrics = {f"{split}/{name}": value for split, own in splits.items() for name, value in own.items()}
    chosen = results.get("chosen_on_val", {})
    return metrics | {f"chosen/{name}": value for name, value in chosen.items() if isinstance(value, int | float)}


def _scores(folder: RunFolder) -> Metrics:
    found: Metrics = {}
    for row in folder.cases():
        place = "/".join(row.pop(key) for key in ("split", "case", "class"))
        for metric, text in row.items():
            value = float(text or "nan")
            found[f"{place}/{metric}"] = None if math.isnan(value) else value
    return found
