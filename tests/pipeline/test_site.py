"""How a site's normal images are compared with those of the calibration."""

import json

import matplotlib as mpl
import numpy as np
import pytest
from made_calibrations import made_calibration
from scipy import stats

from lungpatch.pipeline.calibration import LUNG_ZONES, NormalImage
from lungpatch.pipeline.cohort import UnusedImage
from lungpatch.pipeline.site import SiteReport
from lungpatch.reports import plot_site, write_site_report

mpl.use("Agg")


def made_report(scores, *, greys=None, zones=None, unused=0, reference=None) -> SiteReport:
    greys = greys if greys is not None else [0.5] * len(scores)
    reference = reference or made_calibration(
        greys=np.linspace(0.3, 0.7, 20), zone_scores={LUNG_ZONES[0]: (1.0, 2.0, 3.0)}
    )
    return SiteReport(
        reference=reference,
        normals=tuple(
            NormalImage(
                patient=f"p{index}",
                image_score=float(score),
                region_score=float(score),
                grey=grey,
                zone_scores=zones or {},
                samples=np.zeros(1, np.float32),
            )
            for index, (score, grey) in enumerate(zip(scores, greys, strict=True))
        ),
        unused=tuple(UnusedImage(source=f"u{i}", reason="no_lungs: none") for i in range(unused)),
    )


def test_numbers_against_scipy_and_by_hand():
    scores = [3.0, 5.0, 18.5, 30.0]
    report = made_report(scores, zones={LUNG_ZONES[0]: 4.0})
    there = np.arange(1.0, 21)
    assert report.p_values == (19 / 21, 17 / 21, 3 / 21, 1 / 21)
    assert report.false_alarms(0.1) == 0.25
    assert report.false_alarms(0.15) == 0.5
    test = stats.ks_2samp(scores, there)
    assert (report.ks_statistic, report.ks_p_value) == (test.statistic, test.pvalue)
    assert report.score_shift == pytest.approx((14.125 - 10.5) / there.std(ddof=1))
    assert report.grey_shift == pytest.approx(0.0)
    assert report.zone_shifts == {LUNG_ZONES[0]: 2.0}


def test_a_site_like_the_calibration_gets_no_advice():
    assert made_report(np.arange(1.0, 21) + 0.1).advice == ()


def test_the_images_of_the_calibration_itself_show_nothing_new():
    again = np.arange(20.0, 0, -1)  # in another order, and rounded otherwise
    report = made_report(again * (1 + 1e-7), greys=[0.9] * 20)
    (advice,) = report.advice
    assert advice.startswith("these are the images that the pipeline was calibrated on")
    assert made_report(again * 1.001).advice == ()
    fewer = made_report(again[1:]).advice
    assert fewer == ()


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (made_report(np.arange(1.0, 21) + 8), "unlike those that the pipeline was fitted to"),
        (made_report(np.arange(1.0, 21) + 0.1, greys=[0.9] * 20), "unlike those"),
        (made_report(np.full(20, 10.5)), "calibrate on the site's images"),
        (made_report(np.arange(1.0, 21) + 0.1, unused=5), "5 of 25 images could not be used"),
    ],
)
def test_advice(report, words):
    (advice,) = report.advice
    assert words in advice
    assert f"advice: {advice}" in str(report)


def test_a_reference_without_spread_shifts_nothing():
    reference = made_calibration(1)
    assert made_report([5.0], reference=reference).score_shift == 0.0


def test_what_is_written(tmp_path):
    report = made_report(np.arange(1.0, 21) + 3, zones={LUNG_ZONES[0]: 4.0})
    write_site_report(tmp_path / "site", report)
    content = json.loads((tmp_path / "site" / "site.json").read_text())
    assert content == json.loads(json.dumps(report.to_dict()))
    assert content["patients"] == 20
    assert b"not a radiograph" in (tmp_path / "site" / "site.png").read_bytes()


def test_the_figure_shows_both_distributions():
    report = made_report(np.arange(1.0, 21) + 3)
    scores, p_values, _ = plot_site(report)
    labels = [text.get_text() for text in scores.get_legend().get_texts()]
    assert labels[:2] == ["calibration (20 patients)", "these images (20 patients)"]
    drawn = p_values.lines[-1].get_ydata()
    np.testing.assert_array_equal(drawn, np.sort(report.p_values))
    mpl.pyplot.close(scores.figure)


def test_the_band_holds_what_it_says():
    """Simulation: of sites that do not differ, 95 of 100 are in the band at each point."""
    rng = np.random.default_rng(0)
    reference = made_calibration(30)
    report = made_report(np.arange(12.0), reference=reference)
    _, p_values, _ = plot_site(report)
    band = p_values.collections[0].get_paths()[0].vertices
    middle = 5  # the sixth of twelve
    expected = (middle + 0.5) / 12
    low, high = np.sort(band[np.isclose(band[:, 0], expected), 1])[[0, -1]]
    inside = 0
    for _ in range(2000):
        scores = rng.normal(size=42)
        p = np.sort([(1 + (scores[12:] >= s).sum()) / 31 for s in scores[:12]])[middle]
        inside += low <= p <= high
    assert 0.94 < inside / 2000 < 0.985
    mpl.pyplot.close(p_values.figure)
