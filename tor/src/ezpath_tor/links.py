"""What the kernel says of a port's interface: whether a frame may skip the wire and start at its other end."""

from __future__ import annotations

import array
import fcntl
import json
import socket
import struct
import subprocess

_SIOCETHTOOL = 0x8946
_ETHTOOL_GTXCSUM, _ETHTOOL_GTSO, _ETHTOOL_GGSO = 0x16, 0x1E, 0x23


def reaches_other_namespace(name: str) -> bool:
    """Whether a frame for this interface can go straight to its veth peer's ingress (``bpf_redirect_peer``).

    So it can where the peer is in another network namespace, and the wire would not have had to finish checksums or
    cut super-frames. False where nothing can be said: then a frame takes the long way, which always works.
    """
    return _veth_across_namespaces(name) and _takes_frames_as_they_are(name)


def _veth_across_namespaces(name: str) -> bool:
    try:
        command = ("ip", "-json", "-details", "link", "show", "dev", name)
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
        [link] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return "link_netnsid" in link and link.get("linkinfo", {}).get("info_kind") == "veth"


def _takes_frames_as_they_are(name: str) -> bool:
    return all(_feature(name, command) for command in (_ETHTOOL_GTXCSUM, _ETHTOOL_GTSO, _ETHTOOL_GGSO))


def _feature(name: str, command: int) -> bool:
    value = array.array("B", struct.pack("II", command, 0))
    address, _ = value.buffer_info()
    request = struct.pack("16sP", name.encode(), address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
        except OSError:
            return False
    return bool(struct.unpack("II", value.tobytes())[1])
