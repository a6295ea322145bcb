"""Both databases the store runs on, each test with one of its own."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest

from pm_app.records.predictions import Predictions
from pm_app.store import Store, open_store
from pm_app.store.schema.predictions import metadata

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Key = tuple[str, datetime, float]


@pytest.fixture
def empty_postgresql(postgresql: Callable[[str], str]) -> str:
    address = postgresql("pm_app_empty")
    with psycopg.connect(address) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return address


@pytest.fixture
def migrated_postgresql(postgresql: Callable[[str], str]) -> str:
    address = postgresql("pm_app_migrated")
    open_store(address).close()
    with psycopg.connect(address) as connection:
        connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
    return address


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite"
    open_store(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database without tables."""
    if request.param == "postgresql":
        return request.getfixturevalue("empty_postgresql")
    return f"sqlite:///{tmp_path}/empty/pm.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a store without rows."""
    if request.param == "postgresql":
        return request.getfixturevalue("migrated_postgresql")
    path = tmp_path / "pm.sqlite"
    shutil.copyfile(request.getfixturevalue("sqlite_template"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    with open_store(store_url) as opened:
        yield opened


def predictions_of(
    risks: Mapping[Key, float | None],
    *,
    version: int = 1,
    attention: str = "",
    extrapolated: float = 0.125,
    mode: str | None = None,
    deviations: Mapping[Key, float | None] | None = None,
    normal: int = 0,
) -> Predictions:
    """Predictions that say these risks; None abstains. attention, extrapolated: beside each.

    mode: the failure mode that all risk is of. deviations: by key, said by the version `normal`;
    where there is one and no risk, the asset is watched.
    """
    keys = sorted(risks)
    assets = tuple(sorted({asset for asset, _, _ in keys}))
    given = [risks[key] for key in keys]
    risk = np.array([np.nan if value is None else value for value in given], dtype=float)
    count = len(keys)
    deviation = None
    if deviations is not None:
        deviation = np.array([deviations.get(key) for key in keys], dtype=float)
    return Predictions(
        assets=assets,
        asset=np.array([assets.index(asset) for asset, _, _ in keys], dtype=np.int32),
        cutoff=np.array(
            [int((cutoff - EPOCH).total_seconds()) * 10**9 for _, cutoff, _ in keys],
            dtype=np.int64,
        ),
        horizon_hours=np.array([horizon for _, _, horizon in keys], dtype=float),
        status=_statuses(risk, deviation),
        risk=risk,
        rul_hours=100 * (1 - risk),
        rul_low_hours=50 * (1 - risk),
        rul_high_hours=150 * (1 - risk),
        value=np.full(count, np.nan),
        top_sensors=_texts("" if value is None else "vibration 62 %" for value in given),
        attention=_texts("" if value is None else attention for value in given),
        extrapolated=np.where(np.isnan(risk), np.nan, extrapolated),
        model_version=version,
        mode=_texts(None if value is None else mode for value in given),
        mode_risks=_texts(
            None if value is None or mode is None else json.dumps({mode: value}) for value in given
        ),
        mode_sensors=_texts(
            None if value is None or mode is None else json.dumps({mode: "vibration 62 %"})
            for value in given
        ),
        deviation=deviation,
        deviation_sensors=None if deviation is None else sensors_text(deviation),
        normal_version=normal,
    )


def _statuses(risk, deviation):
    watched = np.zeros(len(risk), dtype=bool) if deviation is None else np.isfinite(deviation)
    silent = np.where(watched, "watched", "machine_off")
    return _texts(np.where(np.isnan(risk), silent, "scored").tolist())


def sensors_text(deviation):
    """What is said of the sensors behind these deviations."""
    return _texts(f"heat {9 * value:+.1f} (71 %)" if value > 0.5 else "" for value in deviation)


def _texts(values):
    listed = list(values)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


@pytest.fixture
def make_predictions() -> Callable[..., Predictions]:
    return predictions_of
