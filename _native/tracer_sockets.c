/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a socket is connected to, asked of the kernel by its inode number
 * (sock_diag(7)), the way strace does: the extended attribute
 * system.sockprotoname names the protocol; a socket that is neither bound nor
 * connected is not found; what was found once is never asked for again, even
 * if it is another address by now. So an answer is kept in a table of as many
 * places as strace has.
 *
 * An inet socket can only be found by a dump of all of its protocol.
 */
#include "tracer.h"

#include <linux/inet_diag.h>
#include <linux/l2tp.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/xattr.h>

#define REPLY_SIZE 16384
#define ANY_PROTOCOL 0

struct lr_socket_answer {
    uint64_t inode;
    uint16_t len;
    uint8_t data[LR_SOCKET_MAX];
};

/* The kernel's names (/proc/net/protocols) of those that can be asked for. */
static const struct {
    const char *name;
    uint8_t family, protocol;
} protocols[] = {
    { "TCP", AF_INET, IPPROTO_TCP }, { "UDP", AF_INET, IPPROTO_UDP }, { "UDPLITE", AF_INET, IPPROTO_UDPLITE },
    { "DCCP", AF_INET, IPPROTO_DCCP }, { "SCTP", AF_INET, IPPROTO_SCTP }, { "L2TP/IP", AF_INET, IPPROTO_L2TP },
    { "PING", AF_INET, IPPROTO_ICMP }, { "RAW", AF_INET, IPPROTO_RAW },
    { "TCPv6", AF_INET6, IPPROTO_TCP }, { "UDPv6", AF_INET6, IPPROTO_UDP },
    { "UDPLITEv6", AF_INET6, IPPROTO_UDPLITE }, { "DCCPv6", AF_INET6, IPPROTO_DCCP },
    { "SCTPv6", AF_INET6, IPPROTO_SCTP }, { "L2TP/IPv6", AF_INET6, IPPROTO_L2TP },
    { "PINGv6", AF_INET6, IPPROTO_ICMP }, { "RAWv6", AF_INET6, IPPROTO_RAW },
    { "UNIX", AF_UNIX, ANY_PROTOCOL }, { "UNIX-STREAM", AF_UNIX, ANY_PROTOCOL },
    { "NETLINK", AF_NETLINK, NDIAG_PROTO_ALL },
};

/* Reads the protocol's name of the socket at `path` (/proc/PID/fd/N). Returns its index, or -1: not a known one. */
static int protocol_of(const char *path, char name[LR_SOCKET_NAME])
{
    ssize_t len = getxattr(path, "system.sockprotoname", name, LR_SOCKET_NAME - 1);

    if (len <= 0)
        return -1;
    name[len] = 0;
    for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++)
        if (strcmp(name, protocols[i].name) == 0)
            return (int) i;
    return -1;
}

static bool send_query(int fd, int family, int protocol, uint64_t inode)
{
    struct {
        struct nlmsghdr head;
        union {
            struct inet_diag_req_v2 inet;
            struct unix_diag_req local;
            struct netlink_diag_req netlink;
        };
    } query = { .head = { .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };
    size_t body;

    if (family == AF_UNIX) {
        query.head.nlmsg_flags = NLM_F_REQUEST;
        query.local = (struct unix_diag_req) {
            .sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_ino = (uint32_t) inode,
            .udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER, .udiag_cookie = { ~0u, ~0u },
        };
        body = sizeof query.local;
    } else if (family == AF_NETLINK) {
        query.netlink = (struct netlink_diag_req) { .sdiag_family = AF_NETLINK, .sdiag_protocol = (uint8_t) protocol };
        body = sizeof query.netlink;
    } else {
        query.inet = (struct inet_diag_req_v2) {
            .sdiag_family = (uint8_t) family, .sdiag_protocol = (uint8_t) protocol, .idiag_states = ~0u,
        };
        body = sizeof query.inet;
    }
    query.head.nlmsg_len = (uint32_t) NLMSG_LENGTH(body);
    return send(fd, &query, query.head.nlmsg_len, 0) == (ssize_t) query.head.nlmsg_len;
}

/* A local socket that has neither a name nor a peer is not found yet. */
static bool has_name_or_peer(const struct nlmsghdr *head)
{
    const struct unix_diag_msg *body = NLMSG_DATA(head);
    unsigned len = (unsigned) NLMSG_PAYLOAD(head, sizeof *body);

    for (const struct rtattr *attribute = (const struct rtattr *) (body + 1); RTA_OK(attribute, len);
         attribute = RTA_NEXT(attribute, len)) {
        if (attribute->rta_type == UNIX_DIAG_NAME && RTA_PAYLOAD(attribute) > 0)
            return true;
        if (attribute->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attribute) >= 4
            && *(const uint32_t *) RTA_DATA(attribute) != 0)
            return true;
    }
    return false;
}

static bool is_of(const struct nlmsghdr *head, int family, uint64_t inode)
{
    size_t len = NLMSG_PAYLOAD(head, 0);
    const void *body = NLMSG_DATA(head);

    if (family == AF_UNIX)
        return len >= sizeof(struct unix_diag_msg) && ((const struct unix_diag_msg *) body)->udiag_ino == inode
               && has_name_or_peer(head);
    if (family == AF_NETLINK)
        return len >= sizeof(struct netlink_diag_msg) && ((const struct netlink_diag_msg *) body)->ndiag_ino == inode;
    return len >= sizeof(struct inet_diag_msg) && ((const struct inet_diag_msg *) body)->idiag_inode == inode;
}

/* Puts the kernel's answer about `inode` into `answer`; its len stays 0 when there is none. */
static void receive(int fd, int family, uint64_t inode, struct lr_socket_answer *answer)
{
    union {
        struct nlmsghdr head;
        uint8_t bytes[REPLY_SIZE];
    } reply;
    ssize_t n;

    while ((n = recv(fd, &reply, sizeof reply, 0)) > 0) {
        unsigned left = (unsigned) n;

        for (const struct nlmsghdr *head = &reply.head; NLMSG_OK(head, left); head = NLMSG_NEXT(head, left)) {
            if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY)
                return;                /* done, or refused */
            if (is_of(head, family, inode)) {
                size_t len = NLMSG_PAYLOAD(head, 0);

                answer->len = (uint16_t) (len < LR_SOCKET_MAX ? len : LR_SOCKET_MAX);
                memcpy(answer->data, NLMSG_DATA(head), answer->len);
                return;
            }
        }
        if (family == AF_UNIX)
            return;                    /* one question, one answer */
    }
}

static const struct lr_socket_answer *ask(struct lr_tracer *t, int protocol, uint64_t inode)
{
    struct lr_socket_answer *kept, answer = { .inode = inode };
    int fd;

    if (t->sockets == NULL && (t->sockets = calloc(LR_SOCKETS, sizeof *t->sockets)) == NULL)
        return NULL;
    kept = &t->sockets[inode % LR_SOCKETS];
    if (kept->inode == inode)
        return kept;
    fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return NULL;
    if (send_query(fd, protocols[protocol].family, protocols[protocol].protocol, inode))
        receive(fd, protocols[protocol].family, inode, &answer);
    close(fd);
    if (answer.len == 0)
        return NULL;
    *kept = answer;
    return kept;
}

/* Writes what the socket `inode` at `path` (/proc/PID/fd/N) is to `out`, which has room for it: the
 * protocol's name, a NUL, and the kernel's answer once there is one. Returns LR_FD_PLAIN when all is
 * known, LR_FD_SOCKET when there may be more later, LR_FD_NONE and nothing written when it has no such name. */
int lr_socket_describe(struct lr_tracer *t, const char *path, uint64_t inode, char *out, uint32_t *ret_len)
{
    char name[LR_SOCKET_NAME];
    int protocol = protocol_of(path, name);
    const struct lr_socket_answer *answer;

    if (protocol < 0)
        return LR_FD_NONE;
    answer = ask(t, protocol, inode);
    strcpy(out, name);
    *ret_len = (uint32_t) strlen(name) + 1;
    if (answer == NULL)
        return LR_FD_SOCKET;
    memcpy(out + *ret_len, answer->data, answer->len);
    *ret_len += answer->len;
    return LR_FD_PLAIN;
}
