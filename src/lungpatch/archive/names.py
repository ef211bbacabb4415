"""What the files of an image are called: unique in the folder, and telling."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from lungpatch._utils.files import unique_stems
from lungpatch.io import holds_dicom, image_id_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


def choose_names(images: Sequence[Path], *, taken: Iterable[str] = ()) -> list[str]:
    """Name each image by its stem; where stems are equal, DICOM images by their folders too.

    Devices and archives call all their files ``IM0001``. Such images get the names of as many of
    their folders as tell them apart. Other images of one stem are numbered
    (`lungpatch._utils.files.unique_stems`).

    Parameters
    ----------
    images : sequence of pathlib.Path
    taken : iterable of str
        Names that are given already.

    Returns
    -------
    list of str
        One name per image, in order.

    Examples
    --------
    >>> from pathlib import Path
    >>> choose_names([Path("a/x.png"), Path("b/x.png")])
    ['x', 'x-2']
    >>> choose_names([Path("a/IM0001"), Path("b/IM0001")])             # doctest: +SKIP
    ['a-IM0001', 'b-IM0001']
    """
    taken = list(taken)
    stems = [path.stem for path in images]
    known = Counter(stem.casefold() for stem in [*stems, *taken])
    ambiguous = {
        path
        for path, stem in zip(images, stems, strict=True)
        if known[stem.casefold()] > 1 and holds_dicom(path)
    }
    others = (stem for path, stem in zip(images, stems, strict=True) if path not in ambiguous)
    telling = _with_folders(sorted(ambiguous), {name.casefold() for name in (*taken, *others)})
    # With a suffix, since a stem is taken of each.
    named = [f"{telling[path]}.dcm" if path in telling else path.name for path in images]
    return unique_stems(named, taken=taken)


def _with_folders(images: Iterable[Path], taken: set[str]) -> dict[Path, str]:
    """Put as many folders before the names of images as tell them apart."""
    parts = {path: (*path.absolute().parts[1:-1], image_id_of(path)) for path in images}
    names: dict[Path, str] = {}
    depth = 1
    while parts:
        tried = {path: "-".join(each[-depth:]) for path, each in parts.items()}
        counts = Counter(name.casefold() for name in tried.values())
        for path, name in tried.items():
            is_alone = counts[name.casefold()] == 1 and name.casefold() not in taken
            if is_alone or depth >= len(parts[path]):
                names[path] = name
                del parts[path]
        depth += 1
    return names
