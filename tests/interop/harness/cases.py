"""The cases. Each takes a Run, returns a detail for its line, and raises Failed or Skipped."""

import os
import signal
import socket
import subprocess
import time

from . import evidence, probes
from .implementations import Client, Server
from .install import FILE_SIZES, FILES, SMALL_FILES
from .processes import Process
from .runner import Failed, Run, Skipped, digest

MANY_STREAMS = SMALL_FILES
TRANSFER_SECONDS = 60
REBIND_AFTER = 1 << 20  # bytes


def handshake(run: Run) -> str:
    """A connection, a few bytes, an orderly end."""
    _, port = run.start_server()
    if run.protocol("echo", "h3") == "echo" and run.client.echoes_stdin:
        text = "hello from the other side\n"
        read, write = os.pipe()
        os.write(write, text.encode())
        os.close(write)
        client = run.run_client(port, Client(stdin=True), stdin=read)
        os.close(read)
        if client.output.read_text() != text:
            raise Failed(f"the echo differs: {client.output.read_text()[:80]!r}")
        return ""
    run.exchange(port, "small")
    return ""


def transfer_down(run: Run) -> str:
    """A file of 10 MB from the server."""
    _, port = run.start_server()
    started = time.monotonic()
    run.download(port, run.protocol("hq-interop", "h3"), "10mb", TRANSFER_SECONDS)
    return rate(started)


def transfer_up(run: Run) -> str:
    """10 MB to the server, and as an echo back."""
    protocol = run.protocol("echo", "h3")
    server, port = run.start_server(Server(built_in=protocol == "h3"))
    started = time.monotonic()
    if protocol == "h3":
        run.upload(port, "10mb", TRANSFER_SECONDS)
        return rate(started)
    if run.client.echoes_stdin:
        with open(FILES / "10mb", "rb") as file:
            client = run.run_client(port, Client(stdin=True), TRANSFER_SECONDS, stdin=file)
        if digest(client.output) != digest(FILES / "10mb"):
            raise Failed(f"the echo differs: {client.output.stat().st_size} of {FILE_SIZES['10mb']} bytes")
        client.output.write_bytes(b"")
    else:
        run.run_client(port, Client(bytes=FILE_SIZES["10mb"]), TRANSFER_SECONDS)
    detail = rate(started)
    must_have_served(run, server, f"served streams=1 bytes={FILE_SIZES['10mb']}")
    return detail


def many_streams(run: Run) -> str:
    """1,999 streams of 32 bytes on one connection, of which the server permits some hundred at a time."""
    server, port = run.start_server()
    started = time.monotonic()
    if run.protocol("echo", "h3") == "echo":
        run.run_client(port, Client(bytes=32, streams=MANY_STREAMS), TRANSFER_SECONDS)
        detail = f"{time.monotonic() - started:.1f} s"
        must_have_served(run, server, f"served streams={MANY_STREAMS} bytes={MANY_STREAMS * 32}")
        return detail
    wanted = Client(protocol="h3", get="/streams", streams=MANY_STREAMS, output=run.output("0"))
    client = run.run_client(port, wanted, TRANSFER_SECONDS)
    detail = f"{time.monotonic() - started:.1f} s"
    must_have_served(run, server, f"served streams={MANY_STREAMS} bytes={MANY_STREAMS * 32}")
    for number in range(MANY_STREAMS):
        file = run.output(str(number))
        if not file.exists() or file.read_bytes() != (FILES / "streams" / file.name).read_bytes():
            raise Failed(f"file {number} of {MANY_STREAMS} is missing or differs: {client.last_line()}")
        file.unlink()
    return detail


def unidirectional(run: Run) -> str:
    """Each stream comes back on a stream of the server."""
    _, port = run.start_server()
    run.protocol("echo")
    run.run_client(port, Client(unidirectional=20, bytes=5000))
    return ""


def datagrams(run: Run) -> str:
    _, port = run.start_server()
    run.protocol("echo")
    run.run_client(port, Client(datagrams=20))
    return ""


def retry(run: Run) -> str:
    """The server asks for the address to be proven (RFC 9000, section 8.1.2)."""
    _, port = run.start_server(Server(retry=True))
    proxy = run.start_proxy(port)
    run.exchange(proxy.port, "small")
    return evidence.of_retry(run.packets(proxy))


def key_update_by_client(run: Run) -> str:
    _, port = run.start_server()
    proxy = run.start_proxy(port)
    run.exchange(proxy.port, "3mb", key_update=True)
    return evidence.of_key_update(run.packets(proxy), None if run.server.updates_keys_by_itself else True)


def key_update_by_server(run: Run) -> str:
    _, port = run.start_server(Server(key_update=True))
    proxy = run.start_proxy(port)
    run.exchange(proxy.port, "3mb")
    return evidence.of_key_update(run.packets(proxy), None if run.client.updates_keys_by_itself else False)


def nat_rebinding(run: Run) -> str:
    """The client's port changes midway, and it does not know (RFC 9000, section 9.3)."""
    _, port = run.start_server()
    # The challenge is sent again only after a second, later than a short transfer lasts: it must not be lost.
    proxy = run.start_proxy(port, rebind_after=REBIND_AFTER, gentle=True)
    run.exchange(proxy.port, "3mb")
    return evidence.of_paths(run.packets(proxy), own=False)


def migration(run: Run) -> str:
    """The client goes over to another port by itself (RFC 9000, section 9.5)."""
    _, port = run.start_server()
    proxy = run.start_proxy(port, gentle=True)
    run.exchange(proxy.port, "3mb", rebind=True)
    return evidence.of_paths(run.packets(proxy), own=True)


def close_code_by_client(run: Run) -> str:
    """What the client's application says at the end arrives at the server's."""
    server, port = run.start_server(Server(verbose=True))
    close = run.client.own_close or "42 bye"
    if run.protocol("echo", "h3") == "h3":
        run.download(port, "h3", "small", close=close)
    else:
        run.run_client(port, Client(close=close))
    if close.startswith("256") and run.server.name == "quicast":
        # An orderly end is not worth a line to it; any other code is.
        if server.saw("closed ", 0.2):
            raise Failed(f"not an orderly end: {server.last_line()}")
        return "an orderly end, of which nothing is said"
    must_have_said(server, run.server.line_of_close(close))
    return f"code {close.split()[0]}, which is the client's own" if run.client.own_close else ""


def close_code_by_server(run: Run) -> str:
    """The same, the other way round."""
    server, port = run.start_server()
    if run.protocol("echo", "h3") == "echo":
        # The client writes `close 42 bye` on a stream, and the server does so.
        read, write = os.pipe()
        os.write(write, b"close 42 bye")
        os.close(write)
        client = run.start_client(port, Client(close_request="42 bye"), stdin=read)
        os.close(read)
    else:
        # What HTTP/3 servers say when they are told to end is their own.
        client = run.start_client(port, Client(protocol="h3", get="/small", output=run.output("none"), wait_for_close=True, verbose=True))
        if not client.saw(run.client.ready_to_close, 5):
            raise Failed(f"no handshake: {client.last_line()}")
        server.child.send_signal(signal.SIGINT)
        client.wait(10)
        if run.server.own_close:
            must_have_said(client, "closed without an error")
            return "no error, which is the server's own"
        must_have_said(client, run.client.line_of_close("256 "))
        return "code 256, which is HTTP/3's"
    client.wait(10)
    must_have_said(client, run.client.line_of_close("42 bye"))
    return ""


def version_negotiation(run: Run) -> str:
    """The client first offers a version the server does not speak; and a forged answer that names the client's own version changes nothing."""
    _, port = run.start_server()
    if run.client.cannot("offer-version", "client") is None:
        proxy = run.start_proxy(port)
        run.exchange(proxy.port, "small", offer_version=True)
        return evidence.of_version_negotiation(run.packets(proxy))
    proxy = run.start_proxy(port, inject=lambda first: [probes.version_negotiation_for(first, [0x1A2A3A4A, 1])])
    run.exchange(proxy.port, "small")
    run.packets(proxy)
    return "a forged answer is ignored"


def version_mismatch(run: Run) -> str:
    """A client that is told of no version it speaks gives up at once (RFC 9000, section 6.2)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        proxy = run.start_proxy(sink.getsockname()[1], inject=lambda first: [probes.version_negotiation_for(first, [0x1A2A3A4A])])
        client = run.start_client(proxy.port, Client())
        started = time.monotonic()
        code = client.wait(8)
    if code is None:
        raise Failed("the client was still trying after 8 s")
    if code == 0:
        raise Failed("the client ended as if all were well")
    return f"gave up after {time.monotonic() - started:.1f} s"


def versions_by_hand(run: Run) -> str:
    """What a server answers to datagrams of unknown versions."""
    _, port = run.start_server()
    probes.version_negotiation(port)
    return ""


def stateless_reset(run: Run) -> str:
    """The server is killed and comes back without memory; its resets end the connection (RFC 9000, section 10.3)."""
    server, port = run.start_server()
    if run.protocol("echo", "h3") == "h3":
        return reset_before_request(run, server, port)
    read, write = os.pipe()
    try:
        os.write(write, b"hello")
        client = run.start_client(port, Client(wait_for_reset=True), stdin=read)
        if not client.saw("hello" if run.client.echoes_stdin else "ready", 5):
            raise Failed(f"no echo before the restart: {client.last_line()}")
        server.kill()
        run.start_server(port=port)
        started = time.monotonic()
        while client.child.poll() is None and time.monotonic() - started < 10:
            # Something must leave the client for the server to answer; quic-go answers no datagram of 42 bytes or less.
            os.write(write, b"still there?" * 10)
            try:
                client.child.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
    finally:
        os.close(write)
        os.close(read)
    if client.child.poll() is None:
        raise Failed("the client was still there 10 s after the restart")
    if "reset" not in client.text().lower():
        raise Failed(f"the client does not speak of a reset: {client.last_line()}")
    return f"known after {time.monotonic() - started:.1f} s"


def reset_before_request(run: Run, server: Process, port: int) -> str:
    """gtlsclient's request leaves one second after the handshake; the server has lost its memory by then."""
    client = run.start_client(port, Client(protocol="h3", get="/small", output=run.output("small"), wait_for_reset=True, verbose=True))
    if not client.saw("HANDSHAKE_DONE(0x1e)", 5):
        raise Failed(f"no handshake before the restart: {client.last_line()}")
    server.kill()
    run.start_server(port=port)
    client.wait(10)
    must_have_said(client, "rx 0 SR token=")
    if run.output("small").exists():
        raise Failed("the request was answered, by a server that cannot know the connection")
    return ""


def must_have_said(process: Process, line: str) -> None:
    if not process.saw(line, 3):
        raise Failed(f"it did not print `{line}` but: {process.last_line()}")


def must_have_served(run: Run, server, line: str) -> None:
    """What the server counted, where it is one that counts: a client's word alone is no proof."""
    if not run.server.prints_served:
        return
    if not server.saw("served ", 5):
        raise Failed(f"the client did not end its connection; the server last said: {server.last_line()}")
    if line not in server.text():
        found = [text for text in server.text().splitlines() if text.startswith("served ")]
        raise Failed(f"the server counted `{found[0]}`, not `{line}`")


def rate(started: float) -> str:
    seconds = time.monotonic() - started
    return f"{seconds:.1f} s, {FILE_SIZES['10mb'] / seconds / 1e6:.0f} MB/s with the start of the client"


CASES = {
    "handshake": handshake,
    "transfer-10mb-down": transfer_down,
    "transfer-10mb-up": transfer_up,
    "many-streams": many_streams,
    "unidirectional": unidirectional,
    "datagrams": datagrams,
    "retry": retry,
    "key-update-by-client": key_update_by_client,
    "key-update-by-server": key_update_by_server,
    "nat-rebinding": nat_rebinding,
    "migration": migration,
    "close-code-by-client": close_code_by_client,
    "close-code-by-server": close_code_by_server,
    "version-negotiation": version_negotiation,
    "stateless-reset": stateless_reset,
}

# The harness itself as the peer, by its role.
PROBES = {
    "version-mismatch": ("server", version_mismatch),
    "versions-by-hand": ("client", versions_by_hand),
}
