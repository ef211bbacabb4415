import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score, roc_auc_score
from torch import nn

from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.reference.classifier import (
    ClassifierScore,
    TwoClassCNN,
    TwoClassNetwork,
    score_classifier,
)


def _images(rng, count=48):
    labels = np.arange(count) % 3 > 0
    images = rng.random((count, 16, 16), dtype=np.float32) * np.float32(0.5)
    images[labels] += np.float32(0.4)
    return images, labels


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    truth = rng.random(200) < 0.7
    probabilities = np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)
    score = score_classifier(probabilities, truth)
    assert isinstance(score, ClassifierScore)
    predicted = probabilities > 0.5
    np.testing.assert_array_equal(score.confusion, confusion_matrix(truth, predicted))
    assert score.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert score.auroc == pytest.approx(roc_auc_score(truth, probabilities))
    assert score.sensitivity == pytest.approx(recall_score(truth, predicted))
    assert score.specificity == pytest.approx(recall_score(~truth, ~predicted))
    assert score.majority == pytest.approx(max(truth.mean(), 1 - truth.mean()))
    assert score.n_images == score.to_dict()["n_images"] == 200


def test_layers_are_the_papers():
    network = TwoClassNetwork(image_size=32, channels=(2, 3, 4), hidden=5, dropout=0.5)
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    assert [(c.kernel_size, c.padding) for c in convolutions] == [((3, 3), (1, 1))] * 3
    assert network.normalise.num_features == 4
    assert network.dropout.p == 0.5
    assert network.hidden.in_features == 4 * 4 * 4  # three poolings: 32 -> 4
    assert network(torch.zeros(2, 1, 32, 32)).shape == (2,)


def test_fits_visible_differences_and_the_same_seed_gives_the_same():
    images, labels = _images(np.random.default_rng(1))
    found = []
    for _ in range(2):
        model = TwoClassCNN(
            image_size=16, epochs=15, batch_size=8, learning_rate=0.01, device="cpu"
        )
        model.fit(images, labels, rng=np.random.default_rng(2))
        found.append(model.predict_proba(images))
    np.testing.assert_array_equal(*found)
    assert score_classifier(found[0], labels).auroc > 0.95


def test_a_normal_image_weighs_more_by_as_much_as_there_are_fewer():
    images, labels = _images(np.random.default_rng(3))
    losses = []
    for weight in (None, labels.sum() / (~labels).sum(), 1.0):
        model = TwoClassCNN(
            image_size=16,
            epochs=1,
            device="cpu",
            normal_weight=None if weight is None else float(weight),
        )
        losses.append(model.fit(images, labels, rng=np.random.default_rng(4)).epochs[0])
    assert losses[0] == losses[1] != losses[2]


def test_one_class_is_not_enough():
    images, labels = _images(np.random.default_rng(5))
    with pytest.raises(InsufficientDataError, match="both classes"):
        TwoClassCNN(image_size=16).fit(images, np.ones_like(labels), rng=np.random.default_rng(0))


def test_images_of_another_size_are_refused():
    with pytest.raises(ConfigurationError, match=r"\(N, 16, 16\)"):
        TwoClassCNN(image_size=16).fit(
            np.zeros((4, 8, 8), np.float32), [0, 1, 0, 1], rng=np.random.default_rng(0)
        )


def test_images_come_in_pieces_that_hold_each_once():
    images, labels = _images(np.random.default_rng(6))
    model = TwoClassCNN(image_size=16, epochs=1, device="cpu")
    model.fit(images, labels, rng=np.random.default_rng(0))
    pieces = [piece[:, 0].numpy() for _, piece in model.in_pieces(images)]
    np.testing.assert_array_equal(np.concatenate(pieces), images)
