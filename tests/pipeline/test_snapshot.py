"""No part of a fitted pipeline is exchanged in silence."""

import copy
import pickle

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.pipeline import build_pipeline, pipeline_settings
from lungpatch.pipeline.snapshot import Snapshot

CHANGES = {
    "a setting of the scorer": (
        lambda p: setattr(p.scorer, "reduction", "sum"),
        "scorer__reduction was 'mean' and is 'sum'",
    ),
    "a setting of the sampler": (
        lambda p: setattr(p.sampler, "stride", 5),
        "sampler__stride was 12 and is 5",
    ),
    "a setting of the model": (
        lambda p: p.set_params(model__n_components=3),
        "model__n_components was 8 and is 3",
    ),
    "a setting of the thresholder": (
        lambda p: p.set_params(thresholder__q=0.5),
        "thresholder__q was 0.9 and is 0.5",
    ),
    "a setting of the pipeline": (
        lambda p: setattr(p, "image_score", "max"),
        "image_score was 'p95' and is 'max'",
    ),
    "another scorer": (
        lambda p: setattr(p, "scorer", lungpatch.L2Scorer()),
        "scorer was exchanged: it is L2Scorer now",
    ),
    "another segmenter": (
        lambda p: setattr(p, "segmenter", lungpatch.WholeImageSegmenter()),
        "segmenter was exchanged",
    ),
    "an equal model that was not trained": (
        lambda p: setattr(p, "model", lungpatch.PCA(patch_size=16, n_components=8)),
        "model was exchanged",
    ),
}


@pytest.fixture
def pipeline(saved):
    return lungpatch.load_pipeline(saved)


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_a_change_makes_it_unfitted_and_is_named(pipeline, cohort, tmp_path, change, said):
    change(pipeline)
    assert not pipeline.is_fitted
    assert "not fitted" in repr(pipeline)
    image = sorted((cohort / "opacity").iterdir())[0]
    for call in (
        lambda: pipeline.detect(image),
        lambda: pipeline.detect_many([image]),
        lambda: pipeline.save(tmp_path / "p.lungpatch"),
        lambda: lungpatch.detect_folder(image, tmp_path / "out", pipeline=pipeline),
    ):
        with pytest.raises(NotFittedError, match="changed after it was fitted") as caught:
            call()
        assert said in str(caught.value)
    assert not (tmp_path / "p.lungpatch").exists()


def test_changing_back_is_as_if_nothing_had_happened(pipeline):
    pipeline.scorer.reduction = "sum"
    pipeline.scorer.reduction = "mean"
    assert pipeline.is_fitted


def test_an_equal_number_is_no_change():
    pipeline = lungpatch.load_pipeline("default")
    smoothing = pipeline.model.members[1].scorer.smoothing
    pipeline.model.members[1].scorer.smoothing = float(str(smoothing))
    assert pipeline.model.members[1].scorer.smoothing is not smoothing
    assert pipeline.is_fitted


def test_an_equal_scorer_changes_nothing(pipeline, cohort):
    image = sorted((cohort / "opacity").iterdir())[0]
    before = pipeline.detect(image)
    pipeline.scorer = lungpatch.SADScorer()
    assert pipeline.detect(image).decision == before.decision


def test_where_it_runs_may_change():
    pipeline = lungpatch.load_pipeline("paper")
    pipeline.model.device = "cpu"
    pipeline.segmenter.device = "cpu"
    assert pipeline.is_fitted


def test_a_member_of_an_ensemble_counts_too():
    pipeline = lungpatch.load_pipeline("default")
    assert pipeline.is_fitted
    pipeline.model.members[1].scorer.smoothing = 0.2
    with pytest.raises(NotFittedError, match="model__members__1__scorer__smoothing was 0.05"):
        _ = pipeline.calibration_


def test_copies_stay_fitted(pipeline, cohort):
    image = sorted((cohort / "opacity").iterdir())[0]
    expected = pipeline.detect(image).decision
    for again in (copy.deepcopy(pipeline), pickle.loads(pickle.dumps(pipeline))):
        assert again.detect(image).decision == expected
        again.scorer.reduction = "sum"
        assert not again.is_fitted
    assert pipeline.is_fitted


def test_a_copy_with_other_settings_is_not_fitted(pipeline):
    assert not attrs.evolve(pipeline, seed=5).is_fitted


def test_parts_are_checked_again_when_fitting(pipeline, cohort):
    pipeline.sampler = lungpatch.GridSampler(patch_size=32)
    with pytest.raises(ConfigurationError, match="patch_size must be the same everywhere"):
        pipeline.fit(cohort / "normal")


def test_a_loaded_thresholder_is_fitted(pipeline, fitted):
    assert pipeline.thresholder.threshold_ == fitted.thresholder.threshold_
    assert pipeline.thresholder.threshold_ == pipeline.calibration_.threshold
    refitted = lungpatch.QuantileThresholder(q=0.9).fit(pipeline.calibration_.region_scores)
    assert refitted.threshold_ == pipeline.calibration_.region_threshold


def test_thresholds_come_from_the_stored_scores(pipeline):
    calibration = pipeline.calibration_
    assert len(calibration.image_scores) == pipeline.report_.patients["calibration"]
    assert calibration.threshold == np.quantile(calibration.image_scores, 0.9, method="linear") or (
        calibration.threshold in calibration.image_scores
    )


@attrs.define(kw_only=True, eq=False)
class PickyScorer:
    """A plugin's scorer that cannot take an empty batch."""

    def score(self, patches, reconstruction):
        assert len(patches) > 0
        return lungpatch.SADScorer().score(patches, reconstruction)


def test_no_component_ever_sees_an_empty_batch(fast_tables, cohort):
    pipeline = build_pipeline(fast_tables, origin="test")
    pipeline.scorer = PickyScorer()
    pipeline.fit(cohort / "normal")
    dark = np.full((200, 200), 250, np.uint8)
    dark[::7] = 245
    images = sorted((cohort / "opacity").iterdir())
    first, empty, second = pipeline.detect_many([images[0], dark, images[1]])
    assert (first.status, empty.status, second.status) == ("ok", "no_lungs", "ok")
    assert empty.decision is None
    assert len(empty.patches) == len(empty.scores) == len(empty.reconstruction) == 0
    alone = pipeline.detect(images[1]).decision
    assert second.decision.pred_score == pytest.approx(alone.pred_score, rel=1e-6)


def test_a_snapshot_holds_every_part_and_setting(pipeline):
    snapshot = Snapshot.of(pipeline)
    assert {"segmenter", "fit_sampler", "sampler", "model", "scorer", "thresholder"} <= set(
        snapshot.parts
    )
    settings = pipeline_settings(pipeline)
    for part in ("scorer", "sampler", "model"):
        expected = {key: value for key, value in settings[part].items() if key != "name"}
        assert snapshot.settings[part] == expected
    assert snapshot.changes(pipeline) == []
