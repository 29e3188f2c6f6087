"""Pictures of cases for the page of a comparison: the most different cases first, as many as fit."""

import base64
import io
import os
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from segexp.comparison.content import Content, ranked
from segexp.runs.runs import Run

Pictures = dict[str, dict[str, list[str]]]
LONGEST = 640  # pixels: four panels side by side
AS_IT_IS = 40_000  # bytes of a file that is taken unchanged
EXPERIMENTS = 12  # baseline and best ones that have pictures


def pictures(content: Content, runs: Sequence[Run], room: int) -> Pictures:
    """Collect pictures.

    Args:
        content: Comparison; its first table says which cases differ most.
        runs: Runs that were compared.
        room: Bytes that all pictures together may take as data URLs.

    Returns:
        Per case and place of the experiment [data URL, which run it is of].
    """
    by_folder = {str(run.folder): run for run in runs}
    members = [[by_folder[one["folder"]] for one in item["runs"]] for item in content["experiments"]]
    shown = _shown(content)
    folders = {index: _files(members[index]) for index in shown}
    found: Pictures = {}
    for case, index in ((case, index) for case in _ordered(content, shown) for index in shown):
        run = next((run for run, names in folders[index] if _name(run, case) in names), None)
        address = None if run is None else data_url(run.files.figures / _name(run, case))
        if run is None or address is None:
            continue
        room -= len(address)
        if room < 0:
            break
        found.setdefault(case, {})[str(index)] = [address, replicate_name(*run.replicate)]
    return found


def replicate_name(seed: int, fold: int | None) -> str:
    """Name a run among those of its experiment."""
    return f"seed {seed}" + ("" if fold is None else f", fold {fold}")


def _shown(content: Content) -> list[int]:
    """Places of the baseline and of the best other experiments, best first."""
    base = [item["letter"] for item in content["experiments"]].index(content["baseline"])
    return sorted(ranked(content["tables"][0]), key=lambda place: place != base)[:EXPERIMENTS]


def _ordered(content: Content, shown: Sequence[int]) -> list[str]:
    """Cases, those first where the shown experiments differ most."""
    table = content["tables"][0]

    def difference(place: int) -> float:
        scores = [table["scores"][index][place] for index in shown]
        known = [score for score in scores if score is not None]
        return max(known) - min(known) if known else -1.0

    return [table["cases"][place] for place in sorted(range(len(table["cases"])), key=difference, reverse=True)]


def _files(runs: Sequence[Run]) -> list[tuple[Run, set[str]]]:
    """Names of the pictures of each run, lowest seed first, so that experiments show the same one."""
    ordered = sorted(runs, key=lambda run: str(run.replicate))
    return [(run, set(os.listdir(run.files.figures))) for run in ordered if run.files.figures.is_dir()]


def _name(run: Run, case: str) -> str:
    return f"{run.split}_{case.replace('/', '_')}.png"


def data_url(path: Path, longest: int = LONGEST) -> str | None:
    """Picture as a data URL, one with longer sides made smaller; None if the file is broken or not there."""
    try:
        with Image.open(path) as picture:
            if max(picture.size) <= longest and path.stat().st_size <= AS_IT_IS:
                picture.verify()
                return _url("png", path.read_bytes())
            small = picture.convert("RGB")
    except (OSError, SyntaxError):  # the two that Pillow raises for what it cannot read
        return None
    small.thumbnail((longest, longest))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return _url("jpeg", buffer.getvalue())


def _url(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
