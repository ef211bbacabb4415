"""Deciding again in a folder of results."""

import json

import numpy as np
import pytest
from scipy import stats

import lungpatch
from lungpatch.errors import ConfigurationError, InsufficientDataError, InvalidImageError


@pytest.fixture(scope="module")
def pipeline(fitted, cohort):
    """Calibrated on all twelve normal images, so that rates from 1/13 on can be had."""
    return fitted.calibrate(cohort / "normal")


@pytest.fixture
def found(pipeline, cohort, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    images = [cohort / "opacity", cohort / "normal", tmp_path / "broken.png"]
    lungpatch.detect_folder(images, tmp_path / "found", pipeline=pipeline)
    return tmp_path / "found"


def records_of(folder):
    return [json.loads(line) for line in (folder / "detections.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_it_decides_as_detect_does_at_that_rate(pipeline, cohort, found, tmp_path, rate):
    counts = lungpatch.decide(found, false_alarm_rate=rate)
    again = tmp_path / "again"
    expected = lungpatch.detect_folder(
        [cohort / "opacity", cohort / "normal"], again, pipeline=pipeline, false_alarm_rate=rate
    )
    assert (counts.above, counts.below) == (expected.above, expected.below)
    assert counts.above + counts.below == 16
    assert len(counts.failures) == 1
    decided = {record["image"]: record for record in records_of(found)}
    for record in records_of(again):
        other = decided[record["image"]]
        for key in ("pred_label", "threshold", "rule", "p_value"):
            assert other[key] == record[key]
        assert record["pred_label"] == (record["p_value"] <= rate)


def test_nothing_but_the_decision_changes(found):
    before = records_of(found)
    lungpatch.decide(found, false_alarm_rate=0.5)
    for old, new in zip(before, records_of(found), strict=True):
        for key in ("threshold", "rule", "pred_label"):
            old.pop(key, None)
            new.pop(key, None)
        assert old == new


def test_a_list_with_few_false_discoveries(found):
    counts = lungpatch.decide(found, fdr=0.3)
    decided = [record for record in records_of(found) if record["status"] == "ok"]
    p_values = [record["p_value"] for record in decided]
    expected = stats.false_discovery_control(p_values) <= 0.3
    assert [record["pred_label"] for record in decided] == expected.tolist()
    assert counts.above == expected.sum()
    for saved in lungpatch.load_detections(found):
        if saved.decision is not None:
            assert saved.decision.rule == "Benjamini-Hochberg"
            assert saved.decision.pred_label == saved.record["pred_label"]


def test_detect_makes_the_list_of_its_own_images_only(pipeline, cohort, tmp_path):
    out = tmp_path / "found"
    lungpatch.detect_folder(cohort / "normal", out, pipeline=pipeline)
    before = records_of(out)
    counts = lungpatch.detect_folder(cohort / "opacity", out, pipeline=pipeline, fdr=0.5)
    assert counts.above + counts.below == 4
    records = records_of(out)
    assert [record for record in records if record["rule"] != "Benjamini-Hochberg"] == before


def test_two_pipelines_in_one_folder_keep_their_own_thresholds(fitted, pipeline, cohort, tmp_path):
    out = tmp_path / "found"
    lungpatch.detect_folder(cohort / "normal", out, pipeline=pipeline)
    lungpatch.detect_folder(cohort / "opacity", out, pipeline=fitted)  # calibrated on two
    lungpatch.decide(out, false_alarm_rate=0.4)
    thresholds = {record["calibration"]: record["threshold"] for record in records_of(out)}
    assert sorted(thresholds.values()) == sorted(
        each.calibration_.at_rates(false_alarm_rate=0.4).threshold for each in (fitted, pipeline)
    )
    with pytest.raises(InsufficientDataError, match="got 2"):
        lungpatch.decide(out, false_alarm_rate=0.1)


def test_a_refused_decision_leaves_the_folder_as_it_was(found):
    before = (found / "detections.jsonl").read_bytes()
    for rates in ({}, {"false_alarm_rate": 0.1, "fdr": 0.1}, {"false_alarm_rate": 0.7}, {"fdr": 0}):
        with pytest.raises(ConfigurationError):
            lungpatch.decide(found, **rates)
    with pytest.raises(InsufficientDataError, match="at least 99 normal patients, got 12"):
        lungpatch.decide(found, false_alarm_rate=0.01)
    assert (found / "detections.jsonl").read_bytes() == before


def test_what_cannot_be_decided_again_is_said(found):
    records = records_of(found)
    (found / "calibrations.json").unlink()
    with pytest.raises(InvalidImageError, match=r"16 records hold no p-value or calibration"):
        lungpatch.decide(found, false_alarm_rate=0.1)
    (found / "calibrations.json").write_text("[]")
    with pytest.raises(InvalidImageError, match=r"calibrations.json: does not hold calibrations"):
        lungpatch.decide(found, false_alarm_rate=0.1)
    assert records_of(found) == records


def test_a_folder_without_calibrations_is_refused_before_work(pipeline, cohort, tmp_path):
    (tmp_path / "calibrations.json").write_text('{"a": ')
    with pytest.raises(InvalidImageError, match="does not hold calibrations"):
        lungpatch.detect_folder(cohort / "opacity", tmp_path, pipeline=pipeline)
    assert not (tmp_path / "detections.jsonl").exists()


def test_bad_rates_are_refused_before_work(pipeline, tmp_path):
    for rates in ({"fdr": 2.0}, {"fdr": 0.1, "false_alarm_rate": 0.1}, {"false_box_rate": 0.6}):
        with pytest.raises(ConfigurationError):
            lungpatch.detect_folder(
                tmp_path / "missing.png", tmp_path / "out", pipeline=pipeline, **rates
            )
    assert not (tmp_path / "out").exists()


def test_boxes_follow_their_own_rate(pipeline, cohort, tmp_path):
    counts = {}
    for rate in (0.1, 0.5):
        out = tmp_path / str(rate)
        lungpatch.detect_folder(cohort / "opacity", out, pipeline=pipeline, false_box_rate=rate)
        records = records_of(out)
        counts[rate] = sum(len(record["boxes"]) for record in records)
        p_values = np.concatenate([record["box_p_values"] for record in records])
        assert (p_values <= rate).all()
        for saved in lungpatch.load_detections(out):
            assert saved.pred_mask().any() == (len(saved.boxes) > 0)
    assert counts[0.1] <= counts[0.5]
    assert counts[0.5] > 0
