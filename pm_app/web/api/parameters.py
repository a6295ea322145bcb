"""Request parameters of the API, checked; its error answers and its cursor."""

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from pm_app.store import ChangeCursor

MOST_ROWS: Final = 10_000
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 2261


class Problem(BaseModel):
    """Why a request was not answered."""

    error: str


class ClosedBody(BaseModel):
    """What is sent: nothing but what is known."""

    model_config = ConfigDict(extra="forbid")


def _storable(text: str) -> str:
    # PostgreSQL keeps no NUL, UTF-8 no half of a surrogate pair.
    if "\0" in text or not text.isascii() and text != text.encode(errors="replace").decode():
        raise ValueError("must be text that can be kept")
    return text


def _this_age(moment: datetime) -> datetime:
    if not _FIRST_YEAR < moment.year <= _LAST_YEAR:
        raise ValueError(f"must lie between {_FIRST_YEAR} and {_LAST_YEAR}")
    return moment


Text = Annotated[str, AfterValidator(_storable)]
Time = Annotated[AwareDatetime, AfterValidator(_this_age)]
AssetQuery = Annotated[
    Text, Query(max_length=1000, description="of this asset alone", examples=["pump-07"])
]
Search = Annotated[Text, Query(max_length=200, description="a part of the asset's name")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS, description="rows of an answer at most")]
Offset = Annotated[int, Query(ge=0, le=10**9, description="rows to leave out before them")]
Number = Annotated[
    int, Path(ge=1, le=2**31 - 1, description="its number, as the list has it", examples=[12])
]
Note = Annotated[
    Text, Field(max_length=1000, description="words to keep", examples=["Heard it; ordered"])
]

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"model": Problem, "description": "A value that cannot be used"},
    401: {"model": Problem, "description": "No token, or one that lets no one in"},
    403: {"model": Problem, "description": "It takes another role"},
    404: {"model": Problem, "description": "There is no such thing"},
    409: {"model": Problem, "description": "It cannot be done as things stand"},
    411: {"description": "The body does not tell its length"},
    413: {"description": "The body is too large"},
    503: {"model": Problem, "description": "The store cannot be read now"},
}


def to_cursor(end: ChangeCursor) -> str:
    """A place in the feed of predictions as opaque text."""
    place = [end.commit, end.asset_id, end.cutoff.isoformat(), end.horizon_hours]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def from_cursor(text: str) -> ChangeCursor:
    """The place that `to_cursor` has told. Raises ValueError for other text."""
    try:
        commit, asset, cutoff, horizon = json.loads(base64.urlsafe_b64decode(text.encode()))
        moment = datetime.fromisoformat(cutoff)
        whole = isinstance(commit, int) and 0 <= commit < 2**62 and isinstance(asset, str)
        if not whole or moment.tzinfo is None or not isinstance(horizon, int | float):
            raise ValueError
        return ChangeCursor(commit, _storable(asset), _this_age(moment), float(horizon))
    except (ValueError, TypeError, AttributeError, binascii.Error, OverflowError, RecursionError):
        raise ValueError("must be next_cursor of an answer") from None
