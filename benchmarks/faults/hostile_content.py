"""What a stranger may have written, the commands that open it, and what a case of the two is."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

TEXTS = (  # names that somebody may have given
    "\x1b]0;title\x07\x1b[2J",
    "\x9b31m\u202egnp.exe",
    "[/nope]",
    "[bold red]x[/]",
    "<script>alert(1)</script>",
    '=HYPERLINK("http://evil","x")',
    "+1+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\\input{/etc/passwd}%",
    "a\n\\end{tabular}\\write18{id}",
    "a|b\n| --- |",
    "$(touch canary); `touch canary`",
    "../../../etc/passwd",
    "<!-- /segexp -->",
    "${oc.env:HOSTILE_CASE}",
    "\ud800",
    "x" * 10_000,
    "",
    "\0",
)
NAMES = ("ü", *(text for text in TEXTS if 0 < len(text) < 200 and "/" not in text and "\0" not in text))  # of files
VALUES = (*TEXTS, None, True, -1, 0, 1.5, 10**400, -(10**30), 1e308, [], {}, [[]], {"_target_": "os.system"}, ["a", {}])
RAW = (
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe\x00",
    b'{"status": "done", "status": "failed"}',
    b'{"status": NaN}',
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b"9" * 10_000,
    b"a: &a [1]\nb: *a\n",
    b"!!python/object/apply:os.system ['touch canary']",
    b"split,case,class,dice\nval,a\n",
    b"a,b\n1,2,3,4\n\n,,",
    b"\0" * 100,
)
TINY = (
    *("trainer=cpu", "trainer.max_epochs=1", "data.source.size=[48,48]", "data.source.count=9", "data.split.val=3-5"),
    *("data.split.test=6-8", "data.sampling.patch_size=[32,32]", "data.sampling.patches_per_epoch=16", "logger=none"),
    *("data.sampling.batch_size=4", "model.base_channels=2", "model.depth=1", "callbacks.progress.enabled=false"),
)
FILES = ("run.json", "results.json", "overrides.yaml", "config.yaml", "postprocess.json", "cases.csv", "metrics.csv")
READING = (  # commands that read a run, R, and its folder's parent, P
    "runs P",
    "runs P --format json",
    "runs P --where dice>0.1",
    "runs P --sort metric",
    "runs clean P --yes",
    "compare R",
    "compare P --format markdown",
    "compare P --format csv",
    "compare P --format latex",
    "compare P --format json",
    "compare P --html P/page.html",
    "report P/README.md",
    "reproduce R --check",
    "evaluate run=R worst=1",
    "export run=R",
    "train resume=R trainer.max_epochs=3 --cfg job",
)
OPENING = (
    "evaluate run=R worst=0",
    "export run=R output=P/x.safetensors",
    "predict run=R input=P/scan.png output=P/masks",
)
SWEEP = "train -m seed=1,2 loss=ce sweep.name=sweep paths.output_dir=P hydra.launcher.jobs_at_once=1 sweep.dry_run=true"
STUDY = (
    f"train -m {' '.join(TINY)} hydra/sweeper=optuna hydra.sweeper.trials=1 hydra/sweeper/pruner=none "
    "optimizer.lr=interval(1e-3,1e-2) sweep.name=study paths.output_dir=. hydra.sweep.dir=study "
    "hydra.launcher.jobs_at_once=1"
)


@dataclass(frozen=True)
class Case:
    """A hostile folder and a command.

    Args:
        kind: Kind of what is hostile, a row of the table.
        what: What was done, for the list of failures.
        words: Words of the command; R, P stand for the run and the folder that holds it.
        make: Function that changes the copy of the good folder, given the run.
        run: Name of the run folder.
    """

    kind: str
    what: str
    words: str
    make: Callable[[Path], object]
    run: str = "run"
