"""Folders in, folders of results out, and back."""

import json
import shutil

import numpy as np
import pytest
import tifffile

import lungpatch
from lungpatch.errors import InvalidImageError, MissingInputError, NotFittedError
from lungpatch.io import read_mask


@pytest.fixture
def found(cohort, saved, tmp_path):
    """What detect_folder wrote for four images and one that is none."""
    images = shutil.copytree(cohort / "opacity", tmp_path / "images")
    (images / "broken.png").write_bytes(b"no image")
    seen = []
    counts = lungpatch.detect_folder(
        images,
        tmp_path / "found",
        pipeline=saved,
        progress=lambda stage, done, total, _: seen.append((stage, done, total)),
    )
    assert seen == [("detect", n, 5) for n in range(1, 6)]
    return images, tmp_path / "found", counts


def test_counts_and_failures(found, saved):
    images, _, counts = found
    pipeline = lungpatch.load_pipeline(saved)
    labels = [
        r.decision.pred_label
        for r in pipeline.detect_many(images)
        if isinstance(r, lungpatch.Detection)
    ]
    assert counts.above == sum(labels)
    assert counts.below == len(labels) - sum(labels)
    assert (counts.unscored, counts.out_of_scope) == (0, 0)
    assert [failure.source for failure in counts.failures] == [str(images / "broken.png")]


def test_what_was_written_is_read_back(found, saved):
    images, out, _ = found
    pipeline = lungpatch.load_pipeline(saved)
    loaded = {detection.source: detection for detection in lungpatch.load_detections(out)}
    assert len(loaded) == 5
    assert {type(detection) for detection in loaded.values()} == {lungpatch.SavedDetection}
    for result in pipeline.detect_many(images, batch_size=1):
        if isinstance(result, lungpatch.Failure):
            saved_failure = loaded[result.source]
            assert saved_failure.status == "error"
            assert saved_failure.error == str(result.error)
            assert saved_failure.decision is None
            assert saved_failure.boxes.shape == (0, 4)
            with pytest.raises(MissingInputError, match="names no anomaly_map"):
                saved_failure.heatmap()
            continue
        again = loaded[result.image.source]
        assert again.status == result.status
        assert again.decision == result.decision
        np.testing.assert_array_equal(again.boxes, result.native_boxes)
        np.testing.assert_array_equal(again.heatmap(), result.native_heatmap)
        np.testing.assert_array_equal(again.lungs(), result.native_lungs)
        with np.errstate(invalid="ignore"):
            above = result.native_heatmap > result.localisation.threshold
        np.testing.assert_array_equal(again.pred_mask(), above)
        assert again.record["summary"] == list(result.regions.lines)


def test_files_are_what_their_names_say(found):
    _, out, _ = found
    records = map(json.loads, (out / "detections.jsonl").read_text().splitlines())
    record = next(record for record in records if record["status"] == "ok")
    assert tifffile.imread(out / record["anomaly_map"]).dtype == np.float32
    assert read_mask(out / record["mask"]).any()
    assert (out / record["overlay"]).read_bytes()[:3] == b"\xff\xd8\xff"  # JPEG


def test_a_file_that_is_gone_is_named(found):
    _, out, _ = found
    detection = next(d for d in lungpatch.load_detections(out) if d.status == "ok")
    (out / detection.record["anomaly_map"]).unlink()
    with pytest.raises(MissingInputError, match=detection.record["anomaly_map"]):
        detection.heatmap()
    (out / detection.record["anomaly_map"]).write_bytes(b"not a TIFF")
    with pytest.raises(InvalidImageError, match="not a readable anomaly map"):
        detection.heatmap()


@pytest.mark.parametrize("line", ["{", "[]", '{"image": "a.png"}'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    (tmp_path / "detections.jsonl").write_text(
        '{"image": "a.png", "status": "no_lungs"}\n' + line + "\n"
    )
    with pytest.raises(InvalidImageError, match=r"detections\.jsonl: line 2 is not"):
        lungpatch.load_detections(tmp_path)


def test_no_records(tmp_path):
    with pytest.raises(MissingInputError, match=r"detections\.jsonl: no such file"):
        lungpatch.load_detections(tmp_path)


def test_names_with_line_separators_of_unicode(tmp_path, saved, cohort):
    image = sorted((cohort / "opacity").iterdir())[0]
    odd = tmp_path / "a\u2028b.png"
    shutil.copy(image, odd)
    lungpatch.detect_folder(odd, tmp_path / "found", pipeline=saved)
    (detection,) = lungpatch.load_detections(tmp_path / "found")
    assert detection.source == str(odd)


def test_one_path_several_paths_and_a_pipeline_object(cohort, fitted, tmp_path):
    first, second, *_ = sorted((cohort / "opacity").iterdir())
    assert lungpatch.detect_folder(first, tmp_path / "a", pipeline=fitted).failures == []
    lungpatch.detect_folder([first, str(second), first], tmp_path / "b", pipeline=fitted)
    sources = [d.source for d in lungpatch.load_detections(tmp_path / "b")]
    assert sources == [str(first), str(second)]  # each once


def test_a_bad_path_does_not_affect_the_others(cohort, fitted, tmp_path):
    first = sorted((cohort / "opacity").iterdir())[0]
    counts = lungpatch.detect_folder([tmp_path / "no", first], tmp_path / "out", pipeline=fitted)
    assert [f.source for f in counts.failures] == [str(tmp_path / "no")]
    assert counts.above + counts.below == 1


def test_nothing_is_written_where_nothing_can_be_done(cohort, fast_tables, tmp_path):
    with pytest.raises(MissingInputError, match="nowhere"):
        lungpatch.detect_folder("nowhere", tmp_path / "out")
    with pytest.raises(MissingInputError, match="no images were given"):
        lungpatch.segment_folder([], tmp_path / "out")
    with pytest.raises(NotFittedError):
        lungpatch.detect_folder(
            cohort / "opacity", tmp_path / "out", pipeline=lungpatch.load_preset("paper")
        )
    assert not (tmp_path / "out").exists()


def test_segment_folder_takes_a_name_or_a_component(cohort, tmp_path):
    images = cohort / "normal"
    by_name = lungpatch.segment_folder(images, tmp_path / "a", segmenter="threshold")
    by_object = lungpatch.segment_folder(
        images, tmp_path / "b", segmenter=lungpatch.ThresholdSegmenter()
    )
    assert by_name == by_object
    assert isinstance(by_name, lungpatch.SegmentationCounts)
    assert by_name.ok + by_name.no_lungs + by_name.implausible_lungs == 12
    for path in sorted(images.iterdir()):
        image = lungpatch.read_image(path)
        expected = lungpatch.ThresholdSegmenter().segment(image).pixels
        for folder in ("a", "b"):
            mask = read_mask(tmp_path / folder / f"{path.stem}.mask.png")
            np.testing.assert_array_equal(mask, expected)
    assert (tmp_path / "a" / "segmentations-001.png").is_file()


def _records(out):
    return {detection.source: detection for detection in lungpatch.load_detections(out)}


def test_a_second_run_adds_to_the_first(cohort, fitted, tmp_path):
    first, second, *_ = sorted((cohort / "opacity").iterdir())
    namesake = shutil.copy(second, tmp_path / first.name)
    out = tmp_path / "out"
    for image in (first, second, namesake):
        lungpatch.detect_folder(image, out, pipeline=fitted)
    records = _records(out)
    assert list(records) == [str(first), str(second), str(namesake)]
    assert records[str(first)].record["name"] == first.stem
    assert records[str(namesake)].record["name"] == f"{first.stem}-2"
    np.testing.assert_array_equal(
        records[str(namesake)].heatmap(), fitted.detect(namesake).native_heatmap
    )
    np.testing.assert_array_equal(
        records[str(first)].heatmap(), fitted.detect(first).native_heatmap
    )


def test_an_image_detected_again_is_replaced_under_its_name(cohort, fitted, tmp_path):
    first, second, *_ = sorted((cohort / "opacity").iterdir())
    image = shutil.copy(first, tmp_path / "a.png")
    out = tmp_path / "out"
    lungpatch.detect_folder([image, second], out, pipeline=fitted)
    before = _records(out)
    shutil.copy(second, image)
    lungpatch.detect_folder(image, out, pipeline=fitted)
    after = _records(out)
    assert set(after) == set(before)
    assert after[str(image)].record["name"] == "a"
    assert after[str(image)].decision != before[str(image)].decision
    assert after[str(second)].record == before[str(second)].record


def test_nothing_old_stands_beside_a_new_error(cohort, fitted, tmp_path):
    image = shutil.copy(sorted((cohort / "opacity").iterdir())[0], tmp_path / "a.png")
    out = tmp_path / "out"
    lungpatch.detect_folder(image, out, pipeline=fitted)
    assert len(list(out.glob("a.*"))) == 3
    (tmp_path / "a.png").write_bytes(b"cut short")
    lungpatch.detect_folder(image, out, pipeline=fitted)
    (record,) = _records(out).values()
    assert record.status == "error"
    assert list(out.glob("a.*")) == []
    shutil.copy(sorted((cohort / "opacity").iterdir())[0], image)
    lungpatch.detect_folder(image, out, pipeline=fitted)
    (record,) = _records(out).values()
    assert (record.status, record.record["name"]) == ("ok", "a")


def test_an_interrupted_second_run_loses_nothing(cohort, fitted, tmp_path):
    images = sorted((cohort / "opacity").iterdir())
    out = tmp_path / "out"
    lungpatch.detect_folder(images, out, pipeline=fitted)
    before = _records(out)

    def interrupt(stage, done, total, metrics):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        lungpatch.detect_folder(images, out, pipeline=fitted, progress=interrupt)
    after = _records(out)
    assert set(after) == set(before)
    for source, detection in after.items():
        assert detection.decision == before[source].decision


def test_a_file_of_something_else_is_not_overwritten(cohort, fitted, tmp_path):
    (tmp_path / "detections.jsonl").write_text("my notes\n")
    with pytest.raises(InvalidImageError, match=r"detections\.jsonl: line 1 is not JSON"):
        lungpatch.detect_folder(cohort / "opacity", tmp_path, pipeline=fitted)
    assert (tmp_path / "detections.jsonl").read_text() == "my notes\n"


def test_segmenting_again_adds_too(cohort, tmp_path):
    first, second, *_ = sorted((cohort / "normal").iterdir())
    for image in (first, second, first):
        lungpatch.segment_folder(image, tmp_path, segmenter="threshold")
    lines = (tmp_path / "segmentations.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == [str(second), str(first)]
    assert len(list(tmp_path.glob("*.mask.png"))) == 2
