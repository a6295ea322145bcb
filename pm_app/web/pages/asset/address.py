"""Address of an asset's page: which asset, range and table page it asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from pm_app.web.address import MOST_PAGES, asset_address, check_keys, one_of, whole_number

RANGES: Final = {7: "7 d", 30: "30 d", 90: "90 d", 365: "1 year", 730: "2 years"}
MOST_DAYS: Final = 730
_KEYS: Final = ("asset", "days", "page", "sensors")
_DEFAULTS: Final = {"days": "30", "page": "1", "sensors": "leading"}


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
        return asset_address(self.asset, **self._query(changes))

    def file(self, kind: str) -> str:
        """Where the predictions of the range are, as a file."""
        query = {"asset": self.asset, "days": self.days}
        return f"/predictions.{kind}?{urlencode(query)}"

    def _query(self, changes: Mapping[str, object]) -> dict[str, object]:
        sensors = "all" if self.all_sensors else "leading"
        values = {"days": self.days, "page": self.page, "sensors": sensors, **changes}
        return {key: value for key, value in values.items() if str(value) != _DEFAULTS[key]}


def read_asset_address(path: str, values: Mapping[str, str]) -> AssetAddress:
    """What an address asks for; path: what follows /assets/. Raises BadAddress."""
    check_keys(values, [key for key in _KEYS if key != "asset" or not path])
    given = _DEFAULTS | dict(values)
    sensors = one_of(given["sensors"], "sensors", ("leading", "all"))
    return AssetAddress(
        asset=path or given.get("asset", ""),
        days=whole_number(given["days"], "days", MOST_DAYS),
        page=whole_number(given["page"], "page", MOST_PAGES),
        all_sensors=sensors == "all",
    )
