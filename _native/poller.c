/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * epoll, as epoll(7) has it. The token is the loop's own (slot and
 * generation): the kernel hands it back unseen, so an event that was fetched
 * for a descriptor closed meanwhile can be told from one for its successor.
 */
#include "lowrun.h"

int lr_poller_create(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static int control(int poller, int op, int fd, uint32_t events, uint64_t token)
{
    struct epoll_event event = { .events = events, .data.u64 = token };

    return epoll_ctl(poller, op, fd, &event) < 0 ? -errno : 0;
}

int lr_poller_add(int poller, int fd, uint32_t events, uint64_t token)
{
    return control(poller, EPOLL_CTL_ADD, fd, events, token);
}

int lr_poller_modify(int poller, int fd, uint32_t events, uint64_t token)
{
    return control(poller, EPOLL_CTL_MOD, fd, events, token);
}

int lr_poller_remove(int poller, int fd)
{
    return control(poller, EPOLL_CTL_DEL, fd, 0, 0);
}

/* Returns the number of ready sources; timeout_ms -1 waits without end. */
int lr_poller_wait(int poller, struct lr_ready *ret_ready, int count, int timeout_ms)
{
    struct epoll_event events[64];
    int n;

    if (count > 64)
        count = 64;
    n = epoll_wait(poller, events, count, timeout_ms);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++) {
        ret_ready[i].token = events[i].data.u64;
        ret_ready[i].events = events[i].events;
    }
    return n;
}
