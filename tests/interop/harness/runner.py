"""One case: its processes, its proxy, its folder of logs."""

import hashlib
import pathlib
import shutil
import socket
import subprocess
import time

from . import wire
from .implementations import Client, Implementation, Server
from .install import CACHE, FILE_SIZES, FILES
from .processes import Process, udp_port_is_bound
from .proxy import Proxy

READY_SECONDS = 10
CLIENT_SECONDS = 20


class Failed(Exception):
    """The case did not go as it must."""


class Skipped(Exception):
    """A peer cannot do the case."""


class Run:
    """Everything of one case; `close` ends what is left of it."""

    def __init__(self, server: Implementation, client: Implementation, folder: str) -> None:
        self.server, self.client = server, client
        self.folder = CACHE / "logs" / folder
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.processes: list[Process] = []
        self.proxies: list[Proxy] = []
        self.clients = 0

    def close(self) -> None:
        for process in self.processes:
            process.end()
        for number, proxy in enumerate(self.proxies):
            proxy.stop()
            proxy.save(self.folder / f"capture{number or ''}.pcap")

    def start_server(self, wanted: Server | None = None, port: int | None = None) -> tuple[Process, int]:
        port = port or free_port()
        environment = {**self.server.environment, "SSLKEYLOGFILE": str(self.folder / "server.keys")}
        process = Process(self.server.server(port, wanted or Server()), self.folder / "server", environment)
        self.processes.append(process)
        if self.server.has_ready_line:
            ready = process.saw("listening on", READY_SECONDS)
        else:
            ready = wait_until(lambda: udp_port_is_bound(port) or process.child.poll() is not None, READY_SECONDS) and process.child.poll() is None
        if not ready:
            raise Failed(f"the server did not start: {process.last_line()}")
        return process, port

    def start_proxy(self, server_port: int, **keywords) -> Proxy:
        proxy = Proxy(server_port, **keywords)
        self.proxies.append(proxy)
        return proxy

    def start_client(self, port: int, wanted: Client, stdin=subprocess.DEVNULL) -> Process:
        self.clients += 1
        name = "client" if self.clients == 1 else f"client{self.clients}"
        environment = {**self.client.environment, "SSLKEYLOGFILE": str(self.folder / f"{name}.keys")}
        process = Process(self.client.client(port, wanted), self.folder / name, environment, stdin)
        self.processes.append(process)
        return process

    def run_client(self, port: int, wanted: Client, seconds: float = CLIENT_SECONDS, stdin=subprocess.DEVNULL) -> Process:
        """Runs a client that must succeed."""
        process = self.start_client(port, wanted, stdin)
        code = process.wait(seconds)
        if code is None:
            raise Failed(f"the client was not done in {seconds} s; it last said: {process.last_line()}")
        if code != 0:
            raise Failed(f"the client ended with {code}: {process.last_line()}")
        return process

    def protocol(self, *preferred: str) -> str:
        for protocol in preferred:
            if protocol in self.server.protocols & self.client.protocols:
                return protocol
        other = self.client if self.client.name == "quicast" else self.server
        peer = self.server if other is self.client else self.client
        raise Skipped(f"{peer.name} has only {', '.join(sorted(peer.protocols))}, {other.name} has {', '.join(sorted(other.protocols))}")

    def exchange(self, port: int, size: str, **flags) -> Process:
        """Moves the named number of bytes on one stream: echoed if both can, else downloaded."""
        protocol = self.protocol("echo", "h3")
        if protocol == "echo":
            return self.run_client(port, Client(bytes=FILE_SIZES[size], **flags))
        return self.download(port, protocol, size, **flags)

    def upload(self, port: int, name: str, seconds: float = CLIENT_SECONDS, **flags) -> Process:
        """Sends a file with HTTP. It is compared when it comes back; from a server which does not do that, it must have been acknowledged."""
        if not self.server.echoes_uploads:
            return self.download(port, "h3", "small", seconds, post=FILES / name, **flags)
        return self.download(port, "h3", name, seconds, path="/echo", post=FILES / name, **flags)

    def output(self, name: str) -> pathlib.Path:
        """Where a download goes."""
        folder = self.folder / "downloads"
        folder.mkdir(exist_ok=True)
        return folder / name

    def download(self, port: int, protocol: str, name: str, seconds: float = CLIENT_SECONDS, path: str | None = None, **flags) -> Process:
        """Fetches a file, from another path if one is given, and compares it."""
        path = path or f"/{name}"
        output = self.output(path.removeprefix("/"))
        client = self.run_client(port, Client(protocol=protocol, get=path, output=output, **flags), seconds)
        if not output.exists():
            raise Failed(f"nothing was downloaded: {client.last_line()}")
        if digest(output) != digest(FILES / name):
            raise Failed(f"the download differs: {output.stat().st_size} of {FILE_SIZES[name]} bytes")
        output.unlink()
        return client

    def packets(self, proxy: Proxy) -> list[wire.Packet]:
        """What passed the proxy, opened with the key log of either side."""
        proxy.stop()
        if proxy.failure:
            raise Failed("the wire cannot be read")
        logs = [self.folder / "client.keys", self.folder / "server.keys"]
        logs = [log for log in logs if log.exists() and "CLIENT_TRAFFIC_SECRET_0" in log.read_text()]
        return wire.read(proxy.recorded, logs[0] if logs else self.folder / "none")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def digest(file: pathlib.Path) -> str:
    with open(file, "rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
