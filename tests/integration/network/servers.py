"""Servers on loopback that answer well or badly, and certificates of an authority of their own."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[[socket.socket], None]


class Authority:
    """Issues certificates for tests; `file` is what a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Keelson test authority")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=400))
            .not_valid_after(now + timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
                    key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        self.file = folder / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def context(self, days: float = 90, host: str = "localhost") -> ssl.SSLContext:
        """Return what a server needs to speak TLS with a certificate that is good for so many days yet."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        names: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=300))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{host}-{days}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


@contextmanager
def listening(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve on loopback, a thread for each connection, and yield the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ending, threads = threading.Event(), []

        def serve(made: socket.socket) -> None:
            with made, suppress(OSError):
                if context is None:
                    answer(made)
                else:
                    with context.wrap_socket(made, server_side=True) as secured:
                        answer(secured)

        def accept() -> None:
            while not ending.is_set():
                with suppress(OSError):
                    made, _ = server.accept()
                    made.settimeout(10)
                    thread = threading.Thread(target=serve, args=(made,), daemon=True)
                    thread.start()
                    threads.append(thread)

        accepting = threading.Thread(target=accept, daemon=True)
        server.settimeout(0.05)
        accepting.start()
        try:
            yield server.getsockname()[1]
        finally:
            ending.set()
            accepting.join(5)
            for thread in threads:
                thread.join(5)


def read_request(made: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request:
        block = made.recv(4096)
        if not block:
            return request
        request += block
    return request


def page(
    status: str = "200 OK", ahead: timedelta | None = timedelta(0), body: Callable[[], str] = str, seconds: float = 0
) -> Answer:
    """Return an answer with a Date header that is ahead of the clock by so much, none for None."""

    def answer(made: socket.socket) -> None:
        if not read_request(made):
            return
        threading.Event().wait(seconds)
        content = body()
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", "Connection: close"]
        if ahead is not None:
            lines.append(f"Date: {format_datetime(datetime.now(UTC) + ahead, usegmt=True)}")
        made.sendall("\r\n".join([*lines, "", content]).encode())

    return answer


def silent(made: socket.socket) -> None:
    """Take the connection and say nothing until the other side leaves."""
    while made.recv(4096):
        pass


def dripping(made: socket.socket) -> None:
    """Send a header's byte now and then, for as long as anybody listens."""
    read_request(made)
    made.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    for _ in range(200):
        made.sendall(b"x")
        threading.Event().wait(0.05)


def relaying(ports: dict[str, int], login: str | None = None, refuse: str | None = None) -> tuple[Answer, list[str]]:
    """Return an HTTP proxy that resolves names itself, and what it was asked for."""
    asked: list[str] = []

    def answer(made: socket.socket) -> None:
        request = read_request(made).decode()
        words = request.split("\r\n")[0].split()
        asked.append(" ".join(words[:2]))
        if refuse is not None:
            made.sendall(f"HTTP/1.1 {refuse}\r\n\r\n".encode())
            return
        if login is not None and f"Proxy-Authorization: Basic {login}" not in request:
            made.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", ports[words[1].partition(":")[0]])) as there:
            made.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: it\r\n\r\n")
            back = threading.Thread(target=copy, args=(there, made), daemon=True)
            back.start()
            copy(made, there)
            back.join(5)

    return answer, asked


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Hand on what comes until it ends."""
    with suppress(OSError):
        while block := source.recv(65536):
            sink.sendall(block)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
