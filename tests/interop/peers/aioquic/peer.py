"""An aioquic peer for the interoperability runs: an echo and hq-interop server, and a client for each case.

Prints one line for what happened; exit code 0 means that it was what the flags asked for.
"""

import argparse
import asyncio
import os
import pathlib
import socket
import sys
import time

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion

UNKNOWN_VERSION = 0x1A2A3A4A  # of the reserved pattern 0x?a?a?a?a
ACT_AFTER = 32 * 1024  # bytes which must have come back before --key-update and --rebind act
UNIDIRECTIONAL = 0x2  # bit of a stream id


class Failure(Exception):
    """What goes wrong in a run; its text is printed."""


def describe(event: events.ConnectionTerminated) -> str:
    """`closed CODE REASON` for an application close."""
    if event.frame_type is None:
        return f"closed {event.error_code} {event.reason_phrase}"
    return f"lost transport error {event.error_code:#x} {event.reason_phrase}"


def pattern(stream: int, length: int) -> bytes:
    """Bytes which repeat only after 65521, different for each stream."""
    period = bytes((at * 131 ^ (at >> 8) * 17 ^ stream * 29 ^ (stream >> 8)) & 255 for at in range(min(length, 65521)))
    return (period * (length // 65521 + 1))[:length]


class Server(QuicConnectionProtocol):
    """One connection of the server."""

    options: argparse.Namespace

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.alpn = None
        self.echoed = 0
        self.streams = 0
        self.received: dict[int, bytearray] = {}

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ProtocolNegotiated):
            self.alpn = event.alpn_protocol
        elif isinstance(event, events.ConnectionTerminated):
            if self.alpn == "echo":
                print(f"served streams={self.streams} bytes={self.echoed}")
            print(describe(event), flush=True)
        elif isinstance(event, events.DatagramFrameReceived):
            self._quic.send_datagram_frame(event.data)
            self.transmit()
        elif isinstance(event, events.StreamDataReceived):
            if self.alpn == "hq-interop":
                self.serve_file(event)
            elif event.stream_id & UNIDIRECTIONAL:
                self.echo_unidirectional(event)
            else:
                self.echo(event)
            self.transmit()

    def echo(self, event: events.StreamDataReceived) -> None:
        start = self.received.setdefault(event.stream_id, bytearray())
        start += event.data[: 256 - len(start)]
        self.echoed += len(event.data)
        if self.options.key_update and self.echoed >= ACT_AFTER:
            self.options.key_update = False
            self._quic.request_key_update()
        if event.end_stream:
            self.streams += 1
            del self.received[event.stream_id]
            # `close 42 bye` asks for the connection to be closed with that code and reason.
            if start.startswith(b"close "):
                _, code, *reason = start.decode().strip().split(" ", 2)
                self._quic.close(error_code=int(code), reason_phrase=" ".join(reason))
                return
        self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)

    def echo_unidirectional(self, event: events.StreamDataReceived) -> None:
        whole = self.received.setdefault(event.stream_id, bytearray())
        whole += event.data
        if event.end_stream:
            answer = self._quic.get_next_available_stream_id(is_unidirectional=True)
            self._quic.send_stream_data(answer, bytes(self.received.pop(event.stream_id)), True)

    def serve_file(self, event: events.StreamDataReceived) -> None:
        request = self.received.setdefault(event.stream_id, bytearray())
        request += event.data
        if not event.end_stream:
            return
        root = pathlib.Path(self.options.root).resolve()
        path = (root / bytes(self.received.pop(event.stream_id)).decode().removeprefix("GET /").strip()).resolve()
        if not path.is_file() or root not in path.parents:
            print("request for no file", flush=True)
            self._quic.reset_stream(event.stream_id, 1)
            return
        self._quic.send_stream_data(event.stream_id, path.read_bytes(), True)


async def run_server(options: argparse.Namespace) -> None:
    configuration = configure(options, is_client=False, alpn=["echo", "hq-interop"])
    configuration.load_cert_chain(options.cert, options.key)
    Server.options = options
    host, port = options.listen.rsplit(":", 1)
    await serve(host, int(port), configuration=configuration, create_protocol=Server, retry=options.retry)
    print(f"listening on {options.listen}", flush=True)
    await asyncio.Event().wait()


class Relay(asyncio.DatagramProtocol):
    """Gives what comes to another port to the client."""

    def __init__(self, client: "Client") -> None:
        self.client = client

    def datagram_received(self, data: bytes, address: tuple) -> None:
        self.client.datagram_received(data, address)


class Client(QuicConnectionProtocol):
    """The client's connection; what arrives is collected by stream."""

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.received: dict[int, bytearray] = {}
        self.finished: dict[int, asyncio.Future] = {}
        self.datagrams: asyncio.Queue = asyncio.Queue()
        self.terminated: asyncio.Future = asyncio.get_running_loop().create_future()
        self.unidirectional: asyncio.Queue = asyncio.Queue()
        self.on_data = lambda total: None

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.StreamDataReceived):
            data = self.received.setdefault(event.stream_id, bytearray())
            data += event.data
            self.on_data(len(data))
            if event.end_stream and event.stream_id in self.finished:
                self.finished[event.stream_id].set_result(bytes(data))
            elif event.end_stream:
                self.unidirectional.put_nowait(bytes(data))
        elif isinstance(event, events.StreamReset) and event.stream_id in self.finished:
            self.finished[event.stream_id].set_exception(Failure(f"stream reset {event.error_code}"))
        elif isinstance(event, events.DatagramFrameReceived):
            self.datagrams.put_nowait(event.data)
        elif isinstance(event, events.ConnectionTerminated):
            self.terminated.set_result(event)
            for future in self.finished.values():
                if not future.done():
                    future.set_exception(Failure(describe(event)))

    def request(self, data: bytes) -> asyncio.Future:
        """Sends data on a new stream; the future is what comes back."""
        stream = self._quic.get_next_available_stream_id()
        self.finished[stream] = asyncio.get_running_loop().create_future()
        self._quic.send_stream_data(stream, data, True)
        return self.finished[stream]

    async def rebind(self) -> None:
        """Goes on from another port, with another connection id; what still comes to the old port is taken."""
        other = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        other.bind(("::", 0))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: Relay(self), sock=other)
        # Both in one step: no packet may carry the new id from the old port.
        self._quic.change_connection_id()
        self._transport = transport
        self.transmit()


async def run_client(options: argparse.Namespace) -> None:
    configuration = configure(options, is_client=True, alpn=["hq-interop" if options.get else "echo"])
    configuration.load_verify_locations(options.cacert)
    configuration.server_name = "localhost"
    if options.offer_version:
        configuration.original_version = UNKNOWN_VERSION
        configuration.supported_versions = [UNKNOWN_VERSION, QuicProtocolVersion.VERSION_1]
    host, port = options.address.rsplit(":", 1)
    async with connect(host, int(port), configuration=configuration, create_protocol=Client) as client:
        await act(options, client)
        code, reason = (options.close.split(" ", 1) + [""])[:2]
        client._quic.close(error_code=int(code), reason_phrase=reason)
        client.transmit()


async def act(options: argparse.Namespace, client: Client) -> None:
    started = time.monotonic()
    if options.get:
        data = await client_request(client, f"GET {options.get}\r\n".encode())
        pathlib.Path(options.output).write_bytes(data)
        print(f"downloaded bytes={len(data)} milliseconds={(time.monotonic() - started) * 1000:.0f}")
    elif options.close_request:
        client.request(f"close {options.close_request}".encode()).add_done_callback(lambda done: done.exception())
        client.transmit()
        print(describe(await client.terminated))
    elif options.datagrams:
        await echo_datagrams(client, options.datagrams, options.bytes)
    elif options.unidirectional:
        await echo_unidirectional(client, options.unidirectional, options.bytes)
    else:
        await echo(options, client)
        milliseconds = (time.monotonic() - started) * 1000
        print(f"echoed streams={options.streams} bytes={options.streams * options.bytes} milliseconds={milliseconds:.0f}")


async def client_request(client: Client, data: bytes) -> bytes:
    future = client.request(data)
    client.transmit()
    return await future


async def echo(options: argparse.Namespace, client: Client) -> None:
    midway = {"key_update": options.key_update, "rebind": options.rebind}
    tasks = []

    def on_data(total: int) -> None:
        if total < min(ACT_AFTER, options.bytes):
            return
        if midway.pop("key_update", False):
            client._quic.request_key_update()
        if midway.pop("rebind", False):
            tasks.append(asyncio.ensure_future(client.rebind()))

    client.on_data = on_data
    wanted = [pattern(number, options.bytes) for number in range(options.streams)]
    futures = [client.request(data) for data in wanted]
    client.transmit()
    for number, (future, data) in enumerate(zip(futures, wanted)):
        if await future != data:
            raise Failure(f"stream {number} came back changed")
    await asyncio.gather(*tasks)


async def echo_datagrams(client: Client, datagrams: int, length: int) -> None:
    for number in range(datagrams):
        # Datagrams may be lost, even here: each is tried some times.
        for attempt in range(6):
            client._quic.send_datagram_frame(pattern(number, length))
            client.transmit()
            try:
                data = await asyncio.wait_for(client.datagrams.get(), 0.5)
            except asyncio.TimeoutError:
                continue
            if data != pattern(number, length):
                raise Failure("a datagram came back changed")
            break
        else:
            raise Failure(f"datagram {number} never came back")
    print(f"echoed datagrams={datagrams}")


async def echo_unidirectional(client: Client, streams: int, length: int) -> None:
    wanted = [pattern(number, length) for number in range(streams)]
    for data in wanted:
        stream = client._quic.get_next_available_stream_id(is_unidirectional=True)
        client._quic.send_stream_data(stream, data, True)
    client.transmit()
    for _ in range(streams):
        data = await client.unidirectional.get()
        if data not in wanted:
            raise Failure("a stream came back changed")
        wanted.remove(data)
    print(f"echoed unidirectional streams={streams}")


def configure(options: argparse.Namespace, is_client: bool, alpn: list[str]) -> QuicConfiguration:
    secrets = open(os.environ.get("SSLKEYLOGFILE", os.devnull), "a", buffering=1)
    return QuicConfiguration(
        is_client=is_client, alpn_protocols=alpn, max_datagram_frame_size=65536, secrets_log_file=secrets, idle_timeout=30.0
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("server")
    server.add_argument("--listen", default="127.0.0.1:4433")
    for name in ("--cert", "--key"):
        server.add_argument(name, required=True)
    server.add_argument("--root", default=".")
    for name in ("--retry", "--key-update"):
        server.add_argument(name, action="store_true")
    client = roles.add_parser("client")
    client.add_argument("address")
    for name in ("--cacert", "--get", "--output", "--close-request", "--offer-version"):
        client.add_argument(name)
    client.add_argument("--close", default="0 done")
    client.add_argument("--bytes", type=int, default=1000)
    client.add_argument("--streams", type=int, default=1)
    for name in ("--unidirectional", "--datagrams"):
        client.add_argument(name, type=int, default=0)
    for name in ("--rebind", "--key-update"):
        client.add_argument(name, action="store_true")
    return parser.parse_args()


def main() -> int:
    options = parse()
    try:
        asyncio.run(run_server(options) if options.role == "server" else run_client(options))
    except (Failure, ConnectionError) as failure:
        print(f"failed {failure or type(failure).__name__}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
