/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Messages: requests that come in; events that the keeper, and its child before the exec, tell lowrun.
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

long event_send(int socket, const struct lr_event *event, const int *fds, int nfds)
{
    char control[CMSG_SPACE(LR_EVENT_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
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
    return SYS3(sendmsg, socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

long message_receive(int socket, struct lr_request *ret_request, int ret_fds[LR_REQUEST_MAX_FDS], int *ret_nfds)
{
    static char control[CMSG_SPACE(LR_REQUEST_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec vector = { .iov_base = ret_request, .iov_len = sizeof *ret_request };
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *header = (struct cmsghdr *) control;
    long n;

    *ret_nfds = 0;
    n = SYS3(recvmsg, socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n > 0 && message.msg_controllen >= sizeof *header
        && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
        *ret_nfds = (int) ((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(ret_fds, CMSG_DATA(header), (size_t) *ret_nfds * sizeof(int));
    }
    return n;
}
