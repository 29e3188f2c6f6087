"""The report of an audit can be read by people, spreadsheets and browsers without a network."""

import base64
import csv
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from segexp.data.audit.findings import Finding
from segexp.pictures.audit_report import SIZE, Report, choose, thumbnail, write_report
from segexp.pictures.figures import COLORS


def report(**changes) -> Report:
    findings = [Finding("warning", "mixed types", "a < b | c & d", ("<x>", "y"))]
    rows = [{"case": name, "split": "train", "min": 0.5} for name in ("<x>", "y")]
    pictures = {"<x>": np.full((20, 30, 3), 7, np.uint8)}
    facts = {"size": "3|4"}
    return Report(
        **(
            {
                "title": "a&b",
                "summary": "one line",
                "findings": findings,
                "overview": facts,
                "rows": rows,
                "pictures": pictures,
                "class_names": ("background", "cell", "rim"),
            }
            | changes
        )
    )


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.said, self.sources = [], "", []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for key, value in attrs if key in ("src", "href")]

    def handle_data(self, data):
        self.said += data


def test_page_stands_alone_and_escapes_what_data_say(tmp_path):
    write_report(tmp_path / "new" / "folder", report())
    text = (tmp_path / "new" / "folder" / "audit.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "x" not in page.tags
    assert "a < b | c & d" in page.said
    assert "<x>, y" in page.said
    assert [source[:22] for source in page.sources] == ["data:image/png;base64,"]
    picture = Image.open(io.BytesIO(base64.b64decode(page.sources[0][22:])))
    np.testing.assert_array_equal(np.asarray(picture), report().pictures["<x>"])
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text


def test_markdown_and_table(tmp_path):
    write_report(tmp_path, report())
    text = (tmp_path / "audit.md").read_text(encoding="utf-8")
    assert "# Audit of a&b" in text
    assert "- **warning, mixed types**: a < b | c & d" in text
    assert "| size | 3\\|4 |" in text
    with (tmp_path / "cases.csv").open(newline="") as file:
        assert [row["case"] for row in csv.DictReader(file)] == ["<x>", "y"]


def test_nothing_found_and_nothing_readable(tmp_path):
    write_report(tmp_path, report(findings=[], rows=[], pictures={}))
    assert "Nothing was found." in (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert (tmp_path / "cases.csv").read_text(encoding="utf-8") == "case\n"


def test_choice_takes_from_every_finding_in_turn_then_evenly():
    names = [f"c{i}" for i in range(10)]
    findings = [Finding("warning", "", "", cases) for cases in (("c9", "c8", "c7"), (), ("gone", "c2", "c9"))]
    assert choose(names, findings, 3) == ["c9", "c2", "c8"]
    assert choose(names, findings, 6) == ["c9", "c2", "c8", "c7", "c0", "c6"]
    assert choose(names, [], 3) == ["c0", "c4", "c9"]
    assert choose(names, findings, 0) == []
    assert sorted(choose(names, findings, 99)) == names


@pytest.mark.parametrize("size", [(40, 20), (500, 1000), (1, 3)])
def test_thumbnail_keeps_the_proportions(size):
    picture = thumbnail(np.random.default_rng(0).random((1, *size)), None)
    assert picture.shape[2] == 3
    assert max(picture.shape) == SIZE
    assert picture.shape[0] * size[1] == pytest.approx(picture.shape[1] * size[0], abs=SIZE * max(size) / 200)


def test_thumbnail_outlines_classes_and_not_what_is_unlabeled():
    target = np.zeros((SIZE, SIZE), np.uint8)
    target[50:100, 50:100], target[150:170, 20:40], target[200:, 200:] = 1, 2, 255
    picture = thumbnail(np.zeros((1, SIZE, SIZE)), target)
    outlined = picture.any(axis=2)
    assert (picture[50:52, 50:100] == COLORS[0]).all()
    assert (picture[150:152, 20:40] == COLORS[1]).all()
    assert outlined[:50].sum() == outlined[:, 180:].sum() == 0
    assert not outlined[52:98, 52:98].any()


def test_thumbnail_of_a_volume_shows_its_middle_slice_in_color():
    image = np.zeros((3, 5, 8, 8), np.uint16)
    image[0, 2, 2:6, 2:6] = 60000
    picture = thumbnail(image, np.zeros((5, 8, 8), np.uint8))
    assert tuple(picture[SIZE // 2, SIZE // 2]) == (255, 0, 0)
