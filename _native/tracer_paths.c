/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the tracees' descriptors are, as strace -y shows it: one readlink in
 * /proc when a descriptor comes to be, none when it is used. The records go
 * before that of the call which made the descriptor. At the first execve
 * those that the command was given are listed, and its working directory.
 */
#include "tracer.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define WORKING_DIRECTORY AT_FDCWD

enum gives {
    NOTHING,
    DESCRIPTOR,                        /* is what the call returns */
    PAIR,                              /* two ints at the first argument, */
    PAIR_AT_FOURTH,                    /* or at the fourth */
    DIRECTORY,                         /* another working directory */
    DUPLICATE,                         /* fcntl: a descriptor for two of its commands */
};

/* By call number; those that an architecture lacks have no number there. */
static const uint8_t table[512] = {
#ifdef SYS_open
    [SYS_open] = DESCRIPTOR, [SYS_creat] = DESCRIPTOR, [SYS_dup2] = DESCRIPTOR, [SYS_pipe] = PAIR,
    [SYS_eventfd] = DESCRIPTOR, [SYS_epoll_create] = DESCRIPTOR, [SYS_signalfd] = DESCRIPTOR,
    [SYS_inotify_init] = DESCRIPTOR,
#endif
    [SYS_openat] = DESCRIPTOR, [SYS_openat2] = DESCRIPTOR, [SYS_open_by_handle_at] = DESCRIPTOR,
    [SYS_dup] = DESCRIPTOR, [SYS_dup3] = DESCRIPTOR, [SYS_fcntl] = DUPLICATE, [SYS_pipe2] = PAIR,
    [SYS_socket] = DESCRIPTOR, [SYS_accept] = DESCRIPTOR, [SYS_accept4] = DESCRIPTOR,
    [SYS_socketpair] = PAIR_AT_FOURTH, [SYS_eventfd2] = DESCRIPTOR, [SYS_epoll_create1] = DESCRIPTOR,
    [SYS_signalfd4] = DESCRIPTOR, [SYS_timerfd_create] = DESCRIPTOR, [SYS_inotify_init1] = DESCRIPTOR,
    [SYS_memfd_create] = DESCRIPTOR, [SYS_pidfd_open] = DESCRIPTOR, [SYS_pidfd_getfd] = DESCRIPTOR,
    [SYS_userfaultfd] = DESCRIPTOR, [SYS_perf_event_open] = DESCRIPTOR, [SYS_fanotify_init] = DESCRIPTOR,
    [SYS_io_uring_setup] = DESCRIPTOR, [SYS_mq_open] = DESCRIPTOR, [SYS_open_tree] = DESCRIPTOR,
    [SYS_fsopen] = DESCRIPTOR, [SYS_fsmount] = DESCRIPTOR, [SYS_fspick] = DESCRIPTOR,
    [SYS_chdir] = DIRECTORY, [SYS_fchdir] = DIRECTORY,
};

/* An empty text: it is not known. */
static void record_path(struct lr_tracer *t, const struct lr_task *task, int fd)
{
    struct lr_rec_path *body = lr_record_begin(t, task, LR_REC_PATH, sizeof *body);
    char name[48], *text;
    ssize_t len;

    if (body == NULL)
        return;
    if (fd == WORKING_DIRECTORY)
        snprintf(name, sizeof name, "/proc/%u/cwd", task->tid);
    else
        snprintf(name, sizeof name, "/proc/%u/fd/%d", task->tid, fd);
    text = lr_record_extend(t, PATH_MAX);
    len = readlink(name, text, PATH_MAX);
    *body = (struct lr_rec_path) { .fd = fd, .len = len > 0 ? (uint32_t) len : 0 };
    lr_record_shrink(t, text + body->len);
    lr_record_end(t);
}

static void record_pair(struct lr_tracer *t, const struct lr_task *task, uint64_t address)
{
    int pair[2];
    struct iovec local = { pair, sizeof pair }, remote = { (void *) address, sizeof pair };

    if (process_vm_readv((pid_t) task->tid, &local, 1, &remote, 1, 0) != sizeof pair)
        return;
    record_path(t, task, pair[0]);
    record_path(t, task, pair[1]);
}

/* The call that `task` entered last has succeeded. */
void lr_paths_after(struct lr_tracer *t, const struct lr_task *task, int64_t rval)
{
    switch (task->nr < sizeof table ? table[task->nr] : NOTHING) {
    case DESCRIPTOR:
        record_path(t, task, (int) rval);
        break;
    case PAIR:
        record_pair(t, task, task->args[0]);
        break;
    case PAIR_AT_FOURTH:
        record_pair(t, task, task->args[3]);
        break;
    case DIRECTORY:
        record_path(t, task, WORKING_DIRECTORY);
        break;
    case DUPLICATE:
        if (task->args[1] == F_DUPFD || task->args[1] == F_DUPFD_CLOEXEC)
            record_path(t, task, (int) rval);
        break;
    default:
        break;
    }
}

/* What the command was given. */
void lr_paths_list(struct lr_tracer *t, const struct lr_task *task)
{
    char name[32];
    struct dirent *entry;
    DIR *directory;

    record_path(t, task, WORKING_DIRECTORY);
    snprintf(name, sizeof name, "/proc/%u/fd", task->tid);
    directory = opendir(name);
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.')
            record_path(t, task, atoi(entry->d_name));
    if (directory != NULL)
        closedir(directory);
}
