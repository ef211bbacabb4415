"""The DICOM objects of a folder of results."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import attrs

from lungpatch.archive.records import DICOM_ERROR_KEY, DICOM_KEY
from lungpatch.errors import InvalidImageError, LungpatchError, MissingInputError
from lungpatch.io import holds_dicom

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lungpatch.pipeline import Detection


@attrs.frozen(kw_only=True)
class ObjectWriter:
    """Writes the DICOM objects of images, and says in their records where they are.

    Parameters
    ----------
    out : pathlib.Path
    kinds : tuple of str
    pipeline_name, digest : str
        The pipeline that made the results; `of_pipeline` sets them.

    Examples
    --------
    >>> writer = ObjectWriter.for_images(paths, kinds=["sr"], out=out)   # doctest: +SKIP
    >>> writer = writer.of_pipeline(name="default", digest=digest)       # doctest: +SKIP
    >>> writer.write(detection, path, name="IM0001")                     # doctest: +SKIP
    {'dicom': {'sr': 'IM0001.sr.dcm'}}
    """

    out: Path
    kinds: tuple[str, ...]
    pipeline_name: str = ""
    digest: str = ""

    @classmethod
    def for_images(cls, images: Sequence[Path], *, kinds: Iterable[str], out: Path) -> Self:
        """Check all that can be checked before work.

        Raises
        ------
        ConfigurationError
            If a kind is unknown.
        MissingExtraError
            If highdicom is not installed.
        MissingInputError
            If none of the images is DICOM.
        """
        from lungpatch.reports.dicom import check_kinds

        checked = check_kinds(kinds)
        if not any(holds_dicom(image) for image in images):
            raise MissingInputError(
                "DICOM objects are wanted, but none of the images is DICOM: such objects refer to "
                "the patient and the study of their image; do without them"
            )
        return cls(out=out, kinds=checked)

    def of_pipeline(self, *, name: str, digest: str) -> Self:
        """Return the same for the results of a pipeline, which is called by its path's stem."""
        return attrs.evolve(self, pipeline_name=Path(name).stem, digest=digest)

    def write(self, detection: Detection, source: Path, *, name: str) -> dict[str, Any]:
        """Write the objects of an image; return what its record says of them.

        An image for which none can be written is no failure: its other results stay.
        """
        from lungpatch.reports.dicom import PipelineIdentity, write_dicom_objects

        identity = PipelineIdentity(name=self.pipeline_name, digest=self.digest)
        try:
            if not holds_dicom(source):
                raise InvalidImageError(
                    f"{source}: is no DICOM image, so it has no patient and study that DICOM "
                    "objects could refer to"
                )
            files = write_dicom_objects(
                detection, source, self.out, pipeline=identity, kinds=self.kinds, stem=name
            )
        except LungpatchError as error:
            return {DICOM_ERROR_KEY: str(error)}
        names = {kind: file.relative_to(self.out).as_posix() for kind, file in files.items()}
        return {DICOM_KEY: names}
