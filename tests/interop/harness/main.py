"""Arguments, the order of the runs, and the lines printed."""

import argparse
import pathlib
import signal
import sys
import time

from . import browser, http3, install
from .cases import CASES, PROBES
from .implementations import Implementation, Peer, Quicast, http3_peers, peers
from .processes import end_all
from .runner import Failed, Run, Skipped


HTTP3_CASES = {**http3.CASES, **browser.CASES}
ALL_CASES = {**CASES, **HTTP3_CASES, **{name: case for name, (_, case) in PROBES.items()}}


def names() -> list[str]:
    return list(dict.fromkeys([*peers(), *http3_peers(), "probe"]))


class Tally:
    """Prints a line for each case and counts."""

    def __init__(self) -> None:
        self.counts = {"pass": 0, "fail": 0, "skip": 0}

    def line(self, peer: str, role: str, case: str, result: str, detail: str = "") -> None:
        self.counts[result] += 1
        print(f"{peer} {role} {case} {result} {detail}".rstrip(), flush=True)

    def summary(self) -> int:
        print(f"{self.counts['pass']} passed, {self.counts['fail']} failed, {self.counts['skip']} skipped", flush=True)
        return 1 if self.counts["fail"] else 0


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if options.list:
            return list_cases(options)
        install.certificate()
        install.files()
        return self_test(options) if options.self_test else against_quicast(options)
    except KeyboardInterrupt:
        return 130
    finally:
        end_all()


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/interop/run", description="Runs quicast against other QUIC stacks over loopback.")
    parser.add_argument("--peer", action="append", help="only this peer (may be repeated)")
    parser.add_argument("--role", choices=["server", "client"], help="only with the peer in this role")
    parser.add_argument("--case", action="append", help="only this case, or those that begin so (may be repeated)")
    parser.add_argument("--list", action="store_true", help="name the peers and cases and end")
    parser.add_argument("--binary", type=pathlib.Path, default=install.ROOT / "target/release/quicast", help="the quicast to test")
    parser.add_argument("--self-test", action="store_true", help="peers against peers, without quicast")
    options = parser.parse_args(arguments)
    options.binary = options.binary.resolve()
    for wanted in options.peer or []:
        if wanted not in names():
            parser.error(f"no peer {wanted}; there are {', '.join(names())}")
    for wanted in options.case or []:
        if not any(name.startswith(wanted) for name in ALL_CASES):
            parser.error(f"no case {wanted}; there are {', '.join(ALL_CASES)}")
    return options


def list_cases(options: argparse.Namespace) -> int:
    for peer, role, case in plan(options):
        print(peer, role, case)
    return 0


def plan(options: argparse.Namespace):
    for peer in names():
        if options.peer and peer not in options.peer:
            continue
        for role in ("server", "client"):
            known = http3_peers().get(peer) or peers().get(peer)
            if (options.role and role != options.role) or (known and role not in known.roles):
                continue
            cases = [name for name, (own, _) in PROBES.items() if own == role] if peer == "probe" else []
            cases += [*CASES] if peer in peers() else []
            cases += cases_of_http3(peer)
            for case in cases:
                if wanted(case, options):
                    yield peer, role, case


def cases_of_http3(peer: str) -> list[str]:
    if peer not in http3_peers():
        return []
    return [*browser.CASES] if peer == "chromium" else [*http3.CASES]


def wanted(case: str, options: argparse.Namespace) -> bool:
    return not options.case or any(case.startswith(name) for name in options.case)


def against_quicast(options: argparse.Namespace) -> int:
    tally = Tally()
    quicast = Quicast(options.binary)
    known, known_http3 = {**peers(), "probe": Peer("probe", [], lambda: None)}, http3_peers()
    usable: dict[Implementation, bool] = {}
    for name, role, case in plan(options):
        peer = (known_http3 if case in HTTP3_CASES else known)[name]
        for needed in (quicast, peer):
            if needed not in usable:
                usable[needed] = installed(needed, tally)
        if not (usable[quicast] and usable[peer]):
            continue
        server, client = (peer, quicast) if role == "server" else (quicast, peer)
        one(tally, name, role, case, server, client, f"{name}-{role}-{case}")
    return tally.summary()


def self_test(options: argparse.Namespace) -> int:
    """Every pair of peers that has a protocol in common; the line names the server, its detail the client."""
    tally = Tally()
    usable = {}
    for known, cases in ((http3_peers(), http3.CASES), (peers(), CASES)):
        usable = {name: peer for name, peer in known.items() if (not options.peer or name in options.peer) and installed(peer, tally)}
        pairs = [(server, client) for server in usable.values() for client in usable.values()]
        for server, client in pairs:
            fit = server.protocols & client.protocols and "server" in server.roles and "client" in client.roles
            for case in cases if fit and client.name != "chromium" else ():
                if wanted(case, options):
                    folder = f"self-test/{server.name}-{client.name}-{case}"
                    one(tally, server.name, "server", case, server, client, folder, f"with {client.name}: ")
    for case, (role, _) in PROBES.items():
        for peer in usable.values():
            # Only ngtcp2 answers as RFC 8999 wants; and its client ends with 0 whatever happens.
            if wanted(case, options) and (peer.name == "gtls") == (case == "versions-by-hand"):
                one(tally, "probe", role, case, peer, peer, f"self-test/probe-{peer.name}-{case}", f"with {peer.name}: ")
    return tally.summary()


def installed(implementation: Implementation, tally: Tally) -> bool:
    try:
        implementation.install()
    except install.NotInstalled as failure:
        tally.line(implementation.name, "-", "install", "skip" if isinstance(failure, install.NotAvailable) else "fail", str(failure))
        return False
    return True


def one(tally: Tally, name: str, role: str, case: str, server: Implementation, client: Implementation, folder: str, prefix: str = "") -> None:
    reason = server.cannot(case, "server") or client.cannot(case, "client")
    if reason:
        tally.line(name, role, case, "skip", prefix + reason)
        return
    run = Run(server, client, folder)
    started = time.monotonic()
    try:
        detail = ALL_CASES[case](run)
        result = "pass"
    except Skipped as skipped:
        result, detail = "skip", str(skipped)
    except Failed as failure:
        result, detail = "fail", str(failure)
    except Exception as failure:  # one broken case must not take the others with it
        result, detail = "fail", f"the harness broke: {failure!r}"
    finally:
        run.close()
    if result == "fail":
        broken = [f"the proxy broke: {proxy.failure!r}" for proxy in run.proxies if proxy.failure]
        detail = "; ".join([detail, *broken, f"logs in {run.folder.relative_to(install.ROOT)}"])
    (run.folder / "result").write_text(f"{result} {time.monotonic() - started:.2f} s {detail}\n")
    tally.line(name, role, case, result, prefix + detail)
