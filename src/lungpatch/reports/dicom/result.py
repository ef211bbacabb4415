"""What all DICOM objects of one result share: identifiers, equipment, patient, study, notices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from lungpatch._utils.marks import RESULT_MARK
from lungpatch._version import __version__
from lungpatch.errors import InvalidImageError
from lungpatch.reports.dicom.source import Source
from lungpatch.reports.fields import DetectionFields

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from numpy.typing import NDArray
    from pydicom.dataset import Dataset

RESEARCH_ONLY = "Research use only. Not a medical device; not for diagnosis."
"""Stands in every object."""

MANUFACTURER = "lungpatch"

# Series numbers that modalities do not use, so that results come after the images.
_FIRST_SERIES = 9701

SERIES = {"sc": "overlay", "sr": "report", "seg": "masks", "pr": "boxes", "pm": "scores"}
"""What each kind of object is called in the description of its series."""


@attrs.frozen(kw_only=True)
class PipelineIdentity:
    """Which pipeline made a result.

    Parameters
    ----------
    name : str
        As its user calls it: the name of a preset, or of a folder.
    digest : str
        `lungpatch.pipeline.pipeline_digest`: the same for pipelines that compute the same.

    Examples
    --------
    >>> PipelineIdentity(name="default", digest="5f1c").name
    'default'
    """

    name: str
    digest: str


@attrs.frozen(kw_only=True, eq=False)
class Result:
    """A detection, the image it is of, and the pipeline that made it.

    Parameters
    ----------
    detection : Detection
    source : Source
    pipeline : PipelineIdentity

    Raises
    ------
    InvalidImageError
        If the detection is of another image than the source.

    Examples
    --------
    >>> result = Result(detection=detection, source=source, pipeline=pipeline)   # doctest: +SKIP
    >>> result.stored_boxes()                                                    # doctest: +SKIP
    array([[ 80, 120, 200, 260]])
    """

    detection: DetectionFields
    source: Source
    pipeline: PipelineIdentity

    def __attrs_post_init__(self) -> None:
        image, header = self.detection.image, self.source.header
        stated = image.tags.get("SOPInstanceUID")
        if image.shape != self.source.displayed_shape or stated not in (
            None,
            str(header.SOPInstanceUID),
        ):
            raise InvalidImageError(
                f"{self.source.path}: is not the image that this detection is of "
                f"({image.source}); give that one"
            )

    def stored_boxes(self) -> NDArray[np.int64]:
        """Return the boxes on the stored pixels, int64 (K, 4), half-open."""
        return self.source.turn.undo_boxes(self.detection.native_boxes, self.detection.image.shape)

    def stored(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of the image's native grid on the stored pixels."""
        return self.source.turn.undo(array)

    def uid(self, *what: str) -> str:
        """Return the UID of a part of the result: the same whenever it is made.

        Parameters
        ----------
        *what : str
            Names of the part.
        """
        from pydicom.uid import generate_uid

        instance = str(self.source.header.SOPInstanceUID)
        return generate_uid(entropy_srcs=[instance, self.pipeline.digest, *what])

    def arguments(self, kind: str) -> dict[str, Any]:
        """Return what the constructors of all objects take: UIDs, numbers and equipment."""
        from pydicom.uid import generate_uid

        series = str(self.source.header.SeriesInstanceUID)
        number = str(self.source.header.get("InstanceNumber") or "1")
        return {
            # The results of a series are a series.
            "series_instance_uid": generate_uid(
                entropy_srcs=[series, self.pipeline.digest, kind, "series"]
            ),
            "series_number": _FIRST_SERIES + list(SERIES).index(kind),
            "series_description": f"{RESULT_MARK} ({SERIES[kind]}, research use only)",
            "sop_instance_uid": self.uid(kind),
            "instance_number": int(number) if number.isdecimal() and int(number) > 0 else 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": self.model_name,
            "software_versions": __version__,
            "device_serial_number": self.pipeline.digest[:64],
        }

    @property
    def model_name(self) -> str:
        """Name of the algorithm, at most 64 characters."""
        return f"lungpatch {self.pipeline.name}"[:64]

    def algorithm(self) -> AlgorithmIdentificationSequence:
        """Return the algorithm's identification, as image objects hold it."""
        from highdicom import AlgorithmIdentificationSequence

        from lungpatch.reports.dicom.codes import code

        return AlgorithmIdentificationSequence(
            name=self.model_name,
            family=code("artificial intelligence"),
            version=__version__,
            source=MANUFACTURER,
            parameters={"pipeline": self.pipeline.digest},
        )

    def completed(self, dataset: Dataset) -> Dataset:
        """Give an object patient and study of its source, and its notices; it is changed."""
        self._set_class_of_source(dataset)
        for element in self.source.identity:
            dataset[element.tag] = element
        dataset.SpecificCharacterSet = "ISO_IR 192"
        if "Rows" in dataset:
            dataset.ImageComments = RESEARCH_ONLY
        if dataset.Modality != "SR":
            self._set_body_part(dataset)
        return dataset

    def _set_class_of_source(self, dataset: Dataset) -> None:
        """Let all references to the source name the class that it has."""
        if dataset.get("ReferencedSOPInstanceUID") == self.source.header.SOPInstanceUID:
            dataset.ReferencedSOPClassUID = self.source.sop_class
        for element in dataset:
            if element.VR == "SQ":
                for item in element.value:
                    self._set_class_of_source(item)

    def _set_body_part(self, dataset: Dataset) -> None:
        body_part = self.source.header.get("BodyPartExamined")
        if not body_part and self.detection.status != "out_of_scope":
            body_part = "CHEST"
        if body_part:
            dataset.BodyPartExamined = body_part
        # Other parts may come in pairs, and no side is known; the lungs of masks have theirs.
        if body_part != "CHEST" and dataset.Modality != "SEG":
            dataset.Laterality = None


def box_outline(box: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the closed outline of a box along the edges of its pixels, (column, row), (5, 2).

    Coordinates in images start at the top left corner of the top left pixel [1]_ [2]_.

    References
    ----------
    .. [1] DICOM PS3.3 C.18.6.1 "Spatial Coordinates Macro".
    .. [2] DICOM PS3.3 C.10.5 "Graphic Annotation Module".

    Examples
    --------
    >>> box_outline(np.array([1, 2, 4, 6])).tolist()
    [[2.0, 1.0], [6.0, 1.0], [6.0, 4.0], [2.0, 4.0], [2.0, 1.0]]
    """
    row0, col0, row1, col1 = box.tolist()
    corners = [(col0, row0), (col1, row0), (col1, row1), (col0, row1), (col0, row0)]
    return np.array(corners, dtype=np.float64)
