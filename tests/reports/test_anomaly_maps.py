import numpy as np
import pytest
import skimage.io
import tifffile
from made_detections import make_detection
from PIL import Image

from lungpatch.reports import write_anomaly_map


@pytest.mark.parametrize("shape", [(600, 512), (37, 91), (1, 1)])
def test_the_anomaly_map_is_read_back_exactly_by_every_reader(tmp_path, shape):
    detection = make_detection(shape=shape)
    file = tmp_path / "image.anomaly.tiff"
    write_anomaly_map(file, detection)
    for read in (tifffile.imread, skimage.io.imread, lambda f: np.asarray(Image.open(f))):
        heatmap = read(file)
        assert heatmap.dtype == np.float32
        np.testing.assert_array_equal(heatmap, detection.native_heatmap)  # NaN equals NaN here
    assert [path.name for path in tmp_path.iterdir()] == ["image.anomaly.tiff"]


def test_an_unscored_anomaly_map_is_nan_everywhere(tmp_path):
    write_anomaly_map(tmp_path / "a.tiff", make_detection(status="no_lungs", spots=()))
    assert np.isnan(tifffile.imread(tmp_path / "a.tiff")).all()
