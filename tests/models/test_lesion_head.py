"""The linear head, against scikit-learn's logistic regression and on images with known lesions."""

import attrs
import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from lungpatch.containers import PatchBatch
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.features.lesion_encoder import LesionEncoder
from lungpatch.features.statistics import StatisticsExtractor
from lungpatch.models import lesion_head
from lungpatch.models.lesion_head import LesionHeadModel, logistic_regression
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.protocols import FeatureExtractor
from lungpatch.testing.samples import phantom_patches, phantom_source

SIDE = 64


def test_weights_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 4)).astype(np.float32)
    target = (features @ [2.0, -1.0, 0.0, 0.5] + rng.normal(size=500) > 0.3).astype(float)
    weight, bias, _ = logistic_regression(features, target, ridge=0.01)
    # scikit-learn adds the losses up and does not take their mean.
    reference = LogisticRegression(C=1 / (0.01 * 500), tol=1e-8).fit(features, target)
    np.testing.assert_allclose(weight, reference.coef_[0], atol=2e-3)
    assert bias == pytest.approx(reference.intercept_[0], abs=2e-3)


def test_a_share_counts_as_so_many_of_each_class():
    features = np.array([[0.0], [1.0]], np.float32)
    by_share, *_ = logistic_regression(features, np.array([0.25, 0.5]), ridge=1e-3)
    several = np.array([[0.0]] * 4 + [[1.0]] * 4, np.float32)
    by_class, *_ = logistic_regression(several, np.array([1, 0, 0, 0, 1, 1, 0, 0]), ridge=1e-3)
    np.testing.assert_allclose(by_share, by_class, atol=1e-4)


def dark_lungs(count, seed):
    rng = np.random.default_rng(seed)
    lung = np.zeros((count, SIDE, SIDE), bool)
    lung[:, 8:56, 8:28] = lung[:, 8:56, 36:56] = True
    pixels = np.where(lung, 0.3, 0.7) + 0.02 * rng.standard_normal(lung.shape)
    return PatchBatch(
        pixels=pixels.astype(np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=lung,
        image_shape=(SIDE, SIDE),
        image_id="a",
    )


def test_it_sees_a_bright_patch_that_it_was_not_shown():
    model = LesionHeadModel(patch_size=SIDE, extractor=StatisticsExtractor(grid=16), passes=5)
    with PatchStore(SIDE) as store:
        store.add(dark_lungs(12, 0))
        model.fit(store, rng=np.random.default_rng(0))
    abnormal = dark_lungs(1, 1)
    pixels = abnormal.pixels.copy()
    pixels[0, 30:50, 10:26] += 0.25
    abnormal = PatchBatch(
        pixels=pixels,
        corners=abnormal.corners,
        lung=abnormal.lung,
        image_shape=abnormal.image_shape,
        image_id="b",
    )
    evidence = model.reconstruct(abnormal).target[0, 0].repeat(4, 0).repeat(4, 1)
    lesion = np.zeros((SIDE, SIDE), bool)
    lesion[30:50, 10:26] = True
    lung = abnormal.lung[0]
    assert roc_auc_score(lesion[lung], evidence[lung]) > 0.8


def test_it_takes_a_trained_extractor():
    encoder = LesionEncoder(patch_size=32, channels=(2, 2, 2, 2, 2), grid=4, epochs=1, device="cpu")
    assert isinstance(encoder, FeatureExtractor)
    model = LesionHeadModel(patch_size=32, extractor=encoder, passes=2)
    with phantom_source(32, count=40) as source:
        history = model.fit(source, rng=np.random.default_rng(0))
        # The encoder was trained, and on the same patches.
        alone = attrs.evolve(encoder)
        expected = alone.fit(source, rng=np.random.default_rng(0))
    encoder_epoch, head_epoch = history.epochs
    assert encoder_epoch == expected.epochs[0]
    # Each pass looks at the lung among 16 cells of each patch.
    assert 0.5 * 2 * 40 * 16 < head_epoch["cells"] <= 2 * 40 * 16
    # Weights of 0 and the mean as bias would have the entropy of the mean, at most ln 2.
    assert head_epoch["train_loss"] < np.log(2)
    state, patches = model.state(), phantom_patches(32)
    for name, array in alone.state().items():
        np.testing.assert_array_equal(state[f"extractor.{name}"], array)
    logits = np.einsum("nchw,c->nhw", alone.extract(patches), state["weight"]) + state["bias"]
    np.testing.assert_allclose(
        model.reconstruct(patches).target[:, 0], expit(logits), rtol=1e-4, atol=1e-5
    )


@attrs.define(kw_only=True, eq=False)
class HeadOnCells(LesionHeadModel):
    """Is fitted to given cells."""

    cells: tuple

    def _painted_cells(self, source, rng):
        features, target = self.cells
        return features.copy(), target, (1, 1)


def test_weights_are_for_features_as_they_come():
    # Channels of any mean and unit, one of which never varies.
    rng = np.random.default_rng(0)
    features = rng.normal((5.0, -300.0, 7.0), (0.1, 40.0, 0.0), (400, 3)).astype(np.float32)
    standard = (features[:, :2] - (5.0, -300.0)) / (0.1, 40.0)
    target = (standard @ [1.0, -2.0] + rng.normal(size=400) > 0.5).astype(np.float32)
    model = HeadOnCells(patch_size=SIDE, ridge=0.01, cells=(features, target))
    with PatchStore(SIDE) as store:
        store.add(dark_lungs(1, 0))
        history = model.fit(store, rng=np.random.default_rng(0))
    scaler = StandardScaler().fit(features)
    reference = LogisticRegression(C=1 / (0.01 * 400), tol=1e-8)
    reference.fit(scaler.transform(features), target)
    expected = reference.predict_proba(scaler.transform(features))[:, 1]
    state = model.state()
    found = expit(features.astype(np.float64) @ state["weight"] + state["bias"])
    np.testing.assert_allclose(found, expected, atol=5e-3)
    assert history.epochs[-1]["cells"] == 400


@pytest.mark.parametrize(("count", "max_patches"), [(12, 500), (12, 5)])
def test_no_more_cells_than_fit_into_memory(monkeypatch, count, max_patches):
    monkeypatch.setattr(lesion_head, "MAX_CELLS", 400)
    model = LesionHeadModel(
        patch_size=SIDE,
        extractor=StatisticsExtractor(grid=16),
        passes=3,
        max_patches=max_patches,
    )
    with PatchStore(SIDE) as store:
        store.add(dark_lungs(count, 0))
        history = model.fit(store, rng=np.random.default_rng(0))
    # The lungs are 40 % of the patches, and so many of 400 cells are drawn.
    lung = dark_lungs(1, 0).lung.mean()
    assert history.epochs[-1]["cells"] == pytest.approx(400 * lung, rel=0.3)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("weight"),
        lambda state: state.update(weight=np.float32(1)),
        lambda state: state.update(shape=np.array([16, 16, 1])),
        lambda state: state.update(bias=np.zeros(1, np.float32)),
    ],
)
def test_states_that_cannot_be(change):
    state = {
        "shape": np.array([16, 16]),
        "weight": np.ones(9, np.float32),
        "bias": np.array(0, np.float32),
    }
    model = LesionHeadModel(patch_size=SIDE, extractor=StatisticsExtractor(grid=16))
    model.load_state(state)
    assert model.reconstruct(dark_lungs(2, 0)).target.shape == (2, 1, 16, 16)
    change(state)
    with pytest.raises(ConfigurationError, match="state"):
        model.load_state(state)


def test_the_defaults():
    model = LesionHeadModel()
    assert (model.passes, model.ridge, model.normal_fraction, model.max_lesions) == (
        20,
        0.1,
        0.25,
        2,
    )
    assert LesionHeadModel(passes=1).passes == 1
    with pytest.raises(ConfigurationError, match="'passes' must be >= 1"):
        LesionHeadModel(passes=0)
    with pytest.raises(ConfigurationError, match="LesionHeadModel: 'max_lesions' must be >= 1"):
        LesionHeadModel(max_lesions=0)


def test_without_lung_there_is_nothing_to_fit():
    batch = dark_lungs(2, 0)
    bare = PatchBatch(
        pixels=batch.pixels,
        corners=batch.corners,
        lung=np.zeros_like(batch.lung),
        image_shape=batch.image_shape,
        image_id="a",
    )
    model = LesionHeadModel(patch_size=SIDE, passes=1)
    with PatchStore(SIDE) as store:
        store.add(bare)
        with pytest.raises(InsufficientDataError, match="check sampler"):
            model.fit(store, rng=np.random.default_rng(0))
