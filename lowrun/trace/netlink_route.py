"""Messages of NETLINK_ROUTE: addresses, links, routes, neighbours (rtnetlink(7))."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence

from lowrun.trace.constants import enum_text, flags_text
from lowrun.trace.netlink import (
    Attributes,
    Family,
    Payload,
    decimal,
    enum_value,
    flags_value,
    inet_text,
    interface,
    name_value,
    numbers,
    string,
    struct_of,
)

__all__ = ["ROUTE"]

RTM_BASE = 16
_U8, _U16, _U32, _S32, _U64 = (decimal(layout) for layout in ("<B", "<H", "<I", "<i", "<Q"))


def _address(data: bytes, family: int) -> str:
    return inet_text(data, family)


def _hardware_address(data: bytes, family: int) -> str | None:
    return data.hex(":") if len(data) <= 32 else None


# -- addresses

_scope = enum_text("nl_scope")
_address_flags = flags_text("nl_address")


def _address_fields(data: bytes, family: int) -> Sequence[str]:
    prefix, flags, scope, index = struct.unpack_from("<xBBBI", data)
    return (
        f"ifa_prefixlen={prefix}", f"ifa_flags={_address_flags(flags)}", f"ifa_scope={_scope(scope)}",
        f"ifa_index={interface(index)}",
    )  # fmt: skip


_addresses = Payload("ifa_family", 8, _address_fields, Attributes("nl_address_attribute", {
    "IFA_ADDRESS": _address, "IFA_LOCAL": _address, "IFA_LABEL": string, "IFA_BROADCAST": _address,
    "IFA_ANYCAST": _address, "IFA_MULTICAST": _address, "IFA_FLAGS": flags_value(4, "nl_address"),
    "IFA_CACHEINFO": struct_of("<4I", "ifa_prefered", "ifa_valid", "cstamp", "tstamp"),
    "IFA_RT_PRIORITY": _U32, "IFA_TARGET_NETNSID": _S32,
}))  # fmt: skip

# -- links

_hardware = enum_text("nl_hardware")
_interface_flags = flags_text("nl_interface")
_COUNTERS = (
    "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped",
    "multicast", "collisions", "rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors",
    "rx_fifo_errors", "rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors",
    "tx_heartbeat_errors", "tx_window_errors", "rx_compressed", "tx_compressed", "rx_nohandler",
    "rx_otherhost_dropped",
)  # fmt: skip


def _statistics(data: bytes, family: int) -> str | None:
    """Counters of 32 bits: 23, or 24 since Linux 4.6."""
    count = 24 if len(data) >= 96 else 23
    return struct_of(f"<{count}I", *_COUNTERS[:count])(data, family) if len(data) in (92, *range(96, 129)) else None


def _statistics64(data: bytes, family: int) -> str | None:
    """Counters of 64 bits: 23, 24 since Linux 4.6, 25 since 5.19."""
    count = min(len(data) // 8, 25)
    return struct_of(f"<{count}Q", *_COUNTERS[:count])(data, family) if count >= 23 else None


_inet6 = Attributes("nl_inet6_attribute", {
    "IFLA_INET6_FLAGS": flags_value(4, "nl_inet6"), "IFLA_INET6_CONF": numbers("<i", "nl_inet6_conf"),
    "IFLA_INET6_STATS": numbers("<Q", "nl_ip_statistics"),
    "IFLA_INET6_CACHEINFO": struct_of("<4I", "max_reasm_len", "tstamp", "reachable_time", "retrans_time"),
    "IFLA_INET6_ICMP6STATS": numbers("<Q", "nl_icmp6_statistics"),
    "IFLA_INET6_TOKEN": lambda data, family: inet_text(data, socket.AF_INET6) if len(data) >= 16 else None,
    "IFLA_INET6_ADDR_GEN_MODE": enum_value(1, "nl_address_generation"), "IFLA_INET6_RA_MTU": _U32,
})  # fmt: skip
_inet = Attributes("nl_inet_attribute", {"IFLA_INET_CONF": numbers("<i", "nl_inet_conf", 1)})
_by_family = Attributes("family", {"AF_INET": _inet, "AF_INET6": _inet6})


def _family_data(data: bytes, family: int) -> str | None:
    return None if family == socket.AF_BRIDGE else _by_family(data, family)


def _protocol_data(data: bytes, family: int) -> str | None:
    return _inet6(data, family) if family == socket.AF_INET6 else None


def _link_fields(data: bytes, family: int) -> Sequence[str]:
    hardware, index, flags, change = struct.unpack_from("<2xHIII", data)
    return (
        f"ifi_type={_hardware(hardware)}", f"ifi_index={interface(index)}", f"ifi_flags={_interface_flags(flags)}",
        f"ifi_change={change:#x}" if change else "ifi_change=0",
    )  # fmt: skip


_map = struct_of("<3QHBB", "mem_start", "mem_end", "base_addr", "irq", "dma", "port", formats=dict.fromkeys(
    ("mem_start", "mem_end", "base_addr"), lambda value: f"{value:#x}" if value else "0"))  # fmt: skip
_links = Payload("ifi_family", 16, _link_fields, Attributes("nl_link_attribute", {
    "IFLA_STATS": _statistics, "IFLA_STATS64": _statistics64, "IFLA_AF_SPEC": _family_data, "IFLA_MAP": _map,
    "IFLA_PROTINFO": _protocol_data, "IFLA_EXT_MASK": flags_value(4, "nl_link_filter"),
    "IFLA_NEW_IFINDEX": name_value,
    "IFLA_LINKINFO": Attributes("nl_linkinfo_attribute", {"IFLA_INFO_KIND": string, "IFLA_INFO_SLAVE_KIND": string}),
    "IFLA_XDP": Attributes("nl_xdp_attribute", {
        "IFLA_XDP_FD": _S32, "IFLA_XDP_ATTACHED": enum_value(1, "nl_xdp_attached"), "IFLA_XDP_PROG_ID": _U32,
        "IFLA_XDP_DRV_PROG_ID": _U32, "IFLA_XDP_SKB_PROG_ID": _U32, "IFLA_XDP_HW_PROG_ID": _U32,
    }),
    **dict.fromkeys(("IFLA_ADDRESS", "IFLA_BROADCAST", "IFLA_PERM_ADDRESS"), _hardware_address),
    **dict.fromkeys(("IFLA_IFNAME", "IFLA_QDISC", "IFLA_IFALIAS", "IFLA_PHYS_PORT_NAME", "IFLA_ALT_IFNAME",
                     "IFLA_PARENT_DEV_NAME", "IFLA_PARENT_DEV_BUS_NAME"), string),
    **dict.fromkeys(("IFLA_MTU", "IFLA_LINK", "IFLA_MASTER", "IFLA_TXQLEN", "IFLA_WEIGHT", "IFLA_NET_NS_PID",
                     "IFLA_NUM_VF", "IFLA_GROUP", "IFLA_PROMISCUITY", "IFLA_NUM_TX_QUEUES", "IFLA_NUM_RX_QUEUES",
                     "IFLA_CARRIER_CHANGES", "IFLA_GSO_MAX_SEGS", "IFLA_GSO_MAX_SIZE", "IFLA_CARRIER_UP_COUNT",
                     "IFLA_CARRIER_DOWN_COUNT", "IFLA_MIN_MTU", "IFLA_MAX_MTU", "IFLA_GRO_MAX_SIZE",
                     "IFLA_TSO_MAX_SIZE", "IFLA_TSO_MAX_SEGS", "IFLA_ALLMULTI"), _U32),
    **dict.fromkeys(("IFLA_OPERSTATE", "IFLA_LINKMODE", "IFLA_CARRIER", "IFLA_PROTO_DOWN"), _U8),
    **dict.fromkeys(("IFLA_LINK_NETNSID", "IFLA_NEW_NETNSID", "IFLA_IF_NETNSID"), _S32),
}))  # fmt: skip

# -- routes

_service = flags_text("nl_service")
_table = enum_text("nl_route_table")
_protocol = enum_text("nl_route_protocol")
_type = enum_text("nl_route_type")
_route_flags = flags_text("nl_route")
_hop_flags = flags_text("nl_next_hop")


def _route_fields(data: bytes, family: int) -> Sequence[str]:
    to, source, service, table, protocol, scope, kind, flags = struct.unpack_from("<x7BI", data)
    return (
        f"rtm_dst_len={to}", f"rtm_src_len={source}", f"rtm_tos={_service(service)}", f"rtm_table={_table(table)}",
        f"rtm_protocol={_protocol(protocol)}", f"rtm_scope={_scope(scope)}", f"rtm_type={_type(kind)}",
        f"rtm_flags={_route_flags(flags)}",
    )  # fmt: skip


def _next_hops(data: bytes, family: int) -> str | None:
    """The hops of a route, each with attributes of its own."""
    if len(data) < 8:
        return None
    texts = []
    while len(data) >= 8:
        size, flags, hops, index = struct.unpack_from("<HBBi", data)
        text = f"{{rtnh_len={size}, rtnh_flags={_hop_flags(flags)}, rtnh_hops={hops}, rtnh_ifindex={interface(index)}}}"
        end = min(size, len(data))
        texts.append(f"[{text}, {_route_attributes(data[8:end], family)}]" if end > 8 else text)
        if size < 8:
            break
        data = data[(end + 3) & ~3 :]
    return texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"


_metrics = Attributes("nl_metrics_attribute", {
    **dict.fromkeys(("RTAX_LOCK", "RTAX_MTU", "RTAX_WINDOW", "RTAX_RTT", "RTAX_RTTVAR", "RTAX_SSTHRESH", "RTAX_CWND",
                     "RTAX_ADVMSS", "RTAX_REORDERING", "RTAX_HOPLIMIT", "RTAX_INITCWND", "RTAX_FEATURES",
                     "RTAX_RTO_MIN", "RTAX_INITRWND", "RTAX_QUICKACK"), _U32),
    "RTAX_CC_ALGO": string,
})  # fmt: skip
_cache = struct_of("<IIiI4I", "rta_clntref", "rta_lastuse", "rta_expires", "rta_error", "rta_used", "rta_id", "rta_ts",
                   "rta_tsage", formats={"rta_expires": lambda value: str(value & 0xFFFFFFFF),
                                         "rta_id": lambda value: f"{value:#x}" if value else "0"})  # fmt: skip
_route_attributes = Attributes("nl_route_attribute", {
    **dict.fromkeys(("RTA_DST", "RTA_SRC", "RTA_GATEWAY", "RTA_PREFSRC", "RTA_NEWDST"), _address),
    **dict.fromkeys(("RTA_IIF", "RTA_OIF"), name_value),
    **dict.fromkeys(("RTA_PRIORITY", "RTA_PROTOINFO", "RTA_FLOW", "RTA_MP_ALGO", "RTA_MARK", "RTA_UID"), _U32),
    **dict.fromkeys(("RTA_PREF", "RTA_TTL_PROPAGATE", "RTA_IP_PROTO"), _U8),
    **dict.fromkeys(("RTA_SPORT", "RTA_DPORT"), _U16),
    "RTA_METRICS": _metrics, "RTA_MULTIPATH": _next_hops, "RTA_CACHEINFO": _cache,
    "RTA_TABLE": enum_value(4, "nl_route_table"), "RTA_EXPIRES": _U64,
    "RTA_MFC_STATS": struct_of("<3Q", "mfcs_packets", "mfcs_bytes", "mfcs_wrong_if"),
})  # fmt: skip
_routes = Payload("rtm_family", 12, _route_fields, _route_attributes)

# -- neighbours

_state = flags_text("nl_neighbour_state")
_neighbour_flags = flags_text("nl_neighbour")


def _neighbour_fields(data: bytes, family: int) -> Sequence[str]:
    index, state, flags, kind = struct.unpack_from("<4xIHBB", data)
    return (
        f"ndm_ifindex={interface(index)}", f"ndm_state={_state(state)}", f"ndm_flags={_neighbour_flags(flags)}",
        f"ndm_type={_type(kind)}",
    )  # fmt: skip


_neighbours = Payload("ndm_family", 12, _neighbour_fields, Attributes("nl_neighbour_attribute", {
    "NDA_DST": _address, "NDA_LLADDR": _hardware_address, "NDA_VLAN": _U16,
    "NDA_CACHEINFO": struct_of("<4I", "ndm_confirmed", "ndm_used", "ndm_updated", "ndm_refcnt"),
    "NDA_PORT": lambda data, family: f"htons({int.from_bytes(data[:2], 'big')})" if len(data) >= 2 else None,
    **dict.fromkeys(("NDA_PROBES", "NDA_VNI", "NDA_LINK_NETNSID", "NDA_SRC_VNI", "NDA_NH_ID"), _U32),
    **dict.fromkeys(("NDA_IFINDEX", "NDA_MASTER"), name_value),
    "NDA_NDM_STATE_MASK": flags_value(2, "nl_neighbour_state"), "NDA_NDM_FLAGS_MASK": flags_value(1, "nl_neighbour"),
}))  # fmt: skip

#: Groups of four: new, delete, get, set.
_PAYLOADS = {0: _links, 1: _addresses, 2: _routes, 3: _neighbours}
#: RTM_GETMULTICAST, RTM_GETANYCAST.
_MORE_ADDRESSES = (58, 62)
RTM_DELACTION = 49


def _payload(kind: int, flags: int, family: int) -> Payload | None:
    return _addresses if kind in _MORE_ADDRESSES else _PAYLOADS.get((kind - RTM_BASE) // 4)


def _flags(kind: int) -> str:
    if kind == RTM_DELACTION:
        return "nl_header_get"
    return ("nl_header_new", "nl_header_delete", "nl_header_get", "nl_header")[kind & 3]


ROUTE = Family(enum_text("nl_route_message"), _flags, _payload)
