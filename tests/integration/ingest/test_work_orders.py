"""Work orders as maintenance systems export them: what came of every row adds up with the truth."""

from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from benchmarks.lives.plans import ORDERS, PLANNED
from order_patterns import order_format

from connectors.events.form import EventsFormat
from connectors.events.source import FileEvents
from pm_app.errors import BadBatch
from pm_app.records.readings import EventRow, events_as_rows
from pm_app.simulator import SimulatedPlant, simulate
from pm_app.simulator.order_files import OrderExport, order_csv
from pm_app.simulator.orders import export_orders
from pm_app.state.events import EventHistory

MINUTE_NS = 60 * 10**9


@pytest.fixture(scope="module")
def plant() -> SimulatedPlant:
    """Over the night in which clocks go back."""
    start = int(np.datetime64("2024-08-15", "ns").astype(np.int64))
    return simulate(replace(PLANNED.plan, assets=12, days=100, seed=11, start_ns=start))


@pytest.fixture(params=ORDERS.keys())
def export(plant: SimulatedPlant, request: pytest.FixtureRequest) -> OrderExport:
    return export_orders(plant, ORDERS[request.param])


def delivered(export: OrderExport, folder: Path, form: EventsFormat) -> FileEvents:
    """The exports as files of different encodings."""
    folder = folder / "orders"
    folder.mkdir()
    for number, file in enumerate(export.files):
        encoding = ("cp1252", "utf-8-sig", "utf-16")[number % 3]
        text = order_csv(export, file, separator=";\t"[number % 2])
        (folder / f"{file.name}.csv").write_text(text, encoding=encoding, newline="")
    return FileEvents(str(folder), form)


def kept(source: FileEvents, folder: Path, *, backwards: bool = False) -> set[EventRow]:
    """The events once all files are read."""
    batches = sorted(source.list(), key=lambda batch: batch.name, reverse=backwards)
    history = EventHistory(folder / "state")
    names = []
    for number, batch in enumerate(batches):
        # A file of which no row can be used is quarantined.
        with suppress(BadBatch):
            names.append(history.write(f"{number:024x}", source.read(batch)[0]))
    return events_as_rows(EventHistory(folder / "state").read(names))


def test_what_came_of_every_row_adds_up_with_the_truth(export: OrderExport, tmp_path: Path) -> None:
    source, truth, row = delivered(export, tmp_path, order_format()), export.truth, 0
    came: Counter[str] = Counter()
    for batch in sorted(source.list(), key=lambda batch: batch.name):
        _, fates = source.fates(batch)
        assert fates is not None
        assert len(fates.reason) == source.count(batch)
        if (fates.reason == "").any():
            events, reasons = source.read(batch)
            assert len(events.time) + len(reasons) == len(fates.reason)
        for at, reason in enumerate(fates.reason.tolist()):
            flaws = truth.flaws[row]
            if not reason:
                came["event"] += 1
                assert truth.role[row] != "unrelated" or "typed_wrong" in flaws
                assert (fates.kind[at] == truth.kind[row]) or truth.role[row] == "unrelated"
                if not {"typed_wrong", "wrong_cause"}.intersection(flaws):
                    code = truth.code[row].replace("inspection", "")
                    assert fates.code[at] == code, fates.words[2][at]
                assert fates.since[at] == truth.since[row]
                assert 0 <= truth.until[row] - fates.time[at] <= MINUTE_NS
            elif reason == "left by events.ignore_rows":
                came["ignored"] += 1
                role = truth.role[row]
                assert role == "unrelated" or (role == "copy" and not truth.kind[row])
            elif reason == "Datum is empty":
                came["undated"] += 1
                assert "undated" in flaws
            elif reason.startswith("replaced"):
                came["replaced"] += 1
                assert truth.role[row] in ("superseded", "copy")
            else:
                came["unknown"] += 1
                assert reason.startswith("Kurztext ")
                assert "typed_wrong" in flaws or not truth.kind[row]
            row += 1

    assert row == came.total() == len(truth.time)
    assert came["unknown"] < 0.05 * row
    assert min(came[what] for what in ("event", "ignored", "undated", "unknown")) > 0


def test_of_each_order_its_last_version_is_kept_whatever_the_order_of_files(
    export: OrderExport, tmp_path: Path
) -> None:
    source, truth = delivered(export, tmp_path, order_format()), export.truth
    newest = {
        truth.order[row]: row
        for row in range(len(truth.time))
        if truth.role[row] in ("event", "repeat", "unrelated", "superseded")
    }
    row, expected = 0, set()
    for batch in sorted(source.list(), key=lambda batch: batch.name):
        _, fates = source.fates(batch)
        assert fates is not None
        columns = (fates.asset, fates.time, fates.kind, fates.code, fates.since)
        for at in range(len(fates.reason)):
            if newest[truth.order[row]] == row and not fates.reason[at]:
                expected.add(tuple(column[at] for column in columns))
            row += 1

    found = kept(source, tmp_path)

    assert found == expected
    assert kept(source, tmp_path / "other", backwards=True) == found
    assert Counter(truth.role.tolist())["superseded"] > 0


def test_without_the_number_of_orders_what_was_corrected_stands_beside_what_was_said_before(
    export: OrderExport, tmp_path: Path
) -> None:
    form = order_format(order_column=None, changed_column=None)
    source = delivered(export, tmp_path, form)

    both = kept(source, tmp_path)
    corrected = kept(FileEvents(str(tmp_path / "orders"), order_format()), tmp_path / "other")

    assert corrected < both


def test_segments_of_work_orders_are_read_as_they_were_written(
    export: OrderExport, tmp_path: Path
) -> None:
    source = delivered(export, tmp_path, order_format())
    history = EventHistory(tmp_path / "state")
    for batch in sorted(source.list(), key=lambda batch: batch.name)[:5]:
        events, _ = source.read(batch)
        name = history.write("0" * 24, events)
        again = EventHistory(tmp_path / "state").read([name])
        assert events_as_rows(again) == events_as_rows(events)
        assert events.orders is not None
        ordered = [*zip(events.asset.tolist(), events.time.tolist(), strict=True)]
        assert all(one <= other for one, other in pairwise(ordered))
