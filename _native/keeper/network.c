/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A network of the command's own: a new network namespace with loopback up,
 * and packet sockets in it for lowrun, which get nothing before they are bound.
 *
 * Whoever has CAP_SYS_ADMIN gets a network namespace and nothing else about
 * the command changes. For all others a user namespace comes with it: there
 * the child has every capability until it executes (user_namespaces(7)). One
 * user and one group are mapped in it, the caller's to themselves, so files
 * look as they did and the exec drops the capabilities as ever. Of user 0 it
 * leaves the bounding set: that is put back to what it was outside.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <sys/socket.h>

#include "keeper.h"

#define MOST_CAPABILITIES 64
#define DIGITS 20

static uint64_t bounding_set(void)
{
    uint64_t set = 0;

    for (int number = 0; number < MOST_CAPABILITIES; number++)
        if (SYS5(prctl, PR_CAPBSET_READ, number, 0, 0, 0) == 1)
            set |= 1ULL << number;
    return set;
}

/* One id, to itself. */
static long map_id(const char *path, long id)
{
    char line[2 * DIGITS + 8], *at = text_number(line, (uint64_t) id);

    at = text_copy(at, " ");
    at = text_number(at, (uint64_t) id);
    text_copy(at, " 1");
    return text_write(AT_FDCWD, path, line);
}

/* In a network of its own the user is to have what its distribution gives it
 * in the machine's: ping(8) without privilege. Kernels begin with nobody. */
static void allow_ping(long group)
{
    char range[2 * DIGITS + 4], *at = text_number(range, (uint64_t) group);

    at = text_copy(at, " ");
    text_number(at, (uint64_t) group);
    text_write(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", range);
}

static long become_user(uint32_t *ret_step)
{
    const uint64_t bounds = bounding_set();
    const long user = SYS0(geteuid), group = SYS0(getegid);
    long result;

    *ret_step = LR_STEP_USERS;
    result = SYS1(unshare, CLONE_NEWUSER);
    if (result < 0)
        return result;
    *ret_step = LR_STEP_IDS;
    result = text_write(AT_FDCWD, "/proc/self/setgroups", "deny");
    if (result >= 0)
        result = map_id("/proc/self/uid_map", user);
    if (result >= 0)
        result = map_id("/proc/self/gid_map", group);
    if (result < 0)
        return result;
    for (uint64_t left = bounding_set() & ~bounds; left; left &= left - 1)
        SYS5(prctl, PR_CAPBSET_DROP, __builtin_ctzll(left), 0, 0, 0);
    return group;
}

static long raise_loopback(int socket)
{
    struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };

    return SYS3(ioctl, socket, SIOCSIFFLAGS, &request);
}

static long furnish(uint32_t *ret_step, int ret_sockets[LR_EVENT_SOCKETS])
{
    long result = SYS1(unshare, CLONE_NEWNET);

    *ret_step = LR_STEP_NETWORK;
    for (int i = 0; result >= 0 && i < LR_EVENT_SOCKETS; i++) {
        result = SYS3(socket, AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        *ret_step = LR_STEP_PACKETS;
        ret_sockets[i] = (int) result;
    }
    if (result < 0)
        return result;
    *ret_step = LR_STEP_LOOPBACK;
    return raise_loopback(ret_sockets[0]);
}

long network_enter(uint32_t *ret_step, int ret_sockets[LR_EVENT_SOCKETS])
{
    long result = furnish(ret_step, ret_sockets), group;

    if (result != -EPERM)
        return result;
    group = become_user(ret_step);
    if (group < 0)
        return group;
    result = furnish(ret_step, ret_sockets);
    if (result >= 0)
        allow_ping(group);
    return result;
}
