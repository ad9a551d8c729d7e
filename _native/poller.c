/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * epoll, as epoll(7) has it. The token is the loop's own (slot and
 * generation): the kernel hands it back unseen, so an event that was fetched
 * for a descriptor closed meanwhile can be told from one for its successor.
 *
 * A source can have a handler in C. It is called here, on the thread that waits
 * and without Python, and the loop hears of the event only if the handler has
 * something to say. Going to Python and back costs a thread that has slept for
 * 10 ms some 80 µs, more than most looks at a tree of processes: what Python
 * needs for it is in no cache any more.
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

static const struct lr_handler *find(const struct lr_handler *handlers, int count, uint64_t token)
{
    for (int i = 0; i < count; i++)
        if (handlers[i].token == token)
            return &handlers[i];
    return NULL;
}

/* What is left of `count` events for the caller. */
static int handle(const struct lr_handler *handlers, int handler_count, const struct epoll_event *events, int count,
                  struct lr_ready *ret_ready)
{
    int left = 0;

    for (int i = 0; i < count; i++) {
        const struct lr_handler *handler = find(handlers, handler_count, events[i].data.u64);
        uint32_t said = handler == NULL ? events[i].events : handler->handle(handler->context);

        if (said != 0)
            ret_ready[left++] = (struct lr_ready) { .token = events[i].data.u64, .events = said };
    }
    return left;
}

/* Returns the number of ready sources, those left out whose handlers have nothing to say; timeout_ms -1 waits without
 * end. */
int lr_poller_wait(int poller, const struct lr_handler *handlers, int handler_count, struct lr_ready *ret_ready,
                   int count, int timeout_ms)
{
    struct epoll_event events[64];
    int n, left;

    if (count > 64)
        count = 64;
    do {
        n = epoll_wait(poller, events, count, timeout_ms);
        if (n < 0)
            return -errno;
        left = handle(handlers, handler_count, events, n, ret_ready);
    } while (left == 0 && timeout_ms < 0);
    return left;
}
