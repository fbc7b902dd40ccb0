"""aioquic's HTTP/3 for the interoperability runs: a server of files, echoes and WebSockets, and a client.

Prints a line for each answer, whose body goes to a file named as the last part of the path; exit code 0 means that all came with status 200.
"""

import argparse
import asyncio
import os
import pathlib
import sys
from dataclasses import dataclass, field

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import websocket  # noqa: E402

MESSAGES = [b"one", "zwei, höflich".encode(), b"", bytes(range(256)) * 300, b"the last"]


class Failure(Exception):
    """What goes wrong in a run; its text is printed."""


@dataclass
class Exchange:
    """A request or an answer as it arrives."""

    headers: dict = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    trailers: dict = field(default_factory=dict)
    ended: asyncio.Future | None = None  # a client's
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False
    stream: int = 0
    socket: websocket.Reader | None = None


class Http3(QuicConnectionProtocol):
    """What both sides do with a connection."""

    def __init__(self, *arguments, **keywords) -> None:
        super().__init__(*arguments, **keywords)
        self.http: H3Connection | None = None
        self.exchanges: dict[int, Exchange] = {}
        self.count = 0

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ProtocolNegotiated):
            self.http = H3Connection(self._quic)
        elif isinstance(event, events.ConnectionTerminated):
            self.terminated(event)
        elif isinstance(event, events.StreamReset):
            exchange = self.exchanges.get(event.stream_id)
            if exchange and exchange.ended and not exchange.ended.done():
                exchange.ended.set_exception(Failure(f"stream {event.stream_id} was reset: {event.error_code:#x}"))
        if self.http is not None:
            for happened in self.http.handle_event(event):
                self.http_event_received(happened)
            self.transmit()

    def http_event_received(self, event) -> None:
        if not isinstance(event, (HeadersReceived, DataReceived)):
            return
        exchange = self.exchanges.setdefault(event.stream_id, Exchange())
        if isinstance(event, HeadersReceived):
            fields = {name.decode(): value.decode() for name, value in event.headers}
            if exchange.headers and not exchange.headers.get(":status", "200").startswith("1"):
                exchange.trailers = fields
            else:
                exchange.headers = fields
        else:
            exchange.body += event.data
        exchange.over = event.stream_ended
        exchange.arrived.set()
        self.progressed(event.stream_id, exchange)

    def progressed(self, stream: int, exchange: Exchange) -> None:
        raise NotImplementedError

    def terminated(self, event: events.ConnectionTerminated) -> None:
        raise NotImplementedError

    def send(self, stream: int, headers: dict, body: bytes | None, trailers: dict | None = None) -> None:
        """A whole message; `None` as its body leaves the stream open."""
        empty = not body and not trailers
        self.http.send_headers(stream, encoded(headers), end_stream=body is not None and empty)
        if body:
            self.http.send_data(stream, body, end_stream=not trailers)
        if trailers:
            self.http.send_headers(stream, encoded(trailers), end_stream=True)
        self.transmit()


def encoded(fields: dict) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in fields.items()]


class Server(Http3):
    options: argparse.Namespace

    def progressed(self, stream: int, exchange: Exchange) -> None:
        if exchange.headers.get(":method") == "CONNECT":
            self.web_socket(stream, exchange)
        elif exchange.over:
            del self.exchanges[stream]
            self.count += 1
            self.answer(stream, exchange)

    def answer(self, stream: int, exchange: Exchange) -> None:
        path = exchange.headers[":path"]
        if path == "/echo":
            length = {} if exchange.trailers else {"content-length": str(len(exchange.body))}
            self.send(stream, {":status": "200", **length}, bytes(exchange.body), exchange.trailers)
            return
        root = pathlib.Path(self.options.root).resolve()
        file = (root / path.lstrip("/")).resolve()
        if not file.is_file() or root not in file.parents:
            self.send(stream, {":status": "404"}, b"")
            return
        body = file.read_bytes()
        self.send(stream, {":status": "200", "content-length": str(len(body))}, body)

    def web_socket(self, stream: int, exchange: Exchange) -> None:
        if exchange.socket is None:
            if exchange.headers.get(":protocol") != "websocket" or exchange.headers.get("sec-websocket-version") != "13":
                self.send(stream, {":status": "400"}, b"")
                return
            exchange.socket = websocket.Reader(masked=True)
            self.send(stream, {":status": "200"}, None)
        for kind, message in exchange.socket.read(exchange.body):
            self.http.send_data(stream, websocket.frame(kind, message, mask=False), end_stream=kind == websocket.CLOSE)
        exchange.body.clear()

    def terminated(self, event: events.ConnectionTerminated) -> None:
        print(f"served requests={self.count}")
        print(f"closed {event.error_code} {event.reason_phrase}" if event.frame_type is None else f"lost {event}", flush=True)


class Client(Http3):
    def progressed(self, stream: int, exchange: Exchange) -> None:
        if exchange.over and exchange.ended and not exchange.ended.done():
            exchange.ended.set_result(exchange)

    def terminated(self, event: events.ConnectionTerminated) -> None:
        for exchange in self.exchanges.values():
            exchange.arrived.set()
            if exchange.ended and not exchange.ended.done():
                exchange.ended.set_exception(Failure(f"the connection ended: {event}"))

    def request(self, headers: dict, body: bytes | None = b"", trailers: dict | None = None) -> Exchange:
        stream = self._quic.get_next_available_stream_id()
        exchange = self.exchanges[stream] = Exchange(ended=asyncio.get_running_loop().create_future())
        exchange.stream = stream
        self.send(stream, headers, body, trailers)
        return exchange


async def run_server(options: argparse.Namespace) -> None:
    configuration = configure(is_client=False)
    configuration.load_cert_chain(options.cert, options.key)
    Server.options = options
    host, port = options.listen.rsplit(":", 1)
    await serve(host, int(port), configuration=configuration, create_protocol=Server)
    print(f"listening on {options.listen}", flush=True)
    await asyncio.Event().wait()


async def run_client(options: argparse.Namespace) -> None:
    configuration = configure(is_client=True)
    configuration.load_verify_locations(options.cacert)
    configuration.server_name = "localhost"
    host, port = options.address.rsplit(":", 1)
    pseudo = {":scheme": "https", ":authority": f"localhost:{port}"}
    async with connect(host, int(port), configuration=configuration, create_protocol=Client) as client:
        if options.websocket:
            await talk(client, {":method": "CONNECT", ":protocol": "websocket", **pseudo, ":path": options.websocket})
        else:
            await fetch(options, client, pseudo)
        client.http._quic.close(error_code=0x100)
        client.transmit()


async def fetch(options: argparse.Namespace, client: Client, pseudo: dict) -> None:
    body = pathlib.Path(options.post).read_bytes() if options.post else b""
    method = "POST" if options.post else "GET"
    more = {"user-agent": "aioquic", **({"priority": options.priority} if options.priority else {})}
    if options.post and not options.trailers:
        more["content-length"] = str(len(body))
    trailers = {"x-interop": "forty-two"} if options.trailers else None
    if options.one_by_one:
        # Long, and the same in each request: worth an entry of the dynamic table.
        more.update({f"x-interop-{letter}": letter * 40 for letter in "abc"})
        for path in options.path:
            await client.request({":method": method, **pseudo, ":path": path, **more}).ended
    running = [client.request({":method": method, **pseudo, ":path": path, **more}, body, trailers) for path in options.path]
    for number, (path, exchange) in enumerate(zip(options.path, running)):
        await exchange.ended
        (pathlib.Path(options.output) / path.rsplit("/", 1)[1]).write_bytes(exchange.body)
        print(f"answer {number} status={exchange.headers[':status']} bytes={len(exchange.body)}")
        for name, value in exchange.trailers.items():
            print(f"trailer {name}={value}")
        if exchange.headers[":status"] != "200":
            raise Failure(f"status {exchange.headers[':status']}")


async def talk(client: Client, headers: dict) -> None:
    """Messages of several kinds, each awaited; then an orderly close (RFC 6455, section 7)."""
    exchange = client.request({**headers, "sec-websocket-version": "13", "origin": "https://localhost"}, None)
    reader = websocket.Reader(masked=False)
    read: list[tuple[int, bytes]] = []

    async def next_message() -> tuple[int, bytes]:
        while not read:
            if exchange.over:
                raise Failure("the stream ended before its WebSocket did")
            exchange.arrived.clear()
            await asyncio.wait_for(exchange.arrived.wait(), 10)
            if exchange.headers.get(":status") != "200":
                raise Failure(f"the WebSocket is refused: {exchange.headers}")
            read.extend(reader.read(exchange.body))
            exchange.body.clear()
        return read.pop(0)

    for number, message in enumerate(MESSAGES):
        kind = websocket.BINARY if number % 2 else websocket.TEXT
        client.http.send_data(exchange.stream, websocket.frame(kind, message, mask=True), end_stream=False)
        client.transmit()
        if await next_message() != (kind, message):
            raise Failure(f"message {number} came back changed")
    client.http.send_data(exchange.stream, websocket.frame(websocket.CLOSE, b"\x03\xe8bye", mask=True), end_stream=False)
    client.transmit()
    kind, message = await next_message()
    if kind != websocket.CLOSE:
        raise Failure(f"not a close but a frame of kind {kind}")
    while not exchange.over:
        exchange.arrived.clear()
        await asyncio.wait_for(exchange.arrived.wait(), 5)
    client.http._quic.send_stream_data(exchange.stream, b"", end_stream=True)
    client.transmit()
    print(f"websocket messages={len(MESSAGES)} closed={int.from_bytes(message[:2], 'big')}")


def configure(is_client: bool) -> QuicConfiguration:
    secrets = open(os.environ.get("SSLKEYLOGFILE", os.devnull), "a", buffering=1)
    return QuicConfiguration(is_client=is_client, alpn_protocols=H3_ALPN, secrets_log_file=secrets, idle_timeout=30.0)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    roles = parser.add_subparsers(dest="role", required=True)
    server = roles.add_parser("server")
    server.add_argument("--listen", required=True)
    for name in ("--cert", "--key", "--root"):
        server.add_argument(name, required=True)
    client = roles.add_parser("client")
    client.add_argument("address")
    for name in ("--cacert", "--output", "--post", "--priority", "--websocket"):
        client.add_argument(name)
    client.add_argument("--path", action="append", default=[])
    for name in ("--trailers", "--one-by-one"):
        client.add_argument(name, action="store_true")
    return parser.parse_args()


def main() -> int:
    options = parse()
    try:
        asyncio.run(run_server(options) if options.role == "server" else run_client(options))
    except (Failure, ConnectionError, asyncio.TimeoutError) as failure:
        print(f"failed {failure or type(failure).__name__}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
