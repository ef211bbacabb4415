"""`evaluate` on a user's own images: labels alone, boxes alone, no patients, no split."""

import json
import logging
import shutil
import sys
from pathlib import Path

import attrs
import numpy as np
import pytest

from lungpatch import cli
from lungpatch.datasets.dataset import Dataset
from lungpatch.datasets.phantom import phantom_cohort, save_cohort
from lungpatch.datasets.splits import Split, load_split
from lungpatch.errors import ConfigurationError, InsufficientDataError, MissingInputError
from lungpatch.evaluation.cases import of_training_patients
from lungpatch.evaluation.kinds import ALL_POSITIVE, Kinds
from lungpatch.evaluation.preparation import (
    Prepared,
    check_files,
    check_measurable,
    load_images,
    prepare,
    warn_of_shipped_training,
)
from lungpatch.evaluation.sections import BOXES, POOLED, WITHIN

N_NORMAL, N_POSITIVE = 4, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images in subfolders normal/ and opacity/, with tables of all kinds beside them."""
    folder = tmp_path_factory.mktemp("own")
    cases = list(phantom_cohort(N_NORMAL, N_POSITIVE, seed=11, size=128))
    save_cohort(cases, folder)
    shutil.rmtree(folder / "masks")
    labels, patients, boxes = ["file,label"], ["file,label,patient"], ["file,x,y,w,h"]
    for number, case in enumerate(cases):
        label = "Normal" if case.kind == "normal" else f"opacity {number % 2}"
        labels.append(f"{case.patient}.png,{label}")
        patients.append(f"{case.patient}.png,{label},{number // 2}")
        if case.kind != "normal":
            where = np.argwhere(case.opacity)
            top, left = where.min(axis=0) / 128
            height, width = (np.ptp(where, axis=0) + 1) / 128
            boxes.append(f"{case.patient}.png,{left},{top},{width},{height}")
    for name, lines in (("labels", labels), ("patients", patients), ("boxes", boxes)):
        (folder / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def evaluated(folder, saved, tmp_path, monkeypatch, capsys):
    """Runs the command; returns its exit status, output and results."""

    def run(*options):
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        arguments = ["evaluate", "--pipeline", saved, "--images", folder, "--out", out, *options]
        monkeypatch.setattr(sys, "argv", ["lungpatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        results = out / "results.json"
        found = json.loads(results.read_text(encoding="utf-8")) if results.exists() else None
        return caught.value.code or 0, said.out, said.err, found

    return run


def test_labels_alone(folder, evaluated, tmp_path):
    status, out, _, results = evaluated("--metadata", folder / "labels.csv")
    assert status == 0
    assert "Taken as normal: the 4 images with the label normal" in out
    assert "opacity 0 2, opacity 1 1" in out
    assert "no image was left out" in out
    assert "tells normal images of two sources apart: folder test." in out
    assert results["split"] is None
    assert results["kinds"] == {
        "opacity 0": "positive",
        "opacity 1": "positive",
        "normal": "reference",
    }
    assert results["images"]["patients"] == N_NORMAL + N_POSITIVE
    row = results["tables"]["all"]["fast"]
    assert set(row) == {"image AUROC", "image AP"}
    assert list(results["tables"]) == ["all"]
    assert {*WITHIN, *POOLED, *BOXES, "folder test"} == set(results["metrics_left_out"])
    shipped = results["operating_points"]["fast"]["points"][0]
    assert set(shipped["flagged"]) == {ALL_POSITIVE, "opacity 0", "opacity 1", "normal"}
    assert shipped["lesions_hit"] is None
    assert list(shipped["false_boxes_per_image"]) == ["normal"]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "results.json", "table.md", "roc.png", "scores-fast.png",
    }  # fmt: skip
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "pixel AUROC |" not in table
    assert "nan" not in table.lower()
    assert "## Decisions of fast" in table
    scores = {each["image_id"]: each["fast"] for each in results["scores"]}
    positive = [score for image, score in scores.items() if image.startswith("opacity")]
    normal = [score for image, score in scores.items() if image.startswith("normal")]
    wins = np.mean([(p > n) + (p == n) / 2 for p in positive for n in normal])
    assert row["image AUROC"]["value"] == pytest.approx(wins)


def test_labels_and_boxes(folder, evaluated, tmp_path):
    tables = ["--metadata", folder / "labels.csv", "--boxes", folder / "boxes.csv"]
    status, _, _, results = evaluated(*tables)
    assert status == 0
    row = results["tables"]["all"]["fast"]
    assert set(row) == {"image AUROC", "image AP", *WITHIN, *POOLED, *BOXES}
    assert set(results["metrics_left_out"]) == {"folder test"}
    assert list(results["tables"]) == ["all", "small boxes", "medium boxes", "large boxes"]
    assert results["images"]["boxed"] == N_POSITIVE
    shipped = results["operating_points"]["fast"]["points"][0]
    assert 0 <= shipped["lesions_hit"]["value"] <= 1
    assert (tmp_path / "out" / "froc.png").exists()


@pytest.mark.parametrize("with_files", [False, True])
def test_boxes_alone(folder, evaluated, tmp_path, with_files):
    options = ["--boxes", folder / "boxes.csv"]
    if with_files:
        # A table without labels; the names of the subfolders are none.
        moved = tmp_path / "moved"
        shutil.copytree(folder, moved)
        (moved / "normal").rename(moved / "site")
        lines = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
        table = moved / "files.csv"
        table.write_text("\n".join(line.split(",")[0] for line in lines), encoding="utf-8")
        options = ["--boxes", moved / "boxes.csv", "--metadata", table, "--images", moved]
    status, out, _, results = evaluated(*options)
    assert status == 0
    assert "No label is known. Taken as positive: the 3 images with a box." in out
    assert results["kinds"] == {"boxed": "positive", "no box": "neither"}
    assert (results["images"]["boxed"], results["images"]["no box"]) == (N_POSITIVE, N_NORMAL)
    row = results["tables"]["all"]["fast"]
    assert set(row) == {*WITHIN, *POOLED, *BOXES}
    assert set(results["metrics_left_out"]) == {"image AUROC", "image AP", "folder test"}
    shipped = results["operating_points"]["fast"]["points"][0]
    assert shipped["flagged"] == {}
    assert set(shipped["images_with_boxes"]) == {"boxed", "no box"}
    assert not (tmp_path / "out" / "roc.png").exists()


def test_images_without_patients_are_patients_of_their_own_with_a_warning(
    folder, evaluated, caplog
):
    _, out, _, results = evaluated("--metadata", folder / "labels.csv")
    assert "patients of 7 of 7 images are not known" in caplog.text
    assert "Add a column 'patient'" in out
    assert len({each["patient"] for each in results["scores"]}) == N_NORMAL + N_POSITIVE
    caplog.clear()
    _, out, _, results = evaluated("--metadata", folder / "patients.csv")
    assert "are not known" not in out + caplog.text
    assert results["images"]["patients"] == 4


def test_a_split_still_needs_patients(folder, evaluated, tmp_path):
    split = tmp_path / "s.json"
    training = {"normal-000.png": "0"}
    Split(name="s", training=training, held={}, pixels_sha256="").save(split)
    status, _, err, _ = evaluated("--metadata", folder / "labels.csv", "--split", split)
    assert status == 2
    assert "no patient is known" in err
    assert "add a column 'patient'" in err
    status, out, _, results = evaluated("--metadata", folder / "patients.csv", "--split", split)
    assert status == 0
    assert "2 images of training patients left out" in out
    assert results["left_out"] == {"normal": 2}
    assert "The control `lung atlas` is left out" in out  # it takes images of three patients


def test_nothing_known_is_an_error(evaluated):
    status, _, err, _ = evaluated()
    assert status == 2
    assert "give a table of metadata with the columns 'file' and 'label'" in err


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["file,label", "opacity-000.png,opacity"], ["no image is normal and none has a box",
         "labels found: opacity", "write 'normal' in the column 'label'"]),
        (["label,patient", "normal,1"], ["column 'file' is missing"]),
        (["file,label", "normal-000.png,normal", "gone.png,opacity", "also.png,opacity"],
         ["gone.png: no such file (nor are 1 others)", "correct its column 'file'"]),
        (["file,label", "gone.png,normal"], ["names none of the 7 images"]),
        (["file,label"], ["holds no line but the header"]),
    ],
)  # fmt: skip
def test_a_table_of_which_nothing_comes_is_an_error(evaluated, tmp_path, lines, words):
    (tmp_path / "m.csv").write_text("\n".join(lines), encoding="utf-8")
    status, _, err, _ = evaluated("--metadata", tmp_path / "m.csv")
    assert status == 2
    assert "Traceback" not in err
    for word in words:
        assert word in " ".join(err.split())


def test_normal_images_alone_give_false_alarms(folder, evaluated, tmp_path):
    (tmp_path / "m.csv").write_text(
        "file,label\n" + "\n".join(f"normal-00{i}.png,normal" for i in range(3)), encoding="utf-8"
    )
    status, out, _, results = evaluated("--metadata", tmp_path / "m.csv")
    assert status == 0
    assert "since there are no images of any other label: image AUROC, image AP." in out
    assert list(results["operating_points"]["fast"]["points"][0]["flagged"]) == ["normal"]


def test_rates_that_the_calibration_does_not_allow_are_empty(folder, evaluated, tmp_path, fitted):
    n = fitted.calibration_.n_patients
    assert n < 9  # too few for a rate of 0.05 or 0.1
    _, out, _, results = evaluated("--metadata", folder / "labels.csv")
    found = results["operating_points"]["fast"]
    assert found["calibration_patients"] == n
    assert found["finest_rate"] == pytest.approx(1 / (n + 1))
    by_name = {point["name"]: point for point in found["points"]}
    assert list(by_name) == ["as shipped", "0.05", "0.1", "0.2"]
    assert by_name["0.05"]["flagged"] == {}
    assert by_name["0.05"]["threshold"] is None
    sentence = f"Rate 0.05 is empty: a rate of 0.05 needs 19 calibration patients, there are {n}."
    assert sentence in out
    assert sentence in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")


def test_labels_come_from_the_table_not_from_the_folders(folder, tmp_path):
    alone = load_images(folder, boxes=folder / "boxes.csv")
    assert set(alone.labels.tolist()) == {""}
    (tmp_path / "f.csv").write_text("file\nnormal-000.png\nopacity-000.png\n", encoding="utf-8")
    # A table without labels, of a folder that has a subfolder `normal`.
    by_folder = load_images(folder, metadata=tmp_path / "f.csv")
    assert by_folder.labels.tolist() == ["normal", "opacity"]
    (tmp_path / "l.csv").write_text("file,label\nnormal-000.png,scar\n", encoding="utf-8")
    assert load_images(folder, metadata=tmp_path / "l.csv").labels.tolist() == ["scar"]
    with pytest.raises(ConfigurationError, match="nothing is known of these images"):
        load_images(folder)


# --------------------------------------------------------------------------------- preparation


def _dataset(tmp_path, labels, **columns):
    images = [tmp_path / f"{number}.png" for number in range(len(labels))]
    for image in images:
        image.touch()
    return Dataset(name="images", images=images, labels=labels, **columns)


def test_without_a_split_no_image_is_left_out(tmp_path):
    dataset = _dataset(tmp_path, ["normal", "scar"], patients=["1", "2"], views=["PA", "AP"])
    prepared = prepare(dataset, None)
    assert isinstance(prepared, Prepared)
    assert len(prepared.remaining) == 2
    assert len(prepared.training) == 0
    assert prepared.left_out == {}
    assert prepared.remaining.patients.tolist() == ["1", "2"]
    assert len(prepared.notes) == 2
    assert "No view is known" in prepare(attrs.evolve(dataset, views=["", ""]), None).notes[-1]


def test_kinds_are_those_of_the_whole_table(tmp_path):
    dataset = _dataset(
        tmp_path,
        ["normal", "scar", "scar"],
        patients=["1", "2", "3"],
        columns={"rsna_class": ["", "Lung Opacity", ""]},
    )
    split = Split(name="s", training={"x.png": "2"}, held={}, pixels_sha256="")
    prepared = prepare(dataset, split)
    # Only an image without a reading is left, but the table has readings.
    assert prepared.kinds.known_by == "readings"
    assert prepared.kinds.names.tolist() == ["normal", "other"]
    assert prepared.left_out == {"opacity": 1}


def test_some_unknown_patients_are_patients_of_their_own(tmp_path):
    dataset = _dataset(tmp_path, ["normal", "scar", "scar"], patients=["7", "", ""])
    prepared = prepare(dataset, None)
    assert len(set(prepared.remaining.patients.tolist())) == 3
    assert prepared.remaining.patients[0] == "7"
    assert any("patients of 2 of 3 images" in note for note in prepared.notes)


def test_images_that_the_shipped_pipelines_were_fitted_to_are_named(tmp_path, caplog):
    dataset = _dataset(tmp_path, ["normal", "scar"], patients=["1", "2"])
    with caplog.at_level(logging.WARNING):
        warn_of_shipped_training(dataset)
        assert not caplog.records
        known = sorted(load_split("cxr-half").training)[0]
        (tmp_path / known).touch()
        images = [tmp_path / known, tmp_path / "1.png"]
        prepare(attrs.evolve(dataset, images=images, image_ids=["a", "b"]), None)
    assert "images: 1 of the images are in the split cxr-half" in caplog.text


def test_missing_files_are_an_error_only_if_they_are_to_be_evaluated(tmp_path):
    dataset = _dataset(tmp_path, ["normal", "scar"], patients=["1", "2"])
    Path(dataset.images[1]).unlink()
    for check in (check_files, lambda images: prepare(images, None)):
        with pytest.raises(MissingInputError, match=r"1\.png: no such file; it is in the table"):
            check(dataset)
    split = Split(name="s", training={"1.png": "2"}, held={}, pixels_sha256="")
    assert of_training_patients(dataset, split).tolist() == [False, True]
    assert len(prepare(dataset, split).remaining) == 1


@pytest.mark.parametrize(
    ("labels", "boxed", "enough"),
    [(["normal"], False, True), (["scar"], True, True), (["scar"], False, False),
     ([""], True, True), ([""], False, False)],
)  # fmt: skip
def test_a_normal_image_or_a_box_is_enough(tmp_path, labels, boxed, enough):
    dataset = _dataset(tmp_path, labels, relative_boxes=[[(0, 0, 0.5, 0.5)] if boxed else ()])
    if enough:
        check_measurable(dataset, Kinds.of(dataset))
    else:
        with pytest.raises(InsufficientDataError, match="nothing can be measured"):
            check_measurable(dataset, Kinds.of(dataset))


def test_a_split_that_leaves_no_normal_image_is_an_error(tmp_path):
    dataset = _dataset(tmp_path, ["normal", "scar"], patients=["1", "2"])
    split = Split(name="s", training={"0.png": "1"}, held={}, pixels_sha256="")
    with pytest.raises(InsufficientDataError, match="no image is normal and none has a box"):
        prepare(dataset, split)
