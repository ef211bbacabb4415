"""A component of a plugin is never given an empty batch, so it need not be able to take one."""

import types

import attrs
import numpy as np
import pytest

import lungpatch
from lungpatch import ChestImage
from lungpatch.errors import InsufficientDataError
from lungpatch.pipeline.configuration import build_pipeline

BLACK = ChestImage(pixels=np.zeros((256, 256), np.float32), image_id="black")


def needs_patches(patches):
    """Fail as numpy's reductions do, such as pixels.max()."""
    assert isinstance(patches.pixels.max(), np.float32)


@attrs.define(kw_only=True, eq=False)
class NeedyScorer(lungpatch.SADScorer):
    def score(self, patches, reconstruction):
        needs_patches(patches)
        return lungpatch.SADScorer.score(self, patches, reconstruction)


@attrs.define(kw_only=True, eq=False)
class NeedyModel(lungpatch.PCA):
    def reconstruct(self, patches):
        needs_patches(patches)
        return lungpatch.PCA.reconstruct(self, patches)


@attrs.define(kw_only=True, eq=False)
class NeedyExtractor(lungpatch.StatisticsExtractor):
    def extract(self, patches):
        needs_patches(patches)
        return lungpatch.StatisticsExtractor.extract(self, patches)


@attrs.define(kw_only=True, eq=False)
class NeedySampler(lungpatch.GridSampler):
    def sample(self, image, lungs, *, rng=None):
        assert lungs.bounding_box is not None
        assert lungs.pixels.any()
        return lungpatch.GridSampler.sample(self, image, lungs, rng=rng)


@lungpatch.hookimpl
def lungpatch_register(register):
    register.scorer("needy", NeedyScorer, summary="For tests.")
    register.model("needy", NeedyModel, summary="For tests.")
    register.extractor("needy", NeedyExtractor, summary="For tests.")
    register.sampler("needy", NeedySampler, summary="For tests.")


FEATURES = {
    "model": {
        "name": "gaussian",
        "patch_size": 16,
        "extractor": {"name": "needy", "grid": 4},
        "n_channels": 4,
    },
    "scorer": {"name": "feature"},
}
GRID = {"patch_size": 16, "stride": 12}
CHANGES = {
    "scorer": {"scorer": {"name": "needy"}},
    "model": {"model": {"name": "needy", "patch_size": 16, "n_components": 8}},
    "extractor": FEATURES,
    "sampler": {
        "fit_sampler": {"name": "needy", "min_lung_fraction": 1.0, **GRID},
        "sampler": {"name": "needy", "min_lung_fraction": 0.5, **GRID},
    },
}


@pytest.fixture(params=CHANGES)
def pipeline(request, fast_tables):
    """A pipeline with a component that fails on what is empty; not fitted."""
    plugin = types.ModuleType("demo")
    plugin.lungpatch_register = lungpatch_register
    registry = lungpatch.Registry(plugins=[plugin])
    return build_pipeline(fast_tables | CHANGES[request.param], origin="test", registry=registry)


def give_nothing(pipeline, detection):
    """Give every component what the pipeline never gives."""
    empty = lungpatch.LungMask(pixels=np.zeros(detection.image.shape, bool))
    pipeline.sampler.sample(detection.image, empty)
    reconstruction = pipeline.model.reconstruct(detection.patches[:0])
    pipeline.scorer.score(detection.patches[:0], reconstruction)


def test_each_of_these_components_fails_on_what_is_empty(pipeline, cohort):
    pipeline.fit(cohort / "normal")
    detection = pipeline.detect(min((cohort / "opacity").iterdir()))
    with pytest.raises((ValueError, AssertionError)):
        give_nothing(pipeline, detection)


def test_an_image_without_lungs_does_not_affect_the_others_of_its_batch(pipeline, cohort):
    first, second = sorted((cohort / "opacity").iterdir())[:2]
    pipeline.fit(cohort / "normal")
    found = list(pipeline.detect_many([first, BLACK, second]))
    assert [detection.status for detection in found] == ["ok", "no_lungs", "ok"]
    assert found[1].decision is None
    for detection, path in ((found[0], first), (found[2], second)):
        assert detection.decision.pred_score == pytest.approx(
            pipeline.detect(path).decision.pred_score, rel=1e-6
        )


def test_an_image_without_lungs_does_not_end_fit(pipeline, cohort):
    paths = sorted((cohort / "normal").iterdir())
    pipeline.fit([*paths[:3], BLACK, *paths[3:]])
    assert pipeline.detect(paths[0]).status == "ok"


def test_images_without_lungs_only(pipeline, cohort):
    with pytest.raises(InsufficientDataError):
        pipeline.fit([BLACK, attrs.evolve(BLACK, image_id="dark")])
    pipeline.fit(cohort / "normal")
    assert [detection.status for detection in pipeline.detect_many([BLACK, BLACK])] == [
        "no_lungs",
        "no_lungs",
    ]
