"""What ``segexp suggest`` does once its arguments are read: look at images, rank them, leave a table and a sheet."""

import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from segexp.data.case import Case
from segexp.errors import short_path
from segexp.foreign import one_line
from segexp.inference import Ensemble
from segexp.inference.quality import certainty
from segexp.pictures.figures import save_picture
from segexp.pictures.overlays import draw_overlay
from segexp.pictures.sheets import sheet
from segexp.prediction import Segmenter, Settings, open_models
from segexp.prediction.features import features_of
from segexp.prediction.inputs import Input, find_inputs, read_input
from segexp.prediction.maps import integer_values
from segexp.prediction.quality import Quality, measure_of
from segexp.prediction.selection import Pick, select
from segexp.runs.files import table_text
from segexp.terminal import Console
from segexp.trust import Vouched
from segexp.writing import write_text

TABLE, SHEET = "suggestions.csv", "suggestions.png"


@dataclass(frozen=True)
class Looked:
    """What the network tells of an image."""

    item: Input
    quality: Quality
    features: np.ndarray

    @property
    def uncertainty(self) -> float:
        """1 - the estimated Dice, else 1 - the measure that it would come from."""
        measures = self.quality.measures
        found = self.quality.dice
        return 1 - (certainty(measures, measure_of(measures)) if found is None else found)


def suggest_images(arguments: dict[str, Any], settings: Settings, vouched: Vouched) -> None:
    """Rank unlabeled images by what labeling them is expected to be worth; leave a table and a contact sheet.

    Args:
        arguments: Arguments of the command, by their keys.
        settings: How the networks are used.
        vouched: What the user vouches for.

    Raises:
        FileNotFoundError: There is no such input.
        ValueError: No image can be read.
        SystemExit: With status 1, some images could not be read.
    """
    segmenter = Segmenter(open_models(arguments["run"], vouched.networks()), settings)
    look = Look(segmenter, arguments)
    found = look.at(arguments["input"], "input")
    labeled = look.at(arguments["labeled"], "labeled") if arguments["labeled"] else []
    picks = select(
        [one.uncertainty for one in found],
        np.stack([one.features for one in found]),
        arguments["count"],
        arguments["diversity"],
        np.stack([one.features for one in labeled]) if labeled else None,
    )
    output = Path(arguments["output"])
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / TABLE, table_text(rows_of(found, picks)))
    print(f"{len(picks)} of {len(found)} images suggested: {short_path(output / TABLE)}")
    if segmenter.calibration is None:
        print("no estimated Dice: segexp evaluate quality=true learns it; the measures rank the images as they are")
    drawn = picks[: arguments["pictures"]]
    if drawn:
        save_picture(output / SHEET, sheet([look.picture(found[pick.index], pick, picks) for pick in drawn]))
        print(f"pictures     {short_path(output / SHEET)}")
    for failure in look.failures:
        print(f"left out: {failure}", file=sys.stderr)
    if look.failures:
        sys.exit(1)


class Look:
    """Looks at images with a segmenter; what cannot be read is left out and told.

    Attributes:
        failures: Sentence on each image that was left out.
    """

    def __init__(self, segmenter: Segmenter, arguments: dict[str, Any]) -> None:
        self.segmenter = segmenter
        self.spacing = arguments["spacing"]
        by_suffix = arguments["channels_by_suffix"]
        self.by_suffix = segmenter.description.channels_by_suffix if by_suffix is None else by_suffix
        networks = Ensemble.of(segmenter.network).networks
        self.features = features_of(networks, segmenter.description)
        self.failures: list[str] = []

    def at(self, where: str, key: str) -> list[Looked]:
        """Predict each image of a file, folder or pattern.

        Raises:
            ValueError: None can be predicted.
        """
        found = []
        items = find_inputs(where, self.by_suffix)
        for item in track(items, key, console=Console(stderr=True), transient=True):
            try:
                with self.features.watching():
                    quality = self.segmenter(self._read(item)).quality
                assert quality is not None
                found.append(Looked(item, quality, self.features.vector()))
            except Exception as error:  # a bad file must not cost the others
                self.failures.append(one_line(f"{item.files[0]}: {error}"))
        if not found:
            raise ValueError(f"{key}={where}: no image can be predicted; {self.failures[0]}")
        return found

    def picture(self, looked: Looked, pick: Pick, picks: Sequence[Pick]) -> tuple[str, np.ndarray]:
        """Draw image and mask of a suggestion, with its rank and name."""
        case = self._read(looked.item)
        maps = self.segmenter(case)
        classes = integer_values(self.segmenter.description)[1:]
        text = f"{picks.index(pick) + 1}   {looked.item.name}   {_unsure(looked)}"
        return text, draw_overlay(case.image, maps.labels, classes)

    def _read(self, item: Input) -> Case:
        case = read_input(item, self.segmenter.channels, self.spacing)
        self.segmenter.compare(case)  # with strict=true what is far from the training is left out
        return case


def rows_of(found: Sequence[Looked], picks: Sequence[Pick]) -> list[dict[str, object]]:
    """Rows of the table, the first suggestion first."""
    order = np.argsort([-one.uncertainty for one in found], kind="stable")
    places = {int(index): place for place, index in enumerate(order, start=1)}
    rows: list[dict[str, object]] = []
    for rank, pick in zip(itertools.count(1), picks, strict=False):
        one = found[pick.index]
        why = f"{_unsure(one)}, place {places[pick.index]} of {len(found)} by uncertainty"
        if not np.isnan(pick.distance):
            other = "the labeled images" if pick.nearest is None else found[pick.nearest].item.name
            why += f"; distance {pick.distance:.2f} from the nearest, {other}"
        rows.append(
            {
                "rank": rank,
                "file": " ".join(str(file) for file in one.item.files),
                "uncertainty": one.uncertainty,
                "distance": "" if np.isnan(pick.distance) else pick.distance,
                "worth": pick.worth,
                "estimated_dice": "" if one.quality.dice is None else one.quality.dice,
                "why": why,
            }
        )
    return rows


def _unsure(looked: Looked) -> str:
    """Say how sure the network is of an image."""
    if not looked.quality.measures["predicted"]:
        return "nothing was predicted"
    if looked.quality.dice is not None:
        return f"estimated Dice {looked.quality.dice:.2f}"
    return f"{measure_of(looked.quality.measures).replace('_', ' ')} {1 - looked.uncertainty:.2f}"
