"""What each source knows of its images, on a folder whose marks can be worked out by hand."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_sources import corners, write_sources

from lungpatch.errors import ConfigurationError, InsufficientDataError, MissingInputError
from lungpatch.evaluation import sources
from lungpatch.evaluation.cases import to_evaluation_grid
from lungpatch.evaluation.sources import (
    PAINTED_SIZE,
    SOURCES,
    KnownImage,
    Part,
    SecondReading,
    load_source,
    load_sources,
    polygon_mask,
)
from lungpatch.io import read_image, resize
from lungpatch.segmenters import WholeImageSegmenter


@pytest.fixture(autouse=True)
def _whole_image_is_lung(monkeypatch):
    monkeypatch.setattr(sources, "UNetSegmenter", WholeImageSegmenter)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture
def copy(folder, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(folder, tmp_path / "data")


def names(part):
    return [known.path.name for known in part.images]


def part_of(source, name):
    (found,) = (part for part in source.parts if part.name == name)
    return found


def marks(part):
    """Fraction of each image that is marked."""
    return {known.path.name: float(known.marked.mean()) for known in part.images}


def test_all_sources_are_loaded_in_their_order(folder):
    assert [source.name for source in load_sources(folder)] == list(SOURCES)
    assert [source.name for source in load_sources(folder, ["lesions", "boxes"])] == [
        "lesions",
        "boxes",
    ]
    assert [source.name for source in load_sources(folder) if source.of_opacities] == [
        "boxes",
        "second-readers",
        "lesions",
    ]
    assert all(source.about for source in load_sources(folder))


def test_boxes_have_the_roles_of_the_readings(folder):
    source = load_source("boxes", folder)
    everything = source.parts[0]
    roles = {known.path.name: known.role for known in everything.images}
    assert [roles[f"n{number}.png"] for number in range(3)] == ["normal"] * 3
    assert [roles[f"p{number}.png"] for number in range(7)] == ["positive"] * 4 + ["reference"] * 3
    assert "p7.png" not in roles  # neither, and no box
    assert marks(everything)["p0.png"] == 1 / 16
    assert everything.images[3].marked[64:128, 64:128].all()
    assert names(part_of(source, "AP")) == ["p0.png", "p1.png", "p2.png", "p4.png"]


def test_second_readers_find_consolidation_and_other_things(folder):
    source = load_source("second-readers", folder)
    assert [part.name for part in source.parts] == [
        "consolidation",
        "consolidation, AP",  # and no PA, of which there are two
        "effusion",  # and no nodule, of which there is one
    ]
    main, effusion = source.parts[0], part_of(source, "effusion")
    assert names(main) == ["p0.png", "p1.png", "p2.png", "p4.png", "p5.png", "p6.png"]
    assert [known.role for known in main.images] == ["positive"] * 3 + ["reference"] * 3
    # Two outlines of p2; an image that is free of findings has no marks.
    assert list(marks(main).values()) == [1 / 16, 1 / 16, 1 / 16 + 1 / 64, 0, 0, 0]
    assert names(effusion)[:3] == ["p1.png", "p2.png", "p3.png"]
    assert effusion.images[2].marked[192:, :64].all()
    assert marks(effusion)["p3.png"] == 1 / 16  # the nodule is not part of it
    (note,) = source.notes
    assert "effusion 2 of 3" in note


def test_lesions_know_whose_lungs_trained_the_segmenter(folder, copy):
    source = load_source("lesions", folder)
    assert [part.name for part in source.parts] == [
        "all",
        "lungs trained the segmenter",
        "other lungs",
    ]
    assert names(source.parts[1]) == ["000.png", "001.png", "002.png"]
    assert names(source.parts[2]) == ["003.png", "004.png"]
    assert source.parts[0].images[0].marked[128:, :128].all()
    assert "3 of the 5 images" in source.notes[0]
    assert [known.patient for known in source.parts[2].images] == ["lungs 3", "lungs 4"]
    for name in ("003.png", "004.png"):
        shutil.copy(copy / "lungs/lesion" / name, copy / "lungs/mask" / name)
    assert [part.name for part in load_source("lesions", copy).parts] == [
        "lungs trained the segmenter"
    ]
    shutil.rmtree(copy / "lungs" / "mask")
    assert [part.name for part in load_source("lesions", copy).parts] == ["all"]


def test_severity_is_of_rated_images_only(folder):
    source = load_source("severity", folder)
    assert [part.name for part in source.parts] == ["extent", "opacity", "extent, AP"]
    extent, opacity = source.parts[:2]
    assert [known.rating for known in extent.images] == [0, 1, 2, 3, 4]
    assert [known.rating for known in opacity.images] == [6, 5, 4, 3, 2]
    assert [known.view for known in extent.images] == ["AP", "AP", "AP", "PA", "PA"]


def test_devices_are_marked_outside_of_lesions(folder):
    (part,) = load_source("devices", folder).parts
    assert names(part) == ["004.png", "005.png"]
    first, second = part.images
    assert first.marked[128:, 64:192].all()
    assert first.ignored[128:, :128].all()
    assert not second.ignored.any()  # no lesion mask
    assert first.patient == second.patient == "lungs 4"


def test_readers_are_the_images_that_both_marked(folder):
    (part,) = load_source("readers", folder).parts
    assert names(part) == ["p0.png", "p1.png", "p2.png"]
    assert all(isinstance(known.second, SecondReading) for known in part.images)
    # Centres of squares of quarters; of p2's two squares, of the larger one.
    assert [known.second.point for known in part.images] == [
        (95.5, 95.5),
        (95.5, 127.5),
        (223.5, 223.5),
    ]


def test_lesions_are_painted_into_undoubted_normal_images(folder):
    (part,) = load_source("painted", folder).parts
    roles = [(known.image_id, known.role) for known in part.images]
    assert roles == [
        ("n0 painted", "positive"),
        ("n2 painted", "positive"),
        ("n0", "reference"),
        ("n2", "reference"),
    ]
    again = load_source("painted", folder).parts[0]
    for known, same in zip(part.images[:2], again.images[:2], strict=True):
        assert known.pixels.shape == (PAINTED_SIZE, PAINTED_SIZE)
        assert (known.pixels == same.pixels).all()
        plain = resize(read_image(known.path), PAINTED_SIZE).pixels
        changed = to_evaluation_grid(np.abs(known.pixels / 255 - plain) > 0.02)
        assert changed[known.marked].mean() > 0.5
        assert known.key != part.images[2].key
    assert not part.images[2].marked.any()


def test_one_image_of_a_patient_is_painted_and_at_most_so_many(folder, monkeypatch):
    monkeypatch.setattr(sources, "N_PAINTED", 1)
    assert [known.image_id for known in load_source("painted", folder).parts[0].images] == [
        "n0 painted",
        "n0",
    ]


def test_a_part_can_be_narrowed_and_renamed():
    images = tuple(KnownImage(path=None, patient=patient) for patient in "ab")
    part = Part(name="both", images=images)
    narrowed = part.where(lambda known: known.patient == "b", "one")
    assert (narrowed.name, narrowed.images) == ("one", images[1:])
    assert part.where(lambda known: True).name == "both"


# ---------------------------------------------------------------------------------- polygons

QUARTERS = st.integers(0, 3)


@given(QUARTERS, QUARTERS, st.integers(1, 4))
def test_a_rectangle_is_as_exact_as_a_box(row, column, side):
    row, column, side = row / 4, column / 4, side / 4
    found = polygon_mask(corners(row, column, side), (64, 64))
    expected = np.zeros((64, 64), bool)
    top, left, length = (int(64 * each) for each in (row, column, side))
    expected[top : top + length, left : left + length] = True
    assert (found == expected).all()


POINTS = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=3, max_size=3)


@given(POINTS)
def test_a_triangle_lies_within_its_three_sides(points):
    x, y = np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5)
    distances = []
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1], strict=True):
        length = max(np.hypot(x1 - x0, y1 - y0), 1e-6)
        distances.append(((x1 - x0) * (y - 64 * y0) - (y1 - y0) * (x - 64 * x0)) / length)
    found = polygon_mask(points, (64, 64))
    # All three have the same sign inside; which one depends on the order of the points.
    depth = np.maximum(np.min(distances, axis=0), np.min(np.negative(distances), axis=0))
    assert found[depth > 1].all()
    assert not found[depth < -1].any()


# ------------------------------------------------------------------------------------ errors


def test_an_unknown_source_is_named_with_the_known_ones(folder):
    with pytest.raises(ConfigurationError, match=r"'hearsay'; known are boxes, second-readers"):
        load_sources(folder, ["boxes", "hearsay"])


@pytest.mark.parametrize(
    ("source", "file"),
    [
        ("boxes", "cxr/metadata.csv"),
        ("boxes", "cxr/boxes.csv"),
        ("second-readers", "cxr/chestxdet_films.csv"),
        ("second-readers", "cxr/chestxdet_polygons.json"),
        ("readers", "cxr/boxes.csv"),
        ("lesions", "lungs/films.csv"),
        ("lesions", "lungs/image/000.png"),
        ("severity", "lungs/image/004.png"),
        ("severity", "lungs/films.csv"),
        ("devices", "lungs/image/005.png"),
    ],
)
def test_a_missing_file_is_named(copy, source, file):
    (copy / file).unlink()
    with pytest.raises(MissingInputError, match=file):
        load_source(source, copy)


@pytest.mark.parametrize(
    ("source", "table", "column"),
    [
        ("second-readers", "cxr/chestxdet_films.csv", "findings"),
        ("lesions", "lungs/films.csv", "patient"),
        ("severity", "lungs/films.csv", "opacity_0_6"),
        ("boxes", "cxr/boxes.csv", "w"),
    ],
)
def test_a_missing_column_is_named_with_its_table(copy, source, table, column):
    path = copy / table
    head, rest = path.read_text().split("\n", 1)
    path.write_text(head.replace(column, "something") + "\n" + rest)
    with pytest.raises(ConfigurationError, match=rf"{table}: column '{column}' is missing"):
        load_source(source, copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "must map each file to a list"),
        ('{"p0.png": [{"label": "Consolidation"}]}', "must map each file to a list"),
        ('{"p0.png": [{"label": "Consolidation", "polygon": [[1, 2, 3]]}]}', "must map each file"),
        ("{}", "holds no outline of 'Consolidation' for p0.png"),
    ],
)
def test_a_file_of_outlines_that_cannot_be_used_is_named(copy, content, message):
    (copy / "cxr" / "chestxdet_polygons.json").write_text(content)
    with pytest.raises(ConfigurationError, match=rf"chestxdet_polygons\.json: {message}"):
        load_source("second-readers", copy)


def test_an_image_that_is_in_no_table_is_named(copy):
    films = copy / "cxr" / "chestxdet_films.csv"
    films.write_text(films.read_text() + "unknown.png,0,\n")
    with pytest.raises(ConfigurationError, match=r"names 'unknown\.png', which is not in metadata"):
        load_source("second-readers", copy)
    shutil.copy(copy / "lungs/lesion/000.png", copy / "lungs/lesion/099.png")
    with pytest.raises(ConfigurationError, match=r"no line for .*099\.png"):
        load_source("lesions", copy)


def test_a_rating_that_is_no_number_is_named(copy):
    films = copy / "lungs" / "films.csv"
    films.write_text(films.read_text().replace("3,PA,3,3", "3,PA,high,3"))
    with pytest.raises(ConfigurationError, match=r"line 5: column 'geographic_0_8' must be a numb"):
        load_source("severity", copy)


def test_a_source_without_its_truth_is_refused(copy):
    outlines = copy / "cxr" / "chestxdet_polygons.json"
    outlines.write_text(json.dumps({}))
    films = copy / "cxr" / "chestxdet_films.csv"
    films.write_text("file,n_findings,findings\np4.png,0,\n")
    with pytest.raises(InsufficientDataError, match="no image for the source 'readers'"):
        load_source("readers", copy)
