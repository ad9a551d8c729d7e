/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Hooks: the one place where C calls back into Python (lowrun/core/tracing.py).
 *
 * The tracer's process runs on the parked thread's thread-local storage, where
 * Python keeps which thread state is the present one; the parked thread gave the
 * GIL back before it came to C. So Python takes the callback for a call of the
 * parked thread, waits for the GIL with futexes, which are one for all that
 * share the memory, and runs, while os.getpid() is the tracer's: ptrace requests
 * from Python are those of the tracer. No other stop is served meanwhile.
 *
 * What a hook sees of a call is its record, and what it answers comes back in
 * `struct lr_hook`. The record of an exit is written when the hook has returned,
 * with the result that the hook wants; nothing is locked while Python runs.
 */
#include "tracer.h"

#include <stdlib.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>

static bool hooked(const struct lr_tracer *t, uint64_t nr)
{
    return t->options.hook != NULL && !t->leaving && !t->stopping && nr < t->options.hooked_bits
        && (t->options.hooked[nr / 8] >> (nr % 8) & 1);
}

/* Copies the open record, as if it were ended. NULL: no memory. */
static struct lr_record *copy_open(struct lr_tracer *t)
{
    uint32_t size = t->used - t->open;
    struct lr_record *copy = malloc(size);

    if (copy != NULL) {
        memcpy(copy, t->buffer + t->open, size);
        copy->size = size;
    }
    return copy;
}

static struct lr_hook ask(struct lr_tracer *t, const struct lr_record *record)
{
    struct lr_hook hook = { .record = (const uint8_t *) record, .size = record->size };

    lr_latency_release(t);             /* it may take as long as it likes */
    t->in_python = true;
    t->options.hook(t->options.handle, &hook);
    t->in_python = false;
    return hook;
}

/* Before an ENTER record is ended: what a hook will be shown; NULL when there is none for the call. */
struct lr_record *lr_hook_prepare(struct lr_tracer *t, struct lr_task *task)
{
    task->hooked = hooked(t, task->nr);
    return task->hooked ? copy_open(t) : NULL;
}

/* After that: asks the hook. */
void lr_hook_enter(struct lr_tracer *t, struct lr_task *task, struct lr_record *record)
{
    struct lr_hook hook = ask(t, record);

    free(record);
    if (hook.answer & LR_HOOK_SKIP)
        lr_tamper_replace(task, -1, hook.value);
}

/* Before an EXIT record is ended: takes it back, asks the hook, and writes what it is then. */
void lr_hook_leave(struct lr_tracer *t, struct lr_task *task, struct ptrace_syscall_info *info)
{
    struct lr_record *record = copy_open(t);
    struct lr_hook hook;
    uint8_t *body;

    task->hooked = false;
    if (record == NULL) {
        lr_record_end(t);
        return;
    }
    lr_record_drop(t);
    hook = ask(t, record);
    if (hook.answer & LR_HOOK_RESULT) {
        struct lr_rec_exit *leave = (struct lr_rec_exit *) (record + 1);

        lr_tamper_result(task, info, hook.value);
        leave->rval = info->exit.rval;
        leave->is_error = info->exit.is_error;
        leave->marks |= LR_EXIT_INJECTED;
    }
    body = lr_record_begin(t, task, LR_REC_EXIT, record->size - sizeof *record);
    if (body != NULL) {
        memcpy(body, record + 1, record->size - sizeof *record);
        ((struct lr_record *) body - 1)->time_ns = record->time_ns;
        lr_record_end(t);
    }
    free(record);
}
