"""The demo and its page. `first-screen.md` is the part of the test that needs a person."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import lungpatch
from lungpatch.archive import load_detections
from lungpatch.cli import demo
from lungpatch.cli.model_card import read_flagged
from lungpatch.datasets import load_folder, phantom_cohort, sample
from lungpatch.errors import DestinationError, SavedPipelineError

DECISIONS = Path(__file__).parents[2] / "docs" / "detectors-run" / "decisions.json"
SMALL = {"N_NORMAL": 6, "N_OPACITY": 3, "IMAGE_SIZE": 128}
SEED = 4


class Words(HTMLParser):
    """The text of a page, without tags and styles."""

    def __init__(self, page):
        super().__init__()
        self.words, self.inside = [], []
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if "style" not in self.inside:
            self.words += data.split()

    def __str__(self):
        return " ".join(self.words)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a demo with few synthetic chests; its stages are checked on the way."""
    stages = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(demo, name, value)
        path = demo.run_demo(
            tmp_path_factory.mktemp("demo"),
            seed=SEED,
            progress=lambda stage, done, total, metrics: stages.add(stage),
        )
    wanted = {"shipped detector: detect", "synthetic chests", "small detector: train"}
    assert wanted | {"paper's network: detect"} <= stages
    return path


@pytest.fixture(scope="module")
def words(page):
    return str(Words(page))


def percent(value):
    return f"{100 * value:.0f} %"


def test_it_says_at_which_rate_it_flags_what_as_it_was_counted(words):
    default = json.loads(DECISIONS.read_text(encoding="utf-8"))["default"]
    rate = lungpatch.load_pipeline("default").thresholder.alpha
    (point,) = (n for n, each in enumerate(default["points"]) if each["name"] == f"{rate:g}")
    assert f"At a false-alarm rate of {percent(rate)} (" in words
    for kind, said in (
        ("Lung Opacity", "images in which radiologists saw an opacity"),
        ("read as normal", "images of the same hospital that they called normal"),
        ("children, normal", "normal images of children in another hospital"),
    ):
        counted = default["sets"][kind]
        value, low, high = (round(number, 2) for number in counted["flagged"][point])
        interval = f"{100 * low:.0f} to {percent(high)}"
        assert f"{counted['n']} {said} {percent(value)} ({interval})" in words


@pytest.mark.parametrize("name", ["default", "paper"])
@pytest.mark.parametrize(("rate", "point"), [(0.05, 1), (0.1, 2), (0.2, 3)])
def test_a_model_card_is_read_as_it_was_counted(name, rate, point):
    sets = json.loads(DECISIONS.read_text(encoding="utf-8"))[name]["sets"]
    flagged = read_flagged(name, rate)
    assert flagged.keys() == sets.keys()
    for kind, each in flagged.items():
        assert each.n == sets[kind]["n"]
        assert (each.fraction, each.low, each.high) == pytest.approx(
            sets[kind]["flagged"][point], abs=0.005001
        )


def test_each_radiograph_is_said_to_be_found_or_missed(page, words):
    images = sample()
    found = {Path(each.source).stem: each for each in load_detections(page.parent / "found")}
    assert len(found) == len(images)
    flagged = {True: 0, False: 0}
    for name, label in zip(images.image_ids.tolist(), images.labels.tolist(), strict=True):
        decision = found[name].decision
        flagged[label == "normal"] += decision.pred_label
        verdict = {
            ("normal", True): "Normal, false alarm",
            ("normal", False): "Normal, not flagged",
            ("pneumonia", True): "Opacity, flagged",
            ("pneumonia", False): "Opacity, missed",
        }[label, decision.pred_label]
        below = int(100 * (1 - decision.p_value))
        assert f"{verdict}: score above that of {below} % of normal images" in words
    said = f"Flagged here: {flagged[False]} of 4 with an opacity and {flagged[True]} of 4 normal"
    assert said in words
    assert "are no evaluation" in words
    assert "none of them trained anything that comes with lungpatch" in words
    assert "NIH Clinical Center" in words
    assert "not a medical device" in words


def test_the_radiographs_and_the_worklist_lie_beside_it(page):
    folder = page.parent
    assert 'href="found/index.html"' in page.read_text(encoding="utf-8")
    assert (folder / "found" / "index.html").is_file()
    with (folder / "found" / "detections.csv").open(newline="", encoding="utf-8") as handle:
        assert len(list(csv.DictReader(handle))) == 8
    copied = load_folder(
        folder / "sample",
        metadata=folder / "sample" / "metadata.csv",
        boxes=folder / "sample" / "boxes.csv",
    )
    shipped = sample()
    assert copied.labels.tolist() == shipped.labels.tolist()
    for mine, theirs in zip(copied.images, shipped.images, strict=True):
        assert mine.read_bytes() == theirs.read_bytes()
    assert (folder / "sample" / "README.md").is_file()


def test_the_numbers_of_the_small_fit_come_back_from_what_it_leaves(page, words):
    pipeline = lungpatch.load_pipeline(page.parent / "small.lungpatch")
    assert sum(pipeline.report_.images.values()) >= SMALL["N_NORMAL"]
    cases = phantom_cohort(SMALL["N_NORMAL"], SMALL["N_OPACITY"], seed=SEED, size=128)
    hits = []
    for case in cases:
        if case.kind != "normal":
            heatmap = pipeline.detect(case.image).native_heatmap
            hits.append(case.opacity[heatmap == np.nanmax(heatmap)].mean())
    assert f"In {sum(hits):.3g} of {len(hits)} such chests its highest score lies" in words


def test_the_errors_of_the_papers_network_are_those_of_its_patches(page, words):
    """Counted patch by patch; the page averages where patches overlap, which changes little."""
    pipeline, images = lungpatch.load_pipeline("paper"), sample()
    errors = {True: [], False: []}
    for index in np.flatnonzero(images.labels != "normal").tolist():
        detection = pipeline.detect(images.images[index])
        boxed = np.zeros(detection.resized.shape, bool)
        for row0, col0, row1, col1 in images.boxes(index, boxed.shape):
            boxed[row0:row1, col0:col1] = True
        patches = detection.patches
        differences = np.abs(detection.reconstruction.expected[:, 0] - patches.pixels)
        for (row, col), lung, error in zip(
            patches.corners, detection.scores.support, differences, strict=True
        ):
            here = boxed[row : row + 32, col : col + 32]
            for inside in (True, False):
                errors[inside].append(error[lung & (here == inside)])
    inside, outside = (255 * np.concatenate(errors[which]).mean() for which in (True, False))
    said = re.search(r"differs from the image by ([\d.]+) of 255 .* by ([\d.]+) in the", words)
    assert [float(number) for number in said.groups()] == pytest.approx([inside, outside], rel=0.25)


def test_the_page_is_one_file_that_loads_nothing(page):
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'src="(?!data:)', text)
    assert "<script" not in text
    assert "://" not in text


def test_a_destination_is_refused_before_any_work(tmp_path, monkeypatch):
    def unreachable(*args, **options):
        raise AssertionError("work began")

    monkeypatch.setattr(demo, "detect_folder", unreachable)
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError, match="file"):
        demo.run_demo(tmp_path / "file")
    (tmp_path / "out" / "small.lungpatch").mkdir(parents=True)
    with pytest.raises(SavedPipelineError, match="something else is there"):
        demo.run_demo(tmp_path / "out")


def test_a_second_demo_takes_the_place_of_the_first(page):
    """The sample folder is replaced, results and pipeline are written anew."""
    before = page.stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(demo, name, value)
        demo.run_demo(page.parent, seed=SEED)
    assert page.stat().st_mtime_ns > before
    assert len(load_detections(page.parent / "found")) == 8


# ------------------------------------------------------------------------------ the first screen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        # Root, as in containers, cannot have Chromium's sandbox.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("width", "height", "last"),
    [(1280, 900, ".figures figure:nth-child(4) figcaption"), (390, 844, "tbody tr:last-child")],
    ids=["wide", "narrow"],
)
def test_the_first_screen_says_what_it_does_and_how_well(
    page, browser, width, height, last, scheme
):
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(page.as_uri())
    heading, lead = tab.locator("h1"), tab.locator("p").first
    assert "normal lung" in heading.inner_text()
    assert "fitted to normal chest radiographs only" in lead.inner_text()
    assert "false-alarm rate" in lead.inner_text()
    for seen in (heading, lead, tab.locator("tbody tr").first, tab.locator(last).first):
        box = seen.bounding_box()
        assert box["y"] + box["height"] <= height
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
