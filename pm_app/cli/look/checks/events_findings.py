"""Findings of `pm-app check` on events: failures that can teach, and assets without readings."""

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from zoneinfo import ZoneInfo

import numpy as np

from pm_app.cli.look.checks.finding import Finding, counted, local_text, some_names
from pm_app.cli.look.checks.readings_findings import ReadingsSurvey
from pm_app.errors import PmAppError, SourceUnavailable
from pm_app.features.spans import suitable_spans, unsuitable_spans, usual_life
from pm_app.jobs.ingest.left_files import count_left
from pm_app.ports import EventsSource, ReadingsSource
from pm_app.records.readings import Batch, Events
from pm_app.settings.plant import Settings
from pm_app.settings.values import fits_path
from pm_app.wiring import events_source, open_views, readings_source

# Files of readings that are opened to find an asset that the sample does not have.
FILES_SEARCHED = 100
_ASSETS_SHOWN = 10
_TEXTS_SHOWN = 5
_REASONS_SHOWN = 3
# Months of one export are many, lists of one kind each are few.
_FILES_SHOWN = 8
# Reasons of rows that are left as the settings say.
_LEFT = ("left by events.ignore_rows", "goes on with the state of the row before, or begins a file")
_PATTERNS = "matches no pattern of events."
_ROW = re.compile(r"^row \d+: ")
_SEPARATORS = re.compile(r"[\W_]+")
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")


@dataclass(eq=False)
class EventsSurvey:
    """kinds: how many events of each kind an asset has. files: the same of each file. refused: rows
    by reason, left: those left as the settings say. failures: times by asset, in nanoseconds."""

    kinds: dict[str, dict[str, int]] = field(default_factory=dict)
    files: dict[str, Counter[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[int]] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    first: int | None = None
    last: int | None = None

    def add(self, file: str, events: Events) -> None:
        """Note the events of a file."""
        self.files[file] = Counter(events.kind.tolist())
        for asset, kind in zip(events.asset.tolist(), events.kind.tolist(), strict=True):
            kinds = self.kinds.setdefault(asset, {})
            kinds[kind] = kinds.get(kind, 0) + 1
        failed = events.kind == "failure"
        for asset, time in zip(events.asset[failed], events.time[failed].tolist(), strict=True):
            self.failures.setdefault(str(asset), []).append(time)
        if len(events.time):
            low, high = int(events.time.min()), int(events.time.max())
            self.first = low if self.first is None else min(low, self.first)
            self.last = high if self.last is None else max(high, self.last)

    def count(self, assets: Collection[str], kind: str | None = None) -> int:
        """Events of these assets, of one kind or all."""
        found = [self.kinds.get(asset, {}) for asset in assets]
        return sum(sum(k.values()) if kind is None else k.get(kind, 0) for k in found)


def check_events(settings: Settings, readings: ReadingsSurvey) -> Iterator[Finding]:
    """Findings on the folder of events, compared with what was seen of the readings."""
    if settings.target.kind == "column":
        return
    source, uri = events_source(settings), settings.events.uri
    for left in count_left("events", source):
        yield Finding("note", "events", left.words)
    survey = survey_events(source, source.list())
    for words in survey.failed:
        yield Finding("fails", "events", words)
    unknown = set(survey.kinds) - _assets_of_readings(settings, readings, set(survey.kinds))
    if not readings.assets:
        # Readings that cannot be read yet are a finding of their own.
        unknown = set()
    failures = survey.count(set(survey.kinds) - unknown, "failure")
    needed = settings.retraining.minimum_failures
    whose = " of assets with readings" if unknown else ""
    text = f"{failures} failures{whose} in {uri!r}, {needed} needed to learn"
    if survey.refused:
        why = _commonest(survey.refused, _REASONS_SHOWN)
        text += f"; {counted(survey.refused.total(), 'row')} would be refused: {why}"
    for why, rows in survey.left.items():
        text += f"; {counted(rows, 'row')}: {why}"
    verdict = "ok" if failures >= needed and not survey.refused else "note"
    yield Finding(verdict, "events", text)
    if any(_PATTERNS in reason for reason in survey.refused):
        yield Finding("note", "events", _unknown_texts(survey.refused))
    if survey.first is not None and survey.last is not None:
        yield Finding("ok", "events", _span(survey, settings, survey.first, survey.last))
    yield from _kinds_by_file(settings, source, survey)
    yield from _spans(settings, readings.interval_ns, survey.failures)
    if unknown:
        yield from _without_readings(survey, unknown, readings.assets)


def _spans(
    settings: Settings, interval: int | None, failures: dict[str, list[int]]
) -> Iterator[Finding]:
    """Whether panes, windows and horizons suit, and which would."""
    if interval is None:
        return
    life = usual_life(failures, interval_ns=interval)
    problems = unsuitable_spans(settings, interval_ns=interval, life_ns=life)
    if problems:
        suits = "; ".join(
            f"[{section}] " + ", ".join(f"{key} = {json.dumps(keys[key])}" for key in keys)
            for section, keys in suitable_spans(interval, life).items()
        )
        text = "; ".join(problems) + (f" → what suits: {suits}" if suits else "")
        yield Finding("note", "spans", text)


def _unknown_texts(refused: Counter[str]) -> str:
    """The commonest texts that no pattern knows."""
    unknown = Counter({why: rows for why, rows in refused.items() if _PATTERNS in why})
    shown = _commonest(unknown, _TEXTS_SHOWN)
    more = len(unknown) - _TEXTS_SHOWN
    others = f"; and {more:,} texts more" if more > 0 else ""
    rows = counted(unknown.total(), "row")
    return f"{rows} that no pattern knows (pm-app preview shows them): {shown}{others}"


def _commonest(reasons: Counter[str], most: int) -> str:
    return "; ".join(f"{rows:,}: {why}" for why, rows in reasons.most_common(most))


def _kinds_by_file(
    settings: Settings, source: EventsSource, survey: EventsSurvey
) -> Iterator[Finding]:
    """What few files are of, and those of different columns that are all taken for one kind."""
    if not 1 < len(survey.files) <= _FILES_SHOWN:
        return
    for file, kinds in survey.files.items():
        shown = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
        yield Finding("ok", "events", f"{file}: {shown or 'nothing'}")
    usual, column = settings.events.default_kind, settings.events.kind_column
    if usual is None:
        return
    forms: dict[frozenset[str], str] = {}
    for batch in source.list():
        of_its_own = any(fits_path(batch.name, path) for path in settings.events.files)
        if batch.name in survey.files and not of_its_own:
            names = frozenset(name for name, _ in source.describe(batch).columns)
            forms.setdefault(names, batch.name)
    forms = {names: name for names, name in forms.items() if column not in names}
    if len(forms) > 1:
        yield Finding(
            "note",
            "events",
            f"{some_names(sorted(forms.values()))} have different columns and none {column!r}: "
            f"every row is taken for kind {usual!r}; "
            f'[events.files."{min(forms.values())}"] default_kind says what is otherwise there',
        )


def survey_events(source: EventsSource, batches: Iterable[Batch]) -> EventsSurvey:
    """The events of these files. Raises SourceUnavailable where they cannot be listed."""
    survey = EventsSurvey()
    for batch in sorted(batches, key=lambda batch: batch.name):
        try:
            events, reasons = source.read(batch)
        except SourceUnavailable as error:
            survey.failed.append(f"cannot be read now: {error}")
        except PmAppError as error:
            survey.failed.append(f"would be quarantined: {error}")
        else:
            survey.add(batch.name, events)
            why = Counter(_ROW.sub("", reason) for reason in reasons)
            survey.left.update({reason: why.pop(reason) for reason in _LEFT if reason in why})
            survey.refused.update(why)
    return survey


def _assets_of_readings(
    settings: Settings, readings: ReadingsSurvey, wanted: Collection[str]
) -> set[str]:
    """Assets that have readings: by the sample, the ledger, and by files that are left to open.

    The survey's assets grow by what is found.
    """
    # What is wrong with the store is a finding of its own.
    with suppress(PmAppError, OSError), open_views(settings) as store:
        readings.assets.update(store.ledger.first_seen())
    if not readings.assets.issuperset(wanted):
        _search(readings_source(settings), readings, wanted)
    return readings.assets


def _search(source: ReadingsSource, readings: ReadingsSurvey, wanted: Collection[str]) -> None:
    looked = {*readings.looked}
    others = [batch for batch in readings.batches if batch.name not in looked]
    chosen = np.linspace(0, len(others) - 1, min(len(others), FILES_SEARCHED)).round().astype(int)
    for place in chosen.tolist() if others else ():
        if readings.assets.issuperset(wanted):
            return
        with suppress(PmAppError):
            for chunk in source.read(others[place]):
                readings.assets.update(chunk.readings.assets)
                break


def _span(survey: EventsSurvey, settings: Settings, first: int, last: int) -> str:
    zone = ZoneInfo(settings.plant.timezone)
    kinds: dict[str, int] = {}
    for counts in survey.kinds.values():
        for kind, count in counts.items():
            kinds[kind] = kinds.get(kind, 0) + count
    shown = ", ".join(f"{kind} {count:,}" for kind, count in sorted(kinds.items()))
    span = f"{local_text(first, zone)} to {local_text(last, zone)} ({zone.key})"
    return f"{span}: {shown}, of {counted(len(survey.kinds), 'asset')}"


def _without_readings(
    survey: EventsSurvey, unknown: set[str], known_assets: set[str]
) -> Iterator[Finding]:
    failures, all_events = survey.count(unknown, "failure"), survey.count(unknown)
    yield Finding(
        "note",
        "events",
        f"{counted(failures, 'failure')} and {counted(all_events - failures, 'other event')} "
        f"of {counted(len(unknown), 'asset')} without any readings teach nothing: "
        f"{some_names(sorted(unknown))}",
    )
    ranked = sorted(unknown, key=lambda name: (-survey.count({name}), name))
    meant: dict[str, str] = {}
    for name in ranked[:_ASSETS_SHOWN]:
        near = nearest_name(name, known_assets)
        if near is not None:
            meant[name] = near
            count = counted(survey.count({name}), "event")
            yield Finding(
                "note", "events", f"{name!r} has {count}: is it {near!r} of the readings?"
            )
    if meant:
        pairs = ", ".join(
            f"{json.dumps(name, ensure_ascii=False)} = {json.dumps(near, ensure_ascii=False)}"
            for name, near in meant.items()
        )
        yield Finding(
            "note",
            "events",
            f"where these are meant, plant.toml says so: events.assets = {{ {pairs} }}; "
            "pm-app batches --events-again reads by it what has been read before",
        )


def nearest_name(name: str, others: Collection[str]) -> str | None:
    """The name that this one may be meant to be, None where none is near.

    The same but for case, spaces, separators and leading zeros; else the most similar.
    """
    by_form: dict[str, str] = {}
    for other in sorted(others):
        by_form.setdefault(_form(other), other)
    if _form(name) in by_form:
        return by_form[_form(name)]
    close = get_close_matches(_form(name), by_form, n=1, cutoff=0.8)
    return by_form[close[0]] if close else None


def _form(name: str) -> str:
    parts = _SEPARATORS.sub(" ", name.casefold()).split()
    return "".join(_LEADING_ZEROS.sub("", part) for part in parts)
