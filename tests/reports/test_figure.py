import subprocess
import sys

import numpy as np
import pytest

from lungpatch.containers import (
    AnomalyMap,
    ChestImage,
    Decision,
    LungMask,
    PatchBatch,
    PatchScores,
    Reconstruction,
    TrainingHistory,
)
from lungpatch.containers.colours import ColourScale
from lungpatch.errors import MissingExtraError
from lungpatch.pipeline import Detection
from lungpatch.pipeline.localisation import localise
from lungpatch.reports import plot_detection, plot_history

SCALE = ColourScale(low=1.0, high=5.0)
HISTORY = TrainingHistory(
    epochs=(
        {"train_loss": 0.5, "validation_loss": 0.6},
        {"train_loss": 0.4, "validation_loss": float("nan")},
    ),
    best_epoch=1,
    stopped="early",
    seconds=1.0,
)


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    yield pyplot
    pyplot.close("all")


def make_detection(*, shape=(60, 80), status="ok", name="image") -> Detection:
    frame = 32
    lungs = np.zeros((frame, frame), bool)
    lungs[4:28, 4:28] = status == "ok"
    heat = np.where(lungs, 2.0, np.nan).astype(np.float32)
    if status == "ok":
        heat[8:16, 8:16] = 4.0
    anomaly_map = AnomalyMap(heatmap=heat)
    count = 3 if status == "ok" else 0
    patches = PatchBatch(
        pixels=np.zeros((count, 8, 8), np.float32),
        corners=np.zeros((count, 2), np.int64),
        lung=np.ones((count, 8, 8), bool),
        image_shape=(frame, frame),
        image_id=name,
    )
    return Detection(
        image=ChestImage(pixels=np.full(shape, 0.5, np.float32), image_id=name),
        resized=ChestImage(pixels=np.zeros((frame, frame), np.float32), image_id=name),
        lungs=LungMask(pixels=lungs),
        patches=patches,
        reconstruction=Reconstruction(
            target=patches.pixels[:, None], expected=patches.pixels[:, None]
        ),
        scores=PatchScores(values=np.ones(count), support=patches.lung),
        anomaly_map=anomaly_map,
        decision=Decision(pred_score=4.0, threshold=3.0, rule="fixed") if count else None,
        localisation=localise(anomaly_map, 3.0),
        status=status,
        seconds=0.1,
    )


def test_a_detection_is_drawn_in_the_images_own_pixels(pyplot):
    detection = make_detection()
    axes = plot_detection(detection, SCALE)
    axes[0].figure.canvas.draw()
    plain, found, heated = axes
    np.testing.assert_array_equal(plain.images[0].get_array(), detection.image.pixels)
    assert plain.get_title() == "image"
    assert found.get_title() == "score 4 > 3"
    (frame,) = found.patches
    row0, col0, row1, col1 = detection.native_boxes[0]
    assert frame.get_bbox().bounds == (col0 - 0.5, row0 - 0.5, col1 - col0, row1 - row0)
    np.testing.assert_array_equal(
        heated.images[1].get_array(), SCALE.to_rgba(detection.native_heatmap)
    )


def test_the_colour_bar_spans_the_scale_and_marks_the_threshold(pyplot):
    axes = plot_detection(make_detection(), SCALE)
    bar = axes[0].figure.axes[-1]
    assert bar.get_ylim() == (1.0, 5.0)
    assert 3.0 in [line.get_ydata()[0] for line in bar.lines]


def test_axes_of_the_caller_are_used(pyplot):
    figure, own = pyplot.subplots(3, 1)
    axes = plot_detection(make_detection(), SCALE, axes=own)
    assert list(axes) == list(own)
    assert pyplot.get_fignums() == [figure.number]
    with pytest.raises(ValueError, match="three axes, got 1"):
        plot_detection(make_detection(), SCALE, axes=own[0])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (60, 80)])
@pytest.mark.parametrize("status", ["ok", "no_lungs"])
def test_odd_images_are_drawn(pyplot, shape, status):
    axes = plot_detection(make_detection(shape=shape, status=status, name="$a_{"), SCALE)
    axes[0].figure.canvas.draw()
    if status == "no_lungs":
        assert axes[1].get_title() == "not scored (no_lungs)"


def test_a_history_is_drawn_epoch_by_epoch(pyplot):
    axes = plot_history(HISTORY)
    axes.figure.canvas.draw()
    train, validation, kept = axes.lines
    np.testing.assert_array_equal(train.get_xydata(), [[1, 0.5], [2, 0.4]])
    assert train.get_label() == "train loss"
    np.testing.assert_array_equal(validation.get_ydata(), [0.6, np.nan])
    assert set(kept.get_xdata()) == {1}


def test_a_history_goes_on_axes_of_the_caller_and_may_be_empty(pyplot):
    _, own = pyplot.subplots()
    empty = TrainingHistory(epochs=(), best_epoch=None, stopped="finished", seconds=0.0)
    assert plot_history(empty, axes=own) is own
    own.figure.canvas.draw()
    assert len(own.lines) == 0


@pytest.mark.parametrize(
    "plot", [lambda: plot_history(HISTORY), lambda: plot_detection(make_detection(), SCALE)]
)
def test_without_matplotlib_the_extra_is_named(monkeypatch, plot):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[plot\]"'):
        plot()


def test_matplotlib_is_imported_only_when_something_is_plotted():
    code = (
        "import sys, lungpatch.plotting, lungpatch.reports, lungpatch._utils.html_page; "
        "print([m for m in ('matplotlib', 'torch', 'skimage') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
