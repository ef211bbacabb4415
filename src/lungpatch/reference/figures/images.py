"""Figures of the paper that show images and patches: 1 to 5, 7, 8 and 10."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lungpatch._utils.axes import LUNGS, axes_or_new, draw_outline, figure_or_new, show_grey
from lungpatch.containers.colours import ColourScale
from lungpatch.errors import ConfigurationError, InsufficientDataError, InvalidMaskError
from lungpatch.scorers.region import check_pixelwise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from lungpatch.containers import ChestImage, LungMask, PatchBatch, PatchScores, Reconstruction

_IMAGE_INCHES = 2.4
_SMALL = 8
"""Size of the text beside an image, in points."""

_BACKGROUND = (0.16, 0.42, 0.75)
"""Colour of what is not lung: not grey, so that it cannot be taken for a grey level."""

_PATCH_COLUMNS = 12
_GREY_LEVEL_EDGES = np.linspace(0.0, 256.0, 33)
"""Bins of a patch's histogram: 8 grey levels each."""


def plot_examples(
    normal: Sequence[ChestImage], pneumonia: Sequence[ChestImage], *, figure: Figure | None = None
) -> Figure:
    """Draw images of the two classes, one row per class: the paper's figure 1.

    What to look for: opacities of pneumonia are bright and hide the vessels and the borders of
    heart and diaphragm. Look also at what differs between the rows without being disease: view,
    position, contrast, letters on the image.

    Parameters
    ----------
    normal, pneumonia : sequence of ChestImage
        At least one image each, of any size.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InsufficientDataError
        If a class has no image.

    Examples
    --------
    >>> from lungpatch.datasets import phantom_chest
    >>> from lungpatch.reference import plot_examples
    >>> normal = [phantom_chest(seed, size=64).image for seed in range(3)]
    >>> pneumonia = [phantom_chest(seed, size=64, opacity="lobar").image for seed in range(3)]
    >>> figure = plot_examples(normal, pneumonia)                        # doctest: +SKIP
    >>> figure.savefig("examples.pdf")                                   # doctest: +SKIP
    """
    rows = {"normal": normal, "pneumonia": pneumonia}
    for name, images in rows.items():
        if len(images) == 0:
            raise InsufficientDataError(
                f"there is no {name} image: give at least one of each class"
            )
    columns = max(map(len, rows.values()))
    figure = figure_or_new(figure, (_IMAGE_INCHES * columns, 2 * _IMAGE_INCHES + 0.6))
    grid = figure.subplots(2, columns, squeeze=False)
    for axes_of_row, (name, images) in zip(grid, rows.items(), strict=True):
        axes_of_row[0].set_ylabel(name)
        for axes, image in zip(axes_of_row, images, strict=False):
            show_grey(axes, image.pixels)
            axes.set_title(image.image_id, fontsize=_SMALL, parse_math=False)
        for axes in axes_of_row[len(images) :]:
            axes.set_axis_off()
    return figure


def plot_gradcam(
    images: ArrayLike,
    cams: ArrayLike,
    probabilities: ArrayLike,
    lungs: ArrayLike | None = None,
    *,
    titles: Sequence[str] | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw where the two-class CNN looks, one column per image: the paper's figure 2.

    Each column shows the image, and below it the image with Grad-CAM over it: the higher, the more
    a region supports the predicted class. What to look for: high values outside the lungs'
    outline, on letters, shoulders, the diaphragm or corners. Then the network separates the classes
    by something else than opacities, which is what the paper found. With ``lungs``, each column
    says which fraction of Grad-CAM lies within them, beside the fraction of the image that is lung,
    which a map with one value everywhere would reach.

    Parameters
    ----------
    images : array_like of float, shape (N, H, W), values in [0, 1]
    cams : array_like of float, shape (N, H, W), values in [0, 1]
        Maps that `lungpatch.reference.grad_cam` returned.
    probabilities : array_like of float, shape (N,)
        Probabilities of pneumonia.
    lungs : array_like of bool, shape (N, H, W), optional
    titles : sequence of str, optional
        One per image, such as its name or label.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If shapes or lengths disagree.
    InsufficientDataError
        If there is no image.

    See Also
    --------
    lungpatch.reference.lung_attention : The fraction within the lungs, over many images.

    Examples
    --------
    >>> from lungpatch.reference import grad_cam, plot_gradcam
    >>> cams = grad_cam(model, images)                                    # doctest: +SKIP
    >>> figure = plot_gradcam(images, cams, model.predict_proba(images))  # doctest: +SKIP
    """
    from lungpatch.reference.gradcam import mass_inside

    pixels, maps, chances = np.asarray(images), np.asarray(cams), np.asarray(probabilities)
    masks = None if lungs is None else np.asarray(lungs, dtype=np.bool_)
    names = [""] * len(pixels) if titles is None else list(titles)
    arrays = {"images": pixels, "cams": maps} | ({} if masks is None else {"lungs": masks})
    shapes = {name: array.shape for name, array in arrays.items()}
    lengths = {"images": len(pixels), "probabilities": len(chances), "titles": len(names)}
    if pixels.ndim != 3 or len(set(shapes.values())) > 1 or len(set(lengths.values())) > 1:
        raise ConfigurationError(
            f"arrays of shape (N, H, W) and lengths N must agree, got {shapes} and {lengths}"
        )
    if len(pixels) == 0:
        raise InsufficientDataError("there is no image to draw Grad-CAM on")
    scale = ColourScale(low=0.0, high=1.0)
    figure = figure_or_new(figure, (_IMAGE_INCHES * len(pixels), 2 * _IMAGE_INCHES + 0.9))
    grid = figure.subplots(2, len(pixels), squeeze=False)
    for column, (above, below) in enumerate(grid.T):
        for axes in (above, below):
            show_grey(axes, pixels[column])
        below.imshow(scale.to_rgba(maps[column]))
        head = f"P(pneumonia) = {chances[column]:.2f}"
        lines = [names[column], head] if names[column] else [head]
        above.set_title("\n".join(lines), fontsize=_SMALL, parse_math=False)
        if masks is not None:
            draw_outline(above, masks[column], LUNGS)
            draw_outline(below, masks[column], LUNGS)
            inside = mass_inside(maps[column, None], masks[column, None])[0]
            found = "empty map" if np.isnan(inside) else f"{inside:.0%} of Grad-CAM in the lungs"
            text = f"{found}\nlungs: {masks[column].mean():.0%} of the image"
            below.set_xlabel(text, fontsize=_SMALL)
    return figure


def plot_patches(
    patches: PatchBatch,
    *,
    count: int = 60,
    seed: int = 0,
    title: str | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw patches, chosen at random: the paper's figures 3 (normal) and 4 (pneumonia).

    What to look for: patches of a normal lung show ribs and vessels on dark lung and nothing else.
    Those cut from all over an image of pneumonia are of three kinds: such normal lung, lung with
    opacity, and bone, organs and background.

    Parameters
    ----------
    patches : PatchBatch
        Patches of one image or, by `PatchBatch.concatenate`, of many.
    count : int
        Maximum number of patches drawn, 12 per row; at least 1.
    seed : int
        Seed of the choice, without replacement. Patches are drawn in the order of the batch.
    title : str, optional
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If ``count`` is below 1.
    InsufficientDataError
        If there is no patch.

    Examples
    --------
    >>> from lungpatch.reference import plot_patches
    >>> axes = plot_patches(detection.patches, title="one image")         # doctest: +SKIP
    >>> axes.figure.savefig("patches.pdf")                               # doctest: +SKIP
    """
    from skimage.util import montage

    chosen = patches.pixels[_some(len(patches), count, seed)]
    columns = min(_PATCH_COLUMNS, len(chosen))
    rows = -(-len(chosen) // columns)
    gap = max(1, patches.patch_size // 16)
    sheet = montage(chosen, fill=1.0, grid_shape=(rows, columns), padding_width=gap)
    axes = axes_or_new(axes, (0.7 * columns, 0.7 * rows + 0.4))
    show_grey(axes, sheet)
    if title is not None:
        axes.set_title(title, parse_math=False)
    return axes


def plot_segmentation(
    image: ChestImage, lungs: LungMask, *, figure: Figure | None = None
) -> Figure:
    """Draw an image, its lung mask, and the image with what is not lung in one colour: figure 5.

    What to look for: both lungs are whole, without heart, diaphragm or what lies outside the chest.
    On images of pneumonia, whether the opacity is still within the mask: what is cut out is never
    scored.

    Parameters
    ----------
    image : ChestImage
    lungs : LungMask
        Lungs of the image, of the same shape.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    InvalidMaskError
        If image and mask differ in shape.

    Examples
    --------
    >>> from lungpatch.reference import plot_segmentation
    >>> figure = plot_segmentation(detection.resized, detection.lungs)   # doctest: +SKIP
    >>> figure.savefig("segmentation.pdf")                               # doctest: +SKIP
    """
    if image.shape != lungs.pixels.shape:
        raise InvalidMaskError(
            f"{image.image_id}: an image of {image.shape} and a lung mask of {lungs.pixels.shape}: "
            "give the mask of this image"
        )
    figure = figure_or_new(figure, (3 * _IMAGE_INCHES, _IMAGE_INCHES + 0.5))
    plain, mask, painted = figure.subplots(1, 3)
    for axes in (plain, painted):
        show_grey(axes, image.pixels)
    show_grey(mask, lungs.pixels)
    painted.imshow(np.where(lungs.pixels[..., None], (0.0,) * 4, (*_BACKGROUND, 1.0)))
    plain.set_title(image.image_id, fontsize=_SMALL, parse_math=False)
    doubt = "" if lungs.implausible is None else f", implausible: {lungs.implausible}"
    mask.set_title(f"{lungs.fraction:.1%} lung{doubt}", fontsize=_SMALL, parse_math=False)
    painted.set_title("background in one colour", fontsize=_SMALL)
    return figure


def plot_reconstructions(
    patches: PatchBatch,
    reconstruction: Reconstruction,
    scores: PatchScores,
    *,
    count: int = 6,
    seed: int = 0,
    label: str = "SAD",
    figure: Figure | None = None,
) -> Figure:
    """Draw patches, chosen at random, and their reconstructions: figures 7 and 8.

    Each column shows a patch, its reconstruction, the grey-level histograms of both, and the score.
    Figure 7 is of normal patches, figure 8 of patches of a pneumonia image. What to look for:
    whether patches with opacity, or without any lung, are reconstructed as well as normal ones. In
    the paper they are, at a SAD near 5 against 1, and the two histograms nearly coincide.

    Parameters
    ----------
    patches : PatchBatch
    reconstruction : Reconstruction
        Reconstruction of the same patches by a model of pixels, (N, 1, P, P). Values beyond white
        or black are drawn, and counted, as white or black.
    scores : PatchScores
        Scores of the same patches.
    count : int
        Maximum number of columns, at least 1.
    seed : int
        Seed of the choice, without replacement. Patches are drawn in the order of the batch.
    label : str
        Name of the scores.
    figure : matplotlib.figure.Figure, optional
        Where to draw; by default a new one.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If patches, reconstruction and scores are not of one batch, the reconstruction is of
        features, or ``count`` is below 1.
    InsufficientDataError
        If there is no patch.

    Examples
    --------
    >>> from lungpatch.reference import plot_reconstructions
    >>> figure = plot_reconstructions(                                   # doctest: +SKIP
    ...     detection.patches, detection.reconstruction, detection.scores)
    """
    check_pixelwise(patches, reconstruction)
    _check_scores(patches, scores)
    if reconstruction.target.shape[1] != 1:
        raise ConfigurationError(
            f"a reconstruction with {reconstruction.target.shape[1]} channels is one of features, "
            "not of grey levels: only that of a pixel model can be drawn"
        )
    chosen = _some(len(patches), count, seed)
    width = max(1.3 * len(chosen) + 0.6, 4.0)
    figure = figure_or_new(figure, (width, 4.7))
    grid = figure.subplots(3, len(chosen), squeeze=False, height_ratios=(1.0, 1.0, 0.7))
    for (above, below, histogram), index in zip(grid.T, chosen, strict=True):
        target, expected = reconstruction.target[index, 0], reconstruction.expected[index, 0]
        show_grey(above, target)
        show_grey(below, expected)
        above.set_title(f"{label} {scores.values[index]:.2f}", fontsize=_SMALL, parse_math=False)
        _grey_histogram(histogram, target, fill=True, color="0.7", label="input")
        _grey_histogram(histogram, expected, fill=False, color="red", label="reconstruction")
        histogram.set(xlim=(0, 256), xticks=(0, 128, 255), yticks=[])
        histogram.tick_params(labelsize=_SMALL - 1)
    for axes, name in zip(grid[:, 0], ("input", "reconstruction", "pixels"), strict=True):
        axes.set_ylabel(name, fontsize=_SMALL)
    figure.supxlabel("grey level", fontsize=_SMALL)
    figure.legend(
        *grid[2, 0].get_legend_handles_labels(), loc="outside lower right", ncols=2, fontsize=_SMALL
    )
    return figure


def plot_patch_frames(
    image: ChestImage,
    patches: PatchBatch,
    scores: PatchScores,
    score_range: tuple[float, float],
    *,
    label: str = "SAD",
    axes: Axes | None = None,
) -> Axes:
    """Draw red frames around the patches whose score lies in a range: figure 10.

    What to look for: whether the frames gather on the opacity. In the paper they lie without
    regularity, whatever the range.

    Parameters
    ----------
    image : ChestImage
        The image that the patches were cut from, in the size it had then.
    patches : PatchBatch
    scores : PatchScores
        Scores of the same patches.
    score_range : tuple of float
        Frames are drawn for ``low < score <= high``, as thresholds divide scores into classes.
        Either end may be infinite.
    label : str
        Name of the scores.
    axes : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        Its title says how many of the patches are framed.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ConfigurationError
        If patches and scores are not of one batch, the image has another size, or ``low`` is not
        below ``high``.

    Examples
    --------
    >>> from lungpatch.reference import plot_patch_frames
    >>> axes = plot_patch_frames(                                        # doctest: +SKIP
    ...     detection.resized, detection.patches, detection.scores, (4.0, 6.0))
    """
    _check_scores(patches, scores)
    low, high = score_range
    if not low < high:
        raise ConfigurationError(
            f"score_range must be (low, high) with low < high, got {low, high}"
        )
    if image.shape != patches.image_shape:
        raise ConfigurationError(
            f"the patches were cut from an image of {patches.image_shape}, not of {image.shape}: "
            "give the image on the model grid, such as detection.resized"
        )
    axes = axes_or_new(axes, (4.5, 4.8))
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Rectangle

    show_grey(axes, image.pixels)
    framed = (scores.values > low) & (scores.values <= high)
    frames = [
        # Pixel centres lie on whole numbers, so the edge of a patch is half a pixel before it.
        Rectangle((column - 0.5, row - 0.5), width, height)
        for (row, column), (height, width) in zip(
            patches.corners[framed], patches.extents[framed], strict=True
        )
    ]
    axes.add_collection(
        PatchCollection(frames, facecolor="none", edgecolor="red", linewidth=0.8), autolim=False
    )
    bounds = [f"{low:.3g} <"] * bool(np.isfinite(low)) + [label]
    bounds += [f"\N{LESS-THAN OR EQUAL TO} {high:.3g}"] * bool(np.isfinite(high))
    text = f"{len(frames)} of {len(patches)} patches: {' '.join(bounds)}"
    axes.set_title(f"{image.image_id}\n{text}", fontsize=_SMALL + 1, parse_math=False)
    return axes


def _grey_histogram(axes: Axes, pixels: NDArray[np.float32], **style: Any) -> None:
    levels = np.rint(255.0 * np.clip(pixels, 0.0, 1.0))
    axes.stairs(*np.histogram(levels, _GREY_LEVEL_EDGES), **style)


def _some(available: int, count: int, seed: int) -> NDArray[np.int64]:
    """Return indices of at most ``count`` of the patches, ascending."""
    if count < 1:
        raise ConfigurationError(f"count must be at least 1, got {count}")
    if available == 0:
        raise InsufficientDataError("there is no patch to draw")
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(available, min(count, available), replace=False))


def _check_scores(patches: PatchBatch, scores: PatchScores) -> None:
    if len(scores) != len(patches):
        raise ConfigurationError(
            f"{len(patches)} patches, but {len(scores)} scores: pass the scores of the same batch"
        )
