"""Draws every picture of the documentation again: ``python docs/make_images.py``.

Needs the development install and, for the screenshot, chromium. The pictures of other tools in
``comparison.md`` come from ``docs/compare.py``, which needs those tools as well.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
IMAGES = DOCS / "images"
SAMPLES = DOCS.parent / "samples"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT = 1440, 1000  # of the window in the screenshot


def main() -> None:
    """Runs one sample and keeps its pictures and the top of its page."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        render(Path(folder), SAMPLES / "vanishing.py", "-o", "vanishing/")
        report = Path(folder) / "vanishing"
        picture = str(IMAGES / "vanishing.svg")
        render(Path(folder), SAMPLES / "vanishing.py", "--max-nodes", "40", "-o", picture)
        for plot in ("depth", "heat"):
            shutil.copy(report / "plots" / f"{plot}.svg", IMAGES / f"vanishing-{plot}.svg")
        screenshot(report / "index.html", IMAGES / "vanishing-page.png")


def render(folder: Path, script: Path, *options: str) -> None:
    """``gradscope render`` in a folder of its own."""
    command = [sys.executable, "-m", "gradscope", "render", "-q", *options, str(script)]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def screenshot(page: Path, picture: Path) -> None:
    """The first screen of a page, as a reader sees it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        shown.goto(page.as_uri())
        shown.wait_for_function("document.documentElement.dataset.script === 'on'")
        shown.screenshot(path=str(picture))
        browser.close()


if __name__ == "__main__":
    main()
