"""A recorder of an OPC UA server that asks for certificates, a name and a password."""

import logging
import shutil
import subprocess
from collections import Counter

import pytest
from recorders.brokers import wait_until
from recorders.certificates import make_certificate
from recorders.opcua_servers import PlantServer
from recorders.recording import recorded
from recorders.running_recorders import Running

from connectors.opcua.security import OwnCertificate, read_certificate
from pm_app.errors import BadSettings, SourceUnavailable
from pm_app.settings.plant import read_settings
from pm_app.wiring import open_feed

PASSWORD = "a secret of ann"
USER = "PM_APP_RECORDER_LINE_USER"
PASSWORD_VARIABLE = "PM_APP_RECORDER_LINE_PASSWORD"


class Doorkeeper:
    """Knows one user."""

    def get_user(self, iserver, username=None, password=None, certificate=None):
        from asyncua.crypto.permission_rules import User, UserRole

        return User(role=UserRole.User) if (username, password) == ("ann", PASSWORD) else None


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("server", "recorder", "stranger"):
        make_certificate(folder, name)
    return folder


@pytest.fixture
def tls(tmp_path, certificates):
    """Certificates of the server, of a recorder that it trusts, and of one that it does not."""
    shutil.copytree(certificates, tmp_path / "tls")
    (tmp_path / "tls" / "trusted").mkdir()
    trust(tmp_path / "tls", "recorder")
    return tmp_path / "tls"


def trust(tls, name):
    shutil.copy(tls / f"{name}.crt", tls / "trusted" / f"{name}.pem")


@pytest.fixture
def server(tmp_path, tls):
    from asyncua import ua
    from asyncua.crypto.truststore import TrustStore
    from asyncua.crypto.validator import CertificateValidator, CertificateValidatorOptions

    async def close(server):
        await server.set_application_uri("urn:plant:server")
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        await server.load_certificate(str(tls / "server.crt"), "pem")
        await server.load_private_key(str(tls / "server.key"), format="pem")
        server.set_identity_tokens([ua.UserNameIdentityToken])
        server.iserver.set_user_manager(Doorkeeper())
        store = TrustStore([tls / "trusted"], [])
        every = CertificateValidatorOptions.TRUSTED_VALIDATION
        checks = CertificateValidator(every | CertificateValidatorOptions.PEER_CLIENT, store)

        async def check(*shown):
            await store.load()
            await checks(*shown)

        server.set_certificate_validator(check)

    found = PlantServer(tmp_path, assets=1, prepare=close)
    found.start()
    yield found
    found.stop()


@pytest.fixture(autouse=True)
def signed_in(monkeypatch):
    monkeypatch.setenv(USER, "ann")
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)


OURS = {"security": "encrypt", "certificate": "../tls/recorder.crt", "key": "../tls/recorder.key"}


def lay_out(folder, url, **changed):
    config = folder / "plant" / "plant.toml"
    config.parent.mkdir(exist_ok=True)
    keys = {**OURS, "every": "1s", "publishing": "0.1s", "history": "3650d", **changed}
    lines = [f'{key} = "{value}"\n' for key, value in keys.items() if value]
    config.write_text(
        f'[recorders.line]\nkind = "opcua"\nurl = "{url}"\npaths = ["Plant/{{asset}}/{{sensor}}"]\n'
        + "".join(lines)
    )
    return config


def refusal(config):
    """Why the feed of these settings cannot be opened."""
    feed = open_feed(read_settings(config), "line")
    try:
        with pytest.raises(SourceUnavailable) as met:
            feed.open({})
    finally:
        feed.close()
    assert PASSWORD not in str(met.value)
    return str(met.value)


@pytest.mark.server
def test_signed_and_encrypted_with_name_and_password_history_and_changes_are_recorded(
    tmp_path, server
):
    expected = server.write([("p0", "vib", float(number)) for number in range(50)])
    config = lay_out(tmp_path, server.url, ca="../tls/server.crt")
    readings = config.parent / "readings"

    with Running(config) as running:
        running.wait_for(lambda health: not health.away and health.recorded, "connected")
        expected += server.write([("p0", "temp", float(number)) for number in range(50, 90)])
        wait_until(lambda: len(recorded(readings)) >= 92, "recorded")

    found = Counter(row for row in recorded(readings) if row[3] >= 0)
    assert found == Counter(expected)


@pytest.mark.server
def test_a_refused_certificate_is_told_once_with_the_endpoint_and_tried_until_it_is_trusted(
    tmp_path, server, tls, caplog
):
    stranger = {"certificate": "../tls/stranger.crt", "key": "../tls/stranger.key"}
    words = f"{server.url} refuses our certificate "
    with (
        caplog.at_level(logging.INFO),
        Running(lay_out(tmp_path, server.url, **stranger)) as running,
    ):
        running.wait_for(lambda health: health.away.startswith(words), "refused")
        refused = running.health
        wait_until(lambda: _attempts(caplog) >= 3, "tried again")
        trust(tls, "stranger")
        running.wait_for(lambda health: not health.away, "let in")

    ours = [line for line in caplog.messages if server.url in line]
    assert "stranger.crt (BadCertificateUntrusted): trust it there" in refused.away
    assert [line for line in ours if "refuses" in line] == [f"line: {refused.away}"]
    assert not [each for each in caplog.records if each.name.startswith("asyncua.client")]


def _attempts(caplog):
    # By the server's own log, which runs in this process.
    return sum("Not trusted certificate" in line for line in caplog.messages)


@pytest.mark.server
@pytest.mark.parametrize(
    ("changed", "user", "password", "words"),
    [
        (
            {},
            "ann",
            "wrong",
            f"refuses the user 'ann' with this password.*{USER} and {PASSWORD_VARIABLE}",
        ),
        ({}, "", "", f"lets nobody in without a name.*{USER} and {PASSWORD_VARIABLE}"),
        (
            {"security": "none", "certificate": "", "key": ""},
            *("ann", PASSWORD),
            r"no endpoint with security 'none'; it offers encrypt \(Basic256Sha256\)",
        ),
        (
            {"security": "sign"},
            "ann",
            PASSWORD,
            "no endpoint with security 'sign' by Basic256Sha256",
        ),
        (
            {"ca": "../tls/stranger.crt"},
            *("ann", PASSWORD),
            r"shows another certificate than .*stranger\.crt \(ca\)",
        ),
    ],
    ids=["password", "no name", "no security", "only signed", "another server"],
)
def test_a_refusal_names_the_endpoint_and_what_to_do(
    tmp_path, server, monkeypatch, changed, user, password, words
):
    monkeypatch.setenv(USER, user)
    monkeypatch.setenv(PASSWORD_VARIABLE, password)
    config = lay_out(tmp_path, server.url, **changed)

    told = refusal(config)

    assert told.startswith(server.url)
    pytest.raises(SourceUnavailable, _raise, told).match(words)


def _raise(words):
    raise SourceUnavailable(words)


def test_files_that_are_no_certificate_and_key_of_each_other_are_told(tls):
    certificate, key = tls / "recorder.crt", tls / "recorder.key"
    (tls / "junk").write_text("junk")
    locked = tls / "locked.key"
    openssl("rsa", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked)

    for files, words in (
        ((tls / "nowhere", key), "certificate needs a file that can be read: .*nowhere: No such"),
        ((tls / "junk", key), "certificate needs a certificate as PEM or DER, got .*junk"),
        ((certificate, tls / "junk"), "key needs a private key as PEM or DER, got .*junk"),
        ((certificate, locked), "key needs one without a password, got .*locked"),
        ((certificate, tls / "server.key"), "server.key is not the key of the certificate"),
    ):
        with pytest.raises(BadSettings, match=words):
            OwnCertificate(*files)


def test_a_certificate_is_taken_as_pem_and_as_der_and_while_it_is_valid(tmp_path, tls):
    certificate, key = tls / "recorder.crt", tls / "recorder.key"
    as_der = tls / "recorder.der", tls / "key.der"
    openssl("x509", "-in", certificate, "-outform", "der", "-out", as_der[0])
    openssl("rsa", "-in", key, "-outform", "der", "-out", as_der[1])

    one, other = OwnCertificate(certificate, key), OwnCertificate(*as_der)
    assert one.certificate == other.certificate == as_der[0].read_bytes()
    assert one.key == other.key
    assert one.application == "urn:plant:recorder"
    assert read_certificate(certificate, "ca") == one.certificate
    with pytest.raises(SourceUnavailable, match=r"old\.crt is valid from .* alone: put another"):
        OwnCertificate(*make_certificate(tls, "old", days=-1))


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
