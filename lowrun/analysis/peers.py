"""Whom a log's programs talked to, as SQL over the table of calls. Pure.

strace -yy names a socket behind its descriptor: `TCP:[127.0.0.1:4711->127.0.0.1:80]` when it is connected, else with
its address or inode alone: `UDP:[0.0.0.0:53]`, `TCP:[31337]`; `UNIX-STREAM:[17->18,"/run/x"]` has inodes, and the name
that it is bound to. A call that takes or gives an address has it among its arguments. A connect is printed with
the inode, so it is put to the connection that the same descriptor of the same process shows next, and where strace
goes on with the inode (UNIX) the other way round.
"""

from __future__ import annotations

__all__ = ["NETWORK", "NETWORK_OF_NINE"]

SENDS = "('write', 'writev', 'pwritev2', 'send', 'sendto', 'sendmsg', 'sendmmsg', 'sendfile', 'sendfile64')"
RECEIVES = "('read', 'readv', 'preadv2', 'recv', 'recvfrom', 'recvmsg', 'recvmmsg')"
ACCEPTS = "('accept', 'accept4')"
#: Calls among whose arguments the peer's address stands.
ADDRESSED = "('connect', 'sendto', 'sendmsg', 'sendmmsg', 'recvfrom', 'recvmsg', 'recvmmsg')"
#: A failure that only says "later" is none.
ERROR = "(error IS NOT NULL AND error NOT IN ('EAGAIN', 'EINPROGRESS'))"

_ADDRESS = r"""CASE
      WHEN contains(arguments, 'sin_port=') THEN regexp_replace(regexp_extract(arguments,
           'sin_port=htons\(\d+\), sin_addr=inet_addr\("[^"]*"\)'), '.*htons\((\d+)\).*"([^"]*)".*', '\2:\1')
      WHEN contains(arguments, 'sin6_port=') THEN regexp_replace(regexp_extract(arguments,
           'sin6_port=htons\(\d+\).*?inet_pton\(AF_INET6, "[^"]*"'), '.*htons\((\d+)\).*"([^"]*)".*', '[\2]:\1')
      WHEN contains(arguments, 'sun_path=') THEN replace(regexp_extract(arguments, 'sun_path=(@?"[^"]*")', 1), '"', '')
      END"""
#: Bytes of a call that returned how many messages: they are in its arguments.
_BYTES = r"""CASE WHEN name IN ('sendmmsg', 'recvmmsg')
      THEN list_sum(list_transform(regexp_extract_all(arguments, 'msg_len=(\d+)', 1), lambda n: TRY_CAST(n AS BIGINT)))
      WHEN value > 0 THEN value END"""

#: An inode is nobody's address.
_NAMED = r"CASE WHEN {0} IS NULL OR regexp_full_match({0}, '\d+') THEN '' ELSE {0} END"

NETWORK = rf"""
WITH used AS (
    SELECT line, pid, name, value, error, duration_ns, arguments, regexp_extract(arguments, '^(\d+)<', 1) AS fd,
           CASE WHEN name IN {ACCEPTS} AND value >= 0 THEN regexp_extract(result, '^\d+<(.*)>', 1) ELSE target END
           AS socket
    FROM calls WHERE regexp_matches(target, '^[A-Z][A-Za-z0-9_+-]*:\[')),
named AS (
    SELECT *, regexp_extract(socket, '^([^:]+):\[', 1) AS protocol,
           regexp_extract(socket, '^[^:]+:\[(.*)\]$', 1) AS ends,
           CASE WHEN name IN {ADDRESSED} THEN {_ADDRESS} END AS address FROM used),
placed AS (
    SELECT *, CASE WHEN contains(ends, ',"') THEN regexp_extract(ends, ',"(.*)"$', 1)
                   WHEN contains(ends, '->') THEN split_part(ends, '->', 1) ELSE ends END AS local,
           CASE WHEN contains(ends, '->') THEN regexp_extract(ends, '->(.*?)(?:,".*)?$', 1) END AS remote FROM named),
grouped AS (
    SELECT pid, fd, protocol, local, coalesce(remote, address) AS remote, min(line) AS line,
           bool_or(remote IS NOT NULL) AS connected,
           count(*) FILTER (name <> 'connect') AS calls, count(*) FILTER (name IN {ACCEPTS}) AS accepts,
           sum({_BYTES}) FILTER (name IN {SENDS}) AS sent, sum({_BYTES}) FILTER (name IN {RECEIVES}) AS received,
           count(*) FILTER (name <> 'connect' AND {ERROR}) AS errors,
           sum(duration_ns) FILTER (name <> 'connect') AS time_ns
    FROM placed GROUP BY pid, fd, protocol, local, coalesce(remote, address)),
connects AS (SELECT * FROM placed WHERE name = 'connect'),
next AS (SELECT pid, fd, protocol, line, local, remote FROM grouped WHERE connected),
linked AS (
    SELECT connects.protocol, connects.local AS inode, connects.address, connects.error, connects.duration_ns,
           CASE WHEN next.remote = connects.address THEN next.local ELSE connects.local END AS local
    FROM connects ASOF LEFT JOIN next
    ON connects.pid = next.pid AND connects.fd = next.fd AND connects.protocol = next.protocol
    AND connects.line <= next.line),
files AS (SELECT protocol, inode, max(address) AS address FROM linked WHERE starts_with(protocol, 'UNIX') GROUP BY ALL),
uses AS (
    SELECT grouped.protocol, local, coalesce(files.address, grouped.remote) AS remote, 0 AS connects, accepts, sent,
           received, calls, errors, time_ns
    FROM grouped LEFT JOIN files ON files.protocol = grouped.protocol AND files.inode = grouped.local WHERE calls > 0
    UNION ALL
    SELECT protocol, local, address, 1, 0, 0, 0, 1, CASE WHEN {ERROR} THEN 1 ELSE 0 END, duration_ns FROM linked),
shown AS (
    SELECT protocol, {_NAMED.format("local")} AS local, {_NAMED.format("remote")} AS remote, connects, accepts,
           coalesce(sent, 0) AS sent, coalesce(received, 0) AS received, calls, errors, time_ns FROM uses)
SELECT protocol, local, remote, sum(sent)::BIGINT AS bytes_sent, sum(received)::BIGINT AS bytes_received,
       sum(connects)::BIGINT AS connects, sum(accepts)::BIGINT AS accepts, sum(errors)::BIGINT AS errors,
       sum(calls)::BIGINT AS calls, sum(time_ns)::BIGINT AS time_ns
FROM shown GROUP BY protocol, local, remote HAVING sum(sent) + sum(received) + sum(connects) + sum(accepts) > 0"""

#: The same of nine columns, which have no arguments: calls about sockets alone, and a peer only where it is a file.
NETWORK_OF_NINE = rf"""
SELECT CAST(NULL AS VARCHAR) AS protocol, CAST(NULL AS VARCHAR) AS local, path AS remote,
       coalesce(sum(value) FILTER (name IN ('send', 'sendto', 'sendmsg') AND value > 0), 0)::BIGINT AS bytes_sent,
       coalesce(sum(value) FILTER (name IN ('recv', 'recvfrom', 'recvmsg') AND value > 0), 0)::BIGINT AS bytes_received,
       count(*) FILTER (name = 'connect') AS connects, count(*) FILTER (name IN {ACCEPTS} AND value >= 0) AS accepts,
       count(*) FILTER ({ERROR}) AS errors, count(*) AS calls, sum(duration_ns)::BIGINT AS time_ns
FROM calls WHERE name IN {ADDRESSED} OR name IN {ACCEPTS} OR name = 'send' OR name = 'recv'
GROUP BY path"""
