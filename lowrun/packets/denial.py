"""Why packets cannot be captured, and the remedy. Pure: the kernel's errno and what /proc says in, one line out.

packet(7) and capabilities(7): a packet socket takes CAP_NET_RAW in the user namespace that owns the network
namespace. net/socket.c: EAFNOSUPPORT is a kernel without CONFIG_PACKET (or a sandbox that has no packet sockets, such
as gVisor); net/packet/af_packet.c: ENOPROTOOPT and EINVAL are options that a kernel or such a sandbox does not know.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from lowrun.trace.denial import status_lines

__all__ = ["reason"]

#: /proc/self/uid_map in the first user namespace: all ids are themselves.
WHOLE_MACHINE = ["0", "0", "4294967295"]
CAP_NET_RAW = 1 << 13
ROOTLESS = "or let COMMAND have a network of its own, captured without privilege (--net rootless)"
AMBIENT = "sudo setpriv --reuid=$UID --init-groups --inh-caps=+net_raw --ambient-caps=+net_raw lowrun ..."


def reason(error: int, status: str, uid_map: str) -> str:
    """Return why a step of opening a packet socket failed with errno `error`, and the remedy, as one line.

    `status` and `uid_map` are the texts of these files in /proc/self (proc_pid_status(5), user_namespaces(7)).
    """
    if error in (errno.EPERM, errno.EACCES):
        return _forbidden(status_lines(status), uid_map.split() == WHOLE_MACHINE)
    if error in (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.ESOCKTNOSUPPORT):
        return "this kernel has no packet sockets (CONFIG_PACKET, or a sandbox such as gVisor); capture outside of it"
    if error in (errno.ENOPROTOOPT, errno.EOPNOTSUPP):
        return (
            "this kernel's packet sockets have no rings (TPACKET_V3: a sandbox such as gVisor?); capture outside of it"
        )
    if error in (errno.ENOMEM, errno.ENOBUFS):
        return "there is no memory for the ring; give a smaller --net-ring-size"
    return f"a packet socket cannot be had: {os.strerror(error)}"


def _forbidden(status: Mapping[str, str], whole_machine: bool) -> str:
    if not int(status.get("CapEff", "0"), 16) & CAP_NET_RAW:
        user = status.get("Uid", "").split()[1:2]
        if user == ["0"]:
            return (
                "root lacks the capability CAP_NET_RAW here; in a container give it with --cap-add NET_RAW, " + ROOTLESS
            )
        return f"the capability CAP_NET_RAW is missing; run lowrun as root, or with that alone ({AMBIENT}), {ROOTLESS}"
    if not whole_machine:
        return (
            "CAP_NET_RAW of this user namespace is none over its network, which belongs to another one; "
            f"capture from outside, {ROOTLESS}"
        )
    return (
        "the system forbids packet sockets in spite of CAP_NET_RAW (a seccomp filter or a security module?); "
        "allow them for this container or service"
    )
