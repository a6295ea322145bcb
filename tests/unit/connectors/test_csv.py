"""CSV files as people's systems write them: any separator, any encoding, packed or not."""

import gzip
from pathlib import Path

import pytest

from connectors.csv import tables as csv
from connectors.files.folder import open_folder
from pm_app.errors import BadBatch, TornBatch

TEXT = "Auftrag;Ort;Text\r\n1;p1;Lager heiß\r\n2;p2;Ölwechsel\r\n"
ROWS = [("1", "p1", "Lager heiß"), ("2", "p2", "Ölwechsel")]


def read(
    folder: Path, content: bytes, name: str = "a.csv", wanted: tuple[str, ...] = ()
) -> tuple[csv.CsvFile, list[tuple[str, ...]]]:
    (folder / name).write_bytes(content)
    files = open_folder(str(folder), suffixes=csv.SUFFIXES, contents=csv.CONTENTS)
    (batch,) = files.batches(absent_is_empty=False)
    with csv.open_csv(files, batch, wanted=wanted) as file:
        rows = [tuple(row.values()) for each in file.batches() for row in each.to_pylist()]
    return file, rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("separator", csv.SEPARATORS)
@pytest.mark.parametrize("packed", [False, True])
def test_encoding_separator_and_packing_are_found(tmp_path, encoding, separator, packed):
    content = TEXT.replace(";", separator).encode(encoding)

    file, rows = read(tmp_path, gzip.compress(content) if packed else content)

    assert (file.columns, rows) == (("Auftrag", "Ort", "Text"), ROWS)


def test_blanks_quotes_and_line_breaks_within_quotes_are_read(tmp_path):
    _, rows = read(tmp_path, b'a;b\n 1 ;"x;""y""\nz"\n\n2;\n')

    assert rows == [("1", 'x;"y"\nz'), ("2", "")]


def test_lines_before_the_header_are_skipped_where_its_names_are_known(tmp_path):
    content = f"Export vom 3.2.2024\r\n\r\n{TEXT}".encode()

    file, rows = read(tmp_path, content, wanted=("Ort", "Text"))

    assert (file.columns, rows) == (("Auftrag", "Ort", "Text"), ROWS)


def test_rows_of_another_width_are_refused_by_number_and_no_other_is(tmp_path):
    file, rows = read(tmp_path, b"a;b\n1;2\n3\n4;5\n6;7;8\n9")

    assert rows == [("1", "2"), ("4", "5")]
    assert file.refused == [
        (2, "has 1 values where the header names 2"),
        (4, "has 3 values where the header names 2"),
        (5, "has 1 values where the header names 2"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "a.csv: needed a header"),
        (b"\x00\x01\x02" * 50, "a.csv: needed text, got bytes that are none"),
        (b"a;b\n\x81\xff", "a.csv: needed text in UTF-8, UTF-16 or cp1252"),
        (b"a;b\n1;" + b"x" * 9_000_000, "a.csv: needed a CSV file, got one that does not decode"),
        (b";".join(b"c" for _ in range(20_000)), "a.csv: needed at most 10,000 columns"),
        (b"\x1f\x8bno pack at all", "a.csv: needed a CSV file"),
    ],
)
def test_what_is_no_table_of_texts_is_a_bad_batch_that_says_why(tmp_path, content, why):
    with pytest.raises(BadBatch, match=why):
        read(tmp_path, content)


def test_a_pack_without_its_end_may_still_be_on_its_way(tmp_path):
    with pytest.raises(TornBatch, match="a.csv.gz: needed a whole pack"):
        read(tmp_path, gzip.compress(TEXT.encode() * 99)[:-20], "a.csv.gz")


def test_a_pack_that_unpacks_beyond_all_bounds_is_left_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "MOST_BYTES", 5_000_000)

    with pytest.raises(BadBatch, match="a.csv.gz: needed at most 5,000,000 bytes"):
        read(tmp_path, gzip.compress(b"a;b\n" + b"1;2\n" * 5_000_000), "a.csv.gz")
