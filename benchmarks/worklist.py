"""The worklist page with many images: how long it takes to write, to open and to scroll.

    python benchmarks/worklist.py found --images 10000

Repeats the images of a folder of results, under new names and with files of their own (hard links),
until there are as many as asked for; writes their page and opens it in Chromium, which has to be
installed, through Playwright. Every page is opened by a browser that has just been started. Writes
the table `worklist.inc`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from tables import markdown_table, write_table

import lungpatch
from lungpatch.archive.records import RECORDS
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.reports import write_overlay
from lungpatch.reports.worklist import write_views

REPEATS = 7
# From the start of the navigation until rows, thumbnails and the first radiograph are painted.
OPENED = """() => new Promise((done) => {
  const look = () => {
    const pictures = [...document.querySelectorAll(".thumb img")].slice(0, 8);
    const shown = pictures.length && pictures.every((each) => each.complete);
    if (shown && !document.getElementById("stage")?.hidden) {
      requestAnimationFrame(() => setTimeout(() => done(performance.now())));
    } else setTimeout(look, 4);
  };
  look();
})"""
SCROLLED = """([step, frames]) => new Promise((done) => {
  const grid = document.getElementById("grid");
  const times = [];
  let last = null;
  const frame = (now) => {
    if (last !== null) times.push(now - last);
    last = now;
    grid.scrollTop += step;
    if (times.length < frames) requestAnimationFrame(frame);
    else done(times);
  };
  requestAnimationFrame(frame);
})"""
# Until the page has been painted with the change.
CHANGED = """(change) => new Promise((done) => {
  const start = performance.now();
  new Function(change)();
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
_INPUT = "dispatchEvent(new Event('input', {bubbles: true}))"
CHANGES = {
    "search by name": f"search.value = '7'; search.{_INPUT}",
    "rate moved": f"rate.stepUp(); rate.{_INPUT}",
    "sorted by name": "document.querySelector('[data-sort=label] button').click()",
}


def main() -> None:
    arguments = parse_arguments()
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory(dir=arguments.found.parent) as work:
        folder = Path(work, "found")
        repeat(arguments.found, folder, arguments.images)
        start = time.perf_counter()
        lungpatch.worklist(folder)
        rows.append(("page and table written", f"{time.perf_counter() - start:.2f} s"))
        size = (folder / "worklist" / "data.js").stat().st_size
        rows.append(("data of the page", f"{size / 1e6:.1f} MB"))
        with sync_playwright() as playwright:
            rows += measure(playwright, (folder / "index.html").as_uri())
    rows += files_per_image()
    text = markdown_table((f"{arguments.images} images", ""), rows)
    write_table("worklist", text, arguments.out, publish=arguments.publish)


def repeat(found: Path, folder: Path, number: int) -> None:
    """Make a folder of `number` images of those of another folder."""
    records = [json.loads(line) for line in (found / RECORDS).read_text().splitlines()]
    (folder / "worklist").mkdir(parents=True)
    shutil.copy(found / "calibrations.json", folder)
    with (folder / RECORDS).open("w") as file:
        for index in range(number):
            record = dict(records[index % len(records)])
            old, name = record["name"], f"{record['name']}-{index:05}"
            record |= {"name": name, "image": f"{record['image']}-{index:05}.png"}
            for view in record["views"].values():
                os.link(found / view, folder / view.replace(old, name))
            file.write(json.dumps(record) + "\n")


def launch(playwright: Playwright) -> Browser:
    executable = shutil.which("chromium")
    if executable is None:
        raise SystemExit("install Chromium: apt-get install chromium")
    return playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])


def measure(playwright: Playwright, url: str) -> list[tuple[object, ...]]:
    opened = []
    for _ in range(REPEATS):
        browser = launch(playwright)
        page = new_page(browser)
        page.goto(url, wait_until="commit")
        opened.append(page.evaluate(OPENED) / 1000)
        browser.close()
    rows: list[tuple[object, ...]] = [
        ("page opened, first radiograph shown", f"{spread(opened, 2)} s")
    ]
    browser = launch(playwright)
    page = new_page(browser)
    page.goto(url)
    page.evaluate(OPENED)
    rows.append(("rows in the document", page.locator(".row").count()))
    for what, step in (("slow", 40), ("fast", 1200)):
        times = np.array(page.evaluate(SCROLLED, [step, 400]))
        shown = ", ".join(f"{value:.1f}" for value in np.quantile(times, (0.5, 0.95, 1.0)))
        rows.append((f"time per frame, scrolling {what} ({step} pixels each)", f"{shown} ms"))
    for what, change in CHANGES.items():
        times = [page.evaluate(CHANGED, change) for _ in range(REPEATS)]
        rows.append((what, f"{spread(times, 0)} ms"))
    browser.close()
    return rows


def new_page(browser: Browser) -> Page:
    return browser.new_page(viewport={"width": 1600, "height": 900})


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.median(values):.{digits}f} (to {max(values):.{digits}f})"


def files_per_image() -> list[tuple[object, ...]]:
    """Time the files that the page shows of one image, beside the overlay."""
    pipeline = lungpatch.load_pipeline("default")
    scale = pipeline.calibration_.colour_scale
    rows: list[tuple[object, ...]] = []
    for side in (512, 2048):
        detection = pipeline.detect(phantom_chest(1, size=side).image)
        with tempfile.TemporaryDirectory() as folder:
            views, overlays = [], []
            for _ in range(REPEATS):
                start = time.perf_counter()
                write_views(folder, "a", detection, scale)
                views.append(1000 * (time.perf_counter() - start))
                start = time.perf_counter()
                write_overlay(Path(folder, "a.overlay.png"), detection, scale)
                overlays.append(1000 * (time.perf_counter() - start))
        rows.append((f"files of an image of {side} x {side}", f"{spread(views, 0)} ms"))
        rows.append((f"its overlay, for comparison, {side} x {side}", f"{spread(overlays, 0)} ms"))
    return rows


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("found", type=Path, help="folder that lungpatch detect wrote")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--out", type=Path, help="folder for the table")
    parser.add_argument(
        "--publish", action="store_true", help="write the table into the documentation, too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
