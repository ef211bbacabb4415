"""What is known of each image: read by radiologists, labelled, or only boxed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, Self

import attrs
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lungpatch.datasets import Dataset

Role = Literal["positive", "reference", "normal", "neither"]
"""``reference``: the normal images that positive ones are compared with; ``normal``: other ones."""

ALL_POSITIVE = "all positive"
"""Name of the group of all positive kinds, where there are several."""
N_SHOWN = 10
"""Number of positive kinds that texts list; the most frequent ones."""

_NO_LABEL = "no label"
_READ_ROLES: dict[str, Role] = {
    "opacity": "positive",
    "read-normal": "reference",
    "normal": "normal",
    "other": "neither",
}
_BOX_ROLES: dict[str, Role] = {"boxed": "positive", "no box": "neither"}


@attrs.frozen(eq=False, kw_only=True)
class Kinds:
    """The kind of every image of a data set, and the role of each kind in the evaluation.

    Parameters
    ----------
    known_by : {"readings", "labels", "boxes"}
        What the kinds were taken from: the column ``rsna_class``, the labels, or the boxes alone.
    names : ndarray of str, shape (N,)
    roles : mapping of str to {"positive", "reference", "normal", "neither"}
        By kind. Image metrics compare the ``positive`` kinds with the ``reference``. A kind in the
        role ``normal`` is normal too, but not compared, since its images have another source.

    Examples
    --------
    >>> from lungpatch.datasets import Dataset
    >>> images = Dataset(name="two", images=["a.png", "b.png"], image_ids=["a", "b"],
    ...                 labels=["Normal", "pneumonia"])
    >>> kinds = Kinds.of(images)
    >>> kinds.names.tolist(), dict(kinds.roles)
    (['normal', 'pneumonia'], {'pneumonia': 'positive', 'normal': 'reference'})
    """

    known_by: Literal["readings", "labels", "boxes"]
    names: NDArray[np.str_]
    roles: Mapping[str, Role]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Find the kinds of the images of a data set.

        Parameters
        ----------
        dataset : Dataset

        Returns
        -------
        Kinds
            By the column ``rsna_class`` if it holds anything, else by the labels if there are any,
            else by the boxes.
        """
        labelled_normal = np.char.lower(dataset.labels) == "normal"
        read = dataset.columns.get("rsna_class", np.full(len(dataset), ""))
        if (read != "").any():
            names = np.select(
                [labelled_normal, read == "Lung Opacity", read == "Normal"],
                ["normal", "opacity", "read-normal"],
                "other",
            )
            return cls(known_by="readings", names=names, roles=_READ_ROLES)
        if (dataset.labels != "").any():
            names = np.select(
                [labelled_normal, dataset.labels == ""], ["normal", _NO_LABEL], dataset.labels
            )
            ordered = [kind for kind, _ in Counter(sorted(names.tolist())).most_common()]
            roles: dict[str, Role] = dict.fromkeys(ordered, "positive")
            if roles.pop("normal", None):
                roles["normal"] = "reference"
            if roles.pop(_NO_LABEL, None):
                roles[_NO_LABEL] = "neither"
            return cls(known_by="labels", names=names, roles=roles)
        boxed = np.array([len(boxes) > 0 for boxes in dataset.relative_boxes], dtype=np.bool_)
        return cls(known_by="boxes", names=np.where(boxed, "boxed", "no box"), roles=_BOX_ROLES)

    def select(self, which: NDArray[np.bool_]) -> Kinds:
        """Return the kinds of some of the images.

        Parameters
        ----------
        which : ndarray of bool, shape (N,)

        Returns
        -------
        Kinds
        """
        return attrs.evolve(self, names=self.names[which])

    def role_of(self, index: int) -> Role:
        """Return the role of one image.

        Parameters
        ----------
        index : int

        Returns
        -------
        {"positive", "reference", "normal", "neither"}
        """
        return self.roles[str(self.names[index])]

    def counts(self) -> dict[str, int]:
        """Return the number of images of each kind.

        Returns
        -------
        dict of str to int
        """
        return {kind: int((self.names == kind).sum()) for kind in self.roles}

    def has(self, *roles: Role) -> bool:
        """Return whether there is an image in any of the roles.

        Parameters
        ----------
        *roles : {"positive", "reference", "normal", "neither"}

        Returns
        -------
        bool
        """
        return any(number and self.roles[kind] in roles for kind, number in self.counts().items())

    def groups(self) -> dict[str, NDArray[np.bool_]]:
        """Return which images are of each kind, of kinds that have any.

        Returns
        -------
        dict of str to ndarray of bool, shape (N,)
            By kind. If several kinds are positive, `ALL_POSITIVE` holds the images of all of them.

        Examples
        --------
        >>> from lungpatch.datasets import Dataset
        >>> images = Dataset(name="two", images=["a.png", "b.png"], image_ids=["a", "b"],
        ...                 labels=["effusion", "pneumonia"])
        >>> {name: chosen.tolist() for name, chosen in Kinds.of(images).groups().items()}
        {'all positive': [True, True], 'effusion': [True, False], 'pneumonia': [False, True]}
        """
        by_kind = {kind: self.names == kind for kind, number in self.counts().items() if number}
        positive = [chosen for kind, chosen in by_kind.items() if self.roles[kind] == "positive"]
        if len(positive) < 2:
            return by_kind
        return {ALL_POSITIVE: np.any(positive, axis=0), **by_kind}

    @property
    def positive_words(self) -> str:
        """What the positive images are, in words."""
        return {
            "readings": "images read as opacity",
            "labels": "images of any other label",
            "boxes": "images with a box",
        }[self.known_by]

    @property
    def reference_words(self) -> str:
        """What the normal images are that they are compared with, in words."""
        return {
            "readings": "images read as normal",
            "labels": "images labelled normal",
            "boxes": "no images",
        }[self.known_by]

    def describe(self) -> str:
        """Say what was taken as normal, and what as positive.

        Returns
        -------
        str
        """
        counts = self.counts()
        if self.known_by == "readings":
            return (
                f"Taken as normal: the {_images(counts['normal'])} with the label normal, and of "
                f"the others the {counts['read-normal']} that rsna_class calls Normal. Taken as "
                f"positive: the {counts['opacity']} others that it calls Lung Opacity. "
                f"{counts['other']} are neither."
            )
        if self.known_by == "boxes":
            return (
                f"No label is known. Taken as positive: the {_images(counts['boxed'])} with a box. "
                f"The {counts['no box']} without a box were not taken as normal, so only "
                "localisation is measured."
            )
        positive = [
            f"{kind} {counts[kind]}" for kind, role in self.roles.items() if role == "positive"
        ]
        more = [f"{len(positive) - N_SHOWN} more"] if len(positive) > N_SHOWN else []
        unlabelled = counts.get(_NO_LABEL, 0)
        return (
            f"Taken as normal: the {_images(counts.get('normal', 0))} with the label normal. Taken "
            f"as positive: all other labels ({', '.join(positive[:N_SHOWN] + more) or 'none'})."
            + (f" {_images(unlabelled)} without a label: neither." if unlabelled else "")
        )


def _images(number: int) -> str:
    return "1 image" if number == 1 else f"{number} images"
