import re

import numpy as np
import pytest
from PIL import Image

import lungpatch
from lungpatch.cli import demo, demo_page
from lungpatch.errors import DestinationError, SavedPipelineError

SMALL = {"N_TRAINING": 20, "N_NORMAL": 3, "N_OPACITY": 5, "IMAGE_SIZE": 128, "EPOCHS": 1}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a demo of a few images and one epoch; its stages are checked on the way."""
    stages = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(demo, name, value)
        path = demo.run_demo(
            tmp_path_factory.mktemp("demo"),
            seed=4,
            progress=lambda stage, done, total, metrics: stages.add(stage),
        )
    assert {"images", "paper: train", "coarse-pca: detect"} <= stages
    return path


def test_the_page_tells_what_was_done_and_how_good_it_is(page):
    text = page.read_text(encoding="utf-8")
    assert "fitted to 20 synthetic normal chests" in text
    assert "tried on 3 other normal chests and on 5 with an opacity" in text
    assert "pixel AUROC" in text
    assert "identity shortcut" in text
    assert "not a medical device" in text
    assert text.count("data:image/png;base64,") == 1 + 2 * (demo_page.N_SHOWN + 1)


def test_the_page_is_one_self_contained_file(page):
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text


@pytest.mark.parametrize("name", ["paper", "coarse-pca"])
def test_what_it_leaves_can_be_used(page, name):
    """The saved pipelines and images give the numbers of the page again."""
    folder = page.parent
    pipeline = lungpatch.load_pipeline(folder / f"{name}.lungpatch")
    assert sum(pipeline.report_.images.values()) == SMALL["N_TRAINING"]
    normal = sorted((folder / "images" / "normal").iterdir())
    opacities = sorted((folder / "images" / "opacity").iterdir())
    assert (len(normal), len(opacities)) == (23, 5)
    found = list(pipeline.detect_many([*normal[-3:], *opacities]))
    assert [detection.status for detection in found] == ["ok"] * 8
    scores = np.array([detection.decision.pred_score for detection in found])
    assert len(np.unique(scores)) == 8
    auroc = float((scores[3:, None] > scores[None, :3]).mean())
    false_alarms = sum(detection.decision.pred_label for detection in found[:3])
    row = table_row(page, "32x32" if name == "paper" else "64x64")
    assert row[1].startswith(f"{auroc:.2f} [")
    assert row[5] == f"{false_alarms} of 3"


def test_the_maps_that_it_shows_are_of_the_test_images(page):
    """The pointing of the page follows from the saved images and their true masks."""
    folder = page.parent
    pipeline = lungpatch.load_pipeline(folder / "coarse-pca.lungpatch")
    hits = []
    for path in sorted((folder / "images" / "opacity").iterdir()):
        heatmap = pipeline.detect(path).native_heatmap
        with Image.open(folder / "images" / "masks" / "opacity" / path.name) as mask:
            opacity = np.asarray(mask) > 0
        maximum = heatmap == np.nanmax(heatmap)
        hits.append(opacity[maximum].mean())
    assert table_row(page, "64x64")[3] == f"{np.mean(hits):.0%}"


def table_row(page, words):
    """Cells of the row of the table whose first cell contains ``words``."""
    rows = re.findall(r"<tr>(.*?)</tr>", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    (cells,) = (
        cells
        for row in rows
        if words in (cells := re.findall(r"<td.*?>(.*?)</td>", row) or [""])[0]
    )
    return cells


def test_a_row_tells_a_chance_result_from_a_good_one(fitted):
    result = demo.DetectorResult(
        name="mine",
        about="mine, of course",
        pipeline=fitted,
        detections=(),
        image_auroc=0.75,
        image_auroc_interval=(0.5, 0.9),
        pixel_auroc=0.8,
        pointing=0.4,
        chance=0.3,
        false_alarms=2,
        milliseconds=12.4,
    )
    row = demo_page._row(result, 20)
    assert row[:6] == ["mine, of course", "0.75 [0.50, 0.90]", "0.80", "40%", "30%", "2 of 20"]
    assert row[7] == "12"


def test_a_destination_is_refused_before_any_work(tmp_path, monkeypatch):
    def unreachable(*args, **options):
        raise AssertionError("work began")

    monkeypatch.setattr(demo, "phantom_cohort", unreachable)
    (tmp_path / "file").touch()
    with pytest.raises(DestinationError, match="file"):
        demo.run_demo(tmp_path / "file")
    (tmp_path / "out" / "paper.lungpatch").mkdir(parents=True)
    with pytest.raises(SavedPipelineError, match="something else is there"):
        demo.run_demo(tmp_path / "out")
