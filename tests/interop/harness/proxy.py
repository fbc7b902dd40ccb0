"""A UDP proxy on loopback which records, forgets a binding as a NAT does, and puts a packet in."""

import pathlib
import selectors
import socket
import struct
import threading
import time
from typing import NamedTuple

RECEIVE_BUFFER = 4 << 20
BURST = 64  # datagrams taken from one socket before the others have their turn
GENTLE_BURST = 16  # so few, and then a pause, that the smallest socket of a peer has room for them
GENTLE_PAUSE = 0.001  # seconds
SO_RCVBUFFORCE = 33  # Linux: beyond net.core.rmem_max, with the right to do so


class Datagram(NamedTuple):
    """One datagram on its way."""

    at: float
    from_client: bool
    path: int  # the port by which the server knows the client
    data: bytes


class Proxy:
    """Between one client and one server, in a thread of its own."""

    def __init__(self, server_port: int, rebind_after: int | None = None, inject=None, gentle: bool = False) -> None:
        """rebind_after: bytes forwarded before the client's binding changes. inject: given the client's first datagram, returns datagrams for the client.
        gentle: forwards slowly enough that no socket overflows, about 20 MB/s."""
        self.server = ("127.0.0.1", server_port)
        self.rebind_after = rebind_after
        self.inject = inject
        self.gentle = gentle
        self.recorded: list[Datagram] = []
        self.failure: Exception | None = None
        self.paths: dict[tuple, socket.socket] = {}
        self.front = _bound()
        self.port = self.front.getsockname()[1]
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.front, selectors.EVENT_READ, None)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()
        for open_socket in [self.front, *self.paths.values()]:
            open_socket.close()

    def _run(self) -> None:
        try:
            self._forward()
        except Exception as failure:  # told to the case, which fails with it
            self.failure = failure

    def _forward(self) -> None:
        forwarded = 0
        while not self.stopped.is_set():
            for key, _ in self.selector.select(0.05):
                forwarded += self._take(key.fileobj, key.data)
                if self.gentle:
                    self.stopped.wait(GENTLE_PAUSE)
                if self.rebind_after is not None and forwarded >= self.rebind_after:
                    self.rebind_after = None
                    self._forget(next(iter(self.paths)))
                    break  # what was selected may be closed now

    def _take(self, source: socket.socket, client: tuple | None) -> int:
        """Forwards what waits at a socket, a burst at most; client: whose path it is, None for the front."""
        forwarded = 0
        for _ in range(GENTLE_BURST if self.gentle else BURST):
            try:
                data, sender = source.recvfrom(65536)
            except (BlockingIOError, ConnectionRefusedError):
                break
            forwarded += len(data)
            if client is None:
                self._to_server(data, sender)
            else:
                self._record(False, source, data)
                _send(self.front, data, client)
        return forwarded

    def _to_server(self, data: bytes, client: tuple) -> None:
        if client not in self.paths:
            if self.inject and not self.paths:
                for injected in self.inject(data):
                    _send(self.front, injected, client)
            self._open_path(client)
        path = self.paths[client]
        self._record(True, path, data)
        _send(path, data, self.server)

    def _open_path(self, client: tuple) -> None:
        self.paths[client] = _bound()
        self.selector.register(self.paths[client], selectors.EVENT_READ, client)

    def _forget(self, client: tuple) -> None:
        """As a NAT does: what comes for the old binding is lost, what leaves gets a new one."""
        old = self.paths.pop(client)
        self.selector.unregister(old)
        self._open_path(client)
        old.close()

    def _record(self, from_client: bool, path: socket.socket, data: bytes) -> None:
        self.recorded.append(Datagram(time.time(), from_client, path.getsockname()[1], data))

    def save(self, file: pathlib.Path) -> None:
        """As pcap, for Wireshark and tshark."""
        with open(file, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
            for datagram in self.recorded:
                ports = (datagram.path, self.server[1]) if datagram.from_client else (self.server[1], datagram.path)
                udp = struct.pack(">HHHH", *ports, 8 + len(datagram.data), 0) + datagram.data
                ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, b"\x7f\0\0\1", b"\x7f\0\0\1")
                seconds, fraction = divmod(datagram.at, 1)
                out.write(struct.pack("<IIII", int(seconds), int(fraction * 1e6), len(ip + udp), len(ip + udp)) + ip + udp)


def _bound() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:  # no such right, or no such option
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    made.bind(("127.0.0.1", 0))
    made.setblocking(False)
    return made


def _send(out: socket.socket, data: bytes, to: tuple) -> None:
    try:
        out.sendto(data, to)
    except (BlockingIOError, ConnectionRefusedError):
        pass  # as if the network had lost it
