"""Reading the CSV tables of data sets; errors name file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from lungpatch._utils.patients import normalise_patient
from lungpatch.errors import ConfigurationError, MissingInputError

if TYPE_CHECKING:
    import os


@attrs.frozen(kw_only=True)
class Row:
    """One line of a table; surrounding space is removed from its values.

    Parameters
    ----------
    path : pathlib.Path
        The table.
    line : int
        Its line in the file, from 1.
    values : mapping of str to str
        By column.

    Examples
    --------
    >>> Row(path=Path("t.csv"), line=2, values={"file": "a.png", "x": "0.5"}).number("x")
    0.5
    """

    path: Path
    line: int
    values: Mapping[str, str]

    def required(self, column: str) -> str:
        """Return the value of a column that may not be empty.

        Raises
        ------
        ConfigurationError
            If it is empty.
        """
        value = self.values[column]
        if not value:
            raise self.error(column, "is empty; fill it in or remove the line")
        return value

    def number(self, column: str) -> float:
        """Return the value of a column of numbers.

        Raises
        ------
        ConfigurationError
            If it is not a finite number.
        """
        try:
            value = float(self.values[column])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.error(column, f"must be a number, got {self.values[column]!r}")
        return value

    def relative_box(
        self, columns: tuple[str, str, str, str], *, side: float
    ) -> tuple[float, float, float, float]:
        """Return the box in the columns (x, y, width, height), in units of the image's sides.

        Parameters
        ----------
        columns : tuple of str
        side : float
            Side of the square image that the table's numbers refer to, in the same unit.

        Returns
        -------
        tuple of float
            (row0, col0, row1, col1) in [0, 1]; what lies outside the image is cut off.

        Raises
        ------
        ConfigurationError
            If a value is not a number, width or height is not above 0, the box lies outside the
            image, or it is far larger than the image, since its unit is then another one.
        """
        x, y, width, height = (self.number(column) / side for column in columns)
        for column, length in ((columns[2], width), (columns[3], height)):
            if length <= 0:
                raise self.error(column, "must be above 0")
            if length > 1.5:
                raise self.error(
                    column, f"is {length * side:g}, but an image measures {side:g}: another unit?"
                )
        box = (
            min(max(y, 0.0), 1.0),
            min(max(x, 0.0), 1.0),
            min(max(y + height, 0.0), 1.0),
            min(max(x + width, 0.0), 1.0),
        )
        if not (box[0] < box[2] and box[1] < box[3]):
            raise self.error(
                columns[0],
                f"and {columns[1]} put the box outside the image, which measures {side:g} in "
                "these units; correct or remove the line",
            )
        return box

    def error(self, column: str, problem: str) -> ConfigurationError:
        """Make an error that names file, line and column."""
        return ConfigurationError(f"{self.path}: line {self.line}: column {column!r} {problem}")


def read_table(path: Path, columns: Sequence[str]) -> list[Row]:
    r"""Read a CSV file with a header.

    Parameters
    ----------
    path : pathlib.Path
    columns : sequence of str
        Columns that it must have; others are read too.

    Returns
    -------
    list of Row
        Missing values are empty.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it cannot be read as CSV in UTF-8, lacks a column, or holds no line but the header.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "boxes.csv")
    >>> _ = path.write_text("file, x\na.png, 0.5\n")
    >>> [dict(row.values) for row in read_table(path, ["file"])]
    [{'file': 'a.png', 'x': '0.5'}]
    """
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            lines = csv.reader(handle)
            header = [name.strip() for name in next(lines, [])]
            for column in columns:
                if column not in header:
                    raise ConfigurationError(
                        f"{path}: column {column!r} is missing; its first line must name the "
                        f"columns {', '.join(columns)} (found: {', '.join(header) or 'none'})"
                    )
            for cells in lines:
                if not any(cells):
                    continue
                padded = [cell.strip() for cell in cells] + [""] * (len(header) - len(cells))
                values = dict(zip(header, padded, strict=False))
                rows.append(Row(path=path, line=lines.line_num, values=values))
    except (FileNotFoundError, NotADirectoryError):
        raise MissingInputError(f"{path}: no such file; check the path") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(
            f"{path}: cannot be read as a CSV file in UTF-8 ({error}); save it as one"
        ) from error
    if not rows:
        raise ConfigurationError(f"{path}: holds no line but the header; give the whole table")
    return rows


def read_patients(path: str | os.PathLike[str]) -> dict[str, str]:
    r"""Read which patient each image file belongs to, so that splits keep patients together.

    Patients are the same if their ids differ in leading zeros or a trailing ``.0`` only, as
    spreadsheets produce them.

    Parameters
    ----------
    path : str or path-like
        CSV file with a header and at least the columns ``file`` and ``patient``.

    Returns
    -------
    dict of str to str
        Patient by file name (the last part of ``file``). Whole numbers are without leading zeros.

    Raises
    ------
    MissingInputError
        If there is no such file.
    ConfigurationError
        If it cannot be read as CSV, lacks a column or a value, or gives a file two patients.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table = pathlib.Path(folder, "metadata.csv")
    ...     _ = table.write_text("file,patient,age\na.png,007,40\nb.png,7.0,41\n")
    ...     read_patients(table)
    {'a.png': '7', 'b.png': '7'}
    """
    patients: dict[str, str] = {}
    for row in read_table(Path(path), ("file", "patient")):
        file = Path(row.required("file")).name
        patient = normalise_patient(row.required("patient"))
        if patients.setdefault(file, patient) != patient:
            raise ConfigurationError(
                f"{path}: line {row.line} gives {file} the patient {patient}, an earlier line "
                f"{patients[file]}; file names must be unique"
            )
    return patients
