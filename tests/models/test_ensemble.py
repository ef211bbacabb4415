import attrs
import numpy as np
import pytest

from lungpatch.containers import PatchBatch, PatchScores
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.features import StatisticsExtractor
from lungpatch.models.autoencoder import Autoencoder
from lungpatch.models.ensemble import MIN_SPREAD, EnsembleModel, Member
from lungpatch.models.lesion_head import LesionHeadModel
from lungpatch.models.pca import PCA
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.scorers.feature import FeatureScorer
from lungpatch.scorers.sad import SADScorer
from lungpatch.scorers.ssim import SSIMScorer

SIDE = 32


@attrs.define(kw_only=True, eq=False)
class Constant:
    """Gives every pixel the same error."""

    value: float

    def score(self, patches, reconstruction):
        maps = np.full(patches.pixels.shape, self.value, np.float32)
        return PatchScores(values=maps.mean(axis=(1, 2)), support=patches.lung, error_maps=maps)


def patches(count, seed, *, noise=0.05):
    rng = np.random.default_rng(seed)
    rows = np.linspace(0.3, 0.6, SIDE, dtype=np.float32)[:, None]
    pixels = np.clip(rows + noise * rng.standard_normal((count, SIDE, SIDE)), 0, 1)
    lung = np.ones((count, SIDE, SIDE), bool)
    lung[:, :, :4] = False
    return PatchBatch(
        pixels=pixels.astype(np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=lung,
        image_shape=(64, 64),
        image_id="a",
    )


def ensemble(*weights):
    return EnsembleModel(
        members=[
            Member(model=PCA(patch_size=SIDE, n_components=k + 1), scorer=SADScorer(), weight=w)
            for k, w in enumerate(weights)
        ]
    )


@pytest.fixture
def stores():
    with PatchStore(SIDE) as source, PatchStore(SIDE) as validation:
        source.add(patches(60, 0))
        validation.add(patches(200, 1))
        yield source, validation


def fit(model, stores, seed=0):
    model.fit(stores[0], validation=stores[1], rng=np.random.default_rng(seed))
    return model


def test_new_normal_patches_score_0_plus_minus_1(stores):
    found = fit(ensemble(1.0), stores).reconstruct(patches(200, 2))
    z = found.target[:, 0, :, 4:]
    assert found.target.shape == (200, 1, SIDE, SIDE)
    assert not found.expected.any()
    assert z.mean() == pytest.approx(0.0, abs=0.05)
    assert z.std() == pytest.approx(1.0, abs=0.1)


def test_an_anomaly_scores_higher_where_it_is(stores):
    batch = patches(4, 3)
    pixels = np.array(batch.pixels)
    pixels[:, 10:16, 10:16] = 1.0
    abnormal = PatchBatch(
        pixels=pixels,
        corners=batch.corners,
        lung=batch.lung,
        image_shape=batch.image_shape,
        image_id="abnormal",
    )
    z = fit(ensemble(1.0, 0.5), stores).reconstruct(abnormal).target[:, 0]
    assert z[:, 10:16, 10:16].min() > 3 * z[:, 20:].mean()


def test_members_are_weighted_and_equal_their_own_ensembles(stores):
    batch = patches(5, 4)
    both = fit(ensemble(3.0, 1.0), stores)
    alone = []
    for member in both.members:
        one = EnsembleModel(members=[Member(model=member.model, scorer=member.scorer)])
        # Only calibrated again: the member is fitted already.
        one.calibration_ = (one._calibrate(one.members[0], stores[1]),)
        alone.append(one.reconstruct(batch).target)
    np.testing.assert_allclose(
        both.reconstruct(batch).target, (3 * alone[0] + alone[1]) / 4, rtol=1e-4, atol=1e-4
    )


def test_calibration_is_mean_and_deviation_of_the_errors_in_the_lungs(stores):
    model = fit(ensemble(1.0), stores)
    batch = patches(200, 1)
    member = model.members[0]
    errors = member.scorer.score(batch, member.model.reconstruct(batch)).error_maps[batch.lung]
    expected = errors.mean(dtype=np.float64), errors.std(dtype=np.float64)
    np.testing.assert_allclose(model.calibration_[0], expected, rtol=1e-6)


def test_errors_that_never_vary_have_the_least_deviation(stores):
    member = Member(model=PCA(patch_size=SIDE, n_components=1), scorer=Constant(value=3.0))
    model = EnsembleModel(members=[member])
    fit(model, stores)
    np.testing.assert_allclose(model.calibration_[0], [3.0, MIN_SPREAD], rtol=1e-6)
    assert MIN_SPREAD == 1e-6


def test_without_validation_the_training_patches_calibrate(stores):
    alone, itself = ensemble(1.0), ensemble(1.0)
    alone.fit(stores[0], rng=np.random.default_rng(0))
    itself.fit(stores[0], validation=stores[0], rng=np.random.default_rng(0))
    np.testing.assert_array_equal(alone.calibration_, itself.calibration_)
    with PatchStore(SIDE) as empty:
        unvalidated = ensemble(1.0)
        unvalidated.fit(stores[0], validation=empty, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(alone.calibration_, unvalidated.calibration_)


def test_what_is_fitted_is_no_setting(stores):
    with pytest.raises(TypeError, match="calibration_"):
        EnsembleModel(members=ensemble(1.0).members, calibration_=())
    assert "calibration" not in repr(fit(ensemble(1.0), stores))
    assert ensemble(1.0).members[0].weight == 1.0 == Member(model=PCA(), scorer=SADScorer()).weight


@pytest.mark.parametrize(
    "normal", [np.zeros(3, np.float32), np.zeros(2), np.zeros((1, 2), np.float32)]
)
def test_a_calibration_of_another_shape_or_type_is_refused(stores, normal):
    state = fit(ensemble(1.0), stores).state()
    other = ensemble(1.0)
    with pytest.raises(ConfigurationError, match=r"0\.calibration must be float32 \(2,\)"):
        other.load_state(state | {"0.calibration": normal})
    assert other.calibration_ is None
    with pytest.raises(ConfigurationError, match="1 members"):
        other.load_state({name: a for name, a in state.items() if name != "0.calibration"})


def test_state_comes_back_bit_by_bit(stores):
    model = fit(ensemble(1.0, 2.0), stores)
    other = ensemble(1.0, 2.0)
    other.load_state(model.state())
    batch = patches(3, 5)
    np.testing.assert_array_equal(model.reconstruct(batch).target, other.reconstruct(batch).target)


def test_history_names_the_member(stores):
    seen = []
    model = ensemble(1.0, 1.0)
    history = model.fit(
        *stores[:1],
        validation=stores[1],
        rng=np.random.default_rng(0),
        on_epoch=lambda epoch, epochs, figures: seen.append((epoch, epochs)),
    )
    assert seen == [(1, 2), (2, 2)]
    assert {figures["member"] for figures in history.epochs} <= {0.0, 1.0}


def test_progress_counts_the_epochs_of_all_members(stores):
    network = Autoencoder(patch_size=SIDE, base_channels=2, epochs=2, device="cpu")
    model = EnsembleModel(
        members=[
            Member(model=network, scorer=SADScorer()),
            Member(model=PCA(patch_size=SIDE), scorer=SADScorer()),
        ]
    )
    seen = []
    history = model.fit(
        stores[0],
        rng=np.random.default_rng(0),
        on_epoch=lambda epoch, epochs, figures: seen.append((epoch, epochs)),
    )
    assert seen == [(1, 4), (2, 4), (3, 3)]
    assert len(history.epochs) == 3


def test_wrong_use_is_refused(stores):
    model = ensemble(1.0, 1.0)
    with pytest.raises(NotFittedError, match="fit"):
        model.reconstruct(patches(1, 0))
    with pytest.raises(NotFittedError, match="fit"):
        model.state()
    with pytest.raises(ConfigurationError, match="one patch_size"):
        EnsembleModel(
            members=[Member(model=PCA(patch_size=side), scorer=SADScorer()) for side in (32, 64)]
        )
    with pytest.raises(ValueError, match="members"):
        EnsembleModel(members=[])
    fit(model, stores)
    with pytest.raises(ConfigurationError, match="3 members"):
        ensemble(1.0, 1.0, 1.0).load_state(model.state())
    with pytest.raises(ConfigurationError, match="1 members"):
        ensemble(1.0).load_state(model.state())
    with pytest.raises(ValueError, match="weight"):
        Member(model=PCA(), scorer=SSIMScorer(), weight=0.0)


def test_members_with_the_same_extractor_share_one_run_of_it(stores, monkeypatch):
    heads = [
        LesionHeadModel(
            patch_size=SIDE,
            extractor=StatisticsExtractor(grid=grid),
            passes=1,
            ridge=ridge,
        )
        for grid, ridge in ((4, 0.1), (4, 1.0), (8, 0.1))
    ]
    scorer = FeatureScorer(difference="excess")
    model = EnsembleModel(members=[Member(model=head, scorer=scorer) for head in heads])
    fit(model, stores)
    found = patches(3, 5)
    alone = [scorer.score(found, head.reconstruct(found)).error_maps for head in heads]
    runs = []
    extract = StatisticsExtractor.extract

    def counted(self, batch):
        runs.append(self.grid)
        return extract(self, batch)

    monkeypatch.setattr(StatisticsExtractor, "extract", counted)
    together = model.reconstruct(found).target[:, 0]
    assert runs == [4, 8]
    z_scores = [
        (errors - mean) / spread
        for errors, (mean, spread) in zip(alone, model.calibration_, strict=True)
    ]
    np.testing.assert_allclose(together, np.mean(z_scores, axis=0), rtol=1e-5, atol=1e-5)
    model.reconstruct(patches(3, 6))  # of other patches nothing is left
    assert runs == [4, 8, 4, 8]
