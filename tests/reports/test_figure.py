import subprocess
import sys

import numpy as np
import pytest
from made_detections import SCALE, make_detection

from lungpatch.containers import TrainingHistory
from lungpatch.errors import MissingExtraError
from lungpatch.reports import plot_detection, plot_history

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


def test_a_detection_is_drawn_on_its_native_grid(pyplot):
    detection = make_detection()
    axes = plot_detection(detection, SCALE)
    axes[0].figure.canvas.draw()
    plain, found, mapped = axes
    np.testing.assert_array_equal(plain.images[0].get_array(), detection.image.pixels)
    assert plain.get_title() == "image"
    assert found.get_title() == "image score 2 > 1.1"
    (frame,) = found.patches
    row0, col0, row1, col1 = detection.native_boxes[0]
    assert frame.get_bbox().bounds == (col0 - 0.5, row0 - 0.5, col1 - col0, row1 - row0)
    np.testing.assert_array_equal(
        mapped.images[1].get_array(), SCALE.to_rgba(detection.native_heatmap)
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
@pytest.mark.parametrize("status", ["ok", "no_lungs", "out_of_scope"])
def test_odd_images_are_drawn(pyplot, shape, status):
    detection = make_detection(shape=shape, status=status, name="$a_{", reason="a $reason")
    axes = plot_detection(detection, SCALE)
    axes[0].figure.canvas.draw()
    if status == "no_lungs":
        assert axes[1].get_title() == "not scored (no_lungs)"
    if status == "out_of_scope":
        assert axes[1].get_title() == "out of scope: a $reason"
        assert not axes[0].figure.axes[-1].lines  # no threshold on the colour bar


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
    for module in ("matplotlib", "matplotlib.pyplot"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r'pip install "lungpatch\[plot\]"'):
        plot()


def test_matplotlib_is_imported_only_when_something_is_plotted():
    code = (
        "import sys, lungpatch.reports, lungpatch._utils.html_page; "
        "print([m for m in ('matplotlib', 'torch', 'skimage') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
