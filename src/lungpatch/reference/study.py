"""What the stages of a reproduction share, and what they found."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch._utils.progress import ProgressCallback, silent
from lungpatch.models import UNet
from lungpatch.protocols import Segmenter
from lungpatch.reference.images import PreparedImages
from lungpatch.reference.patch_table import (
    LUNG_SAMPLER,
    NORMAL,
    OPACITY,
    OUTSIDE,
    UNREAD,
    PatchCutter,
    PatchTable,
)
from lungpatch.reference.settings import ReproductionSettings
from lungpatch.reference.stages import StageResult
from lungpatch.reference.training import normal_patches, stage_rng

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lungpatch.pipeline.patch_store import PatchStore
    from lungpatch.protocols import EpochCallback


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Study:
    """The images of a reproduction, what each of them is for, and how much work to do.

    Parameters
    ----------
    images : PreparedImages
    roles : ndarray of str, shape (N,)
        What each image is for: ``training``, ``validation``, ``test``, ``held`` (normal images that
        are held out), ``pneumonia``, or empty.
    settings : ReproductionSettings
    segmenter : Segmenter
        For images of another size than the model grid's.
    progress : callable

    Examples
    --------
    >>> found.study.evaluated_images[:3], found.study.kinds                 # doctest: +SKIP
    """

    images: PreparedImages
    roles: NDArray[np.str_]
    settings: ReproductionSettings
    segmenter: Segmenter
    progress: ProgressCallback = silent

    def images_for(self, *roles: str) -> list[int]:
        """Return the indices of the images with one of the roles, ascending."""
        indices: list[int] = np.flatnonzero(np.isin(self.roles, roles)).tolist()
        return indices

    @property
    def normal_images(self) -> list[int]:
        """Indices of the normal images that are scored: those of ``test``, and those held out."""
        return self.images_for("test", "held")

    @property
    def pneumonia_images(self) -> list[int]:
        """Indices of the pneumonia images."""
        return self.images_for("pneumonia")

    @property
    def has_boxes(self) -> bool:
        """Whether a pneumonia image has boxes around its opacities."""
        return bool(self.images.boxed[self.pneumonia_images].any())

    @property
    def evaluated_images(self) -> list[int]:
        """Indices of the images on which losses and proposals are evaluated.

        Images with boxes, which hold all three kinds of patches. Where no image has boxes, half
        of them are normal and half are of pneumonia.
        """
        maximum = self.settings.n_evaluated
        if self.has_boxes:
            return [i for i in self.pneumonia_images if self.images.boxed[i]][:maximum]
        half = max(1, maximum // 2)
        return self.normal_images[:half] + self.pneumonia_images[:half]

    @property
    def kinds(self) -> tuple[str, str, str]:
        """The three kinds of patches, in the order of scores that the paper expects.

        Where no image has boxes, lung of pneumonia images stands in for lung with opacity.
        """
        return (NORMAL, OPACITY if self.has_boxes else UNREAD, OUTSIDE)

    def of_pneumonia(self, table: PatchTable) -> NDArray[np.bool_]:
        """Return which patches come from pneumonia images, bool (N,)."""
        is_pneumonia: NDArray[np.bool_] = self.roles[table.image] == "pneumonia"
        return is_pneumonia

    def rng(self, stream: str) -> np.random.Generator:
        """Return a generator of random numbers that depends on the seed and the stream only."""
        return stage_rng(self.settings.seed, stream)

    def on_epoch(self, stage: str) -> EpochCallback:
        """Return a callback of a training that reports its epochs as the progress of a stage."""
        return lambda epoch, epochs, metrics: self.progress(stage, epoch, epochs, metrics)

    @contextmanager
    def normal_patches(self) -> Iterator[dict[str, PatchStore]]:
        """Cut the patches that the paper's network is trained on, the same ones every time.

        Yields
        ------
        dict of str to PatchStore
            ``training``, ``validation`` and ``test``; closed when the block ends.
        """
        cutter = PatchCutter(images=self.images, sampler=LUNG_SAMPLER)
        with normal_patches(cutter, self.roles, rng=self.rng("cut")) as stores:
            yield stores

    def __repr__(self) -> str:
        return f"Study({self.images!r}, seed {self.settings.seed})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Reproduction:
    """Results of all stages of a reproduction, for the figures and the report.

    Parameters
    ----------
    study : Study
    model : UNet
        The fitted network of figures 7 to 10.
    table : PatchTable
        Every scored patch of normal and pneumonia images.
    classifier : StageResult or None
        The two-class CNN; None where there are too few images.
    results : dict
        Content of ``results.json``.

    See Also
    --------
    lungpatch.reference.run_stages : Makes it.

    Examples
    --------
    >>> found = run_stages(images, Path("paper/stages"), settings=settings)  # doctest: +SKIP
    >>> found.results["stages"]["claims"]["values"]["pairs"]                 # doctest: +SKIP
    """

    study: Study
    model: UNet
    table: PatchTable
    classifier: StageResult | None
    results: dict[str, Any]

    def __repr__(self) -> str:
        name = self.study.images.dataset.name
        return f"Reproduction({name!r}, {len(self.table)} patches scored)"
