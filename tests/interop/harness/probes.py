"""Packets written by hand, and what must come back for them."""

import os
import socket

from .runner import Failed

UNKNOWN_VERSION = 0x1A2A3A4A


def version_negotiation_for(first: bytes, versions: list[int]) -> bytes:
    """A Version Negotiation packet in answer to a client's first datagram."""
    destination_end = 6 + first[5]
    destination = first[6:destination_end]
    source = first[destination_end + 1 : destination_end + 1 + first[destination_end]]
    ids = bytes([len(source)]) + source + bytes([len(destination)]) + destination
    return b"\xca\0\0\0\0" + ids + b"".join(version.to_bytes(4, "big") for version in versions)


def version_negotiation(port: int) -> None:
    """What a server must and must not answer to versions it does not know (RFC 9000, section 6.1; RFC 8999, section 6)."""
    for length in (8, 20, 255):
        destination, source = os.urandom(length), os.urandom(length)
        answer = exchange(port, unknown_initial(destination, source, 1200))
        if answer is None:
            raise Failed(f"no Version Negotiation packet for ids of {length} bytes")
        expected = b"\0\0\0\0" + bytes([length]) + source + bytes([length]) + destination
        if not answer[0] & 0x80 or answer[1 : 1 + len(expected)] != expected:
            raise Failed(f"the Version Negotiation packet does not give ids of {length} bytes back crosswise")
        versions = answer[1 + len(expected) :]
        if len(versions) % 4 or UNKNOWN_VERSION.to_bytes(4, "big") in [versions[at : at + 4] for at in range(0, len(versions), 4)]:
            raise Failed("the list of versions is malformed or names the offered one")
    ids = os.urandom(8), os.urandom(8)
    if exchange(port, unknown_initial(*ids, 1199), 0.3) is not None:
        raise Failed("a datagram of 1199 bytes was answered")
    if exchange(port, version_negotiation_for(unknown_initial(*ids, 1200), [1]).ljust(1200, b"\0"), 0.3) is not None:
        raise Failed("a Version Negotiation packet was answered")


def unknown_initial(destination: bytes, source: bytes, length: int) -> bytes:
    header = b"\xc0" + UNKNOWN_VERSION.to_bytes(4, "big") + bytes([len(destination)]) + destination + bytes([len(source)]) + source
    return header + os.urandom(length - len(header))


def exchange(port: int, datagram: bytes, seconds: float = 2) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.settimeout(seconds)
        out.connect(("127.0.0.1", port))
        out.send(datagram)
        try:
            return out.recv(65536)
        except (TimeoutError, ConnectionRefusedError):
            return None
