"""Frames of WebSockets (RFC 6455, section 5.2), as far as an echo needs them: no fragments."""

import os
from collections.abc import Iterator

TEXT, BINARY, CLOSE = 1, 2, 8


def frame(kind: int, payload: bytes, mask: bool) -> bytes:
    length = len(payload)
    bit = 0x80 if mask else 0
    if length < 126:
        head = bytes([0x80 | kind, bit | length])
    elif length < 1 << 16:
        head = bytes([0x80 | kind, bit | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x80 | kind, bit | 127]) + length.to_bytes(8, "big")
    if not mask:
        return head + payload
    key = os.urandom(4)
    return head + key + masked(payload, key)


def masked(payload: bytes, key: bytes) -> bytes:
    stream = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(payload), "big")


class Reader:
    """Takes what arrives and gives whole messages."""

    def __init__(self, masked: bool) -> None:
        self.masked = masked
        self.waiting = bytearray()

    def read(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        self.waiting += data
        while message := self._next():
            yield message

    def _next(self) -> tuple[int, bytes] | None:
        data = self.waiting
        if len(data) < 2:
            return None
        if bool(data[1] & 0x80) != self.masked:
            raise ValueError("a client's frames are masked, a server's are not (RFC 6455, section 5.1)")
        if not data[0] & 0x80 or data[0] & 0x70:
            raise ValueError("neither fragments nor extensions were agreed on")
        length, at = data[1] & 0x7F, 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(data) < 2 + size:
                return None
            length, at = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
        key = b""
        if self.masked:
            key, at = bytes(data[at : at + 4]), at + 4
        if len(data) < at + length:
            return None
        payload = bytes(data[at : at + length])
        kind = data[0] & 0x0F
        del data[: at + length]
        return kind, masked(payload, key) if key else payload
