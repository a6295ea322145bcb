"""The trainer beside its daemon: it gives way, keeps no secret, and never outlives it."""

import os
import select
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from factories import NOW, PLANT_TOML, FakeTrainer, make_plant, opened, readings_table

from pm_app.errors import BadSettings, TransientError
from pm_app.jobs.retrain.process import NICENESS, run_trainer
from pm_app.jobs.retrain.run import retrain
from pm_app.jobs.score.run import score

SECONDS = 60
STAND_IN = """\
#!{python}
import os, sys, threading
sys.path[:0] = {path!r}
from pm_app.jobs.retrain.process import end_with_parent, give_way
end_with_parent()
give_way()
score = open("/proc/self/oom_score_adj").read().strip()
print("0.5", os.getpid(), os.nice(0), score, flush=True)
threading.Event().wait()
"""
PARENT = """\
import sys
sys.path[:0] = {path!r}
sys.executable = {trainer!r}
from dataclasses import replace
from pathlib import Path
from pm_app.jobs.retrain.process import run_trainer
tell = lambda done, text: print(text, flush=True)
run_trainer(Path("order"), Path("answer"), tell, timeout_seconds=1e6)
"""


@pytest.fixture
def trainer(tmp_path):
    """A program that behaves as the trainer does, and learns nothing."""
    path = tmp_path / "trainer"
    path.write_text(STAND_IN.format(python=sys.executable, path=sys.path))
    path.chmod(stat.S_IRWXU)
    return path


def test_a_trainer_whose_daemon_is_killed_ends_with_it_and_gives_way_until_then(trainer, tmp_path):
    code = PARENT.format(path=sys.path, trainer=str(trainer))
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as parent:
        child, niceness, score = map(int, parent.stdout.readline().split())
        ends = os.pidfd_open(child)
        assert not select.select([ends], [], [], 0)[0]
        parent.send_signal(signal.SIGKILL)

        assert select.select([ends], [], [], SECONDS)[0]
    os.close(ends)
    assert niceness >= NICENESS
    assert score == 800


def test_a_trainer_killed_for_want_of_memory_is_told_in_words(trainer, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(trainer))

    def kill(done, text):
        os.kill(int(text.split()[0]), signal.SIGKILL)

    with pytest.raises(TransientError, match="killed, most likely because memory ran out"):
        run_trainer(tmp_path / "order", tmp_path / "answer", kill, timeout_seconds=SECONDS)


def test_what_libraries_print_is_neither_progress_nor_the_error(trainer, tmp_path, monkeypatch):
    trainer.write_text(
        f"#!{sys.executable}\n"
        "import os, sys\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "from pm_app.jobs.retrain.process import tell_parent\n"
        "tell = tell_parent()\n"
        "print('[LightGBM] [Warning] from Python')\n"
        "os.system('echo [LightGBM] [Warning] from C')\n"
        "tell(0.5, 'Öl')\n"
        "sys.stderr.write('BadSettings: target.column is no sensor')\n"
        "sys.exit(3)\n"
    )
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    monkeypatch.setattr(sys, "executable", str(trainer))
    heard = []

    with pytest.raises(BadSettings, match=r"^target\.column is no sensor$"):
        run_trainer(
            tmp_path / "order",
            tmp_path / "answer",
            lambda *told: heard.append(told),
            timeout_seconds=SECONDS,
        )

    assert heard == [(0.5, "Öl")]


def test_what_may_pass_by_itself_is_told_as_the_trainer_told_it(trainer, tmp_path, monkeypatch):
    words = "TransientError: dask://there:8786: no scheduler of dask answers there"
    trainer.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write({words!r})\nsys.exit(3)")
    monkeypatch.setattr(sys, "executable", str(trainer))

    with pytest.raises(TransientError, match="^dask://there:8786: no scheduler"):
        run_trainer(
            tmp_path / "order", tmp_path / "answer", lambda *told: None, timeout_seconds=SECONDS
        )


def test_the_order_on_disk_holds_no_password(tmp_path, monkeypatch):
    password = "".join(["hun", "ter", "2"])
    monkeypatch.setenv("PM_APP_STORE_URL", f"sqlite:///{tmp_path}/pm.sqlite")
    toml = f'{PLANT_TOML}\n[store]\nurl = "postgresql://user:{password}@host/db"\n'
    config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()}, toml=toml)
    fake, written = FakeTrainer(), []

    def look(order_path: Path, answer_path, progress):
        written.append(order_path.read_text())
        fake(order_path, answer_path, progress)

    with opened(config) as plant:
        retrain(plant, now=NOW, trainer=look)

    assert password not in written[0]
    assert '"retraining"' in written[0]


def test_a_retraining_that_is_asked_to_stop_while_it_reads_does_not_train(tmp_path):
    config = make_plant(tmp_path / "plant", {"a.parquet": readings_table()})
    fake = FakeTrainer()

    with opened(config) as plant, pytest.raises(TransientError, match="asked to stop before"):
        retrain(plant, now=NOW, trainer=fake, stop=lambda: True)

    assert fake.orders == []


def test_whoever_watches_hears_of_every_part_that_is_read_or_scored(tmp_path):

    table = readings_table()
    files = {f"{at}.parquet": table.slice(50 * at, 50) for at in range(3)}
    beats = []
    with opened(make_plant(tmp_path / "plant", files)) as plant:
        heard = replace(plant, beat=lambda: beats.append(1))
        retrain(heard, now=NOW, trainer=FakeTrainer(promote=False))
        assert len(beats) >= 6  # a file and its chunk each
        beats.clear()
        score(heard, now=NOW)

    assert len(beats) >= 1
