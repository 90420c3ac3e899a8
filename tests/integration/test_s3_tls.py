"""S3 over TLS with an authority of our own."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from millpond.errors import InvalidSetting
from millpond.under.s3 import S3Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from millpond.testing.s3_gateway import S3Gateway


def certificate(directory: Path) -> Path:
    """Key and certificate of 127.0.0.1, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "millpond test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


def copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


def serve(listener: socket.socket, context: ssl.SSLContext, upstream: tuple[str, int]) -> None:
    """One client after the other; handshakes may fail, closing the listener ends it."""
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            client = context.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            continue
        with client, socket.create_connection(upstream) as server:
            up = threading.Thread(target=copy, args=(client, server), daemon=True)
            up.start()
            copy(server, client)
            up.join()


@pytest.fixture
def tls_endpoint(s3_gateway: S3Gateway, tmp_path: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path))
    upstream = urlsplit(s3_gateway.endpoint)
    at = (upstream.hostname or "", upstream.port or 0)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener, context, at), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def test_trusted(
    s3_gateway: S3Gateway, tls_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "server.pem"))
    bucket = s3_gateway.new_bucket()
    data = bytes(range(256)) * 4096
    s3_gateway.put_object(bucket, "a b/%", data)
    store = S3Store(bucket, s3_gateway.mount_options(tls_endpoint))
    version = store.stat("a b/%").version
    got = b"".join(bytes(b) for b in store.read("a b/%", 0, len(data), version))
    store.close()
    assert got == data


def test_an_unknown_authority_is_refused_at_once(s3_gateway: S3Gateway, tls_endpoint: str) -> None:
    store = S3Store("any-bucket", s3_gateway.mount_options(tls_endpoint))
    with pytest.raises(InvalidSetting, match="SSL_CERT_FILE"):
        store.stat("k")
    assert store.counters.retries == 0
    store.close()
