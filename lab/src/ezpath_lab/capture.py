"""What passes one interface, counted by kind: ``python -m ezpath_lab.capture --interface eth0 --seconds 2``.

Run inside the interface's namespace. Standard output: one JSON array, an object for each kind of frame with its
count. Standard library only.
"""

from __future__ import annotations

import argparse
import json
import socket
import struct
import sys
import time
from collections import Counter
from dataclasses import asdict

from ezpath_lab.frames import Frame, parse

_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_AUXDATA = struct.Struct("=IIIHHHH")  # struct tpacket_auxdata
_STATUS_VLAN_VALID = 1 << 4
_SO_RCVBUFFORCE = 33
_BUFFER_BYTES = 32 << 20


def capture(interface: str, seconds: float) -> Counter[Frame]:
    """Count the frames that pass ``interface``, both ways, for ``seconds``."""
    counts: Counter[Frame] = Counter()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as tap:
        tap.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
        tap.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        tap.bind((interface, _ETH_P_ALL))  # from here on, and from this interface only
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            tap.settimeout(left)
            try:
                data, ancillary, _, _ = tap.recvmsg(2048, 64)
            except TimeoutError:
                break
            counts[parse(data, _tag(ancillary))] += 1
    return counts


def _tag(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The kernel takes a tag out of the frame on the way up and keeps it here."""
    for level, kind, data in ancillary:
        if level == _SOL_PACKET and kind == _PACKET_AUXDATA:
            status, _, _, _, _, tag, _ = _AUXDATA.unpack_from(data)
            if status & _STATUS_VLAN_VALID:
                return int(tag)
    return None


def main() -> None:
    """The command line, for :mod:`ezpath_lab.watch`."""
    parser = argparse.ArgumentParser(prog="python -m ezpath_lab.capture")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    counts = capture(arguments.interface, min(arguments.seconds, 60.0))
    json.dump([{**asdict(frame), "count": count} for frame, count in counts.items()], sys.stdout)


if __name__ == "__main__":
    main()
