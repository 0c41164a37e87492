"""Open vSwitch on one host: its database (ports), its OpenFlow tables (rules), its datapath (have they taken hold).

Adapters, and the values they deal in. The service that decides what to install is ``ezpath_host_writer``.
"""

from ezpath.ovs.errors import OvsError, OvsFenced, OvsMisfit, OvsRefused, OvsUnreachable, OvsUntrusted
from ezpath.ovs.fence import Fence
from ezpath.ovs.flows import COOKIE, COOKIE_MASK, Change, Flow, Role, difference
from ezpath.ovs.ofconn import CannotTalk, OpenFlowConnection
from ezpath.ovs.ofctl import OpenFlowBridge
from ezpath.ovs.ovsdb import Ovsdb
from ezpath.ovs.reach import Reach
from ezpath.ovs.view import Interface, OvsView
from ezpath.ovs.vswitchd import Daemon, DistantVswitchd, Vswitchd

__all__ = [
    "COOKIE",
    "COOKIE_MASK",
    "CannotTalk",
    "Change",
    "Daemon",
    "DistantVswitchd",
    "Fence",
    "Flow",
    "Interface",
    "OpenFlowBridge",
    "OpenFlowConnection",
    "OvsError",
    "OvsFenced",
    "OvsMisfit",
    "OvsRefused",
    "OvsUnreachable",
    "OvsUntrusted",
    "OvsView",
    "Ovsdb",
    "Reach",
    "Role",
    "Vswitchd",
    "difference",
]
