"""The cases of a browser, and how it is told what to do: the DevTools protocol, through a pipe."""

import base64
import json
import os
import pathlib
import re
import select
import tempfile
import time

from . import install
from .implementations import Server
from .processes import Process
from .runner import Failed, Run, Skipped

TILES = 200
LOAD_SECONDS = 20

# How a page and its tiles came.
PROTOCOL_OF_PAGE = "performance.getEntriesByType('navigation')[0].nextHopProtocol"
TILES_OF_PAGE = """(() => {
    const tiles = performance.getEntriesByType('resource').filter((entry) => entry.name.includes('/demo/tile/') && entry.responseEnd > 0);
    const counts = {};
    for (const tile of tiles) counts[tile.nextHopProtocol] = (counts[tile.nextHopProtocol] || 0) + 1;
    return {counts, shown: [...document.images].filter((image) => image.src.includes('/demo/tile/') && image.naturalWidth > 0).length,
        words: document.querySelector('.result').innerText};
})()"""
TALK = """new Promise((resolve, reject) => {
    const socket = new WebSocket('wss://' + location.host + '/ws');
    const messages = ['one', 'zwei, höflich', '', 'x'.repeat(70000), 'the last'];
    let at = 0;
    socket.onopen = () => socket.send(messages[0]);
    socket.onmessage = (event) => {
        if (event.data !== messages[at]) { reject(new Error('message ' + at + ' came back changed')); return; }
        at += 1;
        if (at < messages.length) socket.send(messages[at]); else socket.close(1000, 'bye');
    };
    socket.onclose = (event) => resolve({messages: at, code: event.code, clean: event.wasClean});
    socket.onerror = () => reject(new Error('the WebSocket failed'));
})"""

# A browser takes its orders from descriptor 3 and answers on 4.
WITH_PIPES = """import os, sys
ends = [os.dup(int(end)) for end in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
    os.set_inheritable(place, True)
os.execvp(sys.argv[3], sys.argv[3:])"""


class Browser:
    """Chromium without a window, with a profile of its own."""

    def __init__(self, run: Run, *flags: str) -> None:
        self.profile = tempfile.TemporaryDirectory(prefix="quicast-chromium-")
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        arguments = [
            install.PYTHON,
            "-c",
            WITH_PIPES,
            orders,
            answers,
            "chromium",
            "--headless=new",
            "--no-sandbox",
            "--no-first-run",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1000,1360",
            "--enable-quic",
            f"--user-data-dir={self.profile.name}",
            f"--log-net-log={run.folder / 'netlog.json'}",
            "--remote-debugging-pipe",
            *flags,
            "about:blank",
        ]
        self.process = Process(arguments, run.folder / "client", {"SSLKEYLOGFILE": str(run.folder / "client.keys")}, pass_fds=(orders, answers))
        run.processes.append(self.process)
        os.close(orders)
        os.close(answers)
        self.waiting = b""
        self.number = 0
        self.loads = 0
        pages = self.ask("Target.getTargets")["targetInfos"]
        target = next(page["targetId"] for page in pages if page["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_) -> None:
        try:
            self.session = None
            self.ask("Browser.close")
        except Failed:
            pass
        self.process.wait(5)
        os.close(self.orders)
        os.close(self.answers)
        self.profile.cleanup()

    session: str | None = None

    def ask(self, method: str, **parameters) -> dict:
        """An order, and its answer; what happens meanwhile is noted."""
        self.number += 1
        order = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        deadline = time.monotonic() + LOAD_SECONDS
        while True:
            message = self.next(deadline, method)
            if message.get("id") != self.number:
                continue
            if "error" in message:
                raise Failed(f"{method}: {message['error']['message']}")
            return message["result"]

    def next(self, deadline: float, what: str) -> dict:
        while b"\0" not in self.waiting:
            ready, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            data = os.read(self.answers, 1 << 16) if ready else b""
            if not data:
                raise Failed(f"the browser does not answer {what}: {self.process.last_line()}")
            self.waiting += data
        text, self.waiting = self.waiting.split(b"\0", 1)
        message = json.loads(text)
        self.loads += message.get("method") == "Page.loadEventFired"
        return message

    def load(self, address: str) -> None:
        loads = self.loads
        answer = self.ask("Page.navigate", url=address)
        if "errorText" in answer:
            raise Failed(f"{address}: {answer['errorText']}")
        deadline = time.monotonic() + LOAD_SECONDS
        while self.loads == loads:
            self.next(deadline, f"the load of {address}")

    def evaluate(self, expression: str):
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise Failed(answer["exceptionDetails"].get("exception", {}).get("description", "an exception"))
        return answer["result"].get("value")

    def picture(self, file: pathlib.Path) -> None:
        file.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"]))


def start(run: Run) -> tuple[int, str]:
    """A server for browsers, and the hash of its certificate's key, as it prints it."""
    server, port = run.start_server(Server(built_in=True, for_browser=True))
    found = re.search(r"SPKI hash +(\S+)", server.text())
    if not found:
        raise Failed(f"the server did not print the hash of its key: {server.last_line()}")
    return port, f"--ignore-certificate-errors-spki-list={found[1]}"


def alt_svc(run: Run) -> str:
    """The first page comes over TCP and says where HTTP/3 is; the browser goes there, and gets 200 tiles over it."""
    port, trust = start(run)
    # Over QUIC, Chromium takes only certificates of the roots it came with, whatever hashes are listed, but for the hosts
    # of this flag. It forces nothing here, where nobody asks port 1.
    with Browser(run, trust, "--origin-to-force-quic-on=localhost:1") as browser:
        seen = []
        for _ in range(20):
            browser.load(f"https://localhost:{port}/")
            seen.append(browser.evaluate(PROTOCOL_OF_PAGE))
            if seen[-1] == "h3":
                break
            time.sleep(0.1)
        if seen[0] != "h2":
            raise Failed(f"the first page came over {seen[0]}, not over h2")
        if seen[-1] != "h3":
            raise Failed(f"no page came over h3: {' '.join(seen)}")
        words = tiles(browser, port)
        browser.picture(run.folder / "tiles.png")
    return f"h3 at load {len(seen)}; {words}"


def forced(run: Run) -> str:
    """Told that the origin speaks HTTP/3, the browser never asks over TCP."""
    port, trust = start(run)
    with Browser(run, trust, f"--origin-to-force-quic-on=localhost:{port}") as browser:
        browser.load(f"https://localhost:{port}/")
        protocol = browser.evaluate(PROTOCOL_OF_PAGE)
        if protocol != "h3":
            raise Failed(f"the page came over {protocol}")
        return tiles(browser, port)


def web_socket(run: Run) -> str:
    """From a page that came over HTTP/3: messages come back, and the close is clean."""
    port, trust = start(run)
    with Browser(run, trust, f"--origin-to-force-quic-on=localhost:{port}", "--enable-features=EnableWebsocketsOverHttp3") as browser:
        browser.load(f"https://localhost:{port}/")
        said = browser.evaluate(TALK)
    if said != {"messages": 5, "code": 1000, "clean": True}:
        raise Failed(f"the WebSocket ended with {said}")
    if not connected_over_http3(run.folder / "netlog.json"):
        raise Skipped("this Chromium opens WebSockets over TCP only, where they work")
    return "5 messages over HTTP/3"


def connected_over_http3(file: pathlib.Path) -> bool:
    """Whether the browser's own log shows an extended CONNECT for a WebSocket among its requests over HTTP/3 (RFC 9220)."""
    log = json.loads(file.read_text())
    sent = log["constants"]["logEventTypes"]["HTTP3_HEADERS_SENT"]
    requests = [event["params"]["headers"] for event in log["events"] if event["type"] == sent]
    return any({":method: CONNECT", ":protocol: websocket"} <= set(headers) for headers in requests)


def tiles(browser: Browser, port: int) -> str:
    """Loads the page of tiles; what it says when the last one is there."""
    browser.load(f"https://localhost:{port}/demo/tile")
    deadline = time.monotonic() + LOAD_SECONDS
    while True:
        loaded = browser.evaluate(TILES_OF_PAGE)
        if "tiles a second" in loaded["words"] or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    if loaded["counts"] != {"h3": TILES} or loaded["shown"] != TILES:
        raise Failed(f"of {TILES} tiles, {loaded['shown']} are shown, and came over {loaded['counts']}")
    return " ".join(loaded["words"].split())


CASES = {
    "h3-alt-svc": alt_svc,
    "h3-forced": forced,
    "h3-browser-websocket": web_socket,
}
