/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a successful execve changes for the tracer (ptrace(2), "execve(2)
 * under ptrace"): all other threads of the process are gone, and the one that
 * called has the process's id from now on. If it was not the leader, the
 * leader's end is never reported: its tid is the caller's now.
 */
#include "tracer.h"

#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/stat.h>

/* execve(2): a set-user-ID program that is traced by somebody without
 * privilege runs without its own. That changes what the command does. */
static void note_privilege(struct lr_tracer *t, const struct lr_task *task)
{
    struct stat program;
    char path[32];

    if (geteuid() == 0)
        return;
    snprintf(path, sizeof path, "/proc/%u/exe", task->tid);
    if (stat(path, &program) == 0 && ((program.st_mode & S_ISUID && program.st_uid != geteuid())
                                      || (program.st_mode & S_ISGID && program.st_gid != getegid())))
        t->usage.unprivileged++;
}

/* The command's own execve. A filter of ours would stand by now; without one
 * those that the command sets up are its own: where they say SECCOMP_RET_TRACE
 * a call fails with ENOSYS, as without a tracer. */
static void begin(struct lr_tracer *t, struct lr_task *task)
{
    t->recording = true;
    lr_tamper_begin(t, task);
    if (!t->filtered)
        ptrace(PTRACE_SETOPTIONS, (pid_t) task->tid, NULL, LR_TRACE_OPTIONS | PTRACE_O_EXITKILL);
}

/* `task` is in PTRACE_EVENT_EXEC; it can be another one afterwards, with the same tid. */
void lr_exec(struct lr_tracer *t, struct lr_task *task)
{
    uint32_t tid = task->tid, former = lr_event_message(tid);
    struct lr_task *caller = former != tid ? lr_task_find(t, former) : NULL;
    struct lr_rec_exec *body;

    if (caller != NULL) {
        lr_task_remove(t, task);
        lr_task_rename(t, caller, tid);
        task = caller;
        lr_tracer_release(t);
    }
    if (tid == t->root && t->root_stopped && !t->recording)
        begin(t, task);
    note_privilege(t, task);
    if (t->recording && (body = lr_record_begin(t, task, LR_REC_EXEC, sizeof *body)) != NULL) {
        *body = (struct lr_rec_exec) { former != 0 ? former : tid, 0 };
        lr_record_end(t);
    }
    if (t->recording)
        lr_paths_exec(t, task);
}
