"""Programs under strace: every address they called, and every name they looked up."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

import pytest

DNS_PORTS = {"53", "853", "5353", "5355"}
# Of each call the address it names; a line without one names none.
_IP = re.compile(r'sin_port=htons\((\d+)\).*?inet_addr\("([^"]+)"\)')
_IP6 = re.compile(r'sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]+)"')
# What answers for names without the network: a program that asks these is looking one up.
_RESOLVERS = re.compile(r'sun_path=@?"[^"]*(?:nscd|resolve|avahi|sssd|lookup)[^"]*"', re.IGNORECASE)
_CALLED = re.compile(r"\b(?:connect|sendto|sendmsg|sendmmsg)\(")


def traced(command: Sequence[str], log: Path, **more: object) -> "subprocess.Popen[bytes]":
    """A program under strace, which writes each network call of it and its children to `log`."""
    strace = shutil.which("strace")
    if strace is None:
        assert "CI" not in os.environ, "whether anything leaves the plant is never skipped there"
        pytest.skip("needs strace, to see every address that is called")
    trace = [strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network", "-o", str(log), "--"]
    return subprocess.Popen([*trace, *command], **more)  # type: ignore[call-overload,no-any-return]


def pm_app(*words: object) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-m", "pm_app", *map(str, words)]


def calls_beyond_this_machine(lines: Iterable[str]) -> list[str]:
    """Calls of other addresses than the loopback's, and look-ups of names wherever."""
    return [line for line in lines if _CALLED.search(line) and _leaves(line)]


def _leaves(line: str) -> bool:
    if _RESOLVERS.search(line):
        return True
    found = [*_IP.findall(line), *_IP6.findall(line)]
    return any(port in DNS_PORTS or not _is_loopback(address) for port, address in found)


def _is_loopback(text: str) -> bool:
    address = ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
