"""How the lung network is trained."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from lungpatch.datasets.phantom import phantom_chest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def training(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training")
    return importlib.import_module("lung_segmenter")


@pytest.fixture
def augmentation(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "training")
    return importlib.import_module("augment_lungs")


@pytest.fixture
def chests():
    """Two phantom chests and their lungs, (2, 1, 128, 128)."""
    cases = [phantom_chest(seed, size=128) for seed in range(2)]
    images = torch.from_numpy(np.stack([case.image.pixels for case in cases]))[:, None]
    lungs = torch.from_numpy(np.stack([case.lungs for case in cases]))[:, None].float()
    return images, lungs


def test_no_patient_is_on_both_sides_of_a_fold(training):
    patients = [str(number) for number in np.random.default_rng(0).integers(0, 60, 92)]
    fold_of = training.split_by_patient(patients, 5)
    for patient in set(patients):
        assert len(set(fold_of[np.array(patients) == patient])) == 1
    assert np.ptp(np.bincount(fold_of, minlength=5)) <= 1


def test_patients_are_those_of_the_table_whatever_its_order(training, tmp_path):
    (tmp_path / "films.csv").write_text("file,patient\nb.png,7\na.png,3\nc.png,7\n")
    assert training.read_patients(tmp_path, ["a", "b", "c"]) == ["3", "7", "7"]


def test_a_hidden_base_looks_like_the_tissue_around_it_and_nothing_else_changes(
    augmentation, chests
):
    _, lungs = chests
    images = torch.where(lungs > 0, 0.3, 0.7)
    changed, hidden = augmentation.hide_lung(images, lungs, torch.Generator().manual_seed(3))
    assert (hidden <= lungs).all()
    for image, new, lung, lost in zip(images, changed, lungs > 0, hidden > 0, strict=True):
        assert lost.sum() > 0.03 * lung.sum()
        # The opacity fades at its border.
        assert new[lost].median().item() == pytest.approx(0.7, abs=0.15)
        far = torch.from_numpy(ndimage.distance_transform_cdt(~lung[0].numpy()) > 32)
        torch.testing.assert_close(new[0][far], image[0][far])


def test_lungs_are_hidden_on_request_only(augmentation, chests):
    images, lungs = chests
    plain, hidden = (
        augmentation.augment(images, lungs, torch.Generator().manual_seed(0), hide=hide)
        for hide in (False, True)
    )
    assert not torch.equal(plain[0], hidden[0])
    again = augmentation.augment(images, lungs, torch.Generator().manual_seed(0), hide=True)
    torch.testing.assert_close(again, hidden, rtol=0, atol=0)


def test_dents_of_a_lung_are_closed_and_lungs_stay_apart(training):
    lungs = np.zeros((256, 256), bool)
    lungs[60:200, 30:110] = lungs[60:200, 130:220] = True
    dented = lungs.copy()
    dented[190:200, 60:70] = False
    closed = training.close_lungs(dented)
    assert (closed & lungs).sum() > 0.999 * lungs.sum()
    np.testing.assert_array_equal(closed & ~lungs, False)
    assert ndimage.label(closed)[1] == 2
