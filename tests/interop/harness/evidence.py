"""What the packets on the wire must show. Each returns a detail, or raises Failed."""

from . import qpack
from .runner import Failed
from .wire import PATH_CHALLENGE, PATH_RESPONSE, VERSION_1, Packet


def of_retry(packets: list[Packet]) -> str:
    """The token came back, to the id that the Retry packet named, and the packet numbers went on (RFC 9000, section 17.2.5.3)."""
    retries = [packet for packet in packets if packet.kind == "retry" and not packet.from_client]
    if not retries:
        raise Failed("there was no Retry packet")
    retry = retries[0]
    initials = [packet for packet in packets if packet.kind == "initial" and packet.from_client]
    before = [packet for packet in initials if packet.index < retry.index]
    after = [packet for packet in initials if packet.index > retry.index and packet.token == retry.token]
    if not after:
        raise Failed("no Initial packet carried the token")
    if after[0].destination != retry.source:
        raise Failed("the Initial packet with the token did not go to the id of the Retry packet")
    known = [packet.number for packet in before if packet.number is not None]
    if after[0].number is None or not known:
        raise Failed("the Initial packets could not be opened")
    if after[0].number <= max(known):
        raise Failed(f"packet number {after[0].number} was used again after the Retry packet")
    return f"token of {len(retry.token)} bytes"


def of_key_update(packets: list[Packet], by_client: bool | None) -> str:
    """Both sides went to the next keys; by_client: who must have been first, None if that is open."""
    updated = {}
    for packet in packets:
        if packet.key_phase:
            updated.setdefault(packet.from_client, packet)
    if not any(packet.key_phase is not None for packet in packets):
        raise Failed("no 1-RTT packet could be opened: no key log?")
    for from_client, name in ((True, "client"), (False, "server")):
        if from_client not in updated:
            raise Failed(f"the {name} sent nothing with the next keys")
    first = min(updated.values(), key=lambda packet: packet.index)
    name = "client" if first.from_client else "server"
    if by_client is not None and first.from_client != by_client:
        raise Failed(f"the {name} was the first to update its keys, which the other was to be")
    return f"{name} first, at its packet {first.number}"


def of_paths(packets: list[Packet], own: bool) -> str:
    """The server went over to the client's new port and proved it (RFC 9000, sections 8.2 and 9.3); own: the client chose it."""
    paths = list(dict.fromkeys(packet.path for packet in packets))
    if len(paths) < 2:
        raise Failed("the client's port never changed: the transfer was over too soon, or nothing was done")
    old, new = ([packet for packet in packets if packet.path == path] for path in (paths[0], paths[-1]))
    answers = [packet for packet in new if not packet.from_client]
    if not answers:
        raise Failed("the server sent nothing to the new port")
    if not any(packet.frames for packet in packets if packet.kind == "1rtt"):
        raise Failed("no 1-RTT packet could be opened: no key log?")
    challenges = [number for number, packet in enumerate(answers, 1) if PATH_CHALLENGE in (packet.frames or [])]
    if not challenges:
        raise Failed("the server never challenged the new path")
    if not any(packet.from_client and PATH_RESPONSE in (packet.frames or []) for packet in new):
        raise Failed("the client never answered the challenge on the new path")
    detail = f"challenge in packet {challenges[0]} to the new port"
    if own:
        used = {packet.destination for packet in old if packet.from_client and packet.kind == "1rtt"}
        again = any(packet.destination in used for packet in new if packet.from_client)
        # A client that only acts as a NAT would may keep it.
        detail += ", the client kept its connection id" if again else ", with another connection id"
    return detail


def of_version_negotiation(packets: list[Packet]) -> str:
    offered = next((packet.version for packet in packets if packet.from_client), None)
    answers = [packet for packet in packets if packet.kind == "version-negotiation" and not packet.from_client]
    if not answers:
        if offered not in (None, VERSION_1) and any(packet.version == offered and not packet.from_client for packet in packets):
            return f"no negotiation: the server speaks {offered:#x}"
        raise Failed(f"there was no Version Negotiation packet for version {offered:#x}")
    if VERSION_1 not in answers[0].versions:
        raise Failed(f"version 1 is not in the answer: {answers[0].versions}")
    if offered in answers[0].versions:
        raise Failed("the answer names the version that was offered")
    if not any(packet.kind == "handshake" and packet.version != offered for packet in packets):
        raise Failed("there was no handshake with another version")
    return "offered " + f"{offered:#x}, answered " + ",".join(f"{version:#x}" for version in answers[0].versions)


def of_dynamic_table(packets: list[Packet], by_client: bool, by_server: bool) -> str:
    """Who can, where the other side permits it, inserted fields into its table, and had sections acknowledged that refer to them (RFC 9204, section 4)."""
    if not any(packet.frames for packet in packets if packet.kind == "1rtt"):
        raise Failed("no 1-RTT packet could be opened: no key log?")
    said = {True: qpack.count(packets, True), False: qpack.count(packets, False)}
    details = []
    for from_client, name, wanted in ((True, "client", by_client), (False, "server", by_server)):
        if not qpack.permitted(packets, not from_client):
            details.append(f"{name} none, since the other side keeps no table")
            continue
        if not wanted:
            details.append(f"{name} none")
            continue
        inserted, referred = said[from_client]["insert"], said[not from_client]["acknowledgment"]
        if not inserted:
            raise Failed(f"the {name} put nothing into the other side's dynamic table: {dict(said[from_client])}")
        if not referred:
            raise Failed(f"the {name} inserted {inserted} fields, and no section that refers to them was acknowledged")
        details.append(f"{name} {inserted} inserts, {referred} sections")
    if all("none" in detail for detail in details):
        raise Failed("neither side can use a dynamic table with the other")
    return ", ".join(details)
