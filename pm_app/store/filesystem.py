"""Whether a folder lies on a disk of this machine; SQLite's WAL mode needs one that does.

WAL keeps its index in memory shared between processes, which no network file system offers
(https://www.sqlite.org/wal.html, "all processes must be on the same host computer").
"""

import re
from pathlib import Path

_MOUNTS = Path("/proc/mounts")
_NETWORK = re.compile(
    r"(fuse\.)?(nfs\d*|cifs|smb\w*|ncpfs|afs|ceph|lustre|gluster\w*|sshfs|davfs\d*|s3fs|gcsfuse|rclone)"
)
_OCTAL = re.compile(r"\\([0-7]{3})")


def network_filesystem(path: Path, *, mounts: str | None = None) -> str | None:
    """The type of the network file system `path` lies on, None where its disk is local.

    mounts: text in the form of /proc/mounts, read from there by default; where a system has
    no such file every disk counts as local.
    """
    text = _read_mounts() if mounts is None else mounts
    resolved = path.resolve()
    deepest, kind = -1, ""
    for line in text.splitlines():
        _, point, kind_here, *_ = line.split(" ")
        folder = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), point))
        # A later mount on the same folder hides the earlier one.
        if resolved.is_relative_to(folder) and len(folder.parts) >= deepest:
            deepest, kind = len(folder.parts), kind_here
    return kind if _NETWORK.fullmatch(kind) else None


def _read_mounts() -> str:
    try:
        return _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
