"""The value objects that flow through a pipeline, one class a step.

All are frozen, take keyword arguments only, check what they are given, and hold read-only arrays.
Axis order is (row, column) everywhere; boxes are half-open ``(row0, col0, row1, col1)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from lungpatch.colours import ColourScale
from lungpatch.errors import LungpatchError
from lungpatch.geometry import boxes_to_own_pixels, to_own_pixels
from lungpatch.lung_coordinates import LungFrame, LungSides, split_lungs
from lungpatch.notebook import Picture, ShownAsPicture, grey_picture, heat_picture, patch_sheet

if TYPE_CHECKING:
    from lungpatch.lung_places import LungPlaces

FloatImage = NDArray[np.float32]
BoolImage = NDArray[np.bool_]
Box = tuple[int, int, int, int]
Status = Literal["ok", "no_lungs", "implausible_lungs", "no_patches"]


def _read_only(value: Any, dtype: type[np.generic]) -> NDArray[Any]:
    """View ``value`` as a read-only array of ``dtype``; copied only where a cast is needed."""
    array = np.asarray(value)
    if array.dtype != dtype:
        if not np.can_cast(array.dtype, dtype, "same_kind"):
            raise TypeError(f"expected an array of {np.dtype(dtype)}, got {array.dtype}")
        array = array.astype(dtype)
    view = array.view()
    view.flags.writeable = False
    return view


def _float32(value: Any) -> NDArray[np.float32]:
    return _read_only(value, np.float32)


def _float64(value: Any) -> NDArray[np.float64]:
    return _read_only(value, np.float64)


def _int64(value: Any) -> NDArray[np.int64]:
    return _read_only(value, np.int64)


def _bool(value: Any) -> NDArray[np.bool_]:
    return _read_only(value, np.bool_)


def _ndim(ndim: int) -> Callable[[Any, attrs.Attribute[Any], NDArray[Any]], None]:
    def check(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
        if value.ndim != ndim:
            raise ValueError(f"{attribute.name} must have {ndim} axes, got shape {value.shape}")

    return check


def _finite(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
    if not np.isfinite(value).all():
        raise ValueError(f"{attribute.name} holds NaN or infinite values")


def _unit_range(_: Any, attribute: attrs.Attribute[Any], value: NDArray[Any]) -> None:
    # NaN fails both comparisons, so one pass checks finiteness too.
    if value.size and not (value.min() >= 0.0 and value.max() <= 1.0):
        raise ValueError(
            f"{attribute.name} must lie in [0, 1]; read files with lungpatch.read_image and "
            "arrays with lungpatch.as_chest_image, which normalise them"
        )


def _range_text(values: NDArray[Any]) -> str:
    known = values[np.isfinite(values)]
    return f"[{known.min():.3g}, {known.max():.3g}]" if known.size else "[]"


def _agree(name: str, lengths: dict[str, int]) -> None:
    if len(set(lengths.values())) > 1:
        raise ValueError(f"{name}: lengths disagree: {lengths}")


@attrs.frozen(eq=False, kw_only=True, repr=False)
class ChestImage(ShownAsPicture):
    """A frontal chest radiograph, bones bright, without any label.

    Parameters
    ----------
    pixels : ndarray of float32, shape (H, W), values in [0, 1]
        Grey levels; 1 is white (bone), 0 is black (air).
    image_id : str
        A name for messages and records; the file's stem where it came from a file.
    pixel_spacing_mm : tuple of float or None
        Distance between pixel centres, (row, column), in millimetres, of ``pixels``.
    source : str
        Where it came from: a path, or ``"array"``.
    own_shape : tuple of int or None
        Shape of the picture as its owner knows it, where ``pixels`` was resized from it; by
        default the shape of ``pixels``.

    Raises
    ------
    ValueError
        If ``pixels`` is not two-dimensional or leaves [0, 1].

    Examples
    --------
    >>> import numpy as np
    >>> ChestImage(pixels=np.eye(4, dtype=np.float32), image_id="eye")
    ChestImage('eye', 4x4, range [0, 1])
    """

    pixels: FloatImage = attrs.field(converter=_float32, validator=[_ndim(2), _unit_range])
    image_id: str
    pixel_spacing_mm: tuple[float, float] | None = None
    source: str = "array"
    _own_shape: tuple[int, int] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Shape (H, W) of ``pixels``."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def own_shape(self) -> tuple[int, int]:
        """Shape of the picture as its owner knows it."""
        return self._own_shape or self.shape

    def _picture(self) -> Picture | None:
        return grey_picture(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.shape))
        own = "" if self.own_shape == self.shape else f" from {'x'.join(map(str, self.own_shape))}"
        return f"ChestImage({self.image_id!r}, {size}{own}, range {_range_text(self.pixels)})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class LungMask(ShownAsPicture):
    """Which pixels of an image are lung.

    Parameters
    ----------
    pixels : ndarray of bool, shape (H, W)
        True within the lungs. May be empty: then the image's status is ``no_lungs``.
    implausible : str or None
        Why a segmenter doubts that these are the lungs of a frontal chest film (see
        `lungpatch.plausibility`); then the image's status is ``implausible_lungs``.

    Examples
    --------
    >>> import numpy as np
    >>> mask = LungMask(pixels=np.array([[False, True], [False, True]]))
    >>> mask.fraction, mask.bounding_box
    (0.5, (0, 1, 2, 2))
    """

    pixels: BoolImage = attrs.field(converter=_bool, validator=_ndim(2))
    implausible: str | None = None

    @property
    def fraction(self) -> float:
        """Share of the image that is lung, in [0, 1]."""
        return float(self.pixels.mean()) if self.pixels.size else 0.0

    @property
    def right(self) -> BoolImage:
        """The patient's right lung, bool (H, W): at the left of a film as it is displayed."""
        return self._sides.right

    @property
    def left(self) -> BoolImage:
        """The patient's left lung, bool (H, W): at the right of a film as it is displayed."""
        return self._sides.left

    @cached_property
    def _sides(self) -> LungSides:
        return split_lungs(self.pixels)

    @cached_property
    def frame(self) -> LungFrame:
        """Lung coordinates: the place of each pixel, comparable over people."""
        return LungFrame.from_mask(self.pixels)

    @property
    def bounding_box(self) -> Box | None:
        """Smallest half-open box around the lungs, or None for an empty mask."""
        rows = np.flatnonzero(self.pixels.any(axis=1))
        if rows.size == 0:
            return None
        columns = np.flatnonzero(self.pixels.any(axis=0))
        return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1

    def _picture(self) -> Picture | None:
        return grey_picture(self.pixels)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.pixels.shape))
        doubt = f", implausible: {self.implausible}" if self.implausible else ""
        return f"LungMask({size}, {self.fraction:.1%} lung{doubt})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchBatch(ShownAsPicture):
    """Square patches of one image, or of several images of one shape.

    Parameters
    ----------
    pixels : ndarray of float32, shape (N, P, P), values in [0, 1]
    corners : ndarray of int64, shape (N, 2)
        Row and column, in the image, of each patch's first pixel.
    lung : ndarray of bool, shape (N, P, P)
        Which pixels of each patch are lung.
    image_shape : tuple of int
        Shape of the image that the corners refer to.
    image_id : str
    extents : ndarray of int64, shape (N, 2), optional
        Height and width of what each patch shows, in pixels of the image, at least 1. By default
        P x P: the patch is a piece of the image as it is. A sampler that resamples to P x P says
        here what it resampled; such a patch may reach beyond the image.

    Examples
    --------
    >>> import numpy as np
    >>> batch = PatchBatch(
    ...     pixels=np.zeros((3, 8, 8), np.float32), corners=np.zeros((3, 2), np.int64),
    ...     lung=np.ones((3, 8, 8), bool), image_shape=(32, 32), image_id="a")
    >>> batch, len(batch[1:])
    (PatchBatch('a', 3 patches of 8x8 in 32x32), 2)
    """

    pixels: FloatImage = attrs.field(converter=_float32, validator=_ndim(3))
    corners: NDArray[np.int64] = attrs.field(converter=_int64, validator=_ndim(2))
    lung: BoolImage = attrs.field(converter=_bool, validator=_ndim(3))
    image_shape: tuple[int, int]
    image_id: str
    extents: NDArray[np.int64] = attrs.field(converter=_int64, validator=_ndim(2))

    @extents.default
    def _as_cut(self) -> NDArray[np.int64]:
        return np.full((len(self.pixels), 2), self.pixels.shape[1], np.int64)

    def __attrs_post_init__(self) -> None:
        if self.pixels.shape[1] != self.pixels.shape[2]:
            raise ValueError(f"patches must be square, got shape {self.pixels.shape}")
        if self.lung.shape != self.pixels.shape:
            raise ValueError(f"lung {self.lung.shape} and pixels {self.pixels.shape} disagree")
        for name, array in (("corners", self.corners), ("extents", self.extents)):
            if array.shape != (len(self.pixels), 2):
                raise ValueError(f"{name} {array.shape} do not fit {len(self.pixels)} patches")
        if (self.extents < 1).any():
            raise ValueError("extents must be at least 1 pixel")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def patch_size(self) -> int:
        """Side P of a patch, in pixels."""
        return int(self.pixels.shape[1])

    def __getitem__(self, index: slice | NDArray[Any]) -> PatchBatch:
        """Patches ``index`` (a slice or an index array) as a batch."""
        return attrs.evolve(
            self,
            pixels=self.pixels[index],
            corners=self.corners[index],
            lung=self.lung[index],
            extents=self.extents[index],
        )

    def split(self, size: int) -> Iterator[PatchBatch]:
        """Yield consecutive batches of at most ``size`` patches, in order."""
        for start in range(0, len(self), size):
            yield self[start : start + size]

    @classmethod
    def concatenate(cls, batches: Sequence[PatchBatch]) -> PatchBatch:
        """Join batches of images of one shape, so that a model sees them at once."""
        if len(batches) == 1:
            return batches[0]
        shapes = {batch.image_shape for batch in batches}
        if len(shapes) != 1:
            raise ValueError(f"cannot join patches of images of different shapes: {shapes}")
        return cls(
            pixels=np.concatenate([batch.pixels for batch in batches]),
            corners=np.concatenate([batch.corners for batch in batches]),
            lung=np.concatenate([batch.lung for batch in batches]),
            extents=np.concatenate([batch.extents for batch in batches]),
            image_shape=batches[0].image_shape,
            image_id=f"{len(batches)} images",
        )

    def _picture(self) -> Picture | None:
        return patch_sheet(self.pixels, self.lung)

    def __repr__(self) -> str:
        height, width = self.image_shape
        side = self.patch_size
        return (
            f"PatchBatch({self.image_id!r}, {len(self)} patches of {side}x{side} "
            f"in {height}x{width})"
        )


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Reconstruction:
    """What a model compares (``target``) and what it expected there (``expected``).

    Parameters
    ----------
    target, expected : ndarray of float32, shape (N, C, h, w)
        For pixel models C = 1, h = w = P and ``target`` is the patches themselves; for feature
        models both are feature maps.

    Examples
    --------
    >>> import numpy as np
    >>> zeros = np.zeros((2, 1, 8, 8), np.float32)
    >>> Reconstruction(target=zeros, expected=zeros)
    Reconstruction(2 patches, 1 channel of 8x8)
    """

    target: FloatImage = attrs.field(converter=_float32, validator=_ndim(4))
    expected: FloatImage = attrs.field(converter=_float32, validator=[_ndim(4), _finite])

    def __attrs_post_init__(self) -> None:
        if self.target.shape != self.expected.shape:
            raise ValueError(
                f"target {self.target.shape} and expected {self.expected.shape} must agree"
            )

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, index: slice) -> Reconstruction:
        """Patches ``index`` as a reconstruction."""
        return Reconstruction(target=self.target[index], expected=self.expected[index])

    def __repr__(self) -> str:
        count, channels, height, width = self.target.shape
        plural = "" if channels == 1 else "s"
        return f"Reconstruction({count} patches, {channels} channel{plural} of {height}x{width})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class PatchScores:
    """One anomaly score a patch; higher is more anomalous.

    Parameters
    ----------
    values : ndarray of float64, shape (N,)
    support : ndarray of bool, shape (N, P, P)
        The pixels that each score was computed over.
    error_maps : ndarray of float32, shape (N, P, P), or None
        The error of every pixel, where the scorer has one.

    Examples
    --------
    >>> import numpy as np
    >>> PatchScores(values=np.array([1.0, 5.0]), support=np.ones((2, 8, 8), bool))
    PatchScores(2 patches, range [1, 5])
    """

    values: NDArray[np.float64] = attrs.field(converter=_float64, validator=[_ndim(1), _finite])
    support: BoolImage = attrs.field(converter=_bool, validator=_ndim(3))
    error_maps: FloatImage | None = attrs.field(
        default=None, converter=attrs.converters.optional(_float32)
    )

    def __attrs_post_init__(self) -> None:
        _agree("PatchScores", {"values": len(self.values), "support": len(self.support)})
        if self.error_maps is not None and self.error_maps.shape != self.support.shape:
            raise ValueError(
                f"error_maps {self.error_maps.shape} and support {self.support.shape} disagree"
            )

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        return f"PatchScores({len(self)} patches, range {_range_text(self.values)})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class AnomalyMap(ShownAsPicture):
    """Patch scores brought back to their places in the image.

    Parameters
    ----------
    heatmap : ndarray of float32, shape (H, W)
        Weighted mean of the scores that cover a pixel; NaN where nothing was scored.
    colour_scale : ColourScale or None
        Which colour a score has, in this map as in every other of the same fitted pipeline. None
        before there is one; then a notebook shows no picture, since colours stretched over a
        single map would paint healthy lungs as hot as sick ones.

    Examples
    --------
    >>> import numpy as np
    >>> AnomalyMap(heatmap=np.array([[np.nan, 1.0]], np.float32)).coverage
    0.5
    """

    heatmap: FloatImage = attrs.field(converter=_float32, validator=_ndim(2))
    colour_scale: ColourScale | None = None

    @property
    def scored(self) -> BoolImage:
        """True where a pixel was scored, shape (H, W)."""
        return ~np.isnan(self.heatmap)

    @property
    def coverage(self) -> float:
        """Share of the image that was scored, in [0, 1]."""
        return float(self.scored.mean()) if self.heatmap.size else 0.0

    def _picture(self) -> Picture | None:
        if self.colour_scale is None or not self.heatmap.size:
            return None
        return heat_picture(self.heatmap, self.colour_scale)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.heatmap.shape))
        return f"AnomalyMap({size}, range {_range_text(self.heatmap)}, {self.coverage:.1%} scored)"


@attrs.frozen(kw_only=True)
class Decision:
    """Whether an image departs from healthy.

    Parameters
    ----------
    pred_score : float
        The image's anomaly score.
    threshold : float
    rule : str
        The thresholder that set the threshold.

    Examples
    --------
    >>> Decision(pred_score=5.0, threshold=1.5, rule="quantile").pred_label
    True
    """

    pred_score: float
    threshold: float
    rule: str

    @property
    def pred_label(self) -> bool:
        """True if ``pred_score`` is above ``threshold``."""
        return self.pred_score > self.threshold


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Localisation:
    """Where an image departs from healthy.

    Parameters
    ----------
    pred_mask : ndarray of bool, shape (H, W)
        Pixels whose heat lies above ``threshold``.
    boxes : ndarray of int64, shape (K, 4)
        Half-open boxes (row0, col0, row1, col1) around its connected regions, highest first.
    box_scores : ndarray of float64, shape (K,)
        The highest heat in each region.
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> Localisation(pred_mask=np.ones((2, 2), bool), boxes=np.array([[0, 0, 2, 2]]),
    ...              box_scores=np.array([3.0]), threshold=1.0)
    Localisation(1 box, 4 pixels above 1)
    """

    pred_mask: BoolImage = attrs.field(converter=_bool, validator=_ndim(2))
    boxes: NDArray[np.int64] = attrs.field(converter=_int64, validator=_ndim(2))
    box_scores: NDArray[np.float64] = attrs.field(converter=_float64, validator=_ndim(1))
    threshold: float

    def __attrs_post_init__(self) -> None:
        if self.boxes.shape[1] != 4:
            raise ValueError(f"boxes must have shape (K, 4), got {self.boxes.shape}")
        _agree("Localisation", {"boxes": len(self.boxes), "box_scores": len(self.box_scores)})

    def __repr__(self) -> str:
        plural = "" if len(self.boxes) == 1 else "es"
        return (
            f"Localisation({len(self.boxes)} box{plural}, {int(self.pred_mask.sum())} pixels "
            f"above {self.threshold:.4g})"
        )


@attrs.frozen(kw_only=True, repr=False)
class TrainingHistory:
    """What happened while a model was trained.

    Parameters
    ----------
    epochs : tuple of dict
        Figures of each epoch, in order, such as ``{"train_loss": 0.3, "validation_loss": 0.4}``.
    best_epoch : int or None
        The epoch, counted from 1, whose weights were kept; None where nothing was iterated.
    stopped : {"finished", "early", "interrupted"}
        Why training ended: all epochs done, no more improvement, or Ctrl-C.
    seconds : float

    Examples
    --------
    >>> TrainingHistory(epochs=({"train_loss": 0.5},), best_epoch=1, stopped="early", seconds=2)
    TrainingHistory(1 epoch, best 1, early, 2.0 s)
    """

    epochs: tuple[dict[str, float], ...] = attrs.field(
        validator=attrs.validators.deep_iterable(attrs.validators.instance_of(dict))
    )
    best_epoch: int | None
    stopped: Literal["finished", "early", "interrupted"] = attrs.field(
        validator=attrs.validators.in_(("finished", "early", "interrupted"))
    )
    seconds: float = attrs.field(validator=attrs.validators.instance_of((float, int)))

    def __repr__(self) -> str:
        plural = "" if len(self.epochs) == 1 else "s"
        return (
            f"TrainingHistory({len(self.epochs)} epoch{plural}, best {self.best_epoch}, "
            f"{self.stopped}, {self.seconds:.1f} s)"
        )


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Detection(ShownAsPicture):
    """All that a pipeline found out about one image: one field a step, in order.

    ``image`` and the ``own_`` properties are in the image's own pixels; everything between
    ``resized`` and ``localisation`` is in the pipeline's square working frame.

    Parameters
    ----------
    image : ChestImage
        As it was read.
    resized : ChestImage
        The same, brought to the working size.
    lungs : LungMask
    patches : PatchBatch
    reconstruction : Reconstruction
    scores : PatchScores
    anomaly_map : AnomalyMap
    decision : Decision or None
        None where nothing was scored.
    localisation : Localisation
    status : {"ok", "no_lungs", "implausible_lungs", "no_patches"}
        ``no_lungs``: the mask is empty; ``implausible_lungs``: ``lungs.implausible`` says why;
        ``no_patches``: no patch holds enough lung.
    seconds : float
        Wall-clock time spent on it; of work done on several images at once, its share by patches.

    Examples
    --------
    >>> from lungpatch.config import build_pipeline, load_preset, pipeline_settings
    >>> from lungpatch.datasets.phantom import phantom_chest
    >>> settings = pipeline_settings(load_preset("paper"))
    >>> settings["model"] = {"name": "pca", "patch_size": 32, "n_components": 4}
    >>> pipeline = build_pipeline(settings, origin="example")
    >>> healthy = [phantom_chest(seed, size=256).image for seed in range(4)]
    >>> detection = pipeline.fit(healthy).detect(healthy[0])
    >>> detection.own_heatmap.shape, detection.own_lungs.dtype, detection.own_boxes.shape[1]
    ((256, 256), dtype('bool'), 4)
    """

    image: ChestImage
    resized: ChestImage
    lungs: LungMask
    patches: PatchBatch
    reconstruction: Reconstruction
    scores: PatchScores
    anomaly_map: AnomalyMap
    decision: Decision | None
    localisation: Localisation
    status: Status
    seconds: float

    @property
    def own_heatmap(self) -> FloatImage:
        """The anomaly map in the image's own pixels, float32 (H, W), NaN where unscored."""
        return to_own_pixels(self.anomaly_map.heatmap, self.image.shape)

    @property
    def own_lungs(self) -> BoolImage:
        """The lung mask in the image's own pixels, bool (H, W)."""
        return to_own_pixels(self.lungs.pixels, self.image.shape)

    @property
    def own_boxes(self) -> NDArray[np.int64]:
        """The predicted boxes in the image's own pixels, int64 (K, 4)."""
        return boxes_to_own_pixels(self.localisation.boxes, self.resized.shape, self.image.shape)

    @cached_property
    def places(self) -> LungPlaces:
        """Where in the lungs the heat is, in words and numbers: every region, the hottest place."""
        from lungpatch.lung_places import find_places

        return find_places(self)

    def plot(self, *, axes: Any = None) -> NDArray[np.object_]:
        """Draw the radiograph, the lungs with the boxes, and the anomaly map.

        In the colours of the pipeline that made it, the same for all its images. Needs matplotlib;
        see `lungpatch.plotting.plot_detection`.

        Parameters
        ----------
        axes : array-like of matplotlib.axes.Axes, shape (3,), optional
            Where to draw; by default on a new figure.

        Returns
        -------
        ndarray of matplotlib.axes.Axes, shape (3,)

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        ValueError
            If the anomaly map has no colour scale, which a fitted pipeline gives it.
        """
        from lungpatch.plotting import plot_detection

        scale = self.anomaly_map.colour_scale
        if scale is None:
            raise ValueError(
                "the anomaly map has no colour scale: use what a fitted pipeline's detect returns, "
                "or lungpatch.plotting.plot_detection(detection, scale)"
            )
        return plot_detection(self, scale, axes=axes)

    def _picture(self) -> Picture | None:
        from lungpatch.reports import overlay

        scale = self.anomaly_map.colour_scale
        return None if scale is None else overlay(self, scale)

    def __repr__(self) -> str:
        verdict = "not scored"
        if self.decision is not None:
            sign = ">" if self.decision.pred_label else "<="
            verdict = f"score {self.decision.pred_score:.4g} {sign} {self.decision.threshold:.4g}"
        count = len(self.localisation.boxes)
        boxes = f"{count} box" if count == 1 else f"{count} boxes"
        return f"Detection({self.image.image_id!r}, {self.status}, {verdict}, {boxes})"


@attrs.frozen(eq=False, kw_only=True, repr=False)
class Failure:
    """An image of a batch that could not be processed.

    Parameters
    ----------
    source : str
        The path, or the image's id.
    error : LungpatchError
        Names what is wrong and what to do.

    Examples
    --------
    >>> from lungpatch.errors import InvalidImageError
    >>> Failure(source="a.png", error=InvalidImageError("a.png: is empty"))
    Failure('a.png', InvalidImageError: a.png: is empty)
    """

    source: str
    error: LungpatchError

    def __repr__(self) -> str:
        return f"Failure({self.source!r}, {type(self.error).__name__}: {self.error})"
