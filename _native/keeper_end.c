/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * lowrun's end of the keeper: start it, send requests, receive events.
 *
 * The keeper is to be nobody's strange child. execve(2) sets a process's exit
 * signal to SIGCHLD, so a keeper that is our own child would wake the host's
 * SIGCHLD handler and show in its waitpid(-1). It is started by a go-between
 * that ends at once, so it belongs to init (or the nearest subreaper) from
 * then on. The go-between itself has no exit signal: no SIGCHLD, and only a
 * wait with __WCLONE sees it (clone(2)). Both share our memory while we sleep
 * (CLONE_VM | CLONE_VFORK), so a large host costs no more than a small one.
 */
#include "lowrun.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define STACK (32 * 1024)

struct start {
    const char *path;
    char *stack;        /* two of them, one for each */
    int socket, owner;
    int pid, error;
};

/* Everything from 3 on, also where a sandbox does not know close_range(2). */
static int close_others(void)
{
    if (syscall(SYS_close_range, 3, ~0U, 0) < 0)
        for (int fd = 3, end = (int) sysconf(_SC_OPEN_MAX); fd < end; fd++)
            close(fd);
    return 0;
}

static int become_keeper(void *argument)
{
    static char *const argv[] = { "lowrun-keeper", NULL }, *const envp[] = { NULL };
    struct start *start = argument;
    int socket = fcntl(start->socket, F_DUPFD, 3), owner = fcntl(start->owner, F_DUPFD, 3);

    /* 0 the socket, 1 the owner's pidfd, 2 the socket again: keeper.h. */
    if (socket >= 0 && owner >= 0 && dup2(socket, 0) == 0 && dup2(owner, 1) == 1 && dup2(socket, 2) == 2
        && close_others() == 0)
        execve(start->path, argv, envp);
    start->error = errno;
    _exit(127);
}

static int go_between(void *argument)
{
    struct start *start = argument;

    start->pid = clone(become_keeper, start->stack + 2 * STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, start);
    if (start->pid < 0)
        start->error = errno;
    _exit(0);
}

static int launch(struct start *start)
{
    uint64_t former;
    int pid;

    start->stack = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (start->stack == MAP_FAILED)
        return -errno;
    lr_signals_block(~0ULL, &former);
    pid = clone(go_between, start->stack + STACK, CLONE_VM | CLONE_VFORK, start);
    if (pid < 0)
        start->error = errno;
    else
        while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
            ;
    lr_signals_restore(former);
    munmap(start->stack, 2 * STACK);
    return -start->error;
}

/* Starts a keeper; the socket and a pidfd of it become the caller's. */
int lr_keeper_start(const char *path, int *ret_socket, int *ret_pidfd)
{
    struct start start = { .path = path };
    int pair[2], pidfd, result;

    start.owner = lr_pidfd_open(getpid());
    if (start.owner < 0)
        return start.owner;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        result = -errno;
        close(start.owner);
        return result;
    }
    start.socket = pair[1];
    result = launch(&start);
    close(pair[1]);
    close(start.owner);
    /* The keeper lives as long as its socket: the pid is still its own. */
    pidfd = result < 0 ? result : lr_pidfd_open(start.pid);
    if (pidfd < 0) {
        close(pair[0]);
        return pidfd;
    }
    *ret_socket = pair[0];
    *ret_pidfd = pidfd;
    return start.pid;
}

int lr_keeper_send(int socket, const struct lr_request *request, const int *fds, int nfds)
{
    char control[CMSG_SPACE(LR_REQUEST_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec vector = { .iov_base = (void *) request, .iov_len = sizeof *request };
    struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };

    if (nfds > LR_REQUEST_MAX_FDS)
        return -EINVAL;
    if (nfds > 0) {
        struct cmsghdr *header = (struct cmsghdr *) control;

        header->cmsg_len = CMSG_LEN((size_t) nfds * sizeof(int));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(header), fds, (size_t) nfds * sizeof(int));
        message.msg_control = control;
        message.msg_controllen = CMSG_SPACE((size_t) nfds * sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Takes one event: 1, 0 when there is none, -EPIPE when the keeper is gone.
 * ret_fds are the descriptors that came along, -1 where there is none. */
int lr_keeper_receive(int socket, struct lr_event *ret_event, int ret_fds[LR_EVENT_MAX_FDS])
{
    char control[CMSG_SPACE(LR_EVENT_MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
    struct iovec vector = { .iov_base = ret_event, .iov_len = sizeof *ret_event };
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *header;
    ssize_t n = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    for (int i = 0; i < LR_EVENT_MAX_FDS; i++)
        ret_fds[i] = -1;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : errno == ECONNRESET ? -EPIPE : -errno;
    header = CMSG_FIRSTHDR(&message);
    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fds, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    if (n == 0)
        return -EPIPE;
    return n == sizeof *ret_event ? 1 : -EPROTO;
}

/* Ends the conversation, also for copies of the socket that a fork has made. */
int lr_keeper_hang_up(int socket)
{
    return shutdown(socket, SHUT_RDWR) < 0 ? -errno : 0;
}

/* Waits until the keeper has gone: 1, 0 at the timeout. A host that is itself
 * init or a subreaper has become its parent and reaps it here. */
int lr_keeper_wait(int pidfd, int timeout_ms)
{
    struct pollfd source = { .fd = pidfd, .events = POLLIN };
    siginfo_t info;
    int n;

    do
        n = poll(&source, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        waitid((idtype_t) P_PIDFD, (id_t) pidfd, &info, WEXITED | WNOHANG);
    return n < 0 ? -errno : n;
}

const char *lr_step_word(uint32_t step)
{
    static const char *const words[] = {
#define LR_STEP_WORD(name, word) [LR_STEP_##name] = word,
        LR_STEPS(LR_STEP_WORD)
#undef LR_STEP_WORD
    };

    return step < LR_STEP_COUNT ? words[step] : "launch";
}
