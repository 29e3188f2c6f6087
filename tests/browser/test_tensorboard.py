"""TensorBoard in a real browser, over a small sweep of real runs."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from tests.conftest import PANELS, trained

webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium with chromedriver on this machine")

RUNS = {
    "dice": ["loss=dice", "seed=1"],
    "focal": ["loss=focal", "loss.gamma=3", "seed=4"],
    "sgd": ["loss=ce", "optimizer=sgd", "optimizer.momentum=0.8", "seed=3"],
}
CURVES = ("train/loss", "train/lr", "train/patches_per_second", "val/dice", "val/dice_membrane")  # ticked at first
SECONDS = 60  # for a page to show what it must
DEEP_TEXT = """
    const found = [];
    const walk = (node) => {
        if (node.nodeType === Node.TEXT_NODE) found.push(node.textContent.trim());
        if (['STYLE', 'SCRIPT', 'TEMPLATE', 'NOSCRIPT'].includes(node.nodeName)) return;
        if (node.shadowRoot) node.shadowRoot.childNodes.forEach(walk);
        node.childNodes.forEach(walk);
    };
    walk(document.body);
    return found.filter((text) => text);
"""
DEEP_FIND = """
    const found = [];
    const walk = (root) => root.querySelectorAll('*').forEach((node) => {
        if (node.matches(arguments[0])) found.push(node);
        if (node.shadowRoot) walk(node.shadowRoot);
    });
    walk(document);
    return found;
"""


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    for name, overrides in RUNS.items():
        trained(folder / name, "trainer.max_epochs=2", PANELS, *overrides)
    return folder


@pytest.fixture(scope="module")
def address(sweep) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("tensorboard")
    words = [program, "--logdir", sweep, "--host", "127.0.0.1", "--port", str(port)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(lambda: answers(f"http://127.0.0.1:{port}/data/runs", len(RUNS)))
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(word)
    options.add_argument("--disable-dev-shm-usage")
    options.add_argument("--window-size=1800,1000")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield chrome
    chrome.quit()


def answers(url: str, count: int) -> bool:
    try:
        with urlopen(url, timeout=5) as answer:
            return len(json.load(answer)) == count
    except (URLError, OSError):
        return False


def wait(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "TensorBoard did not show it in time"
        time.sleep(0.3)


def opened(browser, address: str, tab: str, until: str) -> list[str]:
    """Open a tab and return its words, shadow trees included, once it shows those awaited."""
    browser.get("about:blank")
    browser.get(f"{address}/#{tab}")
    wait(lambda: any(until in word for word in browser.execute_script(DEEP_TEXT)))
    time.sleep(1)
    return browser.execute_script(DEEP_TEXT)


def test_the_table_shows_first_what_differs_and_the_real_figures_of_all_runs(browser, address, sweep):
    words = opened(browser, address, "hparams", "z_final/test_dice")
    assert {"run.loss.gamma", "optimizer.momentum", "model.depth", "z_final_resources/minutes"} <= set(
        words
    )  # of any run
    (grid,) = browser.execute_script(DEEP_FIND, "vaadin-grid")
    tick(browser, *CURVES, *(f"z_final/test_{name}" for name in ("dice", "ece", "iou")))
    cells = grid.text.splitlines()
    assert cells[2:6] == ["loss", "optimizer", "optimizer.lr", "optimizer.weight_decay"]  # the seed is the fifth
    starts = sorted([*(cells.index(name) for name in RUNS), len(cells)])
    for name in RUNS:
        row = cells[cells.index(name) : starts[starts.index(cells.index(name)) + 1]]
        test = json.loads((sweep / name / "results.json").read_text())["test"]
        for figure in ("dice", "ece", "iou"):
            assert any(near(word, test[figure]) for word in row), (figure, test[figure], row)


def tick(browser, *names: str) -> None:
    """Click the boxes of columns."""
    boxes = {box.text: box for box in browser.execute_script(DEEP_FIND, "paper-checkbox")}
    for name in names:
        browser.execute_script("arguments[0].click()", boxes[name])
    wait(lambda: any(names[-1] in cell.text for cell in browser.execute_script(DEEP_FIND, "vaadin-grid")))


def test_the_first_tab_opens_on_the_curves_and_single_points_and_pictures_stand_below(browser, address):
    words = opened(browser, address, "timeseries", "z_reliability")
    groups = [words[place - 1] for place, word in enumerate(words) if word.endswith(" cards") or word == "1 card"]
    assert groups == ["train", "val", "z_cases", "z_final", "z_final_per_class", "z_final_resources", "z_reliability"]


def near(word: str, value: float) -> bool:
    try:
        return float(word) == pytest.approx(value, rel=1e-4, abs=1e-6)
    except ValueError:
        return False


@pytest.mark.slow
def test_parallel_coordinates_draw_a_line_per_run_over_the_real_figures(browser, address):
    opened(browser, address, "hparams", "z_final/test_dice")
    tick(browser, *CURVES, "z_final/headline", "z_final/test_dice", "z_final/test_iou")
    next(tab for tab in browser.execute_script(DEEP_FIND, "paper-tab") if "PARALLEL" in tab.text.upper()).click()
    wait(lambda: any(axis.text for axis in browser.execute_script(DEEP_FIND, "g.axis")))
    titles = [axis.text.splitlines()[-1] for axis in browser.execute_script(DEEP_FIND, "g.axis")]
    assert {"loss", "optimizer", "z_final/headline", "z_final/test_dice", "z_final/test_iou"} <= set(titles)
    assert len(browser.execute_script(DEEP_FIND, "g.foreground path")) == len(RUNS)


def test_custom_scalars_put_training_and_validation_in_one_chart(browser, address):
    words = opened(browser, address, "custom_scalars", f"Matches ({2 * len(RUNS)})")
    assert {"loss", "validation metrics", "validation metrics of each class", "learning rate and speed"} <= set(words)
    assert {"loss, training and validation", "dice", "iou", "membrane", "learning rate"} <= set(words)
    assert words.count(f"Matches ({len(RUNS)})") >= 6  # one curve per run: four figures, rate, speed


def test_texts_hold_the_configuration_of_each_run(browser, address):
    words = opened(browser, address, "text", "optimizer.momentum=0.8")
    assert sum("segexp train" in word for word in words) == len(RUNS)
    assert any("gamma: 3" in word for word in words)


def test_precision_against_recall_is_drawn_per_class(browser, address):
    words = opened(browser, address, "pr_curves", "val/membrane")
    assert {f"{name} is at" for name in RUNS} <= {word.partition(" step")[0].strip() for word in words}
