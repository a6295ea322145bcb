"""Buckets of object stores: a real HTTP server, faults on the way, silence told in time."""

import socket
import time
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import PLANT_TOML, make_plant
from faulty_proxy import faulty_proxy
from pyarrow import fs

from connectors.csv import CsvReadings
from connectors.files.folder import open_folder
from connectors.parquet import ParquetReadings
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.jobs.ingest.run import ingest
from pm_app.settings.plant import parse_settings, read_settings
from pm_app.wiring import open_plant

ANSWER_SECONDS = 5.0
NOW = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    """What every tool of S3 takes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "plant")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="module")
def server():
    """Host and port of an S3 server."""
    moto = pytest.importorskip("moto.server", reason="needs moto[server]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = moto.ThreadedMotoServer("127.0.0.1", port, verbose=False)
    running.start()
    yield "127.0.0.1", port
    running.stop()


@pytest.fixture
def bucket(server):
    """A bucket behind a proxy with one file of Parquet and one of CSV; and the proxy."""
    with faulty_proxy(server) as proxy:
        store = fs.S3FileSystem(
            endpoint_override=f"{server[0]}:{server[1]}",
            scheme="http",
            region="us-east-1",
            allow_bucket_creation=True,
        )
        store.create_dir("plant")
        times = pa.array(1_700_000_000_000_000_000 + np.arange(20_000) * 10**9).cast(
            pa.timestamp("ns", "UTC")
        )
        columns = {"asset_id": ["p"] * 20_000, "timestamp": times, "x": np.arange(20_000.0)}
        pq.write_table(pa.table(columns), "plant/parquet/a.parquet", filesystem=store)
        with store.open_output_stream("plant/csv/a.csv") as file:
            file.write(b"asset_id;timestamp;x\np;2024-02-03T00:00Z;1,5\n")
        yield proxy


def address(proxy, folder):
    return f"s3://plant/{folder}?endpoint_override={proxy.address}&scheme=http&region=us-east-1"


@pytest.mark.server
def test_files_of_a_bucket_are_listed_and_read(bucket):
    parquet = ParquetReadings(address(bucket, "parquet"))
    (batch,) = parquet.list()
    assert batch.size_bytes > 1000 and batch.modified_ns > 10**18
    assert sum(len(chunk.readings.time) for chunk in parquet.read(batch)) == 20_000
    assert len(parquet.digest(batch)) == 64
    csv = CsvReadings(address(bucket, "csv"))
    (batch,) = csv.list()
    assert [chunk.readings.values.tolist() for chunk in csv.read(batch)] == [[[1.5]]]


@pytest.mark.server
@pytest.mark.parametrize("fault", ["drop", "503", "half"])
def test_one_fault_is_tried_again_and_lasting_ones_are_told(bucket, fault):
    source = ParquetReadings(address(bucket, "parquet"))
    (batch,) = source.list()
    bucket.fail(fault, 1)
    if fault != "half":
        assert len([*source.list()]) == 1
    bucket.fail(fault, 1000)

    with pytest.raises(SourceUnavailable, match=r"a\.parquet: cannot be "):
        list(source.read(batch))
    with pytest.raises(SourceUnavailable, match="plant/parquet: cannot be listed"):
        list(source.list())

    bucket.fail("", 0)
    assert sum(len(chunk.readings.time) for chunk in source.read(batch)) == 20_000


@pytest.mark.server
def test_slow_answers_are_waited_for(bucket):
    source = ParquetReadings(address(bucket, "parquet"))
    bucket.seconds = 1.5
    bucket.fail("slow", 2)

    (batch,) = source.list()

    assert sum(len(chunk.readings.time) for chunk in source.read(batch)) == 20_000


@pytest.mark.server
def test_an_outage_loses_no_reading_and_takes_none_twice(bucket, tmp_path):
    toml = PLANT_TOML + f'\n[readings]\nuri = "{address(bucket, "parquet")}"\n'
    settings = read_settings(make_plant(tmp_path, toml=toml))
    with open_plant(settings) as plant:
        bucket.fail("drop", 1000)
        with pytest.raises(SourceUnavailable, match=f"{bucket.address} does not answer"):
            ingest(plant, now=NOW)
        bucket.fail("", 0)
        rows = [ingest(plant, now=NOW).rows for _ in range(2)]

    assert rows == [20_000, 0]


def test_an_endpoint_that_does_not_answer_is_told_as_that_within_five_seconds():
    with socket.socket() as deaf:
        # It takes connections and never says a word; another port refuses them.
        deaf.bind(("127.0.0.1", 0))
        refusing = deaf.getsockname()[1]
        uri = f"s3://plant/readings?endpoint_override=127.0.0.1:{refusing}&scheme=http"
        begun = time.monotonic()
        with pytest.raises(SourceUnavailable, match=f"127.0.0.1:{refusing} does not answer"):
            list(ParquetReadings(uri).list())

    assert time.monotonic() - begun < ANSWER_SECONDS


def test_addresses_are_understood_without_asking_anyone(monkeypatch):
    begun = time.monotonic()
    azure = open_folder(
        "abfss://container@account.dfs.core.windows.net/plant/readings",
        suffixes=(".parquet",),
        contents="files",
    )
    google = open_folder("gs://bucket/readings", suffixes=(".x",), contents="files")
    amazon = open_folder("s3://bucket/readings/", suffixes=(".x",), contents="files")

    assert (azure.root, google.root, amazon.root) == (
        "container/plant/readings",
        "bucket/readings",
        "bucket/readings",
    )
    assert time.monotonic() - begun < ANSWER_SECONDS
    with pytest.raises(BadSettings, match="endpoint is none of anonymous, endpoint_override"):
        open_folder("s3://bucket/x?endpoint=y", suffixes=(".x",), contents="files")


def test_azures_usual_address_is_a_setting_and_keys_are_none(tmp_path):
    uri = "abfss://container@account.dfs.core.windows.net/readings"
    toml = {"readings": {"uri": uri}}
    assert parse_settings(toml, folder=tmp_path, origin="plant.toml").readings.uri == uri
    for secret in ("s3://key:secret@bucket/x", "postgresql://me:secret@host/db"):
        with pytest.raises(BadSettings, match="must hold no keys or passwords"):
            parse_settings({"readings": {"uri": secret}}, folder=tmp_path, origin="plant.toml")
