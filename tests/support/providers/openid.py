"""Providers of OpenID Connect: a real one in a process of its own, and one that may lie."""

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "pm-app", "the secret of the client"


@contextmanager
def provider(*, token_seconds: int = 3600) -> Iterator[str]:
    """The address of oidc-provider-mock, whose tokens end after so long."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "oidc_provider_mock", "--port", str(port)]
    command += ["--require-nonce", "true", "--token-max-age", str(token_seconds)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=os.environ | {"PYTHONWARNINGS": "ignore"}, **quiet)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "the provider did not start"
                time.sleep(0.05)
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.wait()


def sign_in_there(address: str, name: str, **claims: Any) -> str:
    """Where the provider sends the browser back to, after somebody has signed in there.

    address: where our pages have sent it.
    """
    own = "{0.scheme}://{0.netloc}".format(urlsplit(address))
    claims = {"preferred_username": name, **claims}
    requests.put(f"{own}/users/{name}", json=claims, timeout=5).raise_for_status()
    answer = requests.post(address, data={"sub": name}, allow_redirects=False, timeout=5)
    return answer.headers["location"]


def query_of(address: str) -> dict[str, str]:
    """What an address carries."""
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


class Issuer(ThreadingHTTPServer):
    """A provider that answers as it is told to: `answers` by path, each a status and a body.

    tls: files of a certificate and its key.
    """

    daemon_threads = True

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}"
        if tls is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.key = ECKey.generate_key("P-256", {"kid": "first"})
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: dict[str, tuple[int, Any]] = {
            "/.well-known/openid-configuration": (
                200,
                {
                    "issuer": self.address,
                    "authorization_endpoint": f"{self.address}/authorize",
                    "token_endpoint": f"{self.address}/token",
                    "jwks_uri": f"{self.address}/keys",
                },
            ),
            "/keys": (200, {"keys": [self.key.as_dict(private=False)]}),
        }

    def document(self, **changed: Any) -> None:
        """Change the discovery document."""
        self.answers["/.well-known/openid-configuration"][1].update(changed)

    def grant(self, left_for: str, *, header: Any = None, key: Any = None, **claims: Any) -> None:
        """Answer the next code with a token for who was sent here, with claims as given.

        header, key: of the signature. A claim of None is left out.
        """
        now = int(time.time())
        own = {"iss": self.address, "aud": CLIENT, "sub": "1", "iat": now, "exp": now + 300}
        own |= {"nonce": query_of(left_for)["nonce"], "preferred_username": "zoe"}
        own = {name: value for name, value in (own | claims).items() if value is not None}
        header = {"alg": "ES256", "kid": "first"} | (header or {})
        with warnings.catch_warnings():
            # Of algorithms that nobody should use.
            warnings.simplefilter("ignore")
            token = jwt.encode(header, own, key or self.key, algorithms=[header["alg"]])
        self.answers["/token"] = (200, {"access_token": "a", "token_type": "Bearer"})
        self.answers["/token"][1]["id_token"] = token


@contextmanager
def issuer(tls: tuple[Path, Path] | None = None) -> Iterator[Issuer]:
    """It listens until the block ends."""
    with Issuer(tls) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        seen = (self.path, dict(parse_qsl(body)), self.headers.get("authorization", ""))
        self.server.asked.append(seen)
        status, content = self.server.answers.get(self.path, (404, "there is nothing"))
        data = content if isinstance(content, str) else json.dumps(content)
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data.encode())

    do_GET = do_POST = _answer

    def handle(self) -> None:
        """One connection, which the other side may break off."""
        with suppress(ConnectionError, ssl.SSLError):
            super().handle()

    def log_message(self, *_: Any) -> None:
        """Nothing."""
