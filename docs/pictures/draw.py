"""Draw the pictures of README.md and docs/: a sweep while it runs, what compare says of it, pages.

    python docs/pictures/draw.py      # some minutes; the page needs chromium

Real runs on the built-in cells, in a folder that is thrown away: two losses, three seeds each.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from segexp.cli import main
from segexp.sweeps import launcher, watch
from segexp.sweeps.pool import Tracked

FOLDER = Path(__file__).parent
WIDTH = 100  # columns
MARGIN = 200  # pixels: the frame of a window hides some of its height
SWEEP = "train -m model=unet_tiny model.depth=3 model.base_channels=8 loss=ce,dice_ce seed=1,2,3 sweep.name=losses"
SMALL = (
    *("data.source.size=[96,96]", "data.sampling.patch_size=[64,64]", "data.sampling.patches_per_epoch=96"),
    *("optimizer.lr=0.01", "trainer.max_epochs=6", "trainer=cpu", "logger=none", "page=false"),
    "hydra.launcher.jobs_at_once=2",
)


class Kept(watch.PlainLines):
    """Keeps the table in which the jobs are in most states, the latest of these."""

    def __init__(self) -> None:
        super().__init__(watch.Console())
        self.table, self.states = Table(), 0

    def update(self, jobs: list[Tracked]) -> None:
        """Keep the present state if it shows more."""
        super().update(jobs)
        states = len(Counter(item.state for item in jobs))
        running = any(item.progress.rows for item in jobs if item.state == watch.RUNNING)
        if running and states >= self.states:
            self.table, self.states = watch._table(jobs, WIDTH, 30), states


def write_svg(what: RenderableType, title: str, path: Path) -> None:
    """Write what a terminal shows as SVG, without the font that it would load from elsewhere."""
    with Path(os.devnull).open("w") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, force_terminal=True)
        console.print(what)
        svg = console.export_svg(title=title)
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL))


def segexp(*words: str) -> str:
    """Run a command as a process; return what it prints, with its colors."""
    environment = os.environ | {"FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    command = [sys.executable, "-m", "segexp", *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def draw_sweep() -> None:
    """Run the sweep, and draw it while it runs."""
    kept = Kept()
    launcher.watcher = lambda: kept
    sys.argv = ["segexp", *SWEEP.split(), *SMALL]
    main()
    write_svg(kept.table, f"segexp {SWEEP.replace(' model.depth=3 model.base_channels=8', '')}", FOLDER / "sweep.svg")


def draw_comparison() -> None:
    """Draw what compare says of one metric."""
    said = segexp("compare", "outputs/losses", "--metric", "dice")
    write_svg(Text.from_ansi(said.strip("\n")), "segexp compare outputs/losses --metric dice", FOLDER / "compare.svg")


def draw_pages() -> None:
    """Draw the tops of the pages of the comparison, of one of its runs, and of a stress test of that."""
    run = min(path.parent for path in Path("outputs/losses").glob("*/metrics.csv"))
    segexp("compare", "outputs/losses", "--html", "page.html")
    segexp("report", str(run))
    corruptions = "corruptions=[gaussian_noise,motion,blur,gamma,contrast,rotation]"
    segexp("stress", f"run={run}", "cases=3", corruptions, "html=stress.html")
    draw_page(Path("page.html"), "page", 1100, 720)
    draw_page(run / "report.html", "run_page", 1500, 1080)
    draw_page(Path("stress.html"), "stress_page", 1500, 1040)


def draw_page(page: Path, name: str, width: int, height: int) -> None:
    """Draw the top of a page, so many pixels of it."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("there is no chromium to draw the page with: install it")
    flags = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--window-size={width},{height + MARGIN}",
        "--virtual-time-budget=4000",
    ]
    shot = Path("shot.png").absolute()
    subprocess.run(
        [chromium, *flags, "--hide-scrollbars", f"--screenshot={shot}", page.absolute().as_uri()], check=True
    )
    small = Image.open(shot).crop((0, 0, width, height)).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    small.save(FOLDER / f"{name}.png", optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        draw_sweep()
        draw_comparison()
        draw_pages()
        os.chdir(FOLDER)
