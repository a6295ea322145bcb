"""plant.toml, read once and checked whole before anything opens."""

import difflib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any, Self, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator

from pm_app.durable import denial
from pm_app.errors import BadSettings
from pm_app.settings.deviation import DeviationSettings
from pm_app.settings.modes import Modes
from pm_app.settings.publish import PublishSettings
from pm_app.settings.recorders import Recorders
from pm_app.settings.sections import (
    AlarmsSettings,
    AllocationSettings,
    CostsSettings,
    DriftSettings,
    FeaturesSettings,
    LogSettings,
    NotificationsSettings,
    PlantSettings,
    RetentionSettings,
    RetrainingSettings,
    ScoringSettings,
    Section,
    StoreSettings,
    TargetSettings,
)
from pm_app.settings.sensors import Sensors
from pm_app.settings.sources import EventsSettings, ReadingsSettings
from pm_app.settings.web import OidcSettings, WebSettings
from pm_app.wording import redacted

_LONGEST = 1_000_000
_SHOWN = 200
# How like a key has to be before it is proposed, from 0 to 1.
_ALIKE = 0.7
_COLUMN = "_column"
# What people call keys that have another name here.
_SAME_MEANING = {
    **dict.fromkeys(("timestamp", "timestamp_column", "time", "date_column"), "time_column"),
    **dict.fromkeys(("asset_id", "asset_id_column", "machine_column"), "asset_column"),
    **dict.fromkeys(("path", "folder", "directory", "url"), "uri"),
    **dict.fromkeys(("tz", "time_zone", "zone"), "timezone"),
    **dict.fromkeys(("type_column", "event_column"), "kind_column"),
    **dict.fromkeys(("host", "port", "address"), "listen"),
}


class Settings(Section):
    """plant.toml as a whole. `folder` is where the file lies; relative paths start there."""

    folder: Path = Field(default=Path(), exclude=True)
    plant: PlantSettings = PlantSettings()
    readings: ReadingsSettings = ReadingsSettings()
    events: EventsSettings = EventsSettings()
    recorders: Recorders = {}
    modes: Modes = {}
    sensors: Sensors = {}
    features: FeaturesSettings = FeaturesSettings()
    target: TargetSettings = TargetSettings()
    allocation: AllocationSettings = AllocationSettings()
    drift: DriftSettings = DriftSettings()
    scoring: ScoringSettings = ScoringSettings()
    retraining: RetrainingSettings = RetrainingSettings()
    deviation: DeviationSettings = DeviationSettings()
    alarms: AlarmsSettings = AlarmsSettings()
    notifications: NotificationsSettings = NotificationsSettings()
    publish: PublishSettings = PublishSettings()
    costs: CostsSettings = CostsSettings()
    retention: RetentionSettings = RetentionSettings()
    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    oidc: OidcSettings = OidcSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _state_is_a_folder_of_its_own(self) -> Self:
        # What no ledger row names is deleted there: it must not be anybody else's.
        state = self.state.resolve()
        for key, uri in (("readings.uri", self.readings.uri), ("events.uri", self.events.uri)):
            source = (self.folder / uri).resolve()
            if "://" not in uri and (source.is_relative_to(state) or state.is_relative_to(source)):
                problem = f"got {self.plant.state!r} beside {uri!r}"
                raise ValueError(f"plant.state must be a folder apart from {key}, {problem}")
        return self

    @property
    def renewals(self) -> tuple[str, ...]:
        """Patterns of the codes of maintenance that makes an asset, or a mode of it, new."""
        of_modes = (pattern for mode in self.modes.values() for pattern in mode.renewals)
        return tuple(dict.fromkeys((*self.events.renewals, *of_modes)))

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / self.plant.state

    @property
    def digest(self) -> str:
        """SHA-256 over the sections that change what a model learns."""
        learned = self.model_dump(
            mode="json", include={"readings", "features", "target", "allocation"}
        )
        if self.modes:
            learned["modes"] = {name: mode.codes for name, mode in self.modes.items()}
        return hashlib.sha256(json.dumps(learned, sort_keys=True).encode()).hexdigest()


def read_settings(path: Path) -> Settings:
    """plant.toml at `path`, checked.

    Raises BadSettings naming the key, what it takes and what came.
    """
    try:
        # Editors on Windows begin a file with a mark that TOML does not know.
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        words = "no such file; -c names another, `pm-app init FOLDER` makes one"
        raise BadSettings(f"{path}: {words}") from error
    except IsADirectoryError as error:
        raise BadSettings(f"{path} is a folder; -c takes a file: {path / 'plant.toml'}") from error
    except OSError as error:
        raise BadSettings(f"{path}: cannot be read: {denial(path) or error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{path}: cannot be read: {error}") from error
    if len(text) > _LONGEST:
        raise BadSettings(f"{path}: needed at most {_LONGEST:,} characters, got {len(text):,}")
    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        # Numbers of thousands of digits and brackets without end are told otherwise.
        raise BadSettings(f"{path}: not valid TOML: {error}") from error
    return parse_settings(tables, folder=path.parent, origin=str(path))


def parse_settings(tables: dict[str, Any], *, folder: Path, origin: str) -> Settings:
    """Settings from the tables of a plant.toml; `origin` is named in errors."""
    if "folder" in tables:
        raise BadSettings(f"{origin}: unknown key 'folder'{_nearest('folder', Settings)}")
    try:
        return Settings.model_validate({**tables, "folder": folder})
    except ValidationError as error:
        problems = "; ".join(_describe(dict(problem)) for problem in error.errors())
        # Neither here nor in what led here: the library's error shows every value.
        raise BadSettings(f"{origin}: {redacted(problems)}") from None


def _describe(problem: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}{_nearest(key, _section(problem['loc']))}"
    message = re.sub(r"^(Value error, |Assertion failed, )", "", problem["msg"])
    if problem["type"] == "value_error":
        return f"{key}: {message}" if key else message
    text = f"{key}: {message[0].lower()}{message[1:]}"
    return text if _may_hold_secrets(problem["loc"]) else f"{text}, got {_short(problem['input'])}"


def _may_hold_secrets(location: tuple[str | int, ...]) -> bool:
    """Whether what came there is shown to nobody: a key that hides itself, or a table of one."""
    keys = _section((*location, "")).model_fields
    key = keys.get(str(location[1])) if len(location) > 1 else None
    return not (key.repr if key else all(each.repr for each in keys.values()))


def _short(value: object) -> str:
    """A value as it came, cut off where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _section(location: tuple[str | int, ...]) -> type[BaseModel]:
    field = Settings.model_fields.get(str(location[0])) if len(location) > 1 else None
    annotation = field.annotation if field else None
    if (field_arguments := get_args(annotation)) and len(location) > 2:
        annotation = field_arguments[-1]
    is_section = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation if is_section else Settings  # type: ignore[return-value]  # narrowed above


def _nearest(key: str, section: type[BaseModel]) -> str:
    name = key.split(".")[-1]
    keys = [each for each in section.model_fields if each != "folder"]
    if _SAME_MEANING.get(name) in keys:
        return f" (did you mean {_SAME_MEANING[name]!r}?)"
    elsewhere = [] if section is Settings else _sections_with(name)
    if elsewhere:
        return f" (it is a key of {' and '.join(elsewhere)})"
    # What all names of columns end in makes none like another.
    stems = {each.removesuffix(_COLUMN): each for each in keys if each.endswith(_COLUMN)}
    choices = stems if name.endswith(_COLUMN) else {each: each for each in keys}
    close = difflib.get_close_matches(name.removesuffix(_COLUMN), choices, n=1, cutoff=_ALIKE)
    return f" (did you mean {choices[close[0]]!r}?)" if close else f" (known: {', '.join(keys)})"


def _sections_with(key: str) -> list[str]:
    sections = {name: _section((name, "", "")) for name in Settings.model_fields}
    return [
        name
        for name, section in sections.items()
        if section is not Settings and key in section.model_fields
    ]
