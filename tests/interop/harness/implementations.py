"""The command lines of each stack, behind one shape."""

import pathlib
import subprocess
from dataclasses import dataclass

from . import install
from .install import CERTIFICATES, FILES

AUTHORITY, CERTIFICATE, KEY = CERTIFICATES / "ca.pem", CERTIFICATES / "cert.pem", CERTIFICATES / "key.pem"
# Made by the first quicast server that wants it.
RESET_KEY = CERTIFICATES / "reset-key"
MOST_PARALLEL = 300  # of `quicast get`
OFFERED_VERSION = "0x1a2a3a4a"  # reserved: nobody speaks it


@dataclass
class Server:
    """What a server is asked for."""

    retry: bool = False
    key_update: bool = False  # begins a key update on each connection, early
    verbose: bool = False  # says what it receives, where it does not always
    built_in: bool = False  # HTTP: not only files, but `/echo` and `/ws`, where these exclude each other
    for_browser: bool = False  # HTTPS on TCP, too, and a certificate whose hash is printed


@dataclass
class Client:
    """What a client is asked for; the first of get, close_request, wait_for_reset, datagrams, unidirectional, else streams."""

    protocol: str = "echo"
    bytes: int = 1000
    streams: int = 1
    unidirectional: int = 0
    datagrams: int = 0
    get: str | None = None  # a path of the server's files; with more than one stream, of a folder of them
    post: pathlib.Path | None = None  # the file to send along
    output: pathlib.Path | None = None
    stdin: bool = False  # echoes its standard input to its standard output, where it can
    key_update: bool = False
    rebind: bool = False
    close: str | None = None
    close_request: str | None = None
    wait_for_reset: bool = False
    wait_for_close: bool = False
    offer_version: bool = False
    verbose: bool = False
    trailers: bool = False  # with what is posted
    priority: str | None = None  # a field of the requests
    websocket: str | None = None  # a path
    one_by_one: bool = False  # the first request is answered before the others are made


class Implementation:
    """A stack. `cannot` says why a case is impossible for it, in the words of the skip line."""

    name: str
    protocols = {"echo", "hq-interop"}
    has_ready_line = True
    prints_served = False  # a line `served streams=N bytes=M` when a connection has ended
    echoes_stdin = False
    roles = ("server", "client")
    echoes_uploads = False  # HTTP: `/echo` gives back what is posted
    ready_to_close = "ready"  # what a client prints that waits for the other side's close
    environment: dict[str, str] = {}
    has_dynamic_table = False  # inserts fields into the other side's (QPACK)
    own_close: str | None = None  # the code and reason with which it closes, where it cannot be told
    updates_keys_by_itself = False  # after some hundred packets of a connection

    def install(self) -> None:
        raise NotImplementedError

    def server(self, port: int, wanted: Server) -> list:
        raise NotImplementedError

    def client(self, port: int, wanted: Client) -> list:
        raise NotImplementedError

    def cannot(self, case: str, role: str) -> str | None:
        return None

    def line_of_close(self, close: str) -> str:
        """What it prints when the other side's application closes the connection with this code and reason."""
        return f"closed {close}"


class Peer(Implementation):
    """The drivers under peers/ have the same flags."""

    prints_served = True
    program: list

    def __init__(self, name: str, program: list, installer, cannot: dict | None = None, updates_keys_by_itself: bool = False) -> None:
        self.name, self.program, self.install = name, program, installer
        self.reasons = cannot or {}
        self.updates_keys_by_itself = updates_keys_by_itself

    def cannot(self, case: str, role: str) -> str | None:
        return self.reasons.get((case, role)) or self.reasons.get(case)

    def server(self, port: int, wanted: Server) -> list:
        command = [*self.program, "server", "--listen", f"127.0.0.1:{port}", "--cert", CERTIFICATE, "--key", KEY, "--root", FILES]
        return command + ["--retry"] * wanted.retry + ["--key-update"] * wanted.key_update

    def client(self, port: int, wanted: Client) -> list:
        command = [*self.program, "client", f"127.0.0.1:{port}", "--cacert", AUTHORITY, "--bytes", wanted.bytes, "--streams", wanted.streams]
        if wanted.get:
            command += ["--get", wanted.get, "--output", wanted.output]
        for flag, value in [
            ("--unidirectional", wanted.unidirectional or None),
            ("--datagrams", wanted.datagrams or None),
            ("--close", wanted.close),
            ("--close-request", wanted.close_request),
            ("--wait-for-reset", "yes" if wanted.wait_for_reset else None),
            ("--offer-version", OFFERED_VERSION if wanted.offer_version else None),
        ]:
            if value is not None:
                command += [flag, value]
        return command + ["--key-update"] * wanted.key_update + ["--rebind"] * wanted.rebind


class Gtls(Implementation):
    """ngtcp2's example programs with GnuTLS, as Debian has them: HTTP/3 only, and exit code 0 whatever happens."""

    name = "gtls"
    protocols = {"h3"}
    has_ready_line = False
    own_close = "256 "
    ready_to_close = "HANDSHAKE_DONE(0x1e)"
    reasons = {
        "unidirectional": "HTTP/3 only: nothing comes back on streams of the server",
        "datagrams": "no datagrams in this version",
        ("stateless-reset", "server"): "its server makes a new reset key at each start",
        ("key-update-by-server", "server"): "gtlsserver has no flag for it",
    }

    def install(self) -> None:
        install.gtls()

    def cannot(self, case: str, role: str) -> str | None:
        return self.reasons.get((case, role)) or self.reasons.get(case)

    def line_of_close(self, close: str) -> str:
        code, _, reason = close.partition(" ")
        return f"error_code=(unknown)({int(code):#x}) frame_type=0 reason_len={len(reason)} reason=[{reason}]"

    def server(self, port: int, wanted: Server) -> list:
        command = [install.gtlsserver(), "127.0.0.1", port, KEY, CERTIFICATE, "-d", FILES]
        return command + ["-V"] * wanted.retry + ["-q"] * (not wanted.verbose)

    def client(self, port: int, wanted: Client) -> list:
        address = f"https://localhost:{port}"
        command = ["gtlsclient", "127.0.0.1", port, *[address + path for path in paths(wanted)], f"--download={wanted.output.parent}"]
        command += ["--exit-on-all-streams-close", "--timeout=10s"]
        command += ["-m", "POST", "-d", wanted.post] if wanted.post else []
        command += ["--delay-stream=1s"] * wanted.wait_for_reset + ["--delay-stream=9s"] * wanted.wait_for_close
        command += ["--key-update=1ms"] * wanted.key_update + ["--change-local-addr=2ms"] * wanted.rebind + ["-q"] * (not wanted.verbose)
        return command + ["-v", OFFERED_VERSION, "--preferred-versions=v1"] * wanted.offer_version


class Http3Peer(Implementation):
    """The drivers under peers/ that speak HTTP/3 have the same flags."""

    protocols = {"h3"}
    echoes_uploads = True

    def __init__(self, name: str, server: list | None, client: list, installer, cannot: dict | None = None, has_dynamic_table: bool = False) -> None:
        self.name, self.as_server, self.as_client, self.install = name, server, client, installer
        self.roles = ("server", "client") if server else ("client",)
        self.reasons = cannot or {}
        self.has_dynamic_table = has_dynamic_table

    def cannot(self, case: str, role: str) -> str | None:
        return self.reasons.get((case, role)) or self.reasons.get(case)

    def server(self, port: int, wanted: Server) -> list:
        return [*self.as_server, "--listen", f"127.0.0.1:{port}", "--cert", CERTIFICATE, "--key", KEY, "--root", FILES]

    def client(self, port: int, wanted: Client) -> list:
        command = [*self.as_client, f"127.0.0.1:{port}", "--cacert", AUTHORITY]
        if wanted.get:
            command += ["--output", wanted.output.parent]
        for path in paths(wanted):
            command += ["--path", path]
        for flag, value in [
            ("--post", wanted.post),
            ("--priority", wanted.priority),
            ("--websocket", wanted.websocket),
            ("--close", wanted.close),
            ("--wait-for-close", "yes" if wanted.wait_for_close else None),
        ]:
            if value is not None:
                command += [flag, value]
        command += ["--trailers"] * wanted.trailers + ["--one-by-one"] * wanted.one_by_one
        return command + ["--key-update"] * wanted.key_update + ["--rebind"] * wanted.rebind


def paths(wanted: Client) -> list[str]:
    if wanted.get is None:
        return []
    return [f"{wanted.get}/{number}" for number in range(wanted.streams)] if wanted.streams > 1 else [wanted.get]


class Caddy(Implementation):
    """Caddy, which is quic-go in what most people run it in."""

    name = "caddy"
    protocols = {"h3"}
    has_ready_line = False
    echoes_uploads = True
    environment = {"XDG_DATA_HOME": str(install.CACHE / "caddy"), "XDG_CONFIG_HOME": str(install.CACHE / "caddy")}
    roles = ("server",)
    reasons = {
        "h3-trailers": "it has no handler that sends them",
        "h3-websocket": "it has no handler of its own for them",
        "h3-dynamic-table": "quic-go has none",
    }

    def install(self) -> None:
        install.caddy()

    def cannot(self, case: str, role: str) -> str | None:
        return self.reasons.get(case)

    def server(self, port: int, wanted: Server) -> list:
        return [install.CADDY, "run", "--config", install.caddy_config(port, CERTIFICATE, KEY, FILES)]

class Chromium(Implementation):
    """A browser, with cases of its own; browser.py drives it."""

    name = "chromium"
    protocols = {"h3"}
    roles = ("client",)

    def install(self) -> None:
        install.chromium()


class Quicast(Implementation):
    """The command under test. What it has is read from its --help, so that the harness fits each of its builds."""

    name = "quicast"
    # Where it keeps its development certificate.
    environment = {"XDG_CACHE_HOME": str(install.CACHE)}
    protocols = {"echo", "hq-interop", "h3"}
    echoes_stdin = True
    echoes_uploads = True
    has_dynamic_table = True

    def __init__(self, binary: pathlib.Path) -> None:
        self.binary = binary
        self.helps: dict[str, str] = {}
        # What the command has no flags for is done by its library.
        self.driver = Http3Peer("quicast", None, [install.QUICAST_H3, "client"], install.quicast_h3)

    def install(self) -> None:
        install.quicast(self.binary)
        self.driver.install()
        self.helps = {name: self._help(*name.split()) for name in ("serve", "echo", "get")}

    def _help(self, *command: str) -> str:
        try:
            done = subprocess.run([self.binary, *command, "--help"], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout if done.returncode == 0 else ""

    def has(self, command: str, flag: str) -> bool:
        return any(flag == word.rstrip(",=") for word in self.helps[command].replace("=", " ").split())

    def cannot(self, case: str, role: str) -> str | None:
        missing = {
            ("key-update-by-server", "server"): ("serve", "--key-update"),
            ("stateless-reset", "server"): ("serve", "--reset-key-file"),
            ("close-code-by-client", "client"): ("echo", "--close"),
            ("unidirectional", "client"): ("echo", "--unidirectional"),
            ("datagrams", "client"): ("echo", "--datagrams"),
        }.get((case, role))
        if missing and not self.has(*missing):
            return f"quicast {missing[0]} has no {missing[1]}"
        if (case, role) == ("offer-version", "client"):
            return "quicast echo has no flag for it"
        return None

    def server(self, port: int, wanted: Server) -> list:
        if wanted.for_browser:
            # A browser tries ::1 first, and finds HTTP/3 through TCP.
            return [self.binary, "serve", "--listen", f"localhost:{port}", "--admin", "off"]
        command = [self.binary, "serve", "--listen", f"127.0.0.1:{port}", "--cert", CERTIFICATE, "--key", KEY]
        command += [] if wanted.built_in else ["--root", FILES]
        command += ["--retry"] * wanted.retry + ["--key-update"] * wanted.key_update
        for flag, *value in [("--admin", "off"), ("--no-tcp",), ("--reset-key-file", RESET_KEY)]:
            if self.has("serve", flag):
                command += [flag, *value]
        return command

    def can_get(self, wanted: Client) -> bool:
        """Whether `quicast get` is there, and has flags for all that is wanted."""
        acts = wanted.key_update or wanted.rebind or wanted.close or wanted.wait_for_close
        return bool(self.helps["get"]) and not (acts or wanted.trailers or wanted.websocket or wanted.streams > MOST_PARALLEL)

    def get(self, port: int, wanted: Client) -> list:
        command = [self.binary, "get", "-s", "-S", "-f", "--cacert", AUTHORITY, "--resolve", f"localhost:{port}:127.0.0.1"]
        command += ["-O", "--output-dir", wanted.output.parent]
        if wanted.one_by_one:
            # Long, and the same in each request: worth an entry of the dynamic table.
            command += [part for letter in "abc" for part in ("-H", f"x-interop-{letter}: {letter * 40}")]
        elif wanted.streams > 1:
            command += ["-Z", "--parallel-max", wanted.streams]
        command += ["-H", f"priority: {wanted.priority}"] if wanted.priority else []
        command += ["--data-binary", f"@{wanted.post}"] if wanted.post else []
        return command + [f"https://localhost:{port}{path}" for path in paths(wanted)]

    def client(self, port: int, wanted: Client) -> list:
        if wanted.protocol == "h3":
            return self.get(port, wanted) if self.can_get(wanted) else self.driver.client(port, wanted)
        command = [self.binary, "echo", f"127.0.0.1:{port}", "--cacert", AUTHORITY]
        if wanted.get:
            return command + ["--alpn", "hq-interop", "--get", wanted.get, "-o", wanted.output]
        if not wanted.stdin and not wanted.close_request and not wanted.wait_for_reset:
            # --bytes is the sum over the streams or datagrams.
            parts = wanted.unidirectional or wanted.datagrams or wanted.streams
            command += ["--bytes", wanted.bytes * parts]
        if wanted.unidirectional:
            command += ["--unidirectional", wanted.unidirectional]
        elif wanted.datagrams:
            command += ["--datagrams"]
        elif wanted.streams > 1:
            command += ["--streams", wanted.streams]
        if wanted.close:
            command += ["--close", wanted.close]
        return command + ["--key-update"] * wanted.key_update + ["--rebind"] * wanted.rebind


def peers() -> dict[str, Implementation]:
    known = [
        Peer("quinn", [install.QUINN], install.quinn, updates_keys_by_itself=True),
        Peer("quic-go", [install.QUIC_GO], install.quic_go, updates_keys_by_itself=True),
        Peer(
            "aioquic",
            [install.PYTHON, "-B", install.PEERS / "aioquic/peer.py"],
            install.aioquic,
            cannot={"stateless-reset": "aioquic neither sends nor knows stateless resets"},
        ),
        Gtls(),
    ]
    return {peer.name: peer for peer in known}


def http3_peers() -> dict[str, Implementation]:
    """Those that are met with HTTP/3; ngtcp2's programs do all their cases with it."""
    aioquic = [install.PYTHON, "-B", install.PEERS / "aioquic/h3.py"]
    no_table = "it has none"
    known = [
        Http3Peer(
            "quinn",
            [install.QUINN_H3, "server"],
            [install.QUINN_H3, "client"],
            install.quinn_h3,
            {"h3-dynamic-table": "h3 has none", "h3-websocket": "h3 does not know this :protocol"},
        ),
        Http3Peer("quic-go", [install.QUIC_GO, "h3-server"], [install.QUIC_GO, "h3-client"], install.quic_go, {"h3-dynamic-table": no_table}),
        Http3Peer("aioquic", [*aioquic, "server"], [*aioquic, "client"], install.aioquic, has_dynamic_table=True),
        Http3Peer(
            "pycurl",
            None,
            [install.PYTHON, "-B", install.PEERS / "pycurl/peer.py", "client"],
            install.pycurl,
            {"h3-trailers": "pycurl cannot send them", "h3-websocket": "libcurl has none over HTTP/3"},
            has_dynamic_table=True,
        ),
        Caddy(),
        Chromium(),
    ]
    return {peer.name: peer for peer in known}
