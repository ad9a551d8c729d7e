/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Changing what a call does: injections (strace(1), "Tampering") and what
 * hooks ask for (tracer_hooks.c). Here are the registers, the counting and the
 * delays; a call that nothing is done to is not slowed by more than a look.
 *
 * A call is not executed when its number is -1 as the tracee leaves the entry's
 * stop, that of a seccomp filter (PTRACE_EVENT_SECCOMP) too; the kernel stops it
 * at the exit all the same, and there the register gets the wanted result. A
 * signal that is passed when the tracee leaves a call's stop is sent to it by
 * the kernel (SI_KERNEL); at PTRACE_EVENT_SECCOMP it is dropped, so a filter
 * must not stand where signals are injected.
 *
 * A delayed tracee stays in its stop while the others go on. The time is told
 * by SIGALRM, which ends the wait for stops; should it come just before that
 * wait begins, the next one TICK_US later ends it.
 */
#include "tracer.h"

#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <elf.h>
#include <linux/ptrace.h>

#define TICK_US 1000

#if defined(__x86_64__)
static void set_call(uint32_t tid, int64_t nr)
{
    ptrace(PTRACE_POKEUSER, (pid_t) tid, offsetof(struct user_regs_struct, orig_rax), nr);
}

static void set_result(uint32_t tid, int64_t value)
{
    ptrace(PTRACE_POKEUSER, (pid_t) tid, offsetof(struct user_regs_struct, rax), value);
}
#elif defined(__aarch64__)
static void set_call(uint32_t tid, int64_t nr)
{
    int number = (int) nr;
    struct iovec set = { &number, sizeof number };

    ptrace(PTRACE_SETREGSET, (pid_t) tid, NT_ARM_SYSTEM_CALL, &set);
}

static void set_result(uint32_t tid, int64_t value)
{
    struct user_regs_struct registers;
    struct iovec set = { &registers, sizeof registers };

    if (ptrace(PTRACE_GETREGSET, (pid_t) tid, NT_PRSTATUS, &set) < 0)
        return;
    registers.regs[0] = (unsigned long long) value;
    ptrace(PTRACE_SETREGSET, (pid_t) tid, NT_PRSTATUS, &set);
}
#endif

/* Counts the call that `task` is in, if something is injected into it: from 1; 0 if not. */
static uint32_t count_call(const struct lr_tracer *t, struct lr_task *task)
{
    if (t->options.injected == NULL || task->nr >= t->options.rows || t->options.injected[task->nr] == 0)
        return 0;
    if (task->counts == NULL && (task->counts = calloc(t->options.rows, sizeof *task->counts)) == NULL)
        return 0;
    return ++task->counts[task->nr];
}

/* The command's own execve has succeeded: it was not to be changed, but it counts. */
void lr_tamper_begin(const struct lr_tracer *t, struct lr_task *task)
{
    count_call(t, task);
}

/* The injection that this invocation of the call gets; NULL: none. */
static const struct lr_inject *due_injection(const struct lr_tracer *t, struct lr_task *task)
{
    const struct lr_inject *inject;
    uint32_t count = count_call(t, task);

    if (count == 0)
        return NULL;
    inject = &t->options.injections[t->options.injected[task->nr] - 1];
    if (count < inject->first || count > inject->last)
        return NULL;
    if (count != inject->first && (inject->step == 0 || (count - inject->first) % inject->step != 0))
        return NULL;
    return inject;
}

/* At a stop that a filter of the command's own asked for: as if nobody traced it (seccomp(2), SECCOMP_RET_TRACE). */
void lr_tamper_refuse(const struct lr_task *task)
{
    set_call(task->tid, -1);
    set_result(task->tid, -ENOSYS);
}

/* From an entry's stop: the call `nr` is executed instead, -1: none; its result will be `value`. */
void lr_tamper_replace(struct lr_task *task, int64_t nr, int64_t value)
{
    set_call(task->tid, nr);
    task->tamper.replaced = true;
    task->tamper.value = value;
    task->tamper.marks |= LR_EXIT_INJECTED;
}

/* At an entry; a hook that has spoken comes first. */
void lr_tamper_enter(struct lr_tracer *t, struct lr_task *task)
{
    const struct lr_inject *inject = due_injection(t, task);

    if (inject == NULL)
        return;
    if (inject->replace && !task->tamper.replaced)
        lr_tamper_replace(task, inject->call, inject->result);
    task->tamper.signo = inject->signo;
    task->tamper.pause_ns = inject->delay_enter_ns;
    task->tamper.exit_pause_ns = inject->delay_exit_ns;
    if (inject->delay_enter_ns > 0 || inject->delay_exit_ns > 0)
        task->tamper.marks |= LR_EXIT_DELAYED;
}

/* At an exit, before it is recorded: what `task` gets as the result becomes that of `info`. */
void lr_tamper_leave(struct lr_task *task, struct ptrace_syscall_info *info)
{
    if (task->tamper.replaced)
        lr_tamper_result(task, info, task->tamper.value);
    task->tamper.pause_ns = task->tamper.exit_pause_ns;
}

void lr_tamper_result(const struct lr_task *task, struct ptrace_syscall_info *info, int64_t value)
{
    set_result(task->tid, value);
    info->exit.rval = value;
    info->exit.is_error = value < 0 && value >= -LR_ERRNO_MAX;
}

/* ---- delays ---- */

/* How `task` goes on from a call's stop: the signal that it gets; -1: it stays for a while. */
int lr_tamper_go(struct lr_tracer *t, struct lr_task *task)
{
    uint64_t pause = task->tamper.pause_ns;
    int signo = task->tamper.signo;
    const struct itimerval ticks = { { 0, TICK_US }, { 0, TICK_US } };

    task->tamper.pause_ns = 0;
    task->tamper.signo = 0;
    if (pause == 0 || t->leaving || t->stopping)
        return signo;
    task->due_ns = lr_clock_ns(CLOCK_MONOTONIC) + pause;
    task->due_signo = signo;
    if (t->delayed++ == 0)
        setitimer(ITIMER_REAL, &ticks, NULL);
    return -1;
}

/* It has left its stop, or is let go. */
void lr_tamper_undelay(struct lr_tracer *t, struct lr_task *task)
{
    const struct itimerval none = { { 0, 0 }, { 0, 0 } };

    if (task->due_ns == 0)
        return;
    task->due_ns = 0;
    if (--t->delayed == 0)
        setitimer(ITIMER_REAL, &none, NULL);
}

/* Lets those go whose time has come; all of them when the trace is to end. */
void lr_tamper_awake(struct lr_tracer *t)
{
    uint64_t now = lr_clock_ns(CLOCK_MONOTONIC);

    for (size_t i = 0; i < LR_TABLE_SIZE && t->delayed > 0; i++)
        for (struct lr_task *task = t->tasks[i]; task != NULL; task = task->next)
            if (task->due_ns != 0 && (task->due_ns <= now || t->leaving || t->stopping)) {
                lr_tamper_undelay(t, task);
                lr_resume(t, task, task->due_signo);
            }
}
