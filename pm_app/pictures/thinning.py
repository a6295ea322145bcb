"""Fewer points for the same picture: of each stretch of time its least and its greatest stay."""

import numpy as np
from numpy.typing import NDArray


def thin(values: NDArray[np.float64], *, most: int) -> NDArray[np.intp]:
    """Which of the values (n,) to draw, ascending: at most so many, all of them if they are few.

    Values are cut into most // 2 stretches of equal length; the first least and the first
    greatest of each stay, or its first where none is known. So no peak is lost.
    """
    count = len(values)
    if count <= most:
        return np.arange(count)
    stretch = -(-count // max(most // 2, 1))
    width = -(-count // stretch)
    padded = np.full(width * stretch, np.nan)
    padded[:count] = values
    grid = padded.reshape(width, stretch)
    starts = np.arange(width) * stretch
    least = np.argmin(np.where(np.isnan(grid), np.inf, grid), axis=1)
    greatest = np.argmax(np.where(np.isnan(grid), -np.inf, grid), axis=1)
    chosen = np.unique(np.concatenate([starts + least, starts + greatest]))
    return np.asarray(chosen[chosen < count])


def drawn(
    time: NDArray[np.float64],
    *columns: NDArray[np.float64],
    most: int,
    longest: float,
) -> tuple[NDArray[np.float64], ...]:
    """Time and columns, each (n,), with fewer rows, thinned by the first of the columns.

    A row of NaN breaks the line where neighbours in time lie further apart than `longest`.
    """
    rows = thin(columns[0], most=most)
    stretch = np.concatenate([[0], np.cumsum(np.diff(time) > longest)])[rows]
    cuts = np.flatnonzero(np.diff(stretch)) + 1
    when = time[rows]
    return (
        np.insert(when, cuts, when[cuts]),
        *(np.insert(column[rows], cuts, np.nan) for column in columns),
    )
