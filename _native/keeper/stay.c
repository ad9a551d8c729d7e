/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The keeper's door, for a tree that is to outlive lowrun: a listening socket
 * that lowrun made and named, and those who have come in. Anybody in may ask
 * what becomes of the tree (QUERY); who wants to be its owner (ADOPT) waits
 * until it has none. The kernel says who comes: the keeper's own user and root
 * are let in (SO_PEERCRED, unix(7)).
 *
 * Also the last ends: an owner may have died before it took note of them.
 */
#include <errno.h>
#include <sys/poll.h>
#include <sys/socket.h>

#include "keeper.h"

#define REMEMBERED 64

static int listener = -1;
static struct peer {
    int fd;
    int owner; /* a pidfd of it, from ADOPT on; else -1 */
} peers[STAY_PEERS] = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
static struct { int32_t pid, status; uint64_t ended_ns; } ends[REMEMBERED];
static uint32_t count; /* of all ends; the last of them are remembered */

static void close_fd(int *fd)
{
    if (*fd >= 0)
        SYS1(close, *fd);
    *fd = -1;
}

static void let_go(struct peer *peer)
{
    close_fd(&peer->fd);
    close_fd(&peer->owner);
}

void stay_begin(int fd)
{
    close_fd(&listener);
    listener = fd;
    if (fd < 0)
        stay_end();
}

int stay_listener(void)
{
    return listener;
}

void stay_end(void)
{
    close_fd(&listener);
    for (int i = 0; i < STAY_PEERS; i++)
        let_go(&peers[i]);
}

/* ---- who is in ---- */

static void come_in(void)
{
    struct { int pid; unsigned int uid, gid; } who; /* struct ucred */
    uint32_t size = sizeof who;
    struct peer *place = &peers[STAY_PEERS - 1];
    int fd = (int) SYS4(accept4, listener, 0, 0, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    if (SYS5(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0
        || (who.uid != 0 && who.uid != (unsigned int) SYS0(geteuid))) {
        SYS1(close, fd);
        return;
    }
    for (int i = STAY_PEERS - 1; i >= 0; i--)
        if (peers[i].fd < 0)
            place = &peers[i];
    let_go(place); /* all places taken: the last comer says nothing, or waits in vain */
    place->fd = fd;
}

static void answer(struct peer *peer)
{
    struct lr_event event;

    keeper_describe(&event);
    event_send(peer->fd, &event, 0, 0);
    let_go(peer);
}

static void hear(struct peer *peer)
{
    static struct lr_request request;
    int fds[LR_REQUEST_MAX_FDS], nfds, kept = 0;
    long n = message_receive(peer->fd, &request, fds, &nfds);

    if (n == -EAGAIN || n == -EINTR)
        return;
    if (n == sizeof request && request.kind == LR_REQUEST_ADOPT && nfds == 1 && peer->owner < 0) {
        peer->owner = fds[0];
        kept = 1;
    } else if (n == sizeof request && request.kind == LR_REQUEST_QUERY) {
        answer(peer);
    } else {
        let_go(peer);
    }
    for (int i = kept; i < nfds; i++)
        SYS1(close, fds[i]);
}

void stay_watch(struct pollfd *sources)
{
    sources[0] = (struct pollfd) { .fd = listener, .events = POLLIN };
    for (int i = 0; i < STAY_PEERS; i++)
        sources[1 + i] = (struct pollfd) { .fd = peers[i].fd, .events = POLLIN };
}

void stay_serve(const struct pollfd *sources)
{
    for (int i = 0; i < STAY_PEERS; i++)
        if (sources[1 + i].revents && sources[1 + i].fd == peers[i].fd)
            hear(&peers[i]);
    if (sources[0].revents && sources[0].fd == listener)
        come_in();
}

int stay_adopter(int *ret_socket, int *ret_owner)
{
    for (int i = 0; i < STAY_PEERS; i++)
        if (peers[i].owner >= 0) {
            *ret_socket = peers[i].fd;
            *ret_owner = peers[i].owner;
            peers[i].fd = peers[i].owner = -1;
            return 1;
        }
    return 0;
}

/* ---- the last ends ---- */

void ends_forget(void)
{
    count = 0;
}

void ends_remember(long pid, int status, uint64_t ended_ns)
{
    ends[count % REMEMBERED].pid = (int32_t) pid;
    ends[count % REMEMBERED].status = status;
    ends[count % REMEMBERED].ended_ns = ended_ns;
    count++;
}

int ends_read(uint32_t index, struct lr_event *ret_event)
{
    uint32_t first = count > REMEMBERED ? count - REMEMBERED : 0, at = (first + index) % REMEMBERED;

    if (first + index >= count)
        return 0;
    *ret_event = (struct lr_event) {
        .kind = LR_EVENT_REAPED, .pid = ends[at].pid, .status = ends[at].status, .ended_ns = ends[at].ended_ns,
    };
    return 1;
}
