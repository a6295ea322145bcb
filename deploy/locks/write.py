"""Lock files with hashes, from pyproject.toml and deploy/requirements.lock.

    pip install uv && python deploy/locks/write.py

requirements.lock says which version of each package; these say which files of it (SHA-256, for
every platform), a file a purpose. `pip install --require-hashes -r deploy/locks/serve.txt` takes
these and no others; pm-app itself then comes with --no-deps.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

LOCKS: Final = Path(__file__).resolve().parent
PYPROJECT, VERSIONS = LOCKS.parents[1] / "pyproject.toml", LOCKS.parent / "requirements.lock"
# A purpose, its extras, and the locks that it rests on. connect has all extras without a row.
PURPOSES: Final = {
    "run": ((), ()),
    "serve": (("web",), ("run",)),
    "train": (("train", "boost"), ("run",)),
    "connect": ((), ("run",)),
    "test": (("test",), ("run", "serve", "train", "connect")),
    "benchmark": (("benchmark",), ("run",)),
}
WORDS: Final = {
    "run": "The daemon where nothing is learned, and every command but retrain, backtest and demo.",
    "serve": "The pages.",
    "train": "What learning needs besides: TensorFlow, LightGBM.",
    "connect": "Databases, lakes, clusters, brokers, workbooks and messages.",
    "test": "The tests.",
    "benchmark": "The benchmarks.",
}


def extras_of(purpose: str) -> tuple[str, ...]:
    """The extras of pyproject.toml that a purpose needs."""
    named, _ = PURPOSES[purpose]
    if purpose != "connect":
        return named
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    elsewhere = {extra for extras, _ in PURPOSES.values() for extra in extras}
    return tuple(extra for extra in project["optional-dependencies"] if extra not in elsewhere)


def entries(text: str) -> dict[str, str]:
    """Name to its lines: the version, a marker where there is one, and the hashes."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?:.*\\\n)*.*$", text, re.MULTILINE)
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    return dict(zip(found, (block.rstrip() for block in blocks), strict=True))


def _resolved(extras: Iterable[str]) -> dict[str, str]:
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
    command += ["--no-strip-extras", "--constraint", str(VERSIONS), str(PYPROJECT)]
    command += [word for extra in extras for word in ("--extra", extra)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return entries(done.stdout)


def main() -> None:
    """Write every lock."""
    written: dict[str, dict[str, str]] = {}
    for purpose, (_, below) in PURPOSES.items():
        found = _resolved(extras_of(purpose))
        elsewhere = {name for other in below for name in written[other]}
        # pm-app's own extras are no packages.
        own = {n: e for n, e in found.items() if n not in elsewhere and n != "pm-app"}
        head = [f"# {WORDS[purpose]} Written by deploy/locks/write.py."]
        lines = head + [f"-r {other}.txt" for other in below] + list(own.values())
        (LOCKS / f"{purpose}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        written[purpose] = own
        print(f"{purpose}: {len(own)} packages beside {', '.join(below) or 'nothing'}")


if __name__ == "__main__":
    main()
