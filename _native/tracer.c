/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The tracer's state machine: it tells what a stop is, has it recorded and
 * lets the tracee go on. tracer_process.c says where it runs.
 *
 * The order of a tracee's stops (PTRACE_SEIZE; wait status in brackets):
 *
 *   seized, or made by a tracee
 *     |
 *     v
 *   first stop [event STOP, SIGTRAP]      a creator's [event FORK/VFORK/CLONE]
 *     |                                   may come before it or after it;
 *     |                                   an early child is held till then
 *     v
 *   +-> running --> signal delivery [event 0, sig] -- resumed with sig --> running
 *   |     |    \--> group stop [event STOP, SIGSTOP/TSTP/TTIN/TTOU] -- LISTEN
 *   |     |           | SIGCONT: [event STOP, SIGTRAP] --> running, delivery of SIGCONT
 *   |     |           +--> killed
 *   |     v
 *   |   entry [SIGTRAP|0x80] --> in the call --> exit [SIGTRAP|0x80] --+
 *   |                              |   |  \-> [event FORK/VFORK/CLONE] |
 *   |                              |   +----> [event EXEC]             |
 *   +------------------------------|-----------------------------------+
 *                                  v
 *   SIGKILL, exit: [event EXIT], or not, then [exited or killed]: the tid is gone
 *
 *   execve by a thread that is not the leader: the others exit; the leader
 *   vanishes without a word; [event EXEC] comes from the leader's tid, with
 *   the caller's tid as its message: from here on that thread has this tid.
 *
 * Whether a stop is an entry or an exit PTRACE_GET_SYSCALL_INFO says; a new
 * tracee's first one is an exit without an entry. A tracee can be gone at
 * any request (SIGKILL ends every stop): ESRCH means no more than that its
 * end will be waited for.
 */
#include "tracer.h"

#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <linux/audit.h>
#include <linux/ptrace.h>

/* The plan is for calls of this kind; int 0x80 in 64-bit code, say, is another.
 * rt_sigreturn takes no argument: the mask that it restores (LR_FRAME_MASK) is
 * copied as what a first argument points to. */
#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#else
#error "the tracer knows x86_64 and aarch64"
#endif

#define HOLD_NS 5000000                /* how long a child waits for its creator's event */

/* To the next stop at a call. Where a filter chooses the calls it makes the
 * entry's stop, and only the exit of one that was entered is waited for; once
 * nothing can be written none need stop. Forks, execs and ends always do. */
void lr_resume(const struct lr_tracer *t, const struct lr_task *task, int signo)
{
    bool exit_matters = task->entered || task->tamper.replaced || task->tamper.exit_pause_ns > 0;
    bool idle = t->write_error != 0 || (t->filtered && !t->sandboxed && !exit_matters);

    ptrace(idle ? PTRACE_CONT : PTRACE_SYSCALL, (pid_t) task->tid, NULL, (unsigned long) signo);
}

uint32_t lr_event_message(uint32_t tid)
{
    unsigned long message = 0;

    ptrace(PTRACE_GETEVENTMSG, (pid_t) tid, NULL, &message);
    return (uint32_t) message;
}

/* ---- what is recorded ---- */

/* The set holds numbers of this machine's calls; others are recorded all. */
static bool wanted(const struct lr_tracer *t, uint32_t arch, uint64_t nr)
{
    return t->options.only == NULL || arch != NATIVE_ARCH || (nr < t->options.only_bits && (t->options.only[nr / 8] >> (nr % 8) & 1));
}

static void record_entry(struct lr_tracer *t, struct lr_task *task, const struct ptrace_syscall_info *info)
{
    struct lr_rec_enter *enter;
    struct lr_record *shown;

    task->entered = true;
    task->row = lr_capture_row(t, info->entry.nr, info->arch != NATIVE_ARCH, task->args);
    if (t->recording)
        lr_paths_before(t, task);
    task->entered_ns = lr_clock_ns(CLOCK_MONOTONIC);
    enter = lr_record_begin(t, task, LR_REC_ENTER, sizeof *enter);
    if (enter == NULL)
        return;
    enter->nr = info->entry.nr;
    memcpy(enter->args, info->entry.args, sizeof enter->args);
    enter->arch = info->arch;
    enter->chunks = task->row != NULL ? lr_capture(t, task, task->row->enter, NULL) : 0;
    shown = t->recording ? lr_hook_prepare(t, task) : NULL;
    lr_record_end(t);
    if (shown != NULL)
        lr_hook_enter(t, task, shown);
}

static void on_entry(struct lr_tracer *t, struct lr_task *task, const struct ptrace_syscall_info *info)
{
    task->entered = task->hooked = false;
    task->tamper = (struct lr_tamper) { 0 };
    task->nr = info->arch == NATIVE_ARCH ? info->entry.nr : UINT64_MAX;
    task->like = info->arch == NATIVE_ARCH ? info->entry.nr : lr_foreign_like(info->entry.nr);
    memcpy(task->args, info->entry.args, sizeof task->args);
    if (task->nr == SYS_rt_sigreturn)
        task->args[0] = info->stack_pointer + LR_FRAME_MASK;
    if (!t->recording) {
        if (task->tid != t->root)
            return;
        lr_record_restart(t);
    }
    if (t->recording && (task->nr == SYS_seccomp || (task->nr == SYS_prctl && task->args[0] == PR_SET_SECCOMP)))
        t->sandboxed = true;           /* what that refuses never comes to our filter: stop at every entry from now on */
    if (wanted(t, info->arch, info->entry.nr))
        record_entry(t, task, info);
    if (t->recording)
        lr_tamper_enter(t, task);
}

/* A child that asked not to be followed is not: then the number of processes is not known. */
static void note_untraced(struct lr_tracer *t, const struct lr_task *task)
{
    uint64_t flags = lr_clone_flags(task);

    if (flags & CLONE_UNTRACED && !(flags & CLONE_PTRACE))
        t->usage.untraced++;
}

static void on_exit_of_call(struct lr_tracer *t, struct lr_task *task, struct ptrace_syscall_info *info)
{
    struct lr_rec_exit *leave;
    int64_t rval;
    uint64_t now = lr_clock_ns(CLOCK_MONOTONIC);

    if (!t->recording) {
        if (task->tid == t->root) {
            lr_record_restart(t);
            t->filtered |= task->nr == SYS_seccomp && !info->exit.is_error;
            task->entered = false;
        }
        return;
    }
    lr_tamper_leave(task, info);
    rval = info->exit.rval;
    if (task->entered || t->options.only == NULL)
        lr_paths_after(t, task, rval, info->exit.is_error || task->tamper.replaced);
    if (rval > 0 && !task->tamper.replaced)
        note_untraced(t, task);
    task->nr = task->like = UINT64_MAX;
    if (!task->entered)
        return;
    task->entered = false;
    leave = lr_record_begin(t, task, LR_REC_EXIT, sizeof *leave);
    if (leave == NULL)
        return;
    *leave = (struct lr_rec_exit) {
        .rval = rval, .duration_ns = now - task->entered_ns, .is_error = info->exit.is_error,
        .marks = task->tamper.marks,
    };
    if (task->row != NULL && (!info->exit.is_error || lr_writes_failing(rval)))
        leave->chunks = lr_capture(t, task, task->row->leave, &rval);
    if (task->hooked)
        lr_hook_leave(t, task, info);
    else
        lr_record_end(t);
}

static void record_status(struct lr_tracer *t, const struct lr_task *task, int kind, int status)
{
    struct lr_rec_status *body;

    if (t->recording && (body = lr_record_begin(t, task, kind, sizeof *body)) != NULL) {
        *body = (struct lr_rec_status) { .status = status };
        lr_record_end(t);
    }
}

static void record_signal(struct lr_tracer *t, const struct lr_task *task)
{
    siginfo_t info, *body;

    if (!t->recording || ptrace(PTRACE_GETSIGINFO, (pid_t) task->tid, NULL, &info) < 0)
        return;
    body = lr_record_begin(t, task, LR_REC_SIGNAL, sizeof *body);
    if (body != NULL) {
        *body = info;
        lr_record_end(t);
    }
}

/* ---- stops ---- */

/* Returns as on_stop. */
static int on_call(struct lr_tracer *t, struct lr_task *task)
{
    struct ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, (pid_t) task->tid, sizeof info, &info) <= 0)
        return 0;
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY || (info.op == PTRACE_SYSCALL_INFO_SECCOMP && !task->at_entry))
        on_entry(t, task, &info);      /* both begin with number and arguments */
    if (info.op == PTRACE_SYSCALL_INFO_SECCOMP && info.seccomp.ret_data != LR_STOP_DATA)
        lr_tamper_refuse(task);
    task->at_entry = info.op == PTRACE_SYSCALL_INFO_ENTRY;
    if (info.op == PTRACE_SYSCALL_INFO_EXIT) {
        on_exit_of_call(t, task, &info);
        task->tamper.replaced = false; /* or its next stop would be awaited at an entry, beside the filter's */
        task->tamper.exit_pause_ns = 0;
    }
    return lr_tamper_go(t, task);
}

static void release(struct lr_tracer *t, struct lr_task *task);

/* The record of a fork comes before any of the child's. */
static void on_fork(struct lr_tracer *t, const struct lr_task *task, int event)
{
    uint32_t child = lr_event_message(task->tid);
    struct lr_task *early = lr_task_find(t, child), *made;
    uint64_t flags = lr_clone_flags(task);
    struct lr_rec_fork *body;

    if (child == 0)
        return;
    if (early == NULL && lr_tomb_take(t, child))
        return;                        /* it has lived and died while we waited */
    if (early == NULL) {
        made = lr_task_add(t, child);
        if (made != NULL)
            lr_task_settle(t, made, task->tgid);
    } else if (early->tgid == 0) {     /* it is held */
        made = early;
        lr_task_settle(t, early, task->tgid);
    } else {
        made = early;
        early->unannounced = false;
        lr_process_adopt(t, early->tgid, task->tgid);
    }
    if (made != NULL)
        lr_files_inherit(t, made, task, flags);
    if (t->recording && (body = lr_record_begin(t, task, LR_REC_FORK, sizeof *body)) != NULL) {
        *body = (struct lr_rec_fork) { child, (uint32_t) event, flags };
        lr_record_end(t);
    }
    if (early != NULL && early->held)
        release(t, early);
}

/* Returns the signal to resume with, or -1: it has been told to stay stopped. */
static int on_stop(struct lr_tracer *t, struct lr_task *task, int status)
{
    int signo = WSTOPSIG(status), event = status >> 16;

    switch (event) {
    case 0:
        if (signo != (SIGTRAP | 0x80)) {
            record_signal(t, task);
            return signo;
        }
        return on_call(t, task);
    case PTRACE_EVENT_SECCOMP:
        return on_call(t, task);
    case PTRACE_EVENT_FORK:
    case PTRACE_EVENT_VFORK:
    case PTRACE_EVENT_CLONE:
        on_fork(t, task, event);
        return 0;
    case PTRACE_EVENT_EXEC:
        lr_exec(t, task);
        return 0;
    case PTRACE_EVENT_EXIT:
        if (!task->exiting)
            t->exiting++;
        if (!task->exiting)
            lr_io_sample(t, task);
        task->exiting = true;
        lr_process_sample(t, task->tgid);
        if (task->entered)
            record_status(t, task, LR_REC_EXITING, 0);
        lr_files_release(task);        /* it makes no call any more, and its /proc says nothing */
        return 0;
    case PTRACE_EVENT_STOP:
        if (signo == SIGTRAP)
            return 0;
        record_status(t, task, LR_REC_STOPPED, signo);
        ptrace(PTRACE_LISTEN, (pid_t) task->tid, NULL, 0);
        return -1;
    default:
        return 0;
    }
}

static void let_go(struct lr_tracer *t, struct lr_task *task, int status)
{
    uint32_t tid = task->tid;
    int signo;

    lr_tamper_undelay(t, task);        /* it was killed meanwhile */
    signo = on_stop(t, task, status);

    if (tid == t->root)                /* PTRACE_INTERRUPT gives way to any other stop */
        t->root_stopped = true;
    if (signo >= 0 && (task = lr_task_find(t, tid)) != NULL)
        lr_resume(t, task, signo);
}

static void release(struct lr_tracer *t, struct lr_task *task)
{
    int status = task->held;

    if (task->tgid == 0)               /* nobody has reported it */
        lr_task_settle(t, task, 0);
    task->held = 0;
    t->held--;
    let_go(t, task, status);
}

/* A creator that is gone will not report, nor one that made a child with
 * CLONE_PTRACE | CLONE_UNTRACED: nobody is waited for any longer. Others may
 * still report; a child that is dead by then has left a tomb. */
void lr_tracer_release(struct lr_tracer *t)
{
    for (size_t i = 0; i < LR_TABLE_SIZE && t->held > 0; i++)
        for (struct lr_task *task = t->tasks[i]; task != NULL; task = task->next)
            if (task->held) {
                task->unannounced = true;
                release(t, task);
            }
}

static void on_gone(struct lr_tracer *t, uint32_t tid, const struct lr_stop *stop)
{
    struct lr_task *task = lr_task_find(t, tid);

    if (task == NULL)
        return;
    if (task->tgid == 0)
        lr_task_settle(t, task, 0);
    record_status(t, task, LR_REC_EXITED, stop->status);
    if (task->tgid == tid) {
        lr_tasks_end(t, tid);
        lr_process_end(t, tid, stop->weighed ? &stop->used : NULL);
    }
    if (task->unannounced)
        lr_tomb_put(t, tid);
    lr_task_remove(t, task);
    lr_tracer_release(t);
}

/* The tracee has left this stop already, as only SIGKILL makes it (another
 * thread's exit_group or execve is one, too): there is nothing to ask and
 * nothing to resume. What must not be missed is that there is such a task. */
static void on_overtaken(struct lr_tracer *t, uint32_t tid)
{
    struct lr_task *task = lr_task_find(t, tid);

    if (task == NULL && kill((pid_t) tid, 0) == 0 && (task = lr_task_add(t, tid)) != NULL) {
        lr_task_settle(t, task, 0);
        task->unannounced = true;
    }
}

static void dispatch(struct lr_tracer *t, const struct lr_stop *stop)
{
    uint32_t tid = (uint32_t) stop->tid;
    struct lr_task *task;

    if (stop->overtaken) {
        on_overtaken(t, tid);
        return;
    }
    if (!WIFSTOPPED(stop->status)) {
        on_gone(t, tid, stop);
        return;
    }
    task = lr_task_find(t, tid);
    if (task == NULL && (task = lr_task_add(t, tid)) != NULL) {
        if (!t->stopping && !t->leaving) {
            task->held = stop->status;
            t->held++;
            return;
        }
        lr_task_settle(t, task, 0);
    }
    if (t->stopping || task == NULL) {
        kill((pid_t) tid, SIGKILL);    /* a dying tracee drops it and has to be resumed as well */
        ptrace(PTRACE_CONT, (pid_t) tid, NULL, 0);
    } else if (t->leaving) {
        lr_leave_task(t, task, stop->status);
    } else if (task->held) {           /* it was killed meanwhile */
        task->held = stop->status;
        release(t, task);
    } else {
        let_go(t, task, stop->status);
    }
}

/* Seizes t->root, sees it stop once and go on; -errno: nothing is traced. */
int lr_tracer_seize(struct lr_tracer *t)
{
    pid_t pid = (pid_t) t->root;
    struct lr_task *root;
    struct lr_stop stop;

    if (ptrace(PTRACE_SEIZE, pid, NULL, LR_TRACE_OPTIONS | PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP) < 0)
        return -errno;
    root = lr_task_add(t, t->root);
    if (root != NULL)
        lr_task_settle(t, root, 0);
    if (root == NULL || ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
        kill(pid, SIGKILL);
    while (!t->root_stopped && lr_stop_wait(t, pid, 0, &stop) > 0)
        dispatch(t, &stop);
    return t->root_stopped ? 0 : -ESRCH;
}

/* Returns when no tracee is left. */
void lr_tracer_follow(struct lr_tracer *t)
{
    struct lr_stop stops[LR_BATCH];
    bool left = false;
    int count;

    while ((count = t->held > 0 ? lr_stops_await(t, stops, HOLD_NS) : lr_stops_wait(t, stops)) != 0) {
        if (count < 0)
            lr_tracer_release(t);
        if (t->leaving && !left) {
            left = true;
            lr_leave(t);
        }
        if (t->delayed > 0)
            lr_tamper_awake(t);
        for (int i = 0; i < count; i++)
            dispatch(t, &stops[i]);
    }
}
