"""The cases of HTTP/3. Each takes a Run, returns a detail for its line, and raises Failed or Skipped."""

import time

from . import evidence
from .cases import must_have_said, rate
from .implementations import Client, Server
from .install import FILES
from .runner import Failed, Run

PARALLEL = 100
REQUEST_SECONDS = 30
TRAILER = "trailer x-interop=forty-two"
MESSAGES = 5


def get(run: Run) -> str:
    """A small file, and an orderly end."""
    _, port = run.start_server()
    run.download(port, "h3", "small", REQUEST_SECONDS)
    return ""


def get_10mb(run: Run) -> str:
    """A file of 10 MB."""
    _, port = run.start_server()
    started = time.monotonic()
    run.download(port, "h3", "10mb", REQUEST_SECONDS)
    return rate(started)


def post_10mb(run: Run) -> str:
    """10 MB to the server, which sends them back while they come."""
    _, port = run.start_server(Server(built_in=True))
    started = time.monotonic()
    run.upload(port, "10mb", REQUEST_SECONDS)
    return rate(started)


def parallel(run: Run) -> str:
    """100 requests at the same time on one connection."""
    _, port = run.start_server()
    started = time.monotonic()
    run.run_client(port, Client(protocol="h3", get="/streams", streams=PARALLEL, output=run.output("0")), REQUEST_SECONDS)
    detail = f"{time.monotonic() - started:.1f} s"
    compare_streams(run)
    made = connections(run)
    if made != {1}:
        raise Failed(f"there was not one connection but {made}")
    return detail


def trailers(run: Run) -> str:
    """A request's trailers come back as those of its response."""
    _, port = run.start_server(Server(built_in=True))
    client = run.upload(port, "small", REQUEST_SECONDS, trailers=True)
    must_have_said(client, TRAILER)
    return ""


def web_socket(run: Run) -> str:
    """A WebSocket over extended CONNECT (RFC 9220): messages come back, then both say good-bye and end the stream."""
    _, port = run.start_server(Server(built_in=True))
    client = run.run_client(port, Client(protocol="h3", websocket="/ws"), REQUEST_SECONDS)
    must_have_said(client, f"websocket messages={MESSAGES} closed=1000")
    return f"{MESSAGES} messages"


def priority(run: Run) -> str:
    """Requests of several urgencies (RFC 9218) are answered as others are."""
    _, port = run.start_server()
    for value in ("u=0", "u=7, i", "u=3, i=?0, unknown=4"):
        run.download(port, "h3", "small", REQUEST_SECONDS, priority=value)
    return ""


def dynamic_table(run: Run) -> str:
    """Both sides put fields into the other's dynamic table and refer to them (RFC 9204): read from the packets."""
    _, port = run.start_server()
    proxy = run.start_proxy(port)
    run.run_client(proxy.port, Client(protocol="h3", get="/streams", streams=8, output=run.output("0"), one_by_one=True), REQUEST_SECONDS)
    compare_streams(run, 8)
    return evidence.of_dynamic_table(run.packets(proxy), run.client.has_dynamic_table, run.server.has_dynamic_table)


def compare_streams(run: Run, count: int = PARALLEL) -> None:
    for number in range(count):
        file = run.output(str(number))
        if not file.exists() or file.read_bytes() != (FILES / "streams" / file.name).read_bytes():
            raise Failed(f"answer {number} of {count} is missing or differs")
        file.unlink()


def connections(run: Run) -> set[int]:
    """How many connections either side has kept the secrets of."""
    counts = set()
    for log in (run.folder / "client.keys", run.folder / "server.keys"):
        lines = log.read_text().splitlines() if log.exists() else []
        counts.add(len({line.split()[1] for line in lines if line.startswith("CLIENT_TRAFFIC_SECRET_0 ")}))
    return counts - {0}


CASES = {
    "h3-get": get,
    "h3-get-10mb": get_10mb,
    "h3-post-10mb": post_10mb,
    "h3-parallel": parallel,
    "h3-trailers": trailers,
    "h3-websocket": web_socket,
    "h3-priority": priority,
    "h3-dynamic-table": dynamic_table,
}
