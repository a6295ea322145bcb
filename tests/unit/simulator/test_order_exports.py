"""Exports of work orders: as messy as asked for, and every row adds up with the truth."""

import csv
import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pm_app.errors import BadSettings
from pm_app.simulator import MaintenancePolicy, PlantPlan, SimulatedPlant, simulate
from pm_app.simulator.order_files import OrderExport, order_csv
from pm_app.simulator.order_texts import KIND_TEXTS, ORDER_TEXTS, SYSTEM_CODES
from pm_app.simulator.orders import ExportFlaws, export_orders
from pm_app.times import HOUR_NS, to_moment, to_nanoseconds

BERLIN = ZoneInfo("Europe/Berlin")
FLAWLESS = ExportFlaws(
    coded=1,
    typed_wrong=0,
    date_only=0,
    late=0,
    repeated=0,
    misspelled_assets=0,
    wrong_assets=0,
    corrected=0,
    unrelated=0,
    overlap_days=0,
)
MIX = {"bearing": 0.4, "seal": 0.3, "impeller": 0.2, "electrical": 0.1}
# Over the night in which clocks go back.
PLAN = PlantPlan(
    assets=12,
    days=100,
    interval_minutes=60,
    start_ns=to_nanoseconds(datetime(2024, 8, 1, tzinfo=UTC)),
    mix_before=MIX,
    mix_after=MIX,
    nuisance=0,
    typical_life_days=12.0,
    policy=MaintenancePolicy(
        age_replacement_days={"bearing": 15},
        imperfect_repair={"seal": 0.5},
        overhaul_days=60,
        inspection_days=0.5,
        routine_days=10,
    ),
)
NUMBER, EQUIPMENT, KIND, CODE, TEXT, DATE, BOOKED, CHANGED, HOURS, COST = range(10)


@pytest.fixture(scope="module")
def plant() -> SimulatedPlant:
    return simulate(PLAN)


@pytest.fixture(scope="module")
def export(plant: SimulatedPlant) -> OrderExport:
    return export_orders(plant)


def rows_of(export: OrderExport) -> list[tuple[str, ...]]:
    return [row for file in export.files for row in file.rows]


def with_role(export: OrderExport, role: str) -> list[int]:
    return [place for place, each in enumerate(export.truth.role) if each == role]


def local_minute(text: str) -> datetime:
    return datetime.strptime(text, "%d.%m.%Y %H:%M")  # noqa: DTZ007 - exported without a zone


def local(nanoseconds: int) -> datetime:
    return to_moment(nanoseconds).astimezone(BERLIN).replace(tzinfo=None)


def test_every_failure_and_every_work_has_one_valid_row_and_the_others_say_what_they_are(
    plant: SimulatedPlant, export: OrderExport
) -> None:
    truth = export.truth
    assert plant.truth is not None
    events = with_role(export, "event")
    failures = [int(truth.failure[row]) for row in events if truth.failure[row] >= 0]
    work = [int(truth.work[row]) for row in events if truth.work[row] >= 0]

    assert sorted(failures) == list(range(len(plant.failures.time)))
    assert sorted(work) == list(range(len(plant.truth.work.end)))
    assert len(events) == len(failures) + len(work)
    roles = Counter(truth.role.tolist())
    assert set(roles) == {"event", "repeat", "superseded", "copy", "unrelated"}
    assert roles.total() == len(rows_of(export)) == len(truth.flaws)


def test_the_truth_of_a_row_is_that_of_the_plant(
    plant: SimulatedPlant, export: OrderExport
) -> None:
    truth = export.truth
    assert plant.truth is not None
    for row in range(len(truth.time)):
        known_as = (truth.kind[row], truth.code[row], truth.asset[row], truth.time[row])
        if truth.failure[row] >= 0:
            place, failures = truth.failure[row], plant.failures
            mode = failures.mode[place]
            expected = ("failure", mode, failures.asset[place], failures.time[place])
        elif truth.work[row] >= 0:
            place, work = truth.work[row], plant.truth.work
            expected = (work.kind[place], work.code[place], work.asset[place], work.end[place])
        else:
            expected = ("", "", "", truth.time[row])
        assert known_as == expected


def test_the_same_flaws_give_the_same_export_and_another_seed_another(
    plant: SimulatedPlant, export: OrderExport
) -> None:
    assert export_orders(plant).files == export.files
    assert export_orders(plant, ExportFlaws(seed=1)).files != export.files


def test_an_export_without_flaws_says_what_happened(plant: SimulatedPlant) -> None:
    export = export_orders(plant, FLAWLESS)
    truth = export.truth
    for number, row in enumerate(rows_of(export)):
        assert truth.role[number] == "event"
        assert row[EQUIPMENT] == truth.asset[number]
        assert row[KIND] in [text for texts in KIND_TEXTS[truth.kind[number]] for text in texts]
        assert row[CODE] == SYSTEM_CODES.get(truth.code[number], "")
        assert local_minute(row[DATE]) == local(truth.time[number]).replace(second=0, microsecond=0)
        assert set(truth.flaws[number]) <= {"ambiguous_hour"}
    assert len({row[NUMBER] for row in rows_of(export)}) == len(rows_of(export))


def test_what_a_row_says_of_its_time_holds_the_true_time(export: OrderExport) -> None:
    truth = export.truth
    for number in [*with_role(export, "event"), *with_role(export, "unrelated")]:
        row = rows_of(export)[number]
        flaws = truth.flaws[number]
        assert truth.since[number] <= truth.time[number] < truth.until[number]
        assert truth.booked[number] > truth.time[number]
        if "undated" in flaws:
            assert row[DATE] == ""
        elif "date_only" in flaws:
            assert row[DATE] == local(truth.time[number]).strftime("%d.%m.%Y")
            assert truth.until[number] - truth.since[number] in (24 * HOUR_NS, 25 * HOUR_NS)
        else:
            assert local_minute(row[DATE]) <= local(truth.time[number])
            assert ("ambiguous_hour" in flaws) == (
                truth.until[number] - truth.since[number] > HOUR_NS
            )


def test_an_hour_that_clocks_go_through_twice_is_ambiguous(plant: SimulatedPlant) -> None:
    truth = export_orders(plant, FLAWLESS).truth
    twice = [row for row, flaws in enumerate(truth.flaws) if "ambiguous_hour" in flaws]

    days = {local(int(truth.time[row])).date() for row in twice}
    assert days == {datetime(2024, 10, 27, tzinfo=UTC).date()}
    assert all(truth.until[row] - truth.since[row] == HOUR_NS + HOUR_NS // 60 for row in twice)


def test_a_corrected_order_comes_again_later_under_its_number(export: OrderExport) -> None:
    truth, rows = export.truth, rows_of(export)
    wrong = with_role(export, "superseded")
    for number in wrong:
        (right,) = (
            row for row in with_role(export, "event") if truth.order[row] == truth.order[number]
        )
        said, corrected = rows[number], rows[right]
        assert truth.file[right] >= truth.file[number]
        assert said[CHANGED] == ""
        waited = local_minute(corrected[CHANGED]) - local_minute(said[BOOKED])
        assert timedelta(days=6.9) < waited < timedelta(days=21.1)
        what = {"wrong_cause": TEXT, "wrong_date": DATE}
        flaw = set(truth.flaws[number]) - set(truth.flaws[right]) - {"typed_wrong"}
        (column,) = {what.get(each, EQUIPMENT) for each in flaw} or {EQUIPMENT}
        assert said[column] != corrected[column]
    assert len(wrong) > 20


def test_a_copy_stands_in_the_export_before_word_for_word(export: OrderExport) -> None:
    copies = with_role(export, "copy")
    for number in copies:
        file = int(export.truth.file[number])
        assert rows_of(export)[number] in export.files[file - 1].rows
    assert len(copies) > 50


def test_a_repeat_is_another_order_of_the_same_failure_within_a_day(
    plant: SimulatedPlant, export: OrderExport
) -> None:
    truth = export.truth
    repeats = with_role(export, "repeat")
    for number in repeats:
        (first,) = (
            row for row in with_role(export, "event") if truth.failure[row] == truth.failure[number]
        )
        assert truth.order[first] != truth.order[number]
        assert truth.booked[number] > truth.booked[first] - 24 * HOUR_NS
        assert -48 * HOUR_NS < truth.since[number] - truth.time[number] < 25 * HOUR_NS
    share = len(repeats) / len(plant.failures.time)
    assert 0.05 < share < 0.3


def test_flaws_are_as_frequent_as_asked_for(export: OrderExport) -> None:
    rows = [rows_of(export)[row] for row in with_role(export, "event")]
    flaws = Counter(flaw for row in with_role(export, "event") for flaw in export.truth.flaws[row])
    english = [text for by_language in ORDER_TEXTS.values() for text in by_language[1]]
    shares = {
        "late": flaws["late"],
        "date_only": flaws["date_only"],
        "misspelled_asset": flaws["misspelled_asset"],
        "wrong": flaws["other_asset"] + flaws["unknown_asset"],
        "english": sum(row[TEXT] in english for row in rows),
    }

    expected = {"late": 0.1, "date_only": 0.3, "misspelled_asset": 0.1, "wrong": 0.03,
                "english": 0.29}  # fmt: skip
    assert {name: count / len(rows) for name, count in shares.items()} == pytest.approx(
        expected, abs=0.035
    )
    assert flaws["undated"] > 0


def test_csv_of_an_export_reads_back_and_numbers_have_decimal_commas(export: OrderExport) -> None:
    for file in export.files:
        text = order_csv(export, file)
        header, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=";")
        assert tuple(header) == export.columns
        assert tuple(map(tuple, rows)) == file.rows
        assert text.encode("cp1252").decode("cp1252") == text
    for number, row in enumerate(rows_of(export)):
        hours = float(row[HOURS].replace(".", "").replace(",", ".") or 0)
        assert row[HOURS] == "" or "," in row[HOURS]
        assert (hours > 0) == (row[HOURS] != "")
        assert float(row[COST].replace(".", "").replace(",", ".")) > 0, number


def test_orders_of_a_plan_without_policy_are_refused() -> None:
    with pytest.raises(BadSettings, match="orders need a plan with a policy, got policy None"):
        export_orders(simulate(PlantPlan(assets=1, days=2)))


def test_impossible_flaws_are_refused() -> None:
    with pytest.raises(BadSettings, match=r"late must lie in \[0, 1\], got 2"):
        ExportFlaws(late=2)
    with pytest.raises(BadSettings, match=r"overlap_days must lie in \[0, 7\], got 9"):
        ExportFlaws(overlap_days=9)
