import pytest

import lungpatch
from lungpatch.cli.commands import demo

SMALL = {"N_LEARNT": 20, "N_NORMAL": 3, "N_OPAQUE": 5, "IMAGE_SIZE": 128, "EPOCHS": 1}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page of a demo of a few images and one epoch, and the stages that it told of."""
    stages = set()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SMALL.items():
            patch.setattr(demo, name, value)
        path = demo.run_demo(
            tmp_path_factory.mktemp("demo"),
            seed=4,
            progress=lambda stage, done, total, figures: stages.add(stage),
        )
    assert {"images", "paper: train", "coarse-pca: detect"} <= stages
    return path


def test_the_page_tells_what_was_done_and_how_good_it_is(page):
    text = page.read_text(encoding="utf-8")
    assert "learnt from 20 synthetic normal chests" in text
    assert "pixel AUROC" in text
    assert "identity shortcut" in text
    assert "not a medical device" in text
    assert text.count("data:image/png;base64,") == 1 + 2 * (demo.N_SHOWN + 1)


def test_the_page_is_one_self_contained_file(page):
    text = page.read_text(encoding="utf-8")
    assert "http://" not in text
    assert "https://" not in text


def test_what_it_leaves_can_be_used(page):
    pipeline = lungpatch.load_pipeline(page.parent / "paper.lungpatch")
    images = sorted((page.parent / "images" / "opacity").iterdir())
    (result,) = pipeline.detect_many(images[:1])
    assert isinstance(result, lungpatch.Detection)


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
    assert demo._row(result)[:5] == ["mine, of course", "0.75 [0.50, 0.90]", "0.80", "40%", "30%"]
