"""The instructions of QPACK's two streams (RFC 9204, section 4), counted on the wire."""

from collections import Counter

from .wire import Packet, varint

CONTROL_STREAM, ENCODER_STREAM, DECODER_STREAM = 0x00, 0x02, 0x03
SETTINGS, MAX_TABLE_CAPACITY = 0x04, 0x01


def count(packets: list[Packet], from_client: bool) -> Counter:
    """What one side said on its encoder stream and on its decoder stream."""
    found: Counter = Counter()
    for identifier, data in unidirectional(packets, from_client).items():
        if identifier & 0x3 != (0x2 if from_client else 0x3) or not data:
            continue
        kind, at = varint(data, 0)
        if kind == ENCODER_STREAM:
            encoder(data[at:], found)
        elif kind == DECODER_STREAM:
            decoder(data[at:], found)
    return found


def permitted(packets: list[Packet], from_client: bool) -> int:
    """How large a dynamic table the side keeps for the other (section 5): 0 if it says nothing of it."""
    for data in unidirectional(packets, from_client).values():
        if data[:2] != bytes([CONTROL_STREAM, SETTINGS]):
            continue
        length, at = varint(data, 2)
        end = min(at + length, len(data))
        while at < end:
            identifier, at = varint(data, at)
            value, at = varint(data, at)
            if identifier == MAX_TABLE_CAPACITY:
                return value
    return 0


def unidirectional(packets: list[Packet], from_client: bool) -> dict[int, bytes]:
    """The bytes of each of the side's unidirectional streams, as far as they came without a gap."""
    pieces: dict[int, dict[int, bytes]] = {}
    for packet in packets:
        if packet.from_client == from_client:
            for identifier, offset, data in packet.streams:
                if identifier & 0x2:
                    longest = pieces.setdefault(identifier, {})
                    longest[offset] = max(longest.get(offset, b""), data, key=len)
    streams = {}
    for identifier, parts in pieces.items():
        whole = b""
        for offset in sorted(parts):
            if offset > len(whole):
                break
            whole += parts[offset][len(whole) - offset :] if offset + len(parts[offset]) > len(whole) else b""
        streams[identifier] = whole
    return streams


def encoder(data: bytes, found: Counter) -> None:
    """Section 4.3."""
    at = 0
    while at < len(data):
        first = data[at]
        if first & 0x80:
            found["insert"] += 1
            _, at = integer(data, at, 6)
            at = after_text(data, at, 7)
        elif first & 0x40:
            found["insert"] += 1
            at = after_text(data, at, 5)
            at = after_text(data, at, 7)
        elif first & 0x20:
            found["capacity"], at = integer(data, at, 5)
        else:
            found["duplicate"] += 1
            _, at = integer(data, at, 5)


def decoder(data: bytes, found: Counter) -> None:
    """Section 4.4."""
    at = 0
    while at < len(data):
        first = data[at]
        if first & 0x80:
            # Only a section that refers to the dynamic table is acknowledged.
            found["acknowledgment"] += 1
            _, at = integer(data, at, 7)
        elif first & 0x40:
            found["cancellation"] += 1
            _, at = integer(data, at, 6)
        else:
            increment, at = integer(data, at, 6)
            found["increment"] += increment


def after_text(data: bytes, at: int, bits: int) -> int:
    length, at = integer(data, at, bits)
    return at + length


def integer(data: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number below the high bits of a byte (RFC 7541, section 5.1), and where the next thing begins."""
    most = (1 << bits) - 1
    number = (data[at] if at < len(data) else 0) & most
    at += 1
    if number < most:
        return number, at
    shift = 0
    while at < len(data):
        number += (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
    return number, at
