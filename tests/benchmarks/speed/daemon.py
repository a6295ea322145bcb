"""The daemon: from its start to the first score, what it costs while idle, what it holds."""

import os
import time
from contextlib import closing
from pathlib import Path
from statistics import median

from benchmarks.speed.latency import SENSORS, TOML, await_cutoffs, hour_of, reader, running
from benchmarks.speed.rows import Row
from factories import drop, make_card, make_plant, make_spec, opened, promote_handmade

STARTS = 5
IDLE_SECONDS = 30.0


def measure(folder: Path) -> list[Row]:
    """Started a few times with a file that waits, then left alone."""
    config = make_plant(folder, toml=TOML)
    with opened(config) as plant:
        promote_handmade(plant, card=make_card(make_spec(plant.settings, sensors=SENSORS)))
    starts, shares, held = [], [], []
    for number in range(STARTS):
        drop(config, f"{number:04d}.parquet", hour_of(number))
        began = time.perf_counter()
        with running(config) as process, closing(reader(config)) as connection:
            await_cutoffs(connection, number + 1)
            starts.append(time.perf_counter() - began)
            if number == STARTS - 1:
                time.sleep(5)
                used = _processor_seconds(process.pid)
                time.sleep(IDLE_SECONDS)
                shares.append((_processor_seconds(process.pid) - used) / IDLE_SECONDS)
                held.append(_resident(process.pid))
    (share,), (resident,) = shares, held
    return [
        Row(
            "Daemon",
            "process started to first score read",
            median(starts),
            "s",
            (min(starts), max(starts)),
            "at most 1.5 s",
            median(starts) <= 1.5,
            reason="nearly all of it is imports, which other work on the machine lengthens",
        ),
        Row(
            "Daemon",
            f"processor while idle, over {IDLE_SECONDS:.0f} s",
            share * 100,
            "%",
            (share * 100, share * 100),
            "under 0.5 %",
            share < 0.005,
        ),
        Row(
            "Daemon",
            "resident memory with a champion loaded",
            resident,
            "MB",
            (resident, resident),
            "at most 200 MB",
            resident <= 200,
        ),
    ]


def _processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
