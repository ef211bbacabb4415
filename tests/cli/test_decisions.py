"""The commands decide, calibrate and check."""

import json

import pytest

import lungpatch


@pytest.fixture
def pipeline(fitted, cohort, tmp_path):
    return fitted.calibrate(cohort / "normal").save(tmp_path / "site.lungpatch")


def test_detect_then_decide(run, pipeline, cohort, tmp_path):
    found = tmp_path / "found"
    arguments = ("detect", cohort / "opacity", "--pipeline", pipeline, "--out", found)
    status, out, _ = run(*arguments, "--false-alarm-rate", "0.1", "--false-box-rate", "0.2")
    assert status == 0
    assert "Calibrated on 12 normal patients, finest false-alarm rate 0.077" in out
    status, out, _ = run("decide", found, "--false-alarm-rate", "0.5")
    assert status == 0
    saved = lungpatch.load_detections(found)
    above = sum(detection.p_value <= 0.5 for detection in saved)
    assert out.startswith(f"{above} above the threshold, {4 - above} not")
    status, out, _ = run("decide", found, "--fdr", "0.4")
    assert status == 0
    assert {detection.decision.rule for detection in lungpatch.load_detections(found)} == {
        "Benjamini-Hochberg"
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "give either false_alarm_rate or fdr"),
        (("--false-alarm-rate", "0.9"), "must be a number above 0, at most 0.5"),
        (("--false-alarm-rate", "0.01"), "at least 99 normal patients, got 12"),
        (("--fdr", "0"), "must be a number above 0"),
    ],
)
def test_rates_that_cannot_be_had(run, pipeline, cohort, tmp_path, options, words):
    run("detect", cohort / "opacity", "--pipeline", pipeline, "--out", tmp_path / "found")
    status, _, err = run("decide", tmp_path / "found", *options)
    assert status == 2
    assert words in err


def test_calibrate_writes_a_pipeline_and_a_report(run, saved, cohort, tmp_path, caplog):
    site, report = tmp_path / "mine.lungpatch", tmp_path / "report"
    table = tmp_path / "exclude.csv"
    names = sorted(path.name for path in (cohort / "normal").iterdir())
    table.write_text(f"file\n{names[0]}\n")
    status, out, _ = run(
        *("calibrate", cohort / "normal", "--pipeline", saved, "--out", site),
        *("--report", report, "--exclude", table),
    )
    assert status == 0
    assert "left out: 1 images that" in caplog.text
    assert "11 images of 11 patients" in out
    loaded = lungpatch.load_pipeline(site)
    assert loaded.calibration_.n_patients == 11
    assert json.loads((report / "site.json").read_text())["patients"] == 11
    assert (report / "site.png").is_file()


def test_check_compares(run, saved, cohort):
    status, out, _ = run("check", cohort / "opacity", "--pipeline", saved)
    assert status == 0
    expected = lungpatch.load_pipeline(saved).check(cohort / "opacity")
    assert out.strip() == str(expected)


def test_images_that_cannot_be_used_are_said(run, saved, cohort, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    status, out, _ = run("check", cohort / "normal", tmp_path / "broken.png", "--pipeline", saved)
    assert status == 3
    assert "12 images of 12 patients; left out: 1" in out


def test_all_excluded(run, saved, cohort, tmp_path):
    table = tmp_path / "exclude.csv"
    names = sorted(path.name for path in (cohort / "normal").iterdir())
    table.write_text("file\n" + "\n".join(names) + "\n")
    status, _, err = run(
        *("calibrate", cohort / "normal", "--pipeline", saved, "--exclude", table),
        *("--out", tmp_path / "mine.lungpatch"),
    )
    assert status == 2
    assert "lists every image" in err
