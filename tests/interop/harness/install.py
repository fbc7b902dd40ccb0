"""Gets the pinned peers, the drivers, a certificate and the files to transfer; quick when all is there."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
CACHE = HERE / ".cache"
PEERS = HERE / "peers"
PYTHON = CACHE / "venv/bin/python"
QUINN = CACHE / "target/release/quinn-peer"
QUIC_GO = CACHE / "bin/quic-go-peer"
QUINN_H3 = CACHE / "target/release/quinn-h3-peer"
CADDY = CACHE / "bin/caddy"
QUICAST_H3 = CACHE / "target/release/quicast-h3"
CERTIFICATES = CACHE / "certificates"
FILES = CACHE / "files"
FILE_SIZES = {"small": 1000, "1mb": 1 << 20, "3mb": 3 << 20, "10mb": 10 << 20}
SMALL_FILES = 1999  # of 32 bytes each, in the folder streams/


class NotInstalled(Exception):
    """A peer could not be had; the text says why."""


class NotAvailable(NotInstalled):
    """Nor is that a failure: its cases are skipped."""


def venv() -> None:
    """The Python packages: of the peers, and of the harness itself."""
    requirements = [PEERS / "aioquic/requirements.txt", PEERS / "pycurl/requirements.txt"]
    arguments = [argument for file in requirements for argument in ("-r", file)]

    def make() -> None:
        run([sys.executable, "-m", "venv", "--clear", CACHE / "venv"])
        run([PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", *arguments])

    unless_unchanged("venv", requirements, PYTHON, make)


def quinn() -> None:
    crate("quinn", QUINN)


def quinn_h3() -> None:
    crate("quinn-h3", QUINN_H3)


def crate(name: str, product: pathlib.Path) -> None:
    folder = PEERS / name
    sources = [path for part in (folder, PEERS / "options") for path in (part / "Cargo.toml", *part.glob("src/*.rs"))]
    sources.append(folder / "Cargo.lock")
    environment = {**os.environ, "CARGO_TARGET_DIR": str(CACHE / "target")}
    command = ["cargo", "build", "--quiet", "--release", "--locked", "--manifest-path", folder / "Cargo.toml"]
    unless_unchanged(name, sources, product, lambda: run(command, environment=environment))


def quic_go() -> None:
    folder = PEERS / "quic-go"
    sources = [folder / "go.mod", folder / "go.sum", *folder.glob("*.go")]
    command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-o", QUIC_GO, "."]
    unless_unchanged("quic-go", sources, QUIC_GO, lambda: run(command, folder=folder))


def caddy() -> None:
    """Caddy, with few of its modules; a minute and a half of a processor's time, once."""
    folder = PEERS / "caddy"
    sources = [folder / "go.mod", folder / "go.sum", *folder.glob("*.go")]
    command = ["go", "build", "-mod=readonly", "-buildvcs=false", "-ldflags=-s -w", "-o", CADDY, "."]
    try:
        unless_unchanged("caddy", sources, CADDY, lambda: run(command, folder=folder))
    except NotInstalled as failure:
        raise NotAvailable(f"Caddy cannot be built: {failure}") from None


def caddy_config(port: int, certificate: pathlib.Path, key: pathlib.Path, root: pathlib.Path) -> pathlib.Path:
    """Files, and `/echo` with what is posted to it."""
    echo = {"match": [{"path": ["/echo"]}], "handle": [{"handler": "static_response", "body": "{http.request.body}"}]}
    files = {"handle": [{"handler": "file_server", "root": str(root)}]}
    server = {
        "listen": [f"127.0.0.1:{port}"],
        "routes": [echo, files],
        "tls_connection_policies": [{}],
        "automatic_https": {"disable": True},
    }
    config = {
        "admin": {"disabled": True, "config": {"persist": False}},
        "apps": {
            "http": {"servers": {"interop": server}},
            "tls": {"certificates": {"load_files": [{"certificate": str(certificate), "key": str(key)}]}},
        },
    }
    file = CACHE / "caddy" / f"{port}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config))
    return file


def quicast_h3() -> None:
    """The driver on `quicast::http3`. Cargo knows whether the library has changed; its lock file follows the library's dependencies."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(CACHE / "target")}
    run(["cargo", "build", "--quiet", "--release", "--manifest-path", PEERS / "quicast-h3/Cargo.toml"], environment=environment)


def gtls() -> None:
    """gtlsclient and gtlsserver of Debian; they are in no other place, so only here the system is changed."""
    if shutil.which("gtlsclient") and gtlsserver():
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise NotInstalled("needs the Debian packages ngtcp2-client and ngtcp2-server")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", "update", "-qq"], environment=environment)
    run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "ngtcp2-client", "ngtcp2-server"], environment=environment)


def chromium() -> None:
    if not shutil.which("chromium"):
        raise NotAvailable("Chromium is not installed (Debian's package chromium)")


def gtlsserver() -> str | None:
    return shutil.which("gtlsserver") or shutil.which("gtlsserver", path="/usr/sbin:/sbin")


def aioquic() -> None:
    """Came with the venv."""


def pycurl() -> None:
    """Likewise."""


def quicast(binary: pathlib.Path) -> None:
    # Where cargo puts it, always anew: what is there may be older than what is to be tried.
    if binary.name == "quicast" and binary.parent.name == "release" or not binary.exists():
        run(["cargo", "build", "--release", "-p", "quicast-cli"], folder=ROOT)
    if not binary.exists():
        raise NotInstalled(f"{binary} is not there, and cargo build --release -p quicast-cli did not make it")


def certificate() -> None:
    """A certificate authority, and a certificate for localhost, 127.0.0.1 and ::1 that it signed, new each ten days."""
    from datetime import datetime, timedelta, timezone
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    stamp = CERTIFICATES / "made"
    now = datetime.now(timezone.utc)
    if stamp.exists() and datetime.fromtimestamp(stamp.stat().st_mtime, timezone.utc) > now - timedelta(days=10):
        return
    CERTIFICATES.mkdir(parents=True, exist_ok=True)

    def build(subject, issuer, key, signer, authority):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=13))
        builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
        usage = dict.fromkeys(
            ["content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"], False
        )
        builder = builder.add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=authority, **usage), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        if not authority:
            names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")), x509.IPAddress(ip_address("::1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
            builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    (CERTIFICATES / "ca.pem").write_bytes(build(name("quicast interop"), name("quicast interop"), authority_key, authority_key, True))
    (CERTIFICATES / "cert.pem").write_bytes(build(name("localhost"), name("quicast interop"), key, authority_key, False))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (CERTIFICATES / "key.pem").touch(mode=0o600)
    (CERTIFICATES / "key.pem").write_bytes(private)
    stamp.touch()


def files() -> None:
    """Files whose bytes are the same in each run."""
    (FILES / "streams").mkdir(parents=True, exist_ok=True)
    for name, size in FILE_SIZES.items():
        if not (FILES / name).exists() or (FILES / name).stat().st_size != size:
            (FILES / name).write_bytes(random.Random(name).randbytes(size))
    if len(list((FILES / "streams").iterdir())) != SMALL_FILES:
        for number in range(SMALL_FILES):
            (FILES / "streams" / str(number)).write_bytes(random.Random(number).randbytes(32))


def unless_unchanged(name: str, sources: list, product: pathlib.Path, make) -> None:
    """Makes the product unless the sources are those it was made from."""
    digest = hashlib.sha256(b"".join(path.name.encode() + path.read_bytes() for path in sorted(sources))).hexdigest()
    stamp = CACHE / "stamps" / name
    if product.exists() and stamp.exists() and stamp.read_text() == digest:
        return
    make()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(digest)


def run(command: list, folder: pathlib.Path = HERE, environment: dict | None = None) -> None:
    try:
        done = subprocess.run(
            [str(part) for part in command], cwd=folder, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except FileNotFoundError:
        raise NotInstalled(f"{command[0]} is missing") from None
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["no output"])[-1]
        raise NotInstalled(f"{command[0]} {command[1]} failed: {last}")
