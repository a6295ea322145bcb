"""How the trainer process behaves beside the daemon that started it."""

import contextlib
import os
import sys
import threading
from pathlib import Path

# The plant's scoring comes first: training gives way to it.
NICENESS = 10
# When memory runs out the trainer goes before the daemon, and before anything else that counts.
_OUT_OF_MEMORY_SCORE = "800"
ORPHANED = 4


def give_way() -> None:
    """Let the plant's scoring have processor and memory before this process."""
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OUT_OF_MEMORY_SCORE, encoding="ascii")


def end_with_parent() -> None:
    """End this process once whoever started it is gone: the pipe to it then ends.

    An orphan would write into folders that the next daemon has emptied for a training of its own.
    """

    def wait() -> None:
        # Read past Python's buffers, whose lock would be missed when the process ends by itself.
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(ORPHANED)

    threading.Thread(target=wait, daemon=True).start()
