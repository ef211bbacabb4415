"""The whole evaluation, on phantoms whose opacities are known."""

import json
import shutil
import sys

import attrs
import numpy as np
import pytest
from sklearn.metrics import auc

from lungpatch import cli
from lungpatch.datasets.labelled_folder import load_folder
from lungpatch.datasets.phantom import phantom_cohort, save_cohort
from lungpatch.datasets.splits import Split
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation import cases, froc, localisation, protocol
from lungpatch.evaluation.cases import GRID_SIZE, listed_in
from lungpatch.evaluation.figures import plot_froc, plot_roc, plot_scores_by_kind
from lungpatch.evaluation.predictions import (
    Predictions,
    atlas_pipeline,
    run_pipeline,
    simple_controls,
)
from lungpatch.evaluation.preparation import warn_of_held_out_images, warn_of_unrelated_split
from lungpatch.evaluation.protocol import (
    DetectorResult,
    Evaluation,
    evaluate,
    evaluate_predictions,
    groups_of,
)
from lungpatch.evaluation.report import markdown, record, write_report
from lungpatch.evaluation.sheets import N_SHOWN, best_and_worst, draw_case, draw_sheet
from lungpatch.segmenters.threshold import ThresholdSegmenter


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Folder of 8 normal images to fit to, 3 held out, 4 read as normal and 4 with an opacity."""
    folder = tmp_path_factory.mktemp("evaluated")
    cases = list(phantom_cohort(15, 4, seed=5, size=256))
    save_cohort(cases, folder)
    shutil.rmtree(folder / "masks")
    rows, boxes = ["file,label,patient,view,rsna_class"], ["file,x,y,w,h"]
    for number, case in enumerate(cases):
        is_normal = case.kind == "normal"
        label = "normal" if number < 11 else "pneumonia"
        read = "" if number < 11 else "Normal" if is_normal else "Lung Opacity"
        view = "PA" if number % 2 else "AP"
        rows.append(f"{case.patient}.png,{label},{case.patient},{view},{read}")
        if not is_normal:
            where = np.argwhere(case.opacity)
            top, left = where.min(axis=0) / 256
            height, width = (np.ptp(where, axis=0) + 1) / 256
            boxes.append(f"{case.patient}.png,{left},{top},{width},{height}")
    (folder / "metadata.csv").write_text("\n".join(rows))
    (folder / "boxes.csv").write_text("\n".join(boxes))
    training = {f"{case.patient}.png": case.patient for case in cases[:8]}
    Split(name="phantoms", training=training, held={}, pixels_sha256="").save(folder / "s.json")
    return folder


@pytest.fixture(scope="module")
def dataset(images):
    return load_folder(images, metadata=images / "metadata.csv", boxes=images / "boxes.csv")


@pytest.fixture(scope="module")
def split(images):
    from lungpatch.datasets.splits import load_split

    return load_split(images / "s.json")


@pytest.fixture(scope="module")
def evaluation(fitted, dataset, split):
    return evaluate(
        {"fast": fitted, "again": fitted}, dataset, split, segmenter=ThresholdSegmenter()
    )


def test_the_report_holds_the_values_of_the_evaluation(evaluation, tmp_path):
    assert isinstance(evaluation, Evaluation)
    assert all(isinstance(result, DetectorResult) for result in evaluation.results)
    write_report(evaluation, tmp_path)
    written = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    value = written["tables"]["all"]["fast"]["pixel AUROC"]["value"]
    assert value == pytest.approx(evaluation.table("all")["fast"]["pixel AUROC"].value)
    assert f"{value:.2f}" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_training_patients_are_not_evaluated(evaluation, split):
    assert evaluation.left_out == {"normal": 8}
    counts = evaluation.counts()
    assert [counts[kind] for kind in evaluation.kinds.roles] == [4, 4, 3, 0]
    assert counts["boxed"] == counts["localised"] == 4
    assert not {case.patient for case in evaluation.cases} & set(split.training.values())


def test_a_pipeline_fitted_to_more_than_the_training_part_is_named(fitted, split, caplog):
    n_images = fitted.report_.n_images
    known = {f"{number}.png": str(number) for number in range(n_images)}
    warn_of_held_out_images("fast", fitted, attrs.evolve(split, training=known))
    assert not caplog.records
    del known["0.png"]
    warn_of_held_out_images("fast", fitted, attrs.evolve(split, training=known))
    assert f"fast was fitted to {n_images} images" in caplog.text


def test_a_split_that_has_nothing_to_do_with_the_images_is_named(dataset, split, caplog):
    warn_of_unrelated_split(dataset, split)
    by_patient = {"renamed.png": str(dataset.patients[0])}
    warn_of_unrelated_split(dataset, attrs.evolve(split, training=by_patient))
    by_file = {f"{dataset.image_ids[0]}.png": "renamed"}
    warn_of_unrelated_split(dataset, attrs.evolve(split, training={}, held=by_file))
    assert not caplog.records
    warn_of_unrelated_split(dataset, attrs.evolve(split, training={"x.png": "y"}))
    assert "the split phantoms names no file and no patient of" in caplog.text


def test_a_table_that_contradicts_the_split_is_refused_before_anything_is_run(dataset, split):
    renamed = attrs.evolve(dataset, patients=[f"other {name}" for name in dataset.image_ids])
    with pytest.raises(ConfigurationError, match="8 images of the split phantoms are listed"):
        evaluate({}, renamed, split, segmenter=None)


def test_every_table_has_the_controls(evaluation):
    names = {"lung atlas", "mean lung grey", "vertical position", "mask area", "view AP"}
    for group in evaluation.groups:
        table = evaluation.table(group)
        assert names | {"fast", "again", "chance"} == table.keys()
    whole = evaluation.table("all")
    for row in whole.values():
        for value in row.values():
            assert value.low <= value.value + 1e-9
            assert value.value <= value.high + 1e-9


def test_a_pipeline_compared_with_itself_is_no_better(evaluation):
    compared = evaluation.comparison("all")
    assert {"image AUROC", "pointing game", "mean sensitivity"} <= compared.keys()
    assert all((value.value, value.low, value.high) == (0, 0, 0) for value in compared.values())
    alone = attrs.evolve(evaluation, n_pipelines=1)
    assert alone.comparison("all") == {}


def test_the_same_seed_gives_the_same_values(fitted, dataset, split, evaluation):
    again = evaluate({"fast": fitted}, dataset, split, segmenter=ThresholdSegmenter())
    assert again.table("all")["fast"] == evaluation.table("all")["fast"]


def test_a_detector_that_knows_the_truth_is_perfect(evaluation):
    cases = evaluation.cases
    kinds = np.array([case.kind for case in cases])
    oracle = Predictions(
        name="oracle",
        scores=(kinds == "opacity").astype(float),
        heatmaps=tuple(case.lesion.astype(np.float32) for case in cases),
    )
    statistics = evaluate_predictions(oracle, cases).statistics
    ones = np.ones((1, len(cases)))
    for name in ("image AUROC", "image AP", "pixel AUROC", "pixel AP", "pointing game"):
        assert statistics[name](ones)[0] == 1.0
    assert statistics["AUPRO"](ones)[0] == pytest.approx(1.0)
    assert statistics["folder test"](ones)[0] == 0.5


def test_nothing_left_to_evaluate_is_an_error(fitted, dataset, split):
    trained = dataset.select(np.isin(dataset.patients, list(split.training.values())))
    with pytest.raises(InsufficientDataError, match="every image is of a patient"):
        evaluate({"fast": fitted}, trained, split, segmenter=ThresholdSegmenter())


def test_controls_are_what_they_are_named_for(make_case):
    top = np.zeros((GRID_SIZE, GRID_SIZE), dtype=bool)
    top[:10] = True
    cases = [make_case(0, view="AP", lungs=top), make_case(1)]
    by_name = {control.name: control for control in simple_controls(cases)}
    assert by_name["view AP"].scores.tolist() == [1, 0]
    assert by_name["mask area"].scores.tolist() == [-10 / GRID_SIZE, -1]
    assert by_name["vertical position"].scores == pytest.approx([4.5 / 255, 0.5])
    assert by_name["mean lung grey"].scores.tolist() == [0, 0]
    assert by_name["mask area"].heatmaps is None


def test_groups_by_view_and_size(make_case):
    small = make_case(0, boxes=[(0, 0, 30, 30)], view="AP")
    large = make_case(1, boxes=[(0, 0, 128, 128)])
    normal = make_case(2, kind="read-normal")
    groups = groups_of([small, large, normal])
    assert groups["AP"].tolist() == [True, False, False]
    assert groups["small boxes"].tolist() == [True, False, True]
    assert groups["large boxes"].tolist() == [False, True, True]


def test_a_pipeline_gives_one_score_and_one_map_per_image(fitted, dataset, split):
    few = dataset.select([0, 12])
    predictions = run_pipeline("fast", fitted, few)
    assert predictions.scores.shape == (2,)
    assert [heatmap.shape for heatmap in predictions.heatmaps] == [(GRID_SIZE, GRID_SIZE)] * 2
    assert predictions.unscored == predictions.outcomes.n_undecided == 0
    assert predictions.outcomes.flagged.shape == (4, 2)
    black = attrs.evolve(few, images=[np.zeros((128, 128), np.uint8)] * 2)
    assert run_pipeline("fast", fitted, black).outcomes.n_undecided == 2
    assert predictions.milliseconds > 0
    assert listed_in(dataset, split.training).sum() == 8
    assert not atlas_pipeline(3).is_fitted


def test_sheets_show_the_best_first(evaluation):
    predictions = evaluation.results[0].predictions
    chosen = best_and_worst(evaluation.cases, predictions.heatmaps)
    aurocs = [auroc for _, auroc in chosen]
    assert aurocs == sorted(aurocs, reverse=True)
    assert len(chosen) == 4 <= 2 * N_SHOWN
    ends = best_and_worst(evaluation.cases, predictions.heatmaps, n_shown=1)
    assert ends == [chosen[0], chosen[-1]]
    case = evaluation.cases[chosen[0][0]]
    rendering = draw_case(case, predictions.heatmaps[chosen[0][0]], predictions.colour_scale)
    assert rendering.shape == (2 * GRID_SIZE, 4 * GRID_SIZE, 3)
    row, column = case.boxes[0][:2]
    assert rendering[2 * row, 2 * column].tolist() == [80, 220, 100]
    assert (
        draw_sheet(evaluation.cases[:1], predictions.heatmaps[:1], predictions.colour_scale) is None
    )


def test_figures_start_and_end_where_they_should(evaluation):
    from matplotlib import pyplot

    roc, froc = plot_roc(evaluation), plot_froc(evaluation)
    curve = roc.lines[0].get_xydata()
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    found = evaluation.table("all")["fast"]["image AUROC"].value
    assert auc(curve[:, 0], curve[:, 1]) == pytest.approx(found)
    assert (np.diff(froc.lines[0].get_ydata()) >= 0).all()
    kinds = plot_scores_by_kind(evaluation)
    labels = [text.get_text() for text in kinds.get_legend().get_texts()]
    assert labels == ["opacity (4)", "read-normal (4)", "normal (3)"]
    for axes in (roc, froc, kinds):
        pyplot.close(axes.figure)


def test_reports_agree(evaluation):
    tables = {"all": evaluation.table("all")}
    comparisons = {"all": evaluation.comparison("all")}
    data = record(evaluation, tables, comparisons)
    text = markdown(evaluation, tables, comparisons)
    assert (
        data["tables"]["all"]["fast"]["pointing game"]["value"]
        == tables["all"]["fast"]["pointing game"].value
    )
    assert f"| fast | {tables['all']['fast']['image AUROC']} |" in text
    assert "8 normal" in text
    assert "## fast minus again, paired" in text


def test_command(images, dataset, saved, tmp_path, monkeypatch, capsys):
    out = tmp_path / "evaluated"
    arguments = ["evaluate", "--pipeline", saved, "--images", images, "--out", out, "--split"]
    arguments += [images / "s.json", "--metadata", images / "metadata.csv"]
    arguments += ["--boxes", images / "boxes.csv", "--seed", 3]
    monkeypatch.setattr(sys, "argv", ["lungpatch", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert not caught.value.code
    assert "8 images of training patients left out" in capsys.readouterr().out
    assert {file.name for file in out.iterdir()} == {
        "results.json", "table.md", "roc.png", "froc.png", "scores-fast.png",
        "best-and-worst-fast.png",
    }  # fmt: skip
    results = json.loads((out / "results.json").read_text())
    assert results["images"]["images"] == 11
    assert results["seed"] == 3
    assert results["split"]["name"] == "phantoms"


def test_sizes_of_boxes_have_their_limits_in_the_middle_group(make_case):
    cases = []
    for i, n_marked in enumerate((3276, 3277, 6553, 6554)):  # 0.05 and 0.1 of 65536 lie between
        marked = np.arange(GRID_SIZE**2).reshape(GRID_SIZE, GRID_SIZE) < n_marked
        cases.append(attrs.evolve(make_case(i), marked=marked))
    # Read as normal and with a box: such an image is no image of normal lungs.
    cases.append(make_case(4, kind="read-normal", boxes=[(0, 0, 30, 30)]))
    cases.append(make_case(5, kind="normal"))
    groups = groups_of(cases)
    assert groups["small boxes"].tolist() == [True, False, False, False, True, False]
    assert groups["medium boxes"].tolist() == [False, True, True, False, False, False]
    assert groups["large boxes"].tolist() == [False, False, False, True, False, False]
    assert groups["all"].all()


def test_the_protocol_has_the_constants_that_its_page_states():
    assert (cases.GRID_SIZE, cases.CELL_SIZE, cases.SAME_LESION) == (256, 16, 0.5)
    assert (localisation.BINS, localisation.PRO_LIMIT) == (2048, 0.3)
    assert froc.FALSE_BOXES == (0.25, 0.5, 1, 2, 4)
    assert (froc.N_THRESHOLDS, froc.MIN_AREA) == (60, 64)
    assert (protocol.N_RESAMPLES, protocol.SMALL, protocol.LARGE) == (1000, 0.05, 0.1)
