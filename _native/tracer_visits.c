/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The descriptors that a call names in its arguments and in the memory that
 * they point to: each lr_visit_* calls `fn` for each of them. What cannot be
 * read names none.
 */
#include "tracer.h"

#include <poll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define POLLED_MAX 512

/* Returns the bytes read, 0 when none can be. */
size_t lr_memory_read(const struct lr_task *task, uint64_t address, void *out, size_t len)
{
    struct iovec local = { out, len }, remote = { (void *) address, len };
    ssize_t n = address != 0 && len > 0 ? process_vm_readv((pid_t) task->tid, &local, 1, &remote, 1, 0) : 0;

    return n > 0 ? (size_t) n : 0;
}

void lr_visit_pair(struct lr_tracer *t, struct lr_task *task, uint64_t address, lr_visit *fn)
{
    int pair[2];

    if (lr_memory_read(task, address, pair, sizeof pair) == sizeof pair) {
        fn(t, task, pair[0]);
        fn(t, task, pair[1]);
    }
}

void lr_visit_polled(struct lr_tracer *t, struct lr_task *task, lr_visit *fn)
{
    struct pollfd polled[POLLED_MAX];
    size_t count = task->args[1] < POLLED_MAX ? (size_t) task->args[1] : POLLED_MAX;

    count = lr_memory_read(task, task->args[0], polled, count * sizeof *polled) / sizeof *polled;
    for (size_t i = 0; i < count; i++)
        fn(t, task, polled[i].fd);
}

void lr_visit_selected(struct lr_tracer *t, struct lr_task *task, lr_visit *fn)
{
    int count = (int) task->args[0] < FD_SETSIZE ? (int) task->args[0] : FD_SETSIZE;
    size_t size = count > 0 ? ((size_t) count + 63) / 64 * 8 : 0;

    for (int i = 1; i <= 3; i++) {
        fd_set set;

        if (size == 0 || lr_memory_read(task, task->args[i], &set, size) != size)
            continue;
        for (int fd = 0; fd < count; fd++)
            if (FD_ISSET(fd, &set))
                fn(t, task, fd);
    }
}

/* The descriptors in a message's SCM_RIGHTS. */
void lr_visit_message(struct lr_tracer *t, struct lr_task *task, uint64_t address, lr_visit *fn)
{
    union {
        struct cmsghdr first;
        uint8_t bytes[LR_COUNTED_MAX];
    } control;
    struct msghdr head;

    if (lr_memory_read(task, address, &head, sizeof head) != sizeof head || head.msg_control == NULL)
        return;
    if (head.msg_controllen > sizeof control)
        head.msg_controllen = sizeof control;
    head.msg_controllen = lr_memory_read(task, (uint64_t) head.msg_control, &control, head.msg_controllen);
    head.msg_control = &control;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(&head); part != NULL; part = CMSG_NXTHDR(&head, part)) {
        size_t left = head.msg_controllen - (size_t) ((uint8_t *) part - control.bytes);
        size_t len = part->cmsg_len < left ? part->cmsg_len : left;
        const int *fds = (const int *) CMSG_DATA(part);

        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS && len > CMSG_LEN(0))
            for (size_t i = 0; i < (len - CMSG_LEN(0)) / sizeof *fds; i++)
                fn(t, task, fds[i]);
        if (part->cmsg_len > left)     /* who made it may lie, and CMSG_NXTHDR of an older libc believes it */
            return;
    }
}

void lr_visit_messages(struct lr_tracer *t, struct lr_task *task, uint64_t count, lr_visit *fn)
{
    for (uint64_t i = 0; i < count; i++)
        lr_visit_message(t, task, task->args[1] + i * sizeof(struct mmsghdr), fn);
}

void lr_visit_arguments(struct lr_tracer *t, struct lr_task *task, lr_visit *fn)
{
    for (int i = 0; i < 6; i++)
        if (task->row->enter[i].what == LR_CAP_FD)
            fn(t, task, (int) task->args[i]);
}
