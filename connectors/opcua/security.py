"""Who we are to an OPC UA server, by certificate and name, and what its refusals mean."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.settings.recorders import NamePattern, secret_variable

_PEM: Final = b"-----BEGIN"
_REFUSED_NAMES: Final = (
    *("BadUserAccessDenied", "BadIdentityTokenRejected", "BadIdentityTokenInvalid"),
    "BadUserSignatureInvalid",
)
_MODES: Final = {"None_": "none", "Sign": "sign", "SignAndEncrypt": "encrypt"}


@dataclass(frozen=True)
class ServerAddress:
    """Where a server is, who we are to it, and which of its variables are wanted.

    certificates: our own and its key, and the server's where it is not asked for it; None for
    none. nodes: asset and sensor by node id. recorder: its name in plant.toml.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    security: Literal["none", "sign", "encrypt"] = "none"
    certificate: Path | None = None
    key: Path | None = None
    server_certificate: Path | None = None
    browse_from: str = "i=85"
    patterns: tuple[NamePattern, ...] = ()
    nodes: tuple[tuple[str, tuple[str, str]], ...] = ()
    asset: str | None = None
    publishing_ms: float = 1000.0
    recorder: str = ""


class OwnCertificate:
    """Our certificate and its key, both as DER, and the application that it names.

    Raises BadSettings for files that are no such things or do not belong together, and
    SourceUnavailable where the certificate is not valid today.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization as to_bytes

        found, private = _certificate(certificate, "certificate"), _key(key)
        if _public(found) != _public(private):
            raise BadSettings(f"{key} is not the key of the certificate {certificate}")
        today = datetime.now(tz=UTC)
        if not found.not_valid_before_utc <= today <= found.not_valid_after_utc:
            raise SourceUnavailable(
                f"the certificate {certificate} is valid from "
                f"{found.not_valid_before_utc:%Y-%m-%d} to {found.not_valid_after_utc:%Y-%m-%d} "
                "alone: put another in its place"
            )
        self.certificate: bytes = found.public_bytes(to_bytes.Encoding.DER)
        self.key: bytes = private.private_bytes(
            to_bytes.Encoding.DER, to_bytes.PrivateFormat.PKCS8, to_bytes.NoEncryption()
        )
        self.application = ""
        try:
            names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except x509.ExtensionNotFound:
            return
        self.application = next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def read_certificate(path: Path, what: str) -> bytes:
    """A certificate as DER, of a file with PEM or DER. Raises BadSettings."""
    from cryptography.hazmat.primitives.serialization import Encoding

    content: bytes = _certificate(path, what).public_bytes(Encoding.DER)
    return content


def refusal_text(error: Exception, address: ServerAddress) -> str:
    """What a server's refusal to let us in means, and what to do about it."""
    code = type(error).__name__
    if code.startswith("BadCertificate") or code == "BadSecurityChecksFailed":
        return (
            f"{address.url} refuses our certificate {address.certificate} ({code}): trust it "
            "there; most servers keep those that they have refused in a list of their own"
        )
    if code in _REFUSED_NAMES:
        user, password = (secret_variable(address.recorder, what) for what in ("USER", "PASSWORD"))
        refused = (
            f"refuses the user {address.user!r} with this password"
            if address.user
            else "lets nobody in without a name"
        )
        return (
            f"{address.url} {refused} ({code}): {user} and {password} in the environment have to "
            "be as they are there"
        )
    return f"{address.url}: {str(error).strip().splitlines()[0]}"


def no_endpoint_text(address: ServerAddress, offered: Iterable[tuple[str, str]]) -> str:
    """That a server has no endpoint with the security asked for, and which it has.

    offered: security modes and policies as the protocol has them.
    """
    names = (f"{_MODES.get(mode, mode)} ({policy.partition('#')[2]})" for mode, policy in offered)
    return (
        f"{address.url} offers no endpoint with security {address.security!r}"
        f"{'' if address.security == 'none' else ' by Basic256Sha256'}; it offers "
        f"{', '.join(sorted(names)) or 'none'}: set security as one of these, or add one there"
    )


def _certificate(path: Path, what: str) -> Any:
    from cryptography import x509

    content = _content(path, what)
    load = (
        x509.load_pem_x509_certificate
        if content.startswith(_PEM)
        else x509.load_der_x509_certificate
    )
    try:
        return load(content)
    except ValueError as error:
        raise BadSettings(f"{what} needs a certificate as PEM or DER, got {path}") from error


def _key(path: Path) -> Any:
    from cryptography.hazmat.primitives import serialization as from_bytes

    content = _content(path, "key")
    is_pem = content.startswith(_PEM)
    load = from_bytes.load_pem_private_key if is_pem else from_bytes.load_der_private_key
    try:
        return load(content, password=None)
    except TypeError as error:
        raise BadSettings(f"key needs one without a password, got {path}") from error
    except ValueError as error:
        raise BadSettings(f"key needs a private key as PEM or DER, got {path}") from error


def _public(of: Any) -> Any:
    return of.public_key().public_numbers()


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(
            f"{what} needs a file that can be read: {path}: {error.strerror}"
        ) from error
