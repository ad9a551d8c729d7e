/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Who is traced: a table of threads by tid.
 *
 * A new thread or process shows in two stops, its own first one and its
 * creator's PTRACE_EVENT_*; either can come first, and the creator's never
 * comes when it is killed meanwhile. So either makes the task, and one that
 * comes too early is held (tracer.c) until its creator's stop, a death, or a while.
 */
#include "tracer.h"

#include <stdio.h>
#include <stdlib.h>

static struct lr_task **bucket_of(struct lr_tracer *t, uint32_t tid)
{
    return &t->tasks[tid % LR_TABLE_SIZE];
}

struct lr_task *lr_task_find(struct lr_tracer *t, uint32_t tid)
{
    struct lr_task *task = *bucket_of(t, tid);

    while (task != NULL && task->tid != tid)
        task = task->next;
    return task;
}

/* Reads the thread group from /proc/TID/status; a thread that is gone is taken for a process. */
static uint32_t group_from_proc(uint32_t tid)
{
    char path[32], text[512], *line;
    ssize_t len = -1;
    int fd;

    snprintf(path, sizeof path, "/proc/%u/status", tid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        len = read(fd, text, sizeof text - 1);
        close(fd);
    }
    text[len > 0 ? len : 0] = 0;
    line = strstr(text, "\nTgid:");
    return line != NULL ? (uint32_t) strtoul(line + 6, NULL, 10) : tid;
}

/* A thread of `parent`? tgkill with signal 0 says ESRCH when the thread is not in the group;
 * the event alone does not tell (clone without CLONE_THREAD is PTRACE_EVENT_CLONE too). */
static uint32_t group_of(uint32_t tid, uint32_t parent)
{
    if (parent == 0)
        return group_from_proc(tid);
    return syscall(SYS_tgkill, parent, tid, 0) < 0 && errno == ESRCH ? tid : parent;
}

static void link_task(struct lr_tracer *t, struct lr_task *task)
{
    struct lr_task **bucket = bucket_of(t, task->tid);

    pthread_mutex_lock(&t->lock);
    task->next = *bucket;
    *bucket = task;
    t->count++;
    pthread_mutex_unlock(&t->lock);
}

static void unlink_task(struct lr_tracer *t, struct lr_task *task)
{
    struct lr_task **at = bucket_of(t, task->tid);

    pthread_mutex_lock(&t->lock);
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    t->count--;
    pthread_mutex_unlock(&t->lock);
}

/* A task that died before its creator reported it: when the report comes,
 * there is nobody to add. */
void lr_tomb_put(struct lr_tracer *t, uint32_t tid)
{
    t->tombs[tid % LR_TOMBS] = tid;
}

bool lr_tomb_take(struct lr_tracer *t, uint32_t tid)
{
    bool there = t->tombs[tid % LR_TOMBS] == tid;

    if (there)
        t->tombs[tid % LR_TOMBS] = 0;
    return there;
}

static void count_thread(struct lr_tracer *t, const struct lr_task *task, int change)
{
    struct lr_process *process = lr_process_find(t, task->tgid);

    if (process != NULL)
        process->threads += (uint32_t) change;
}

/* Adds a thread whose group is not known yet; it says nothing before lr_task_settle. NULL: no memory. */
struct lr_task *lr_task_add(struct lr_tracer *t, uint32_t tid)
{
    struct lr_task *task = calloc(1, sizeof *task);

    if (task == NULL)
        return NULL;
    lr_tomb_take(t, tid);              /* the tid is another's now */
    task->tid = tid;
    task->nr = task->like = UINT64_MAX;
    link_task(t, task);
    return task;
}

/* Says which group it is in, and adds its process when it is a new one. `parent` is its creator's
 * thread group, 0 when the creator has not reported it. */
void lr_task_settle(struct lr_tracer *t, struct lr_task *task, uint32_t parent)
{
    task->tgid = group_of(task->tid, parent);
    if (task->tgid == task->tid)
        lr_process_add(t, task->tid, parent);
    count_thread(t, task, 1);
}

/* After an execve the thread that called it has its group's id. */
void lr_task_rename(struct lr_tracer *t, struct lr_task *task, uint32_t tid)
{
    unlink_task(t, task);
    task->tid = tid;
    link_task(t, task);
}

void lr_task_remove(struct lr_tracer *t, struct lr_task *task)
{
    if (task->exiting)
        t->exiting--;
    else
        t->usage.io_unread++;
    if (task->held)
        t->held--;
    count_thread(t, task, -1);
    lr_tamper_undelay(t, task);
    unlink_task(t, task);
    lr_files_release(task);
    free(task->counts);
    free(task);
}

/* A process is gone, so all its threads are: also one whose end went by
 * unseen, as when SIGKILL ends the stop that tells of its execve. */
void lr_tasks_end(struct lr_tracer *t, uint32_t tgid)
{
    const struct lr_process *process = lr_process_find(t, tgid);

    for (size_t i = 0; i < LR_TABLE_SIZE && process != NULL && process->threads > 1; i++) {
        struct lr_task *task = t->tasks[i];

        while (task != NULL) {
            struct lr_task *next = task->next;

            if (task->tgid == tgid && task->tid != tgid)
                lr_task_remove(t, task);
            task = next;
        }
    }
}

/* From any thread: a task in the table is not reaped, or was a moment ago. */
void lr_tasks_kill(struct lr_tracer *t)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < LR_TABLE_SIZE; i++)
        for (struct lr_task *task = t->tasks[i]; task != NULL; task = task->next)
            if (task->tgid != 0)
                syscall(SYS_tgkill, task->tgid, task->tid, SIGKILL);
            else
                syscall(SYS_tkill, task->tid, SIGKILL);
    pthread_mutex_unlock(&t->lock);
}

void lr_tasks_free(struct lr_tracer *t)
{
    for (size_t i = 0; i < LR_TABLE_SIZE; i++)
        while (t->tasks[i] != NULL)
            lr_task_remove(t, t->tasks[i]);
}
