/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Attaching to processes that run already, and leaving them without harm.
 *
 * PTRACE_SEIZE takes one thread, so every thread in /proc/PID/task is seized,
 * again and again until a look finds no new one; what a seized thread makes is
 * traced by itself. A seized thread runs on: PTRACE_INTERRUPT stops it once, and
 * from there it goes from call to call. (A call that it waits in begins anew,
 * by restart_syscall or as it was; epoll_wait and a few more fail with EINTR, as
 * they do after any stop, signal(7).)
 *
 * Only a stopped thread can be let go: each is interrupted, and whatever stop
 * comes first is the place to detach at, with the signal if it is one's delivery.
 * A group-stop is entered again by the kernel.
 */
#include "tracer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>

/* Returns 0 or -errno. */
static int attach_thread(struct lr_tracer *t, uint32_t tid)
{
    struct lr_task *task;

    if (lr_task_find(t, tid) != NULL)
        return 0;
    if (ptrace(PTRACE_SEIZE, (pid_t) tid, NULL, LR_TRACE_OPTIONS) < 0)
        return -errno;
    task = lr_task_add(t, tid);
    if (task == NULL)
        return -ENOMEM;
    lr_task_settle(t, task, 0);
    ptrace(PTRACE_INTERRUPT, (pid_t) tid, NULL, NULL);
    return 1;
}

/* One look at the threads of `pid`: returns how many are new, or why the leader is not traced. */
static int attach_threads(struct lr_tracer *t, uint32_t pid)
{
    struct dirent *entry;
    char path[32];
    int added = 0;
    DIR *directory;

    snprintf(path, sizeof path, "/proc/%u/task", pid);
    directory = opendir(path);
    if (directory == NULL)
        return -ESRCH;
    while ((entry = readdir(directory)) != NULL) {
        uint32_t tid = (uint32_t) atoi(entry->d_name);
        int result = tid > 0 ? attach_thread(t, tid) : 0;

        if (result > 0)
            added++;
        else if (result < 0 && tid == pid)
            added = result;            /* the leader is listed first */
        if (added < 0)
            break;
    }
    closedir(directory);
    return added;
}

/* Seizes one process with all its threads; returns 0 or -errno. */
static int attach_process(struct lr_tracer *t, uint32_t pid)
{
    struct lr_task *task;
    int added;

    do
        added = attach_threads(t, pid);
    while (added > 0);
    task = lr_task_find(t, pid);
    if (added == 0 && task == NULL)
        added = -ESRCH;                /* it went between the opening of the directory and the look */
    if (added == 0)
        lr_paths_list(t, task);
    return added;
}

/* Seizes the processes of t->attached that can be, and says of each other one why not.
 * Returns 0, or the -errno of the first when none is traced. */
int lr_attach(struct lr_tracer *t)
{
    uint32_t traced = 0;

    t->recording = true;
    for (uint32_t i = 0; i < t->nattached; i++) {
        t->attached[i].error = attach_process(t, t->attached[i].pid);
        traced += t->attached[i].error == 0;
    }
    t->leaving = traced == 0;
    return traced == 0 ? t->attached[0].error : 0;
}

/* Has every tracee stop once more; those that are held at a stop go now. */
void lr_leave(struct lr_tracer *t)
{
    for (size_t i = 0; i < LR_TABLE_SIZE; i++)
        for (struct lr_task *task = t->tasks[i], *next; task != NULL; task = next) {
            next = task->next;
            if (task->held)
                lr_leave_task(t, task, task->held);
            else
                ptrace(PTRACE_INTERRUPT, (pid_t) task->tid, NULL, NULL);
        }
}

/* A call that was not executed, as somebody wanted, still has to get its result: this is its exit's stop. */
static void finish_call(struct lr_task *task)
{
    struct ptrace_syscall_info info;

    if (task->tamper.replaced && ptrace(PTRACE_GET_SYSCALL_INFO, (pid_t) task->tid, sizeof info, &info) > 0
        && info.op == PTRACE_SYSCALL_INFO_EXIT)
        lr_tamper_leave(task, &info);
}

/* Lets go of a tracee at `status`, the stop that it is in. */
void lr_leave_task(struct lr_tracer *t, struct lr_task *task, int status)
{
    int signo = WSTOPSIG(status);
    bool delivery = status >> 16 == 0 && signo != (SIGTRAP | 0x80);
    struct lr_rec_status *body;

    if (task->tgid == 0)
        lr_task_settle(t, task, 0);
    body = lr_record_begin(t, task, LR_REC_DETACHED, sizeof *body);
    if (body != NULL) {
        *body = (struct lr_rec_status) { 0, 0 };
        lr_record_end(t);
    }
    finish_call(task);
    if (ptrace(PTRACE_DETACH, (pid_t) task->tid, NULL, delivery ? (unsigned long) signo : 0) == 0)
        lr_task_remove(t, task);
}
