"""The record of a training, true at every moment, and who writes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from pytorch_lightning.utilities import rank_zero_only

from segexp.config import chosen_options, given_words, how_to_go_on, own_config_dirs, unwrapped
from segexp.runs.configuration import Config
from segexp.runs.folder import Account, RunFolder
from segexp.runs.ownership import sign
from segexp.runs.recipe import own_sources
from segexp.runs.record import Changes, Record
from segexp.runs.recorder import RunRecorder
from segexp.runs.unused import require_unused
from segexp.stopping import Stopped, cause, check, defer, last_words


@contextmanager
def recorded(
    config: Config, folder: RunFolder, changed: Changes, plan: str | None
) -> Iterator[Callable[[Record], None]]:
    """Keep the status in run.json up to date: running, then done, failed or interrupted with the reason."""
    if not is_first_process():
        yield lambda _: None
        return
    overrides = [word for word in given_words() if not word.startswith(("resume=", "allow_changes="))]
    if not config["resume"]:
        require_unused(folder, overrides)
    before = folder.account() if config["resume"] else None
    defer()  # signals wait until the record can tell of them
    record = RunRecorder(folder, overrides, config["seed"])
    end = partial(_end, record, folder, before)
    try:
        with last_words(end):
            check()
            folder.write_arguments(config, overrides)
            if plan is not None:
                folder.write_plan(plan)
            folders = own_config_dirs()
            signature = sign(record.content["overrides"], folders)
            sources = own_sources(config, folders)
            record.write({"config_dirs": folders, "sources": sources, "signature": signature})
            record.write({"choices": chosen_options(), "config": config, "changed": changed})
            yield record.write
    except BaseException as error:
        reason = cause(error)
        end(reason)
        if reason is not error:
            raise reason from error
        raise
    record.finish("done", record.content["why"])


def _end(record: RunRecorder, folder: RunFolder, before: Account | None, error: BaseException) -> None:
    """Note an early end and how to go on; a resumed run that ends before it has saved anything is left as it was."""
    remedy = f"; {how_to_go_on(folder)}"
    if isinstance(error, Stopped):
        error.remedy = remedy
    unsaved = before is not None and before.still_holds()
    if before is not None and unsaved and (before.finished or not isinstance(error, Stopped)):
        record.free_reserve()
        before.restore()
    else:
        record.stop(unwrapped(error), remedy)


def rank() -> int:
    """Rank of this process among those of a training."""
    return getattr(rank_zero_only, "rank", 0)


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return rank() == 0
