"""pytest fixtures for the tests of plugins: parts of a seeded phantom.

Opt in with ``pytest_plugins = ["lungpatch.testing.fixtures"]`` in the ``conftest.py`` at the root
of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lungpatch.testing import samples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lungpatch.containers import ChestImage, LungMask, PatchBatch, Reconstruction
    from lungpatch.pipeline.patch_store import PatchStore


@pytest.fixture
def phantom_image() -> ChestImage:
    """Return an image of 256 x 256 pixels with a lobar opacity.

    Examples
    --------
    >>> def test_size(phantom_image):
    ...     assert phantom_image.shape == (256, 256)
    """
    return samples.phantom_image()


@pytest.fixture
def phantom_lungs() -> LungMask:
    """Return the true lungs of ``phantom_image``.

    Examples
    --------
    >>> def test_lungs(phantom_lungs):
    ...     assert 0.1 < phantom_lungs.fraction < 0.5
    """
    return samples.phantom_lungs()


@pytest.fixture
def phantom_patches() -> PatchBatch:
    """Return 15 patches of 32 x 32 pixels.

    Examples
    --------
    >>> def test_patches(phantom_patches):
    ...     assert phantom_patches.pixels.shape == (15, 32, 32)
    """
    return samples.phantom_patches()


@pytest.fixture
def phantom_reconstruction(phantom_patches: PatchBatch) -> Reconstruction:
    """Return a noisy reconstruction of ``phantom_patches``.

    Examples
    --------
    >>> def test_length(phantom_patches, phantom_reconstruction):
    ...     assert len(phantom_reconstruction) == len(phantom_patches)
    """
    return samples.phantom_reconstruction(phantom_patches)


@pytest.fixture
def phantom_source() -> Iterator[PatchStore]:
    """Yield 64 patches of 32 x 32 pixels, as the ``fit`` of a model takes them.

    Examples
    --------
    >>> def test_source(phantom_source):
    ...     assert len(phantom_source) == 64
    """
    with samples.phantom_source() as source:
        yield source
