"""Object stores: s3, gs and abfs by their addresses, with an end to how long they may be silent.

Credentials are the environment's, as each store's own tools take them. Whoever is asked for a
bucket answers within five seconds, or is told as not answering.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from pyarrow import fs

from pm_app.errors import BadSettings

_CONNECT_SECONDS: Final = 2.0
# Of a request that has begun: between one byte and the next.
_SILENT_SECONDS: Final = 10.0
_ATTEMPTS: Final = 2
_ANSWER_SECONDS: Final = 4
_S3_OPTIONS: Final = {
    *("endpoint_override", "region", "scheme", "anonymous", "tls_ca_file_path"),
    "force_virtual_addressing",
}
_REGION: Final = "us-east-1"
_AZURE: Final = ("abfs", "abfss")
_SILENT: Final = (
    *("NETWORK_CONNECTION", "Could not connect", "Couldn't connect", "curlCode: 7", "curlCode: 28"),
    *("Couldn't resolve", "Could not resolve", "timed out", "Retry policy exhausted"),
)
Answer = TypeVar("Answer")


def open_storage(uri: str) -> tuple[Any, str]:
    """The file system of an address and the path in it; nothing is asked yet.

    Raises BadSettings for an address that no file system understands.
    """
    parts = urlsplit(uri)
    try:
        if parts.scheme == "s3":
            return _s3(uri)
        if parts.scheme in ("gs", "gcs"):
            options = {"retry_limit_seconds": str(_ANSWER_SECONDS), **dict(parse_qsl(parts.query))}
            uri = parts._replace(query=urlencode(options)).geturl()
        filesystem, root = fs.FileSystem.from_uri(uri)
    except (OSError, ValueError, NotImplementedError) as error:
        raise BadSettings(
            f"{uri!r}: needed a path or an address like s3://bucket/prefix: {error}"
        ) from error
    return filesystem, root


def _s3(uri: str) -> tuple[Any, str]:
    """As pyarrow reads such an address, but that nobody is asked for the bucket's region."""
    parts = urlsplit(uri)
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    unknown = sorted(set(options) - _S3_OPTIONS)
    if unknown:
        raise ValueError(f"{unknown[0]} is none of {', '.join(sorted(_S3_OPTIONS))}")
    if not parts.hostname:
        raise ValueError("it names no bucket")
    for name in ("anonymous", "force_virtual_addressing"):
        if name in options:
            options[name] = options[name].lower() == "true"
    regions = (os.environ.get(name) for name in ("AWS_REGION", "AWS_DEFAULT_REGION"))
    options.setdefault("region", next(filter(None, regions), _REGION))
    filesystem = fs.S3FileSystem(
        **options,
        connect_timeout=_CONNECT_SECONDS,
        request_timeout=_SILENT_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
    )
    return filesystem, f"{parts.netloc}{parts.path}"


def ask(filesystem: Any, question: Callable[[], Answer]) -> Answer:
    """What a store answers. Raises OSError, also where Azure's, which has no limit of its own,
    is silent."""
    if not isinstance(filesystem, getattr(fs, "AzureFileSystem", ())):
        return question()
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            answers.append(question())
        except BaseException as error:
            errors.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    waiting.join(_ANSWER_SECONDS)
    if errors:
        raise errors[0]
    if not answers:
        raise OSError(f"timed out after {_ANSWER_SECONDS} seconds")
    return answers[0]


def storage_words(filesystem: Any, error: BaseException) -> str:
    """What went wrong, and who it was that did not answer."""
    words = str(error)
    if isinstance(filesystem, fs.LocalFileSystem) or not any(each in words for each in _SILENT):
        if "HTTP status 301" in words or "PermanentRedirect" in words:
            return f"the bucket is of another region: name it as ?region=eu-central-1 ({words})"
        return words
    return f"{_endpoint(filesystem)} does not answer ({words})"


def _endpoint(filesystem: Any) -> str:
    kind = str(filesystem.type_name)
    if kind != "s3":
        return "the store of the bucket"
    # It tells its options to those alone who take it apart.
    _, (options,) = filesystem.__reduce__()
    override = options.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL")
    return str(override or f"s3.{options.get('region')}.amazonaws.com")
