/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Events: what the keeper, and its child before the exec, tell lowrun on the socket.
 */
#include <sys/socket.h>
#include <time.h>

#include "keeper.h"

uint64_t now_ns(void)
{
    struct timespec now;

    SYS2(clock_gettime, CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

long event_send(const struct lr_event *event, const int *fds, int nfds)
{
    char control[CMSG_SPACE(LR_EVENT_SOCKETS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec vector = { .iov_base = (void *) event, .iov_len = sizeof *event };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

    if (nfds > 0) {
        struct cmsghdr *header = (struct cmsghdr *) control;

        header->cmsg_len = CMSG_LEN((size_t) nfds * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(header), fds, (size_t) nfds * sizeof(int));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t) nfds * sizeof(int));
    }
    return SYS3(sendmsg, KEEPER_SOCKET, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}
