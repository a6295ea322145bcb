"""Tables `web` and `oidc` of plant.toml: where pages listen, and how they know who comes."""

from ipaddress import ip_address
from typing import Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from pm_app.settings.sections import Section
from pm_app.settings.values import (
    LOOPBACK,
    Duration,
    Header,
    Host,
    Listen,
    Name,
    NetworkAddress,
    PathPrefix,
    Text,
    WebAddress,
    split_listen,
)

Role = Literal["viewer", "operator", "engineer"]
OIDC_SECRET_VARIABLE: Final = "PM_APP_OIDC_SECRET"
NOBODY_SIGNS_IN: Final = (
    "nobody can sign in yet: pm-app users add NAME --role engineer makes the first user; "
    "[web] open = true in plant.toml lets whoever reaches the pages look without signing in"
)


class WebSettings(Section):
    """Where the operators' pages listen, and how they know who comes."""

    listen: Listen = Field(
        "127.0.0.1:8080",
        description="of pm-app serve; others reach it once someone can sign in",
    )
    open: bool = Field(False, description="whoever reaches the pages may look, without signing in")
    hosts: tuple[Host, ...] = Field(
        (),
        description="names by which browsers reach the pages; no other is then answered",
        examples=[["pumps.plant.example"]],
    )
    prefix: PathPrefix = Field(
        "",
        description="path under which a proxy has the pages; it may leave it or take it away",
        examples=["/plant3"],
    )
    proxy_header: Header = Field(
        "",
        description="in which a proxy says whom it has signed in",
        examples=["X-Forwarded-User"],
    )
    groups_header: Header = Field(
        "",
        description="in which that proxy lists the groups of whom it has signed in",
        examples=["X-Forwarded-Groups"],
    )
    roles: dict[Name, Role] = Field(
        {},
        description='role of each group, "*" of everyone; others then need an account here',
        examples=[{"pm-engineers": "engineer", "*": "viewer"}],
    )
    proxy_addresses: tuple[NetworkAddress, ...] = Field(
        (),
        description="where that proxy is; nobody else is believed",
        examples=[["10.0.0.7"]],
    )
    certificate: Text = Field(
        "", description="for TLS, a file of PEM beside this one", examples=["tls/plant.crt"]
    )
    key: Text = Field(
        "", description="for TLS, the key of the certificate", examples=["tls/plant.key"]
    )
    session: Duration = Field("12h", description="how long whoever signs in stays signed in")

    metrics_assets: int = Field(
        100,
        ge=0,
        le=10_000,
        description="how many assets, the riskiest first, /metrics has figures of their own of",
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if bool(self.certificate) != bool(self.key):
            raise ValueError("web.certificate and web.key go together, got one without the other")
        if self.proxy_header and not self.proxy_addresses:
            raise ValueError(
                "web.proxy_header needs web.proxy_addresses: whose word on who comes is believed"
            )
        if self.groups_header and not self.proxy_header:
            raise ValueError("web.groups_header needs web.proxy_header: whose groups they are")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host, without brackets, and port."""
        return split_listen(self.listen)

    @property
    def local(self) -> bool:
        """Whether this machine alone reaches it."""
        return self.address[0] in LOOPBACK


class OidcSettings(Section):
    """A provider of OpenID Connect (Keycloak, Entra ID, ...) that signs people in to the pages. The
    client's secret comes from the environment, PM_APP_OIDC_SECRET; roles of groups from web.roles.
    """

    issuer: WebAddress = Field(
        "",
        description="address of the provider, as its discovery document has it; none: no such "
        "sign-in",
        examples=["https://login.plant.example/realms/plant"],
    )
    client: Text = Field(
        "", description="as what these pages are registered there", examples=["pm-app"]
    )
    name: Name = Field("single sign-on", description="what the button calls it")
    scopes: tuple[Name, ...] = Field(
        ("openid", "profile"), description="what the provider is asked to say of people"
    )
    name_claim: Name = Field(
        "preferred_username",
        description="what people are called here; nobody may be able to choose their own there",
    )
    groups_claim: Name = Field(
        "groups", description="their groups; realm_access.roles looks into a table"
    )
    address: WebAddress = Field(
        "",
        description="where browsers find these pages, without path; default: as they asked",
        examples=["https://pumps.plant.example"],
    )
    ca: Text = Field(
        "",
        description="file of the authority that signed the provider's certificate; default: those "
        "that browsers know",
        examples=["tls/ca.pem"],
    )

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.issuer and not self.client:
            raise ValueError("oidc.issuer needs oidc.client: as what these pages are known there")
        if self.issuer and not is_private_way(self.issuer):
            raise ValueError(
                "oidc.issuer must begin with https://: what it says of people crosses the network"
            )
        if self.issuer and "openid" not in self.scopes:
            raise ValueError('oidc.scopes must hold "openid"')
        if urlsplit(self.address).path.strip("/"):
            raise ValueError(
                "oidc.address is without path (web.prefix), like https://pumps.example"
            )
        return self


def is_private_way(address: str) -> bool:
    """Whether nobody between reads what goes there: by TLS, or on this machine."""
    parts = urlsplit(address)
    if parts.scheme != "http":
        return parts.scheme == "https"
    try:
        return parts.hostname == "localhost" or ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
