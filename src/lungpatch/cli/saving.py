"""Save what took long to make, whatever happens."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lungpatch.errors import DestinationError, LungpatchError

if TYPE_CHECKING:
    from lungpatch.pipeline import Pipeline


def save_or_rescue(pipeline: Pipeline, out: Path) -> Path:
    """Save a pipeline; where that fails, save it to a temporary folder, which the error names."""
    try:
        return pipeline.save(out)
    except (LungpatchError, OSError) as error:
        rescued = pipeline.save(Path(tempfile.mkdtemp(prefix="lungpatch-")) / "rescued.lungpatch")
        raise DestinationError(
            f"{out}: the fitted pipeline could not be saved there ({error}); it is in {rescued}"
        ) from error
