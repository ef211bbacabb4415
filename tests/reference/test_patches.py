"""Which images and patches a reproduction uses, and what losses make of them."""

import itertools
import logging

import attrs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from lungpatch.errors import InsufficientDataError
from lungpatch.reference.clustering import cluster, difference_features, evaluate_classes
from lungpatch.reference.cohort import (
    dataset_digest,
    join_folders,
    known_patients,
    phantom_dataset,
)
from lungpatch.reference.loss_study import describe_outputs, printed_dice_optimum
from lungpatch.reference.patch_table import (
    MIXED,
    NORMAL,
    OPACITY,
    OUTSIDE,
    UNREAD,
    PatchTable,
    kinds_of,
)
from lungpatch.reference.preliminary import split_classes
from lungpatch.reference.roles import choose_roles
from lungpatch.reference.settings import NORMAL_PATCHES
from lungpatch.reference.stages import StageResult, Stages


def _roles(n_normal, patches, **changed):
    options = {"n_pneumonia": 5, "n_held_normal": 50, "rng": np.random.default_rng(0)} | changed
    labels = ["normal"] * n_normal + ["pneumonia"] * 8
    return choose_roles(labels, range(n_normal + 8), [patches] * (n_normal + 8), **options)


def test_paper_counts_where_there_are_as_many():
    # 101 images would give more than the paper's 6,050 patches at 61 an image.
    roles = _roles(150, 61)
    counts = {role: int((roles == role).sum()) for role in (*NORMAL_PATCHES, "held", "pneumonia")}
    assert sum(counts[role] for role in NORMAL_PATCHES) == 100
    assert counts["training"] >= 93
    assert counts["validation"] * 61 >= 100
    assert counts["test"] * 61 >= 200
    assert counts["held"] == 50
    assert counts["pneumonia"] == 5


def test_no_patient_is_on_two_sides():
    owners = np.repeat(np.arange(20), 3)
    labels = np.where(np.arange(60) % 3 == 2, "pneumonia", "normal")
    roles = choose_roles(
        labels,
        owners,
        np.full(60, 10),
        n_pneumonia=99,
        n_held_normal=99,
        rng=np.random.default_rng(1),
    )
    sides = {role: set(owners[roles == role]) for role in ("training", "validation", "test")}
    for one, other in itertools.combinations(sides.values(), 2):
        assert not one & other
    fitted = sides["training"] | sides["validation"]
    assert not fitted & set(owners[roles == "pneumonia"])


def test_too_few_images_are_refused():
    with pytest.raises(InsufficientDataError, match="at least 3 patients"):
        _roles(2, 10)


def test_classes_are_split_by_patient():
    owners = np.repeat(np.arange(40), 2)
    labels = np.where(owners < 20, "normal", "pneumonia")
    roles = split_classes(labels, owners, rng=np.random.default_rng(0))
    for owner in range(40):
        assert len(set(roles[owners == owner])) == 1
    for label in ("normal", "pneumonia"):
        assert set(roles[labels == label]) == {"training", "validation", "test"}


def test_a_few_images_still_give_each_class_some_to_choose_the_epoch_by():
    labels = ["normal"] * 18 + ["pneumonia"] * 29
    roles = split_classes(labels, range(47), rng=np.random.default_rng(0))
    for label, expected in (("normal", (3, 4)), ("pneumonia", (4, 7))):
        own = roles[np.asarray(labels) == label]
        assert ((own == "validation").sum(), (own == "test").sum()) == expected
    few = split_classes(labels[15:21], range(6), rng=np.random.default_rng(0))
    assert sorted(few[:3]) == sorted(few[3:]) == ["test", "training", "validation"]


def test_kinds_by_hand():
    lung = np.array([1.0, 1.0, 1.0, 0.0, 0.5, 1.0, 1.0])
    box = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.9, 0.2])
    normal = np.array([True, False, False, False, False, False, False])
    boxed = np.array([False, True, False, True, True, True, True])
    expected = [NORMAL, NORMAL, UNREAD, OUTSIDE, MIXED, OPACITY, MIXED]
    assert kinds_of(lung, box, normal=normal, boxed=boxed).tolist() == expected


def test_a_table_needs_at_least_one_image_with_patches():
    with pytest.raises(InsufficientDataError, match="none of the images"):
        PatchTable.concatenate([])


def test_only_rows_of_neither_folder_are_warned_of(tmp_path, caplog):
    for name in ("n/a.png", "p/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    table = tmp_path / "m.csv"
    table.write_text("file,patient\na.png,1\nb.png,2\n")
    with caplog.at_level(logging.WARNING, logger="lungpatch"):
        join_folders(tmp_path / "n", tmp_path / "p", metadata=table)
        assert caplog.text == ""
        table.write_text("file,patient\na.png,1\nb.png,2\nc.png,3\n")
        assert len(join_folders(tmp_path / "n", tmp_path / "p", metadata=table)) == 2
    assert "1 images of" in caplog.text
    assert "neither in" in caplog.text


def test_folders_are_joined_with_their_tables(tmp_path):
    for name in ("n/a.png", "p/b.png"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    table, boxes = tmp_path / "m.csv", tmp_path / "b.csv"
    table.write_text("file,patient,view,rsna_class\na.png,1,PA,\nb.png,2,AP,Lung Opacity\n")
    boxes.write_text("file,label,x,y,w,h\nb.png,Lung Opacity,0.25,0.5,0.25,0.25\n")
    images = join_folders(tmp_path / "n", tmp_path / "p", metadata=table, boxes=boxes)
    assert images.labels.tolist() == ["normal", "pneumonia"]
    assert images.patients.tolist() == ["1", "2"]
    assert images.columns["rsna_class"].tolist() == ["", "Lung Opacity"]
    assert images.boxes(1, (100, 100)).tolist() == [[50, 25, 75, 50]]
    assert known_patients(images).tolist() == ["1", "2"]


def test_digest_changes_with_pixels_labels_and_boxes():
    images = phantom_dataset(1, 1, seed=0, size=64)
    changed = [
        phantom_dataset(1, 1, seed=1, size=64),
        attrs.evolve(images, labels=["normal", "normal"]),
        attrs.evolve(images, relative_boxes=[(), ()], box_labels=[(), ()]),
    ]
    digests = {dataset_digest(each) for each in (images, *changed)}
    assert len(digests) == 4


def test_printed_dice_optimum_by_trying_all_binary_outputs():
    rng = np.random.default_rng(0)
    patches = rng.random((5, 3, 3), dtype=np.float32)

    def coefficient(patch, output):
        return 2 * (patch * output).sum() / (patch + output).sum()

    for patch, optimum in zip(patches, printed_dice_optimum(patches), strict=True):
        tried = (np.reshape(bits, (3, 3)) for bits in itertools.product((0.0, 1.0), repeat=9))
        best = max(coefficient(patch, output) for output in tried)
        assert coefficient(patch, optimum) == pytest.approx(best)
        # No grey output does better, the input itself included.
        grey = [patch, *rng.random((200, 3, 3))]
        assert max(coefficient(patch, output) for output in grey) <= best + 1e-9


def test_outputs_of_an_all_white_network_are_a_light_meter():
    rng = np.random.default_rng(1)
    patches = rng.random((20, 4, 4), dtype=np.float32)
    white = np.ones_like(patches)
    sad = 255.0 * np.abs(patches - white).mean(axis=(1, 2)).astype(float)
    found = describe_outputs(patches, white, sad)
    assert found["white"] == 1.0
    assert found["black"] == 0.0
    assert found["light_meter"] == pytest.approx(1.0)


def test_clusters_of_three_clouds_and_adjusted_rand():
    rng = np.random.default_rng(2)
    truth = rng.integers(3, size=300)
    found = cluster(rng.normal(20.0 * truth[:, None], size=(300, 2)), clusters=3, rng=rng)
    assert found.tolist() == truth.tolist()
    noisy = np.where(rng.random(300) < 0.3, 0, found)
    names = np.array(["a", "b", "c"])[truth]
    metrics = evaluate_classes(noisy, names, ("a", "b", "c"), named=True)
    assert metrics["adjusted_rand"] == pytest.approx(adjusted_rand_score(truth, noisy))


def test_difference_features_by_hand():
    image = np.array([[[3.0, 3.0], [3.0, -1.0]]], np.float32)
    expected = [2.0, 2.5, np.sqrt(3.0), 3.0, 2.0, 0.75]
    np.testing.assert_allclose(difference_features(image)[0], expected)


def _die(*_):
    raise KeyboardInterrupt


def test_a_stage_is_done_again_only_if_its_settings_changed(tmp_path, monkeypatch):
    done = []

    def work():
        done.append(1)
        return StageResult(values={"n": len(done)}, arrays={"a": np.arange(3)})

    first = Stages(tmp_path).run("s", {"x": 1}, work)
    again = Stages(tmp_path).run("s", {"x": 1}, work)
    assert first.values == again.values == {"n": 1}
    assert again.arrays["a"].tolist() == [0, 1, 2]
    assert Stages(tmp_path).run("s", {"x": 2}, work).values == {"n": 2}
    with monkeypatch.context() as patched:
        patched.setattr("lungpatch.reference.stages.write_json", _die)
        with pytest.raises(KeyboardInterrupt):  # after the arrays were written
            Stages(tmp_path).run("s", {"x": 3}, work)
    assert Stages(tmp_path).run("s", {"x": 2}, work).values == {"n": 4}
    (tmp_path / "s.npz").write_bytes(b"damaged")
    assert Stages(tmp_path).run("s", {"x": 2}, work).values == {"n": 5}
