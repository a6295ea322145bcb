"""The addresses of an asset's page: names come from files and may hold anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from pm_app.web.pages.fleet.page import BadAddress

RANGES: Final = {7: "7 d", 30: "30 d", 90: "90 d", 365: "1 year", 730: "2 years"}
MOST_DAYS: Final = 730
_KEYS: Final = ("asset", "days", "page", "sensors")
_DEFAULTS: Final = {"days": "30", "page": "1", "sensors": "leading"}
_MOST_PAGES: Final = 1_000_000


@dataclass(frozen=True)
class AssetAddress:
    """Which asset, over how many days up to its newest data, which page of its predictions from
    1, and whether all its sensors or the leading ones."""

    asset: str
    days: int
    page: int
    all_sensors: bool

    def address(self, **changes: object) -> str:
        """The page's address with some values changed."""
        return asset_address(self.asset, **self._said(changes))

    def file(self, kind: str) -> str:
        """Where the predictions of the range are, as a file."""
        asked = {"asset": self.asset, "days": self.days}
        return f"/predictions.{kind}?{urlencode(asked)}"

    def _said(self, changes: Mapping[str, object]) -> dict[str, object]:
        sensors = "all" if self.all_sensors else "leading"
        values = {"days": self.days, "page": self.page, "sensors": sensors, **changes}
        return {key: value for key, value in values.items() if str(value) != _DEFAULTS[key]}


def asset_address(asset: str, **said: object) -> str:
    """Where the page of an asset is. A name that no path can carry stands in the query."""
    if _fits_a_path(asset):
        return f"/assets/{quote(asset, safe='')}{f'?{urlencode(said)}' if said else ''}"
    return f"/assets/?{urlencode({'asset': asset, **said})}"


def read_asset_address(path: str, values: Mapping[str, str]) -> AssetAddress:
    """What an address asks for; path: what follows /assets/. Raises BadAddress."""
    known = [key for key in _KEYS if key != "asset" or not path]
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise BadAddress(f"known are {', '.join(known)}, got {unknown[0][:40]!r}")
    given = _DEFAULTS | dict(values)
    if given["sensors"] not in ("leading", "all"):
        raise BadAddress(f"sensors takes one of leading, all, got {given['sensors'][:40]!r}")
    return AssetAddress(
        asset=path or given.get("asset", ""),
        days=whole_number(given["days"], "days", MOST_DAYS),
        page=whole_number(given["page"], "page", _MOST_PAGES),
        all_sensors=given["sensors"] == "all",
    )


def whole_number(value: str, key: str, most: int) -> int:
    """A number in [1, most] of an address. Raises BadAddress."""
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:9]) <= most):
        raise BadAddress(f"{key} takes a number from 1 to {most}, got {value[:40]!r}")
    return int(value[:9])


def _fits_a_path(asset: str) -> bool:
    # Browsers take "." and ".." out of paths, also where they are written %2e.
    steps = asset.replace("\\", "/").split("/")
    return bool(asset) and asset.isprintable() and not {".", ".."} & set(steps)
