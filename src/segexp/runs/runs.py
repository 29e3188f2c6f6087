"""Runs that lie on the disk: finding them, reading what they left, choosing among them."""

import ast
import glob
import logging
import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from segexp.errors import did_you_mean
from segexp.runs.configuration import Config
from segexp.runs.files import Json, Rows
from segexp.runs.folder import RunFolder
from segexp.runs.record import Record, SplitName
from segexp.runs.results import MetricFacts, Results
from segexp.runs.stress import StressResults, with_columns, with_metrics

_log = logging.getLogger(__name__)
REPLICATE_KEYS = ("seed", "data.split.fold")  # runs that differ in these alone repeat one experiment
TRAIN_SEED = "data.split.train_seed"
BOOKKEEPING = (  # settings that change no metric
    *(
        "paths",
        "name",
        "resume",
        "logger",
        "data.sampling.num_workers",
        "data.cache",
        "data.origin",
        "trainer.enable_progress_bar",
    ),
    *("trainer.log_every_n_steps", "callbacks.table", "callbacks.panels", "callbacks.progress", "callbacks.curves"),
    *("callbacks.overview", "callbacks.learning_rate"),
)
Settings = dict[str, Json]  # by dotted key, such as model.depth


@dataclass(frozen=True)
class Run:
    """One run folder; its files are read when they are asked for, checkpoints never.

    Args:
        folder: Run folder.
        record: Content of run.json.
    """

    folder: Path
    record: Record

    @property
    def files(self) -> RunFolder:
        """Its files by name."""
        return RunFolder(self.folder)

    @cached_property
    def results(self) -> Results:
        """Content of results.json, with the metrics of a stress test; empty if the run has not ended well."""
        results = self._own_results
        return with_metrics(results, self.stress["split"], self.stress) if self.stress else results

    @cached_property
    def _own_results(self) -> Results:
        """Content of results.json as it is."""
        return self.files.results(self.record)

    @cached_property
    def stress(self) -> StressResults | None:
        """Content of stress.json, where it is of the split and epoch that results.json is of."""
        results, found = self._own_results, self.files.stress()
        epoch = results.get("chosen_on_val", {}).get("epoch")
        same = found and found["split"] == results.get("headline", {}).get("split")
        return found if same and (epoch is None or found["epochs"] == [epoch]) else None

    @property
    def status(self) -> str:
        """Status: done, failed, interrupted or running."""
        return str(self.record["status"])

    @property
    def choices(self) -> dict[str, str | None]:
        """Chosen option of each group."""
        choices = self.record.get("choices", {})
        return {group: None if option is None else str(option) for group, option in choices.items()}

    @cached_property
    def config(self) -> Settings:
        """Resolved configuration, as `flat_settings` gives it."""
        return flat_settings(self.record["config"]) if "config" in self.record else {}

    @property
    def settings(self) -> Settings:
        """The configuration but for seed and fold, and for a seed of the training cases that follows the run's."""
        followed = TRAIN_SEED if self.config.get(TRAIN_SEED) == self.config.get("seed") else None
        return {key: value for key, value in self.config.items() if key not in (*REPLICATE_KEYS, followed)}

    @property
    def replicate(self) -> tuple[int, int | None]:
        """Seed and fold."""
        return cast(int, self.config.get("seed")), cast(int | None, self.config.get("data.split.fold"))

    def facts(self, metric: str) -> MetricFacts:
        """What the run's results say of a metric.

        Raises:
            ValueError: They do not describe it; names the run and the remedy.
        """
        known = self.results.get("metrics", {})
        if metric not in known:
            remedy = "score the run again with segexp evaluate, or leave it out"
            raise ValueError(f"{self.files.results_path} does not describe {metric}: {remedy}")
        return known[metric]

    @property
    def split(self) -> SplitName:
        """Split whose metrics count: test where there is one, else val."""
        split = self.results["headline"].get("split")
        if split not in self.results:
            raise ValueError(f"{self.files.results_path} lacks the split of its headline: leave the run out")
        return split

    @property
    def metrics(self) -> dict[str, float]:
        """Final metrics of that split; an undefined one is nan."""
        if not self.results:
            return {}
        return {name: math.nan if value is None else value for name, value in self.results[self.split].items()}

    @cached_property
    def cases(self) -> Rows:
        """Rows of cases.csv of that split: split, case, class, and one column per metric, those of stress added."""
        rows = [row for row in self.files.cases() if row["split"] == self.split]
        return with_columns(rows, self.stress, self.files.stress_cases()) if self.stress else rows

    @cached_property
    def curves(self) -> Rows:
        """Rows of metrics.csv, one per epoch."""
        return self.files.curves()


def find_runs(patterns: Iterable[str]) -> list[Run]:
    """Find runs; one with a damaged file is named in a warning and left out.

    Args:
        patterns: Run folders, folders that hold runs at any depth (sweeps), or glob patterns of either.

    Raises:
        FileNotFoundError: A pattern leads to no run; names the nearest folder.
        ValueError: No run is left; names the damaged file of the first.
    """
    found: dict[Path, Run] = {}
    faults: dict[Path, str] = {}
    for pattern in patterns:
        folders = [Path(name) for name in sorted(glob.glob(pattern))] or [Path(pattern)]
        holding = sorted((run for folder in folders for run in RunFolder.below(folder)), key=lambda run: run.path)
        if not holding:
            near = did_you_mean(pattern, [str(path) for path in Path(pattern).parent.glob("*")])
            raise FileNotFoundError(f"{pattern}: no run there, no run.json in it or below{near}")
        for run in holding:
            place = run.path.resolve()
            if place not in found and place not in faults:
                faults[place] = run.fault()
                if not faults[place]:
                    found[place] = Run(run.path, run.record())
    broken = [fault for fault in faults.values() if fault]
    if not found:
        raise ValueError(broken[0])
    for fault in broken:
        _log.warning("left out: %s", fault)
    return list(found.values())


def select(runs: Sequence[Run], query: str) -> list[Run]:
    """Choose runs by a condition such as ``model.depth>=4 and dice>0.8 and loss=="ce"``.

    Names are configuration keys, groups (their chosen option), final metrics, ``status``, ``parameters``, ``minutes``.
    A run that has no such value is left out.

    Raises:
        ValueError: The condition cannot be read, or no run knows one of its names.
    """
    try:
        tree = ast.parse(query.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"--where {query!r} cannot be read: {error.msg}; write model.depth>=4 and dice>0.8") from error
    facts = [known_facts(run) for run in runs]
    everything = {name for known in facts for name in known}
    # Names in the condition, dotted ones whole.
    names = [node for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)]
    inner = {id(node.value) for node in names if isinstance(node, ast.Attribute)}
    for name in (ast.unparse(node) for node in names if id(node) not in inner):
        if name not in everything:
            raise ValueError(f"--where {query!r}: no run has {name!r}{did_you_mean(name, everything)}")
    return [run for run, known in zip(runs, facts, strict=True) if _value(tree, known) is True]


def known_facts(run: Run) -> Settings:
    """Values that a condition may name, by name."""
    training = run.results.get("training", {})
    more = {"status": run.status, "parameters": run.record.get("parameters"), "minutes": training.get("minutes")}
    return {**run.config, **run.choices, **run.metrics, **more}


COMPARISONS: dict[type, Any] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}


def _value(node: ast.expr, known: Settings) -> Any:
    """Evaluate comparisons of plain values, and nothing else."""
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() | ast.Attribute():
            return known.get(ast.unparse(node))
        case ast.List() | ast.Tuple():
            return [_value(item, known) for item in node.elts]
        case ast.UnaryOp(op=ast.USub()):
            return -_value(node.operand, known)
        case ast.UnaryOp(op=ast.Not()):
            return not _value(node.operand, known)
        case ast.BoolOp():
            values = [_value(item, known) for item in node.values]
            return all(values) if isinstance(node.op, ast.And) else any(values)
        case ast.Compare():
            terms = [_value(term, known) for term in (node.left, *node.comparators)]
            try:
                pairs = zip(node.ops, terms, terms[1:], strict=False)
                return all(COMPARISONS[type(op)](one, two) for op, one, two in pairs)
            except (TypeError, KeyError):  # None against a number: the run has no such value
                return False
    raise ValueError(f"--where: {ast.unparse(node)!r} is not allowed; compare names and values, joined by and, or, not")


def flat_settings(config: Config) -> Settings:
    """Flatten a resolved configuration to one dotted key per value, without paths and what changes no metric."""
    own = config.get("paths", {}).get("run_dir", "\0")
    kept = {}
    for key, value in _flat(cast(Json, config), "").items():
        bookkeeping = any(key == part or key.startswith(f"{part}.") for part in BOOKKEEPING)
        inside = isinstance(value, str) and value.startswith(own)
        if not bookkeeping and not inside:
            kept[key] = value
    return kept


def _flat(node: Json, prefix: str) -> Settings:
    if not isinstance(node, dict) or not node:
        return {prefix[:-1]: node}
    return {key: value for name, item in node.items() for key, value in _flat(item, f"{prefix}{name}.").items()}
