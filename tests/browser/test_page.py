"""The page of a comparison in a real browser, opened from the disk; the other pages at the width of a phone."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from segexp.comparison.comparison import compare
from segexp.comparison.page import page
from segexp.comparison.run_page import write_run_page
from segexp.pictures.audit_report import write_report
from segexp.runs.runs import find_runs
from segexp.stress.page import Stressed
from segexp.stress.page import page as stress_page
from tests.comparison.small_runs import leave
from tests.comparison.synthetic_runs import Sweep, write_runs
from tests.pictures.test_audit_report import report
from tests.stress.made import results_for

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with its chromedriver on this machine")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--window-size=1600,1000",
)


# Texts whose contrast to the ground, the nearest that is not transparent, is below 4.5 (WCAG 2.1, AA).
FAINT = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const laid = (colors) => {
  canvas.clearRect(0, 0, 1, 1);
  for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
  const linear = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
return [...document.querySelectorAll("body *")].filter((node) => {
  if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) return false;
  if (!node.getClientRects().length) return false;
  const grounds = [];
  for (let at = node; at; at = at.parentElement) grounds.unshift(getComputedStyle(at).backgroundColor);
  const style = getComputedStyle(node), ink = node.ownerSVGElement ? style.fill : style.color;
  const [one, two] = [laid(grounds), laid([...grounds, ink])].sort((a, b) => b - a);
  return (one + 0.05) / (two + 0.05) < 4.5;
}).map((node) => node.textContent);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def written(folder: Path, sweep: Sweep) -> Path:
    write_runs(folder / "runs", sweep)
    runs = find_runs([str(folder / "runs")])
    path = folder / "page.html"
    path.write_text(page(compare(runs), runs), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    return written(
        tmp_path_factory.mktemp("sweep"),
        Sweep(experiments=4, metrics=("dice", "hd95_mm"), classes=("a", "b"), pictures=3),
    )


@pytest.fixture
def opened(browser, sweep):
    show(browser, sweep)
    yield browser
    assert browser.get_log("browser") == []


def show(browser, path: Path, width: int = 1600) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    browser.get(path.as_uri())


def texts(browser, selector: str) -> list[str]:
    return [node.text for node in browser.find_elements("css selector", selector)]


def column(browser, table: str, place: int) -> list[str]:
    return texts(browser, f"#{table} tbody td:nth-child({place})")


def press(browser, selector: str) -> None:
    """Click where the middle of the element is, as a mouse does."""
    node = browser.find_element("css selector", selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
    webdriver.ActionChains(browser).move_to_element(node).click().perform()


def pick(browser, name: str, text: str) -> None:
    node = browser.find_element("id", name)
    next(option for option in node.find_elements("tag name", "option") if option.text == text).click()


def test_a_page_says_first_which_is_better(opened):
    assert opened.find_element("tag name", "h1").text == "Comparison of 4 experiments"
    assert "8 runs · 4 experiments · 20 cases" in opened.find_element("id", "facts").text
    assert "Highest mean dice: B (dice)" in opened.find_element("id", "verdict").text


def test_a_click_on_a_head_sorts_and_another_turns_it_round(opened):
    assert column(opened, "experiments", 1) == ["A", "B", "C", "D"]
    press(opened, "#experiments th:nth-child(3) button")
    falling = [float(text) for text in column(opened, "experiments", 3)]
    assert falling == sorted(falling, reverse=True)
    assert column(opened, "experiments", 1)[0] == "B"
    assert texts(opened, "#experiments th[aria-sort=descending]") == ["dice"]
    press(opened, "#experiments th:nth-child(3) button")
    assert [float(text) for text in column(opened, "experiments", 3)] == sorted(falling)


def test_words_and_letters_choose_experiments_in_tables_and_plots(opened):
    box = opened.find_element("id", "filter")
    box.send_keys("focal")
    assert column(opened, "experiments", 2) == column(opened, "scores", 2) == ["focal"]
    assert len(opened.find_elements("css selector", "#boxes .box")) == 1
    box.clear()
    box.send_keys("A C")
    assert column(opened, "experiments", 1) == ["A", "C"]
    box.clear()
    box.send_keys("nothing is called so")
    assert opened.find_element("id", "none").is_displayed()
    assert column(opened, "experiments", 1) == []


def test_calibration_has_a_diagram_per_class_with_a_line_per_experiment(opened):
    assert texts(opened, "#reliability h3") == ["a", "b"]
    assert len(opened.find_elements("css selector", "#reliability svg:first-of-type path.mean")) == 2 * 4
    opened.find_element("id", "filter").send_keys("A C")
    lines = opened.find_elements("css selector", "#reliability > div:first-child path.mean")
    assert len(lines) == 2
    assert lines[0].get_attribute("d").count("L") == 8  # nine bins have pixels
    assert sorted(texts(opened, "#legend .key")) == ["A", "C"]


def test_another_metric_and_class_redraws_tables_and_plots(opened):
    before = column(opened, "scores", 4), texts(opened, "#forest text"), texts(opened, "#boxes text")
    pick(opened, "metric", "hd95_mm")
    after = column(opened, "scores", 4), texts(opened, "#forest text"), texts(opened, "#boxes text")
    assert all(one != two for one, two in zip(before, after, strict=True))
    assert "Lower is better" in opened.find_element("id", "scores").text
    pick(opened, "class", "b")
    assert texts(opened, "#s-scores h2") == ["Scores: hd95_mm, b"]
    assert column(opened, "scores", 4) != after[0]


def test_a_point_names_its_case_and_a_click_shows_it_with_pictures(opened):
    names = opened.execute_script("return DATA.cases[0]")
    place = names.index("case_001")
    press(opened, f"#scatter circle[data-case='{place}']")
    assert "case_001" in opened.find_element("id", "tip").text
    card = opened.find_element("id", "case")
    assert card.find_element("tag name", "h3").text == "case_001"
    drawn = "[...document.querySelectorAll('#case img')].map((one) => one.complete && one.naturalWidth > 100)"
    assert opened.execute_script(f"return {drawn}") == [True, True]
    assert len(card.find_elements("css selector", "tbody tr")) == 6


def test_a_case_without_picture_shows_its_scores_and_says_so(opened):
    button = next(b for b in opened.find_elements("css selector", "#cases td button") if b.text == "case_015")
    opened.execute_script("arguments[0].focus()", button)
    button.send_keys("\n")  # the keyboard is enough
    card = opened.find_element("id", "case")
    assert card.text.count("No picture of this case was kept.") == 2
    score = next(row for row in opened.find_elements("css selector", "#cases tr.chosen")).text.split()[2]
    assert score in card.text


def test_a_point_of_another_experiment_in_the_box_plots_brings_it_up(opened):
    press(opened, "#boxes circle[data-of='2'][data-case='4']")
    assert opened.find_element("id", "second").get_attribute("value") == "2"
    assert texts(opened, "#case figcaption .key") == ["A", "C"]


def test_curves_can_be_switched_off(opened):
    lines = len(opened.find_elements("css selector", "#curves .mean"))
    assert lines == 4 * 3
    assert len(opened.find_elements("css selector", "#curves .thin")) == 8 * 3
    press(opened, "[data-line=train]")
    assert len(opened.find_elements("css selector", "#curves .mean")) == 4 * 2
    press(opened, "[data-chip='1']")
    assert len(opened.find_elements("css selector", "#curves .mean")) == 3 * 2


def test_dark_and_light_follow_the_system_and_the_button(opened):
    def paper() -> str:
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    assert paper() == "rgb(255, 255, 255)"
    press(opened, "#theme")
    assert paper() == "rgb(21, 24, 28)"
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    opened.refresh()
    assert paper() == "rgb(21, 24, 28)"
    assert opened.find_element("id", "theme").text == "Light"
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_itself_never_scrolls_sideways(browser, sweep, width):
    show(browser, sweep, width)
    press(browser, "#scatter circle[data-case='1']")
    inner, outer = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert outer == width
    assert inner <= outer
    assert browser.get_log("browser") == []


def test_epochs_are_counted_from_1_and_whole(browser, tmp_path):
    show(browser, written(tmp_path, Sweep(experiments=2, seeds=1, cases=6, epochs=4)))
    assert texts(browser, "#curves > div:first-child g:first-child text") == ["1", "2", "3", "4", "epoch"]


def run_page_of(folder: Path) -> Path:
    scores = {"a_case_with_a_name_that_is_as_long_as_those_of_archives": 0.5, "b": 0.6}
    leave(folder / "r", "dice", 1, {"a_class_with_a_long_name": scores, "other": scores})
    return write_run_page(folder / "r")


def stress_page_of(folder: Path) -> Path:
    name = "augment-none__seed-0__fold-0__4087bf12_that_is_long"
    runs = [Stressed(name, results_for(folder, {"motion": 0.1, "histogram_shift": 0.01})) for _ in range(2)]
    (folder / "page.html").write_text(stress_page(runs, "1.0", "segexp stress"), encoding="utf-8")
    return folder / "page.html"


def audit_page_of(folder: Path) -> Path:
    write_report(folder, report())
    return folder / "audit.html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("made", [run_page_of, stress_page_of, audit_page_of])
def test_other_pages_fit_a_phone_and_their_words_are_read_in_light_and_dark(browser, tmp_path, made, scheme):
    wanted = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wanted)
    show(browser, made(tmp_path), 420)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 420
    assert browser.execute_script(FAINT) == []
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_many_experiments_show_the_best_until_all_are_asked_for(browser, tmp_path):
    show(browser, written(tmp_path, Sweep(experiments=20, seeds=1, cases=10)))
    assert len(browser.find_elements("css selector", "#boxes .box")) == 12
    assert len(column(browser, "experiments", 1)) == 20
    assert "A" in {text.split()[0] for text in texts(browser, "#boxes .label")}  # the baseline stays
    better, worse = (browser.find_elements("css selector", f"#scatter circle.c{k}") for k in (0, 1))
    assert f"is better in {len(better)} of 10 cases" in browser.find_element("id", "scatter").text
    assert len(better) + len(worse) == 10
    assert worse
    press(browser, "#all")
    assert len(browser.find_elements("css selector", "#boxes .box")) == 20
    assert browser.get_log("browser") == []


def test_one_experiment_alone_makes_a_page_that_sets_it_against_nothing(browser, tmp_path):
    show(browser, written(tmp_path, Sweep(experiments=1, cases=6)))
    assert column(browser, "scores", 1) == ["A"]
    assert [text.split()[0] for text in texts(browser, "#cases th")] == ["case", "dice", "picture"]
    rising = [float(text) for text in column(browser, "cases", 2)]
    assert rising == sorted(rising)  # the worst case first
    for name in ("scatter", "first", "s-cost"):
        assert not browser.find_element("id", name).is_displayed()
    assert browser.get_log("browser") == []


def test_hostile_names_are_text_and_run_nothing(browser, tmp_path):
    name = "</script><img src=x onerror=document.title=1>{:03d}"
    loss = "<svg onload=document.title=2> \"'&"
    show(browser, written(tmp_path, Sweep(cases=6, case_name=name, losses=("ce", loss))))
    press(browser, "#scatter circle[data-case='1']")
    assert browser.find_element("css selector", "#case h3").text == name.format(1)
    assert column(browser, "experiments", 2)[1] == loss
    assert browser.title == "Comparison of 2 experiments"
    assert browser.find_elements("css selector", "img, [onload], [onerror]") == []
    assert browser.get_log("browser") == []
