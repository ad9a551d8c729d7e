/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the tracer runs: in a process that shares memory and descriptors
 * with ours, made by clone(CLONE_VM | CLONE_FILES | CLONE_FS) and no thread.
 *
 * The kernel hands the stop of a tracee to any thread of the tracer's thread
 * group that waits (wait(2): "any other thread's children"): a host's own
 * waitpid(-1) would take stops away and the tracee would stand still for
 * ever; and each stop would send the host a SIGCHLD. A thread group of its
 * own sees its tracees alone, and its exit signal is 0, so that the host's
 * waitpid(-1) does not see it either.
 *
 *   Python's thread: lr_tracer_run -- clone -- parked in waitpid(__WCLONE) ---- back
 *   the tracer:                          \-- seize -- sem_post -- follow -- _exit
 *   the loop's thread:         lr_tracer_await_seized ...../
 *
 * The tracer lives on the parked thread's thread-local storage, so that
 * thread must be parked. Where Python is called back it lives on that thread's
 * stack, too, below what that needs itself: Python knows the bounds of its
 * threads' stacks. The thread's signals are all blocked, no handler runs there.
 * A crash of Python there is a crash of Python: the host aborts. It dies when that thread does (PR_SET_PDEATHSIG),
 * the tracees with it (PTRACE_O_EXITKILL), unless they were attached to. All its signals are blocked but SIGUSR1.
 */
#include "tracer.h"

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define STACK_SIZE (256 * 1024)
#define OWN_FRAMES (16 * 1024)         /* what the parked thread itself needs below host() */

int lr_tracer_create(const struct lr_tracer_options *options, struct lr_tracer **ret_tracer)
{
    struct lr_tracer *t = calloc(1, sizeof *t);

    if (t == NULL)
        return -ENOMEM;
    t->options = *options;
    t->latency.fd = -1;
    t->buffer = malloc(LR_BUFFER_SIZE);
    t->taken = options->output < 0 ? malloc(LR_BUFFER_SIZE) : NULL;
    t->tombs = calloc(LR_TOMBS, sizeof *t->tombs);
    if (t->buffer == NULL || t->tombs == NULL || (options->output < 0 && t->taken == NULL)) {
        free(t->tombs);
        free(t->taken);
        free(t->buffer);
        free(t);
        return -ENOMEM;
    }
    pthread_mutex_init(&t->lock, NULL);
    pthread_mutex_init(&t->writing, NULL);
    sem_init(&t->seized, 0, 0);
    sem_init(&t->room, 0, 0);
    *ret_tracer = t;
    return 0;
}

static void on_wake(int signo)
{
    (void) signo;
}

/* SIGUSR1 ends a wait4: for lr_tracer_detach; so does SIGALRM, for delays. The handlers of this process are its own. */
static void prepare_signals(void)
{
    const struct sigaction wake = { .sa_handler = on_wake };
    sigset_t set;

    sigaction(SIGUSR1, &wake, NULL);
    sigaction(SIGALRM, &wake, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int trace(void *argument)
{
    struct lr_tracer *t = argument;

    prctl(PR_SET_NAME, "lowrun-tracer");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prepare_signals();
    lr_stops_prepare(t);
    if (getppid() != t->owner)
        t->seize_result = -ESRCH;
    else if ((t->in_python = t->options.engine != NULL))
        t->seize_result = t->options.engine(t->options.engine_handle, (int) t->root);
    else
        t->seize_result = t->attached != NULL ? lr_attach(t) : lr_tracer_seize(t);
    sem_post(&t->seized);
    if (t->options.engine == NULL)
        lr_tracer_follow(t);
    else if (t->seize_result == 0)
        t->options.engine(t->options.engine_handle, 0);
    _exit(0);
}

static void set_pid(struct lr_tracer *t, pid_t pid)
{
    pthread_mutex_lock(&t->lock);
    t->pid = pid;
    pthread_mutex_unlock(&t->lock);
}

/* Makes the tracer's process and waits for its end. */
static int host(struct lr_tracer *t)
{
    char *stack = NULL, *top = (char *) ((uintptr_t) __builtin_frame_address(0) / 64 * 64 - OWN_FRAMES);
    int result = -ENOMEM, status = 0;

    if (t->options.hook == NULL && t->options.engine == NULL) {
        stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        top = stack + STACK_SIZE;
    }

    t->owner = getpid();
    t->seize_result = -ECHILD;
    if (stack != MAP_FAILED) {
        pid_t tracer = clone(trace, top, CLONE_VM | CLONE_FILES | CLONE_FS, t);

        result = tracer < 0 ? -errno : 0;
        set_pid(t, tracer > 0 ? tracer : 0);
        while (tracer > 0 && waitid(P_PID, (id_t) tracer, NULL, WEXITED | WNOWAIT | __WCLONE) < 0 && errno == EINTR)
            ;
        set_pid(t, 0);                 /* before it is reaped: the pid is not yet another's */
        while (tracer > 0 && waitpid(tracer, &status, __WCLONE) < 0 && errno == EINTR)
            ;
        lr_latency_end(t);
        lr_records_abandon(t);
        if (stack != NULL)
            munmap(stack, STACK_SIZE);
        if (WIFSIGNALED(status) && t->in_python)
            abort();                   /* it may have had the GIL, which nobody could take any more */
    }
    if (result < 0)
        t->seize_result = result;
    sem_post(&t->seized);              /* in case the tracer never came to it */
    return result < 0 ? result : status == 0 ? 0 : -ECHILD;
}

/* Traces `pid` and all that it makes; returns when none is left. The caller's signals are blocked. */
int lr_tracer_run(struct lr_tracer *t, int pid)
{
    t->root = (uint32_t) pid;
    return host(t);
}

/* The same for processes that run already, with all their threads; they live on when the tracer ends. */
int lr_tracer_attach(struct lr_tracer *t, struct lr_attached *processes, uint32_t count)
{
    t->attached = processes;
    t->nattached = count;
    return host(t);
}

/* From another thread: 0 when the first process is traced, why it is not (-EPERM, -ESRCH...), -ETIMEDOUT. */
int lr_tracer_await_seized(struct lr_tracer *t, int timeout_ms)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
    until.tv_sec += timeout_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (sem_timedwait(&t->seized, &until) < 0)
        if (errno != EINTR)
            return -errno;
    return t->seize_result;
}

/* From any thread: kills what is traced, so that lr_tracer_run returns. */
void lr_tracer_abort(struct lr_tracer *t)
{
    t->stopping = true;
    lr_tasks_kill(t);
    sem_post(&t->room);
}

/* From any thread: lets go of what is traced, so that lr_tracer_attach returns. The tracer
 * can have gone to sleep just after it looked: call it again until that has returned. */
void lr_tracer_detach(struct lr_tracer *t)
{
    t->leaving = true;
    pthread_mutex_lock(&t->lock);
    if (t->pid > 0)
        kill(t->pid, SIGUSR1);
    pthread_mutex_unlock(&t->lock);
}

/* What has ended so far; complete once lr_tracer_run has returned. */
void lr_tracer_usage(const struct lr_tracer *t, struct lr_tracer_usage *ret_usage)
{
    *ret_usage = t->usage;
}

/* The errno of the write that failed and ended the recording, 0 without one. */
int lr_tracer_write_error(const struct lr_tracer *t)
{
    return t->write_error;
}

void lr_tracer_free(struct lr_tracer *t)
{
    lr_tasks_free(t);
    lr_processes_free(t);
    sem_destroy(&t->room);
    sem_destroy(&t->seized);
    pthread_mutex_destroy(&t->writing);
    pthread_mutex_destroy(&t->lock);
    free(t->sockets);
    free(t->tombs);
    free(t->taken);
    free(t->buffer);
    free(t);
}
