"""Networks of torchxrayvision as segmenter and feature extractor of lungpatch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lungpatch

if TYPE_CHECKING:
    from lungpatch.plugins.hookspecs import Register


@lungpatch.hookimpl
def lungpatch_register(register: Register) -> None:
    """Register both components; torchxrayvision is imported when one is first used."""
    register.segmenter(
        "txrv-pspnet",
        "lungpatch_txrv.segmenter:PSPNetSegmenter",
        summary="PSPNet of ChestX-Det; downloads its weights.",
    )
    register.extractor(
        "txrv-densenet",
        "lungpatch_txrv.extractor:DenseNetExtractor",
        summary="DenseNet-121 that was trained on diseases; downloads its weights.",
    )
