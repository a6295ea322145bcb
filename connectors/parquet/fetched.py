"""A file as pyarrow reads it, whose storage may fail."""

from typing import Any

from pm_app.errors import SourceUnavailable


class Fetched:
    """A file whose failures to deliver bytes are told apart from bytes that make no sense.

    pyarrow reports both as OSError; an exception raised in here passes through it unchanged.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file, self._name = file, name

    @property
    def closed(self) -> bool:
        return bool(self._file.closed)

    def read(self, size: int = -1) -> Any:
        """Bytes from the current position; raises SourceUnavailable."""
        try:
            return self._file.read_buffer(None if size < 0 else size)
        except OSError as error:
            raise SourceUnavailable(f"{self._name}: cannot be read: {error}") from error

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position; raises SourceUnavailable."""
        try:
            return int(self._file.seek(offset, whence))
        except OSError as error:
            raise SourceUnavailable(f"{self._name}: cannot be read: {error}") from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes from a position; raises SourceUnavailable."""
        self.seek(offset)
        return bytes(self.read(size))

    def tell(self) -> int:
        """The current position."""
        return int(self._file.tell())

    def close(self) -> None:
        """Leave closing to whoever opened it."""

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def writable(self) -> bool:
        """No."""
        return False

    def flush(self) -> None:
        """Nothing to flush."""
