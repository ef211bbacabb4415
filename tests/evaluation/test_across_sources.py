"""Several sources in one table: on made images, with detectors whose maps are known."""

import csv
import json

import numpy as np
import pytest
from made_sources import FINDINGS, write_sources
from scipy import stats
from sklearn.metrics import roc_auc_score

from lungpatch.containers import ColourScale
from lungpatch.datasets import Split
from lungpatch.errors import ConfigurationError, InsufficientDataError
from lungpatch.evaluation import across_sources, sources
from lungpatch.evaluation.across_sources import (
    CHANCE,
    NO_SPLIT,
    SECOND_READERS,
    PartResult,
    SourcesEvaluation,
    Spread,
    chance_statistics,
    evaluate_sources,
    held_out,
    images_of,
    part_statistics,
    second_reader_statistics,
)
from lungpatch.evaluation.cases import GRID_SIZE
from lungpatch.evaluation.operating_points import OperatingPoint, Outcomes
from lungpatch.evaluation.predictions import Predictions
from lungpatch.evaluation.sources import (
    KnownImage,
    Part,
    SecondReading,
    Source,
    load_source,
    load_sources,
)
from lungpatch.evaluation.sources_report import (
    CSV_COLUMNS,
    TextTable,
    csv_lines,
    row_name,
    source_tables,
    sources_markdown,
    sources_record,
    write_sources_report,
)
from lungpatch.segmenters import WholeImageSegmenter

ONE = np.ones((1, 1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("sources"))


def in_the_square():
    """A map that is high in the square that the boxes are around, and highest in its middle."""
    heatmap = np.zeros((GRID_SIZE, GRID_SIZE), np.float32)
    heatmap[64:128, 64:128], heatmap[90:100, 90:100] = 1, 2
    return heatmap


def score_of(image_id):
    """The images of COVID are scored by their number, the others by their findings."""
    found = FINDINGS.get(f"{image_id}.png", [1, 2] if "painted" in image_id else [])
    return float(image_id) if image_id.isdigit() else float(len(found))


def known_maps(calls):
    """Return a stand-in for `run_pipeline` that makes maps without a pipeline."""

    def run(name, pipeline, dataset, *, progress=None):
        calls.append(len(dataset))
        ids = dataset.image_ids.tolist()
        points = (OperatingPoint(name="as shipped", threshold=1.0, region_threshold=1.5),)
        heatmap = in_the_square() if name == "good" else -in_the_square()
        return Predictions(
            name=name,
            scores=np.array([score_of(image_id) for image_id in ids]),
            heatmaps=(heatmap,) * len(ids),
            milliseconds=1.0,
            colour_scale=ColourScale(low=0.0, high=2.0),
            outcomes=Outcomes(
                n_patients=9,
                points=points,
                flagged=np.zeros((1, len(ids)), bool),
                peaks=((np.empty((0, 2), np.int64),) * len(ids),),
                n_undecided=0,
            ),
        )

    return run


@pytest.fixture(scope="module")
def evaluation(folder):
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "UNetSegmenter", WholeImageSegmenter)
        patch.setattr(across_sources, "run_pipeline", known_maps(calls))
        patch.setattr(across_sources, "warn_of_held_out_images", lambda *arguments: None)
        found = evaluate_sources(
            {"good": None, "bad": None}, load_sources(folder), segmenter=WholeImageSegmenter()
        )
    # 7 images with a box or a reading, 6 of COVID, 2 normal ones with and without a painted lesion;
    # each once per pipeline.
    assert calls == [17, 17]
    return found


def value(evaluation, detector, metric, *row):
    return evaluation.row(*row).metrics[detector][metric].value


# ------------------------------------------------------------------------------------ values


def test_boxes_are_found_where_they_are(evaluation):
    assert isinstance(evaluation, SourcesEvaluation)
    row = evaluation.row("boxes")
    assert isinstance(row, PartResult)
    assert (row.n_images, row.n_patients, row.n_localised) == (7, 7, 4)
    assert (row.n_of("positive"), row.n_of("reference"), row.n_of("normal")) == (4, 3, 0)
    assert row.images_in_words == "4 against 3, 4 marked"
    for metric in ("image AUROC", "pixel AUROC", "pooled pixel AUROC", "pointing game"):
        assert value(evaluation, "good", metric, "boxes") == 1
    assert value(evaluation, "good", "energy pointing game", "boxes") == 1
    assert value(evaluation, "good", "share above threshold", "boxes") == 1
    assert value(evaluation, "bad", "pixel AUROC", "boxes") == 0
    assert value(evaluation, "bad", "pointing game", "boxes") == 0
    for metric in ("pointing game", "energy pointing game", "share above threshold"):
        assert value(evaluation, CHANCE, metric, "boxes") == pytest.approx(1 / 16)


def test_metrics_of_a_row_equal_those_of_other_libraries(evaluation):
    """Of p0 the square is marked, of p1 one that overlaps by half, of p2 two squares."""
    row = evaluation.row("second-readers")
    labels = np.array([case.role == "positive" for case in row.cases])
    scores = [score_of(case.image_id) for case in row.cases]
    assert value(evaluation, "good", "image AUROC", "second-readers") == roc_auc_score(
        labels, scores
    )
    heatmap = in_the_square().ravel()
    truths = [case.lesion.ravel() for case in row.cases if case.localised]
    assert len(truths) == 3
    within = [roc_auc_score(truth, heatmap) for truth in truths]
    pooled = roc_auc_score(np.concatenate(truths), np.tile(heatmap, 3))
    assert value(evaluation, "good", "pixel AUROC", "second-readers") == pytest.approx(
        np.mean(within)
    )
    assert value(evaluation, "good", "pooled pixel AUROC", "second-readers") == pytest.approx(
        pooled
    )
    # The highest pixels are 90 to 99; the marks are columns 64-127, 96-159 and 64-95.
    assert value(evaluation, "good", "pointing game", "second-readers") == pytest.approx(
        (1 + 0.4 + 0.6 * 0.6) / 3
    )


def test_other_findings_and_lesions_have_rows_of_their_own(evaluation):
    assert value(evaluation, "good", "pointing game", "second-readers", "effusion") == 0
    assert value(evaluation, "good", "image AUROC", "second-readers", "effusion") == 1
    lesions = [row for row in evaluation.rows if row.source == "lesions"]
    assert [row_name(row) for row in lesions] == [
        "lesions",
        "lesions: lungs trained the segmenter",
        "lesions: other lungs",
    ]
    assert [row.images_in_words for row in lesions] == ["5 marked", "3 marked", "2 marked"]
    assert "image AUROC" not in lesions[0].metrics["good"]
    assert value(evaluation, CHANCE, "pointing game", "lesions") == pytest.approx(1 / 4)


def test_severity_is_ranked(evaluation):
    assert value(evaluation, "good", "rank correlation", "severity", "extent") == 1
    assert value(evaluation, "good", "rank correlation", "severity", "opacity") == -1
    assert evaluation.row("severity").images_in_words == "5"
    assert evaluation.row("severity").metrics["good"].keys() == {"rank correlation"}


def test_device_pixels_in_lesions_do_not_count(evaluation):
    row = evaluation.row("devices")
    # The device covers a quarter of the lungs of the second; of the first, whose lesion covers
    # half of the device and a quarter of the lungs, an eighth of three quarters.
    assert value(evaluation, CHANCE, "energy pointing game", "devices") == pytest.approx(
        (1 / 4 + 1 / 6) / 2
    )
    assert value(evaluation, "good", "energy pointing game", "devices") == 0
    assert row.n_patients == 1


def test_the_human_line_is_computed(evaluation):
    row = evaluation.row("readers")
    assert row.n_localised == 3
    # Centres: (95.5, 95.5) and (95.5, 127.5 -> 128) and (223.5, 223.5); the box ends at 128.
    assert value(evaluation, SECOND_READERS, "pointing game", "readers") == pytest.approx(1 / 3)
    # The same square; one that is moved by half; a quarter of it, and another square.
    overlaps = [1, 1 / 3, (1 / 64) / (1 / 16 + 1 / 16)]
    assert value(evaluation, SECOND_READERS, "median IoU", "readers") == pytest.approx(
        np.median(overlaps)
    )
    # Cut to the area of the second readers, the good map is the square itself, or more.
    assert value(evaluation, "good", "median IoU", "readers") == 1
    assert value(evaluation, "bad", "median IoU", "readers") == 0


def test_readers_statistics_are_of_localised_images(make_case):
    cases = [make_case(0, boxes=[(0, 0, 64, 64)]), make_case(1)]
    second = SecondReading(marked=cases[0].marked, point=(3.0, 3.0))
    part = Part(
        name="two", images=tuple(KnownImage(path=None, patient=p, second=second) for p in "ab")
    )
    found = second_reader_statistics(part, cases)
    assert {name: each(np.ones((1, 2)))[0] for name, each in found.items()} == {
        "pointing game": 1,
        "median IoU": 1,
    }
    assert chance_statistics(cases[1:]) == {}


def test_correlation_has_the_value_of_scipy_whatever_is_not_scored(make_case):
    ratings, scores = [3.0, 1.0, 2.0, 5.0], [0.3, np.nan, 0.9, 1.1]
    part = Part(
        name="rated", images=tuple(KnownImage(path=None, patient="1", rating=r) for r in ratings)
    )
    predictions = Predictions(name="one", scores=np.array(scores), heatmaps=None)
    found = part_statistics(part, [make_case(i) for i in range(4)], predictions)
    assert found["rank correlation"](np.ones((1, 4)))[0] == pytest.approx(
        stats.spearmanr(ratings, [0.3, -9, 0.9, 1.1]).statistic
    )


# ------------------------------------------------------------------------ intervals and spread


def test_intervals_need_patients(evaluation):
    boxes = evaluation.row("boxes").metrics["good"]["pointing game"]
    assert boxes.low == pytest.approx(0.025 ** (1 / 4))  # all of 4 patients
    assert str(evaluation.row("devices").metrics["good"]["pixel AUROC"]).count("[") == 0
    assert "[" in str(evaluation.row("severity").metrics["bad"]["rank correlation"])


def test_differences_are_paired(evaluation):
    assert evaluation.row("boxes").differences["pixel AUROC"].value == 1
    assert evaluation.row("severity").differences["rank correlation"].value == 0
    assert evaluation.row("severity").differences["rank correlation"].high == 0


def test_spread_is_over_the_sources_of_opacities(evaluation):
    values = [
        value(evaluation, "good", "pixel AUROC", source)
        for source in ("boxes", "second-readers", "lesions")
    ]
    spread = evaluation.spread("good")
    assert spread["pixel AUROC"] == Spread(
        lowest=min(values), mean=float(np.mean(values)), highest=max(values)
    )
    assert "rank correlation" not in spread
    assert str(Spread(lowest=0.5, mean=0.75, highest=1.0)) == "0.75 (0.50 to 1.00)"


def test_a_row_that_is_not_there_is_refused_with_those_that_are(evaluation):
    with pytest.raises(ConfigurationError, match="no row for 'boxes', 'nodule'; there are boxes: "):
        evaluation.row("boxes", "nodule")


# ------------------------------------------------------------------------------- what is left out


def test_without_a_split_the_folder_of_normal_images_is_not_used(evaluation):
    assert evaluation.n_left_out == 1  # n1; lesions are painted into n0 and n2
    assert evaluation.row("painted").images_in_words.startswith("2 against 2")
    assert value(evaluation, "good", "image AUROC", "painted") == 1
    assert NO_SPLIT in evaluation.notes
    assert "folder test" not in evaluation.row("boxes").metrics["good"]


def test_with_a_split_its_patients_are_left_out_and_the_folder_test_is_made(folder, monkeypatch):
    monkeypatch.setattr(across_sources, "run_pipeline", known_maps([]))
    monkeypatch.setattr(across_sources, "warn_of_held_out_images", lambda *arguments: None)
    split = Split(
        name="half", training={"n0.png": "10", "other.png": "23"}, held={}, pixels_sha256=""
    )
    found = evaluate_sources(
        {"good": None},
        load_sources(folder, ["boxes", "second-readers", "lesions"]),
        split,
        segmenter=WholeImageSegmenter(),
    )
    row = found.row("boxes")
    assert [case.image_id for case in row.cases] == ["n1", "n2", "p0", "p1", "p2", "p4", "p5", "p6"]
    assert row.metrics["good"]["folder test"].value == 0.5
    assert found.n_left_out == 2
    assert "p3" not in [case.image_id for case in found.row("second-readers", "effusion").cases]
    # Patient 4 of the images of COVID is another one than patient 4 of the split.
    assert found.row("lesions").n_images == 5
    assert NO_SPLIT not in found.notes


def test_a_source_that_loses_all_images_is_refused():
    known = KnownImage(path=None, patient="1", role="normal")
    source = Source(name="normals", about="", parts=(Part(name="all", images=(known,)),))
    with pytest.raises(InsufficientDataError, match="normals: every image may have been used"):
        held_out(source, None)


def test_each_image_is_listed_once(folder):
    boxes, second = (load_source(name, folder) for name in ("boxes", "second-readers"))
    assert len(images_of([boxes, second])) == len(images_of([boxes])) == 10
    assert images_of([boxes]).patients[0] == "10"


# ----------------------------------------------------------------------------------- the report


def test_tables_have_a_row_per_source_and_the_human_line(evaluation):
    tables = {table.title: table for table in source_tables(evaluation)}
    assert list(tables) == [
        "good: sources",
        "good: shares of the score and of the area above the threshold",
        "bad: sources",
        "bad: shares of the score and of the area above the threshold",
        "Human line: second readers against the boxes of the first",
        "Mean over sources of opacities (lowest to highest)",
        "good minus bad, paired",
    ]
    main = tables["good: sources"]
    assert [row[0] for row in main.rows] == [
        "boxes",
        "boxes: AP",
        "boxes: PA",
        "second-readers: consolidation",
        "second-readers: consolidation, AP",
        "second-readers: effusion",
        "lesions",
        "lesions: lungs trained the segmenter",
        "lesions: other lungs",
        "severity: extent",
        "severity: opacity",
        "severity: extent, AP",
        "devices",
        "painted",
    ]
    assert main.head[:3] == ("source", "images", "image AUROC")
    assert main.rows[0][main.head.index("by chance")] == "0.06"
    human = tables["Human line: second readers against the boxes of the first"]
    assert [row[0] for row in human.rows] == ["second readers", "good", "bad", "chance"]
    assert human.rows[0][2].startswith("0.33")


def test_a_table_is_text_of_even_columns():
    table = TextTable(title="where", head=("source", "images"), rows=(("boxes", "82"),))
    assert table.markdown().splitlines() == [
        "| source | images |",
        "| --- | --- |",
        "| boxes | 82 |",
    ]
    assert table.text().splitlines() == ["where  images", "boxes  82"]


def test_the_report_holds_everything(evaluation, tmp_path):
    write_sources_report(evaluation, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "results.json",
        "results.csv",
        "table.md",
        *(
            f"best-and-worst-{source}-{name}.png"
            for source in (
                "boxes",
                "second-readers",
                "lesions",
                "devices",
                "readers",
                "painted",
            )
            for name in ("good", "bad")
        ),
    }
    record = json.loads((tmp_path / "results.json").read_text())
    assert record["scores"][1] == {
        "source": "boxes",
        "image_id": "p1",
        "patient": "21",
        "view": "AP",
        "role": "positive",
        "good": 2.0,
        "bad": 2.0,
    }
    assert len(record["scores"]) == sum(
        len(source.parts[0].images) for source in evaluation.sources
    )
    assert record == json.loads(json.dumps(sources_record(evaluation)).replace("NaN", "null"))
    assert record["rows"][0]["metrics"]["good"]["pixel AUROC"]["value"] == 1
    assert record["spread"]["good"].keys() == evaluation.spread("good").keys()
    with (tmp_path / "results.csv").open(newline="") as handle:
        lines = list(csv.DictReader(handle))
    assert len(lines) == len(csv_lines(evaluation))
    assert tuple(lines[0]) == CSV_COLUMNS
    first = lines[0]
    assert (first["source"], first["detector"], first["metric"], float(first["value"])) == (
        "boxes",
        "good",
        "image AUROC",
        1.0,
    )
    assert (tmp_path / "table.md").read_text() == sources_markdown(evaluation)
    for source in evaluation.sources:
        assert f"- {source.name}: {source.about}." in sources_markdown(evaluation)
