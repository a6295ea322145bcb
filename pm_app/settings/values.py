"""Kinds of values that plant.toml takes, each checked with words of its own."""

import re
from collections.abc import Sequence
from datetime import date, time
from functools import cache
from ipaddress import ip_address
from math import inf, isfinite
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticKnownError

from pm_app.settings.strategies import STRATEGY_CHOICES
from pm_app.times import parse_duration

# Nanoseconds in 64 bits end after 292 years, and no plant looks this far.
_LONGEST = "36500d"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_HOST = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*|[0-9a-fA-F:]+:[0-9a-fA-F:.]*")
# Neither "." nor "..", which browsers take out of paths.
_PREFIX = re.compile(r"(/(?!\.)[0-9A-Za-z._~-]+)+")
FOR_EVER = "for ever"
NEVER = "never"
# What operators look back on, and late files may still change.
_SHORTEST_DAYS = 7
# Nanoseconds since 1970 in 64 bits end in 2262.
_LAST_YEAR = 2261
_LAST_PORT = 65_535
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MEMORY_WORDS = ("life", "change", "scaled change")


def _duration(text: str) -> str:
    if parse_duration(text) > parse_duration(_LONGEST):
        raise ValueError(f"a duration must be at most {_LONGEST}, got {text!r}")
    return text


def _strategy(name: object) -> object:
    if name not in STRATEGY_CHOICES:
        *first, last = map(repr, STRATEGY_CHOICES)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(first)} or {last}"})
    return name


def read_half_life(text: str) -> int:
    """Nanoseconds of a half-life, e.g. "3d". Raises ValueError."""
    try:
        return parse_duration(_duration(text))
    except ValueError as error:
        words = ", ".join(f'"{word}"' for word in MEMORY_WORDS)
        raise ValueError(f"each must be {words} or a half-life, and {error}") from error


def read_running(text: str) -> tuple[str, float]:
    """Sensor and bound of "speed > 10". Raises ValueError."""
    sensor, sign, bound = (part.strip() for part in text.rpartition(">"))
    try:
        above = float(bound)
    except ValueError:
        above = inf
    if not sensor or not sign or not isfinite(above):
        raise ValueError(f'needed a sensor and a number like "speed > 10", got {text!r}')
    return sensor, above


def _running(text: str) -> str:
    read_running(text)
    return text


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f'a time zone looks like "Europe/Berlin", got {name!r}') from error
    return name


def _printable(text: str) -> str:
    if _UNPRINTABLE.search(text):
        raise ValueError("must hold no control characters and only whole Unicode ones")
    return text


# What stands before the host is a key there; elsewhere a user, or the container of Azure.
_SECRETS_BEFORE_HOST = ("s3", "gs", "gcs", "http")


def _address(text: str) -> str:
    try:
        parts = urlsplit(text if "://" in text else "")
        keys = parts.password is not None or (
            parts.username is not None and parts.scheme.startswith(_SECRETS_BEFORE_HOST)
        )
    except ValueError as error:
        raise ValueError("must be a path or an address like s3://bucket/prefix") from error
    if keys:
        # Not shown: it would be in logs and on screens from then on.
        raise ValueError(
            "must hold no keys or passwords; the environment takes them, for S3 "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, for a database the whole address in "
            "PM_APP_READINGS_URL or PM_APP_EVENTS_URL"
        )
    return text


def _span(text: str) -> str:
    if text == FOR_EVER:
        return text
    try:
        days = parse_duration(_duration(text)) / parse_duration("1d")
    except ValueError as error:
        raise ValueError(f'must be "{FOR_EVER}" or a duration, and {error}') from error
    if days < _SHORTEST_DAYS:
        raise ValueError(f'must be "{FOR_EVER}" or at least {_SHORTEST_DAYS}d, got {text!r}')
    return text


def _since_1970(day: date) -> date:
    if not 1970 <= day.year <= _LAST_YEAR:
        raise ValueError(f"must be a day from 1970 to {_LAST_YEAR}, got {day}")
    return day


def split_listen(text: str) -> tuple[str, int]:
    """Host, without brackets, and port of a text like "127.0.0.1:8080". Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not (host and port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= _LAST_PORT):
        raise ValueError(f'must be an address and a port like "127.0.0.1:8080", got {text!r}')
    return host.removeprefix("[").removesuffix("]"), int(port[:6])


def _listen(text: str) -> str:
    split_listen(text)
    return text


def _host(text: str) -> str:
    if not _HOST.fullmatch(text):
        raise ValueError(f'must be a name without port like "pumps.example", got {text!r}')
    return text.lower()


def _quiet(text: str) -> str:
    if text:
        read_quiet(text)
    return text


def read_quiet(text: str) -> tuple[time, time]:
    """From when to when, of a text like "22:00-06:00". Raises ValueError."""
    try:
        first, last = (time.fromisoformat(part) for part in text.split("-"))
    except ValueError:
        raise ValueError(f'quiet hours look like "22:00-06:00", got {text!r}') from None
    if first == last or first.tzinfo or last.tzinfo:
        raise ValueError(f'quiet hours look like "22:00-06:00", got {text!r}')
    return first, last


def _again(text: str) -> str:
    return text if text == NEVER else _duration(text)


def _web_address(text: str) -> str:
    # Not shown: it may hold a password or a token.
    refusal = ValueError("must be an address that begins with http:// or https:// and names a host")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise refusal from None
    if text and not usable:
        raise refusal
    return text


def _network_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f'must be a network address like "10.0.0.7", got {text!r}') from None


def _header(text: str) -> str:
    if text and not (text.isascii() and text.replace("-", "").isalnum()):
        raise ValueError(f'must be the name of a header like "X-Forwarded-User", got {text!r}')
    return text


def _path_prefix(text: str) -> str:
    if text and not _PREFIX.fullmatch(text):
        raise ValueError(f'must be a path without end like "/plant3", got {text!r}')
    return text


def asset_in_path(path: str, pattern: str) -> str | None:
    """The asset that a file's path names by a pattern of `AssetInPath`; None where it fits none.

    A pattern of fewer levels than the path fits its last ones.
    """
    found = _fitting(path, pattern)
    return found["asset"] if found else None


def fits_path(path: str, pattern: str) -> bool:
    """Whether a file's path fits a pattern, in which * and ? stand for others of one level.

    A pattern of fewer levels than the path fits its last ones; case does not count.
    """
    return _fitting(path, pattern) is not None


def _fitting(path: str, pattern: str) -> re.Match[str] | None:
    levels = path.split("/")[-1 - pattern.count("/") :]
    return _path_expression(pattern).fullmatch("/".join(levels))


@cache
def _path_expression(pattern: str) -> re.Pattern[str]:
    return _expression(pattern, {"{asset}": "(?P<asset>[^/]+?)", "*": "[^/]*", "?": "[^/]"})


def _expression(pattern: str, parts: dict[str, str]) -> re.Pattern[str]:
    split = re.split(r"(\{asset\}|\{sensor\}|[*?])", pattern)
    text = "".join(parts.get(part) or re.escape(part) for part in split)
    return re.compile(text, re.IGNORECASE | re.DOTALL)


def asset_and_sensor(tag: str, patterns: Sequence[str]) -> tuple[str, str] | None:
    """Asset and sensor that a tag names by the first pattern of `TagPattern` that it fits."""
    for pattern in patterns:
        found = _tag_expression(pattern).fullmatch(tag)
        if found is not None:
            return found["asset"], found["sensor"]
    return None


@cache
def _tag_expression(pattern: str) -> re.Pattern[str]:
    parts = {"{asset}": "(?P<asset>.+?)", "{sensor}": "(?P<sensor>.+)", "*": ".*", "?": "."}
    return _expression(pattern, parts)


def _tag_pattern(text: str) -> str:
    if text.count("{asset}") != 1 or text.count("{sensor}") != 1:
        raise ValueError(
            "needed {asset} and {sensor} once each where a tag names them, such as "
            f'"{{asset}}.{{sensor}}" or "Line 3/*/{{asset}}_{{sensor}}", got {text!r}'
        )
    return text


def _asset_in_path(text: str) -> str:
    if text.count("{asset}") != 1 or text.startswith("/"):
        raise ValueError(
            f"needed part of a file's path with {{asset}} once where it names the machine, such as "
            f'"{{asset}}_*.csv" or "{{asset}}/*", got {text!r}'
        )
    return text


def _called(kind: str) -> WithJsonSchema:
    """What values are called in the JSON schema of the settings, and so in their reference."""
    return WithJsonSchema({"type": "string", "format": kind})


Day = Annotated[date, AfterValidator(_since_1970)]
Span = Annotated[str, AfterValidator(_span), _called("duration")]
Duration = Annotated[str, AfterValidator(_duration), _called("duration")]
Zone = Annotated[str, AfterValidator(_zone), _called("time zone")]
Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_printable)]
Listen = Annotated[Name, AfterValidator(_listen), _called("host:port")]
NetworkAddress = Annotated[Name, AfterValidator(_network_address), _called("network address")]
Quiet = Annotated[str, Field(max_length=50), AfterValidator(_quiet), _called("span of hours")]
Again = Annotated[str, Field(max_length=50), AfterValidator(_again), _called("duration")]
WebAddress = Annotated[
    str, Field(max_length=1000), AfterValidator(_web_address), _called("web address")
]
Host = Annotated[Name, AfterValidator(_host), _called("host name")]
PathPrefix = Annotated[str, Field(max_length=100), AfterValidator(_path_prefix), _called("path")]
Header = Annotated[str, Field(max_length=100), AfterValidator(_header), _called("header")]
Text = Annotated[str, Field(max_length=1000), AfterValidator(_printable)]
Running = Annotated[Name, AfterValidator(_running), _called("sensor > number")]
Address = Annotated[Name, AfterValidator(_address), _called("folder or address")]
TagPattern = Annotated[Name, AfterValidator(_tag_pattern), _called("pattern of tags")]
AssetInPath = Annotated[Name, AfterValidator(_asset_in_path), _called("part of a path")]
Sql = Annotated[str, Field(min_length=1, max_length=10_000), _called("SELECT")]
StrategyName = Annotated[
    str,
    BeforeValidator(_strategy),
    WithJsonSchema({"type": "string", "enum": list(STRATEGY_CHOICES)}),
]
