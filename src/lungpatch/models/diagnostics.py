"""Whether a model restores normal lung or copies its input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch.errors import InsufficientDataError
from lungpatch.synthesis import blend_opacity, opacity_alpha

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lungpatch.containers import PatchBatch
    from lungpatch.protocols import PatchSource, ReconstructionModel

_MIN_ALPHA = 0.1
"""Minimum alpha of a pixel of the opacity: below it, normal and opacified hardly differ."""

_BATCH_PIXELS = 2**20


@attrs.frozen(kw_only=True, repr=False)
class IdentityShortcut:
    """How much of an opacity a model copies into its reconstruction.

    All errors are mean absolute differences in grey levels, 0..255.

    Parameters
    ----------
    normal_error : float
        Between normal patches and their reconstruction.
    normal_error_there : float
        The same, over those pixels only where opacities are painted later.
    opacity_error : float
        Between the patches with opacities and their reconstruction, over the opacities' pixels.
    copy_error : float
        Between the patches with opacities and without, over the same pixels: the error of an ideal
        model, which removes the opacity.
    n_patches : int

    See Also
    --------
    identity_shortcut : Measures it.

    Examples
    --------
    >>> from lungpatch.models import IdentityShortcut
    >>> IdentityShortcut(normal_error=1.2, normal_error_there=1.0, opacity_error=3.0,
    ...                  copy_error=40.0, n_patches=256)
    IdentityShortcut(0.95: opacities are copied; errors: normal 1.20, opacity 3.00, copy 40.00)
    """

    normal_error: float
    normal_error_there: float
    opacity_error: float
    copy_error: float
    n_patches: int

    @property
    def shortcut(self) -> float:
        """The fraction copied, ``1 - (opacity_error - normal_error_there) / copy_error``.

        It is 0 for a model that restores the normal patch, 1 for one that copies its input, and
        above 1 where opacities are reconstructed even better than normal lung. A model that
        returns the same for all patches can have any value, but has a high ``normal_error``.
        """
        return 1 - (self.opacity_error - self.normal_error_there) / self.copy_error

    def to_dict(self) -> dict[str, Any]:
        """Return all values, ``shortcut`` included, as JSON-ready numbers."""
        return attrs.asdict(self) | {"shortcut": self.shortcut}

    def __repr__(self) -> str:
        if self.shortcut > 1:
            finding = "opacities are reconstructed better than normal lung"
        elif self.shortcut > 0.5:
            finding = "opacities are copied"
        else:
            finding = "opacities are replaced"
        return (
            f"IdentityShortcut({self.shortcut:.2f}: {finding}; errors: normal "
            f"{self.normal_error:.2f}, opacity {self.opacity_error:.2f}, copy "
            f"{self.copy_error:.2f})"
        )


def identity_shortcut(
    model: ReconstructionModel,
    source: PatchSource,
    *,
    rng: np.random.Generator,
    max_patches: int = 512,
) -> IdentityShortcut | None:
    """Measure how much of painted opacities a model copies into its reconstruction.

    Parameters
    ----------
    model : ReconstructionModel
        Fitted.
    source : PatchSource
        Normal patches, preferably of images that the model was not fitted to.
    rng : numpy.random.Generator
        Chooses the patches and draws the opacities, with `lungpatch.synthesis.opacity_alpha`.
    max_patches : int
        Maximum number of patches that are used.

    Returns
    -------
    IdentityShortcut or None
        None for a model that compares features and not the pixels it was given: it returns no
        image into which an opacity could be copied.

    Raises
    ------
    InsufficientDataError
        If there are no patches, or all are so white that no opacity can brighten them.
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    IdentityShortcut : The result.

    Notes
    -----
    The U-Net of the paper has this fault: it reconstructs opacities, and even background, as well
    as normal lung. Errors are means over all pixels of all patches.

    Examples
    --------
    >>> import numpy as np
    >>> from lungpatch.containers import PatchBatch
    >>> from lungpatch.models import PCA, identity_shortcut
    >>> from lungpatch.pipeline import PatchStore
    >>> rng = np.random.default_rng(0)
    >>> greys = 0.3 + 0.1 * rng.random((64, 16, 16), dtype=np.float32)
    >>> patches = PatchBatch(
    ...     pixels=greys, corners=np.zeros((64, 2), np.int64), lung=np.ones((64, 16, 16), bool),
    ...     image_shape=(32, 32), image_id="a")
    >>> model = PCA(patch_size=16, n_components=1)
    >>> with PatchStore(16) as store:
    ...     store.add(patches)
    ...     _ = model.fit(store, rng=rng)
    ...     identity_shortcut(model, store, rng=rng).shortcut < 0.5
    True
    """
    if len(source) == 0:
        raise InsufficientDataError("there are no normal patches to paint opacities into")
    normal_sum = there_sum = opacity_sum = copy_sum = 0.0
    n_patches = n_pixels = n_opacity = 0
    size = min(max_patches, max(1, _BATCH_PIXELS // source.patch_size**2))
    for whole in source.batches(size, rng=rng):
        normal = whole[: max_patches - n_patches]
        reconstruction = model.reconstruct(normal)
        if not np.array_equal(reconstruction.target, normal.pixels[:, None]):
            return None
        opacified, painted = _paint(normal, rng)
        opacity_error = _grey_levels(opacified.pixels, model.reconstruct(opacified).expected[:, 0])
        normal_error = _grey_levels(normal.pixels, reconstruction.expected[:, 0])
        normal_sum += float(normal_error.sum())
        there_sum += float(normal_error[painted].sum())
        opacity_sum += float(opacity_error[painted].sum())
        copy_sum += float(_grey_levels(opacified.pixels, normal.pixels)[painted].sum())
        n_patches += len(normal)
        n_pixels += normal.pixels.size
        n_opacity += int(np.count_nonzero(painted))
        if n_patches == max_patches:
            break
    if copy_sum == 0:
        raise InsufficientDataError(
            f"no opacity brightens any of the {n_patches} normal patches: they are white"
        )
    return IdentityShortcut(
        normal_error=normal_sum / n_pixels,
        normal_error_there=there_sum / n_opacity,
        opacity_error=opacity_sum / n_opacity,
        copy_error=copy_sum / n_opacity,
        n_patches=n_patches,
    )


def _paint(normal: PatchBatch, rng: np.random.Generator) -> tuple[PatchBatch, NDArray[np.bool_]]:
    """Return the patches with one opacity each, and which pixels the opacities cover."""
    everywhere = np.ones(normal.pixels.shape[1:], dtype=np.bool_)
    pixels = np.empty(normal.pixels.shape, np.float32)
    painted = np.empty(normal.pixels.shape, np.bool_)
    for index, patch in enumerate(normal.pixels):
        alpha = opacity_alpha(everywhere, rng)
        pixels[index] = blend_opacity(patch, alpha, rng)
        painted[index] = alpha > _MIN_ALPHA
    return attrs.evolve(normal, pixels=pixels), painted


def _grey_levels(one: Any, other: Any) -> NDArray[np.float64]:
    """Return absolute differences in grey levels, 0..255, float64."""
    difference = np.subtract(one, other, dtype=np.float64)
    levels: NDArray[np.float64] = 255.0 * np.abs(difference)
    return levels
