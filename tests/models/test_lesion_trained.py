"""The two models that learn from painted lesions."""

import attrs
import numpy as np
import pytest
import torch

from lungpatch.containers import ChestImage, LungMask, PatchBatch
from lungpatch.datasets.phantom import phantom_chest
from lungpatch.errors import ConfigurationError, NotFittedError
from lungpatch.evaluation.metrics import auroc
from lungpatch.models.repair import RepairModel
from lungpatch.models.synthetic_lesion import SyntheticLesionModel, lesion_loss
from lungpatch.networks.lesion_painting import LesionPainter
from lungpatch.pipeline.patch_store import PatchStore
from lungpatch.samplers.lung_crop import LungCropSampler
from lungpatch.synthesis import LesionSynthesiser

SIDE = 64
SMALL = {"patch_size": SIDE, "channels": (8, 8, 12, 16, 16), "device": "cpu"}


def crops(seeds, opacity=None):
    """Lung crops of phantom chests, and which of their pixels are opacity."""
    batches, truths = [], []
    for seed in seeds:
        chest = phantom_chest(seed, size=128, opacity=opacity)
        lungs = LungMask(pixels=chest.lungs)
        truth = ChestImage(pixels=chest.opacity.astype(np.float32), image_id="truth")
        batches.append(LungCropSampler(patch_size=SIDE).sample(chest.image, lungs))
        as_it_is = LungCropSampler(patch_size=SIDE, intensity="image")
        truths.append(as_it_is.sample(truth, lungs).pixels[0] > 0.5)
    return PatchBatch.concatenate(batches), np.array(truths)


@pytest.fixture(scope="module")
def normal():
    with PatchStore(SIDE) as source, PatchStore(SIDE) as validation:
        source.add(crops(range(40))[0])
        validation.add(crops(range(40, 48))[0])
        yield source, validation


@pytest.fixture(scope="module")
def fitted(normal):
    source, validation = normal
    models = {}
    for model in (SyntheticLesionModel(epochs=24, **SMALL), RepairModel(epochs=24, **SMALL)):
        model.fit(source, validation=validation, rng=np.random.default_rng(0))
        models[type(model)] = model
    return models


@pytest.mark.parametrize("kind", [SyntheticLesionModel, RepairModel])
def test_it_finds_phantom_opacities_that_it_never_saw(fitted, kind):
    batch, truth = crops(range(100, 110), opacity="lobar")
    found = fitted[kind].reconstruct(batch)
    excess = (found.target - found.expected)[:, 0]
    step = SIDE // excess.shape[1]
    lung, truth = batch.lung[:, ::step, ::step], truth[:, ::step, ::step]
    assert auroc(excess[lung], truth[lung]) > 0.8


def test_evidence_is_a_share_at_half_the_resolution(fitted):
    batch, _ = crops([5])
    found = fitted[SyntheticLesionModel].reconstruct(batch)
    assert found.target.shape == (1, 1, SIDE // 2, SIDE // 2)
    assert found.target.min() >= 0
    assert found.target.max() <= 1
    assert not found.expected.any()


def test_repair_gives_per_image(fitted):
    batch, _ = crops([5])
    found = fitted[RepairModel].reconstruct(batch)
    np.testing.assert_array_equal(found.target[:, 0], batch.pixels)
    assert found.expected.min() >= 0
    assert found.expected.max() <= 1


@pytest.mark.parametrize("kind", [SyntheticLesionModel, RepairModel])
def test_same_seed_same_weights(normal, kind):
    source, validation = normal
    states = []
    for _ in range(2):
        model = kind(epochs=1, **SMALL)
        torch.manual_seed(len(states))  # global state must not matter
        model.fit(source, validation=validation, rng=np.random.default_rng(4))
        states.append(model.state())
    for name, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][name])


def test_validation_paints_the_same_lesions_each_time():
    network = torch.nn.Identity()
    batch, _ = crops(range(4))
    paint = LesionPainter(
        network, LesionSynthesiser(), torch.device("cpu"), np.random.default_rng(0)
    )
    network.eval()
    first, second = paint(batch), paint(batch)
    assert not torch.equal(first.images, second.images)  # other images, other lesions
    network.train()
    paint(batch)
    network.eval()
    again = paint(batch)
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.normal[:, 0], torch.from_numpy(np.array(batch.pixels)))


def test_lesion_loss_by_hand():
    alpha = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    lung = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    logits = torch.zeros(1, 1, 2, 2)
    # Two lung pixels at 1/2: cross-entropy ln 2; Dice (2 * 0.5 + 1) / (0.5 + 0.5 + 1 + 1).
    assert lesion_loss(logits, alpha, lung).item() == pytest.approx(np.log(2) + 1 - 2 / 3)


@pytest.mark.parametrize("kind", [SyntheticLesionModel, RepairModel])
def test_a_mirrored_image_has_mirrored_results(fitted, kind):
    batch, _ = crops([100])
    mirrored = attrs.evolve(batch, pixels=batch.pixels[:, :, ::-1], lung=batch.lung[:, :, ::-1])
    found, other = (fitted[kind].reconstruct(part) for part in (batch, mirrored))
    np.testing.assert_allclose(
        (other.target - other.expected)[..., ::-1], found.target - found.expected, atol=1e-4
    )


def test_shrink_is_what_block_means_would_do(fitted):
    batch, _ = crops(range(100, 103))
    large = attrs.evolve(
        batch,
        pixels=batch.pixels.repeat(2, 1).repeat(2, 2),
        lung=batch.lung.repeat(2, 1).repeat(2, 2),
    )
    shrinking = SyntheticLesionModel(**SMALL | {"patch_size": 2 * SIDE}, shrink=2)
    shrinking.load_state(fitted[SyntheticLesionModel].state())
    found, expected = shrinking.reconstruct(large), fitted[SyntheticLesionModel].reconstruct(batch)
    assert found.target.shape == expected.target.shape
    np.testing.assert_allclose(found.target, expected.target, atol=1e-5)


def test_wrong_use_is_refused(fitted):
    with pytest.raises(NotFittedError, match="fit"):
        SyntheticLesionModel(**SMALL).reconstruct(crops([0])[0])
    with pytest.raises(ValueError, match="multiple of 32"):
        RepairModel(patch_size=48)
    with pytest.raises(ValueError, match="multiple of 64"):
        RepairModel(patch_size=32, shrink=2)
    with pytest.raises(ValueError, match="recipes"):
        RepairModel(recipes=("mass",))
    chest = phantom_chest(0, size=128)
    small = LungCropSampler(patch_size=32).sample(chest.image, LungMask(pixels=chest.lungs))
    chest = phantom_chest(0, size=128)
    small = LungCropSampler(patch_size=32).sample(chest.image, LungMask(pixels=chest.lungs))
    with pytest.raises(ConfigurationError, match="takes patches of 64"):
        fitted[RepairModel].reconstruct(small)


def test_distractors_are_in_both_images_and_in_no_target():

    from lungpatch.networks.lesion_painting import paint_varied
    from lungpatch.synthesis import LesionSynthesiser
    from lungpatch.testing.samples import phantom_patches

    batch = phantom_patches(64)
    synthesiser = LesionSynthesiser(normal_fraction=1.0, distractor_fraction=1.0)
    painted = paint_varied(
        batch, synthesiser, np.random.default_rng(0), torch.Generator().manual_seed(0)
    )
    without = paint_varied(
        batch,
        LesionSynthesiser(normal_fraction=1.0, distractor_fraction=0.0),
        np.random.default_rng(0),
        torch.Generator().manual_seed(0),
    )
    assert torch.equal(painted.images, painted.normal)
    assert not painted.alpha.any()
    assert (painted.images - without.images).abs().amax((1, 2, 3)).gt(0.1).float().mean() > 0.5
