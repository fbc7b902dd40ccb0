"""What was on the wire: packets of RFC 9000 and 9369, opened with the key log of the run."""

import pathlib
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from .proxy import Datagram

VERSION_1, VERSION_2 = 0x00000001, 0x6B3343CF
SALTS = {
    VERSION_1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    VERSION_2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
KINDS = {VERSION_1: ["initial", "0rtt", "handshake", "retry"], VERSION_2: ["retry", "initial", "0rtt", "handshake"]}
PATH_CHALLENGE, PATH_RESPONSE = 0x1A, 0x1B


@dataclass
class Packet:
    """One packet; number and frames only where the keys were known."""

    kind: str  # initial, 0rtt, handshake, retry, version-negotiation, 1rtt, unknown-version
    from_client: bool
    path: int
    index: int  # of its datagram
    version: int = 0
    destination: bytes = b""
    source: bytes = b""
    token: bytes = b""
    versions: list[int] = field(default_factory=list)
    number: int | None = None
    key_phase: int | None = None  # the generation of the keys, not only its lowest bit
    frames: list[int] | None = None  # types
    streams: list[tuple[int, int, bytes]] = field(default_factory=list)  # of STREAM frames: the stream's id, the offset, the data


class Keys:
    """Packet protection of one direction and level (RFC 9001, section 5)."""

    def __init__(self, secret: bytes, version: int, chacha: bool = False) -> None:
        self.secret, self.version, self.chacha = secret, version, chacha
        self.prefix = "quicv2 " if version == VERSION_2 else "quic "
        length = 32 if chacha or len(secret) == 48 else 16
        self.key = self._expand("key", length)
        self.iv = self._expand("iv", 12)
        self.header = self._expand("hp", length)
        self.aead = ChaCha20Poly1305(self.key) if chacha else AESGCM(self.key)

    def _hash(self):
        return hashes.SHA384() if len(self.secret) == 48 else hashes.SHA256()

    def _expand(self, label: str, length: int) -> bytes:
        return expand_label(self.secret, self.prefix + label, length, self._hash())

    def next(self) -> "Keys":
        """After a key update; the key of header protection stays."""
        following = Keys(self._expand("ku", len(self.secret)), self.version, self.chacha)
        following.header = self.header
        return following

    def mask(self, sample: bytes) -> bytes:
        if self.chacha:
            return Cipher(algorithms.ChaCha20(self.header, sample), None).encryptor().update(bytes(5))
        return Cipher(algorithms.AES(self.header), modes.ECB()).encryptor().update(sample)[:5]

    def unmask(self, packet: bytes, offset: int) -> tuple[bytes, int, int]:
        """The header as it was before header protection, the truncated packet number and its length."""
        mask = self.mask(packet[offset + 4 : offset + 20])
        first = packet[0] ^ (mask[0] & (0x0F if packet[0] & 0x80 else 0x1F))
        length = (first & 3) + 1
        number = bytes(byte ^ mask[1 + at] for at, byte in enumerate(packet[offset : offset + length]))
        return bytes([first]) + packet[1:offset] + number, int.from_bytes(number, "big"), length

    def open(self, header: bytes, number: int, sealed: bytes) -> bytes:
        nonce = (int.from_bytes(self.iv, "big") ^ number).to_bytes(12, "big")
        return self.aead.decrypt(nonce, sealed, header)


def expand_label(secret: bytes, label: str, length: int, algorithm) -> bytes:
    name = b"tls13 " + label.encode()
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return HKDFExpand(algorithm, length, info).derive(secret)


def initial_keys(destination: bytes, version: int) -> dict[bool, Keys]:
    extract = HMAC(SALTS[version], hashes.SHA256())
    extract.update(destination)
    secret = extract.finalize()
    labels = {True: "client in", False: "server in"}
    return {side: Keys(expand_label(secret, label, 32, hashes.SHA256()), version) for side, label in labels.items()}


def read_key_log(file: pathlib.Path) -> dict[str, bytes]:
    """The secrets of the last connection in the file, by label."""
    secrets = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        parts = line.split()
        if len(parts) == 3 and not line.startswith("#"):
            secrets[parts[0]] = bytes.fromhex(parts[2])
    return secrets


class Reader:
    """Reads the datagrams of one connection in their order."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self.secrets = secrets
        self.version = VERSION_1
        self.lengths = {True: 0, False: 0}  # of the ids in packets from the client, from the server
        self.initial: dict[bytes, dict[bool, Keys]] = {}
        self.one_rtt: dict[bool, list[Keys]] = {}
        self.phase = {True: 0, False: 0}
        self.largest: dict[tuple[str, bool], int] = {}

    def read(self, index: int, datagram: Datagram) -> list[Packet]:
        packets, data = [], datagram.data
        while data and any(data):
            packet, rest = self._packet(index, datagram, data)
            packets.append(packet)
            data = rest
        return packets

    def _packet(self, index: int, datagram: Datagram, data: bytes) -> tuple[Packet, bytes]:
        packet = Packet("1rtt", datagram.from_client, datagram.path, index)
        if not data[0] & 0x80:
            length = self.lengths[packet.from_client]
            packet.destination = data[1 : 1 + length]
            self._open_one_rtt(packet, data, 1 + length)
            return packet, b""
        packet.version = int.from_bytes(data[1:5], "big")
        at = 5
        packet.destination, at = data[at + 1 : at + 1 + data[at]], at + 1 + data[at]
        packet.source, at = data[at + 1 : at + 1 + data[at]], at + 1 + data[at]
        if packet.version == 0:
            packet.kind = "version-negotiation"
            packet.versions = [int.from_bytes(data[place : place + 4], "big") for place in range(at, len(data) - 3, 4)]
            return packet, b""
        if packet.version not in SALTS:
            packet.kind = "unknown-version"
            return packet, b""
        self.version = packet.version
        packet.kind = KINDS[packet.version][data[0] >> 4 & 3]
        self.lengths[not packet.from_client] = len(packet.source)
        if packet.kind == "retry":
            packet.token = data[at:-16]
            return packet, b""
        if packet.kind == "initial":
            length, at = varint(data, at)
            packet.token, at = data[at : at + length], at + length
        length, at = varint(data, at)
        whole, rest = data[: at + length], data[at + length :]
        if packet.kind == "initial":
            # The client's first id makes the keys, or that of a Retry packet; what it uses later does not.
            if packet.from_client and len(self.initial) < 3:
                self.initial.setdefault(packet.destination, initial_keys(packet.destination, packet.version))
            for keys in reversed(self.initial.values()):
                if self._open(packet, whole, at, keys[packet.from_client]):
                    break
        return packet, rest

    def _open(self, packet: Packet, data: bytes, offset: int, keys: Keys) -> bool:
        space = (packet.kind, packet.from_client)
        header, truncated, length = keys.unmask(data, offset)
        number = full_number(truncated, length, self.largest.get(space, -1) + 1)
        try:
            payload = keys.open(header, number, data[offset + length :])
        except InvalidTag:
            return False
        packet.number, packet.frames = number, frame_types(payload, packet.streams)
        self.largest[space] = max(self.largest.get(space, -1), number)
        return True

    def _open_one_rtt(self, packet: Packet, data: bytes, offset: int) -> None:
        side = packet.from_client
        secret = self.secrets.get("CLIENT_TRAFFIC_SECRET_0" if side else "SERVER_TRAFFIC_SECRET_0")
        if secret is None or len(data) < offset + 20:
            return
        if side not in self.one_rtt:
            for chacha in (False, True):
                if self._open(packet, data, offset, Keys(secret, self.version, chacha)):
                    self.one_rtt[side] = [Keys(secret, self.version, chacha)]
                    packet.key_phase = 0
            return
        keys = self.one_rtt[side]
        for phase in (self.phase[side], self.phase[side] + 1, self.phase[side] - 1):
            while phase >= len(keys):
                keys.append(keys[-1].next())
            if phase >= 0 and self._open(packet, data, offset, keys[phase]):
                self.phase[side] = max(self.phase[side], phase)
                packet.key_phase = phase
                return


def read(datagrams: list[Datagram], key_log: pathlib.Path) -> list[Packet]:
    reader = Reader(read_key_log(key_log))
    return [packet for index, datagram in enumerate(datagrams) for packet in reader.read(index, datagram)]


def full_number(truncated: int, length: int, expected: int) -> int:
    """RFC 9000, appendix A.3."""
    window = 1 << (8 * length)
    candidate = (expected & ~(window - 1)) | truncated
    if candidate + window // 2 <= expected:
        return candidate + window
    if candidate > expected + window // 2 and candidate >= window:
        return candidate - window
    return candidate


def varint(data: bytes, at: int) -> tuple[int, int]:
    length = 1 << (data[at] >> 6)
    return int.from_bytes(data[at : at + length], "big") & ((1 << (8 * length - 2)) - 1), at + length


# How many varints follow the type, for frames which are nothing else.
# IMMEDIATE_ACK (0x1f) and ACK_FREQUENCY (0xaf) are of draft-ietf-quic-ack-frequency.
PLAIN = {0x1F: 0, 0xAF: 4, 0x01: 0, 0x04: 3, 0x05: 2, 0x10: 1, 0x11: 2, 0x12: 1, 0x13: 1, 0x14: 1, 0x15: 2, 0x16: 1, 0x17: 1, 0x19: 1, 0x1E: 0}


def frame_types(payload: bytes, streams: list[tuple[int, int, bytes]] | None = None) -> list[int]:
    """The types of the frames; padding is left out, and what comes after an unknown frame. What STREAM frames carry goes to `streams`."""
    types, at = [], 0
    while at < len(payload):
        kind, at = varint(payload, at)
        if kind == 0:
            continue
        types.append(kind)
        if kind in PLAIN:
            for _ in range(PLAIN[kind]):
                _, at = varint(payload, at)
        elif kind in (0x02, 0x03):
            at = _after_ack(payload, at, kind)
        elif kind == 0x06 or 0x08 <= kind <= 0x0F:
            at = _after_data(payload, at, kind, streams)
        elif kind == 0x07:
            length, at = varint(payload, at)
            at += length
        elif kind == 0x18:
            _, at = varint(payload, at)
            _, at = varint(payload, at)
            at += 1 + payload[at] + 16
        elif kind in (PATH_CHALLENGE, PATH_RESPONSE):
            at += 8
        elif kind in (0x1C, 0x1D):
            for _ in range(2 if kind == 0x1C else 1):
                _, at = varint(payload, at)
            length, at = varint(payload, at)
            at += length
        else:
            break
    return types


def _after_ack(payload: bytes, at: int, kind: int) -> int:
    _, at = varint(payload, at)
    _, at = varint(payload, at)
    count, at = varint(payload, at)
    for _ in range(1 + 2 * count + (3 if kind == 0x03 else 0)):
        _, at = varint(payload, at)
    return at


def _after_data(payload: bytes, at: int, kind: int, streams: list[tuple[int, int, bytes]] | None) -> int:
    """CRYPTO and STREAM frames."""
    identifier = offset = 0
    if kind != 0x06:
        identifier, at = varint(payload, at)
    if kind == 0x06 or kind & 0x04:
        offset, at = varint(payload, at)
    length = len(payload) - at
    if kind == 0x06 or kind & 0x02:
        length, at = varint(payload, at)
    if kind != 0x06 and streams is not None:
        streams.append((identifier, offset, payload[at : at + length]))
    return at + length
