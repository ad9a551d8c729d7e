/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From a request to a running command. The child shares the keeper's memory
 * and the keeper sleeps until it has executed (CLONE_VM | CLONE_VFORK, as
 * posix_spawn does it), so a failing step and its errno are plain variables.
 * Nothing of the keeper's size shows in the command: its peak memory begins
 * with this small image, not with a Python process.
 *
 * Because the keeper sleeps, a command that is to be traced says its own pid
 * on the socket and waits there itself until it has been seized; if lowrun
 * ends meanwhile the socket ends, and so does the child.
 */
#include <errno.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "keeper.h"

#define STACK_SIZE 65536

/* The kernel's struct sigaction and the size of its sigset_t (rt_sigaction(2)). */
struct kernel_action {
    void *handler;
    unsigned long flags;
#if defined(__x86_64__)
    void *restorer;
#endif
    uint64_t mask;
};
#define KERNEL_SIGSET 8
#define LAST_SIGNAL 64

#define VECTORS_MAX (STACK_SIZE / 2)

LARGE char launch_stack[STACK_SIZE];

static void fail(struct launch *launch, enum lr_step step, long error)
{
    launch->step = step;
    launch->error = (int) -error;
    SYS1(exit_group, 127);
    __builtin_unreachable();
}

static void attempt(struct launch *launch, enum lr_step step, long result)
{
    if (result < 0)
        fail(launch, step, result);
}

/* Says the pid and waits for GO, in its own network if asked for. By calls of
 * sockets: read and write would count as the command's own (proc_pid_io(5)). */
static void park(struct launch *launch)
{
    struct lr_event event = { .kind = LR_EVENT_PARKED, .pid = (int32_t) SYS0(getpid) };
    int sockets[LR_EVENT_SOCKETS], nsockets = 0;
    uint32_t step;
    long n;

    if (launch->request->flags & LR_SPAWN_NETWORK) {
        n = network_enter(&step, sockets);
        attempt(launch, step, n);
        nsockets = LR_EVENT_SOCKETS;
    }
    /* Yama lets only an ancestor attach; EINVAL where there is no Yama. */
    SYS5(prctl, PR_SET_PTRACER, launch->request->tracer, 0, 0, 0);
    attempt(launch, LR_STEP_PARK, event_send(KEEPER_SOCKET, &event, sockets, nsockets));
    for (int i = 0; i < nsockets; i++)
        SYS1(close, sockets[i]);
    do
        n = SYS6(recvfrom, KEEPER_SOCKET, &launch->go, sizeof launch->go, 0, 0, 0);
    while (n == -EINTR);
    if (n != sizeof launch->go || launch->go.kind != LR_REQUEST_GO)
        fail(launch, LR_STEP_PARK, -ECANCELED);
    launch->gone_ns = now_ns();
}

/* Puts the received descriptors at their numbers. Sources are first copied
 * above every target, so that no dup3 overwrites one still to come. (The list
 * in `launch` is the keeper's: memory is shared, the descriptor table is not.) */
static void place_fds(struct launch *launch)
{
    const struct lr_request *request = launch->request;
    int high[LR_KEEPER_MAX_FDS], above = 3;

    for (uint32_t i = 0; i < request->nfds; i++)
        if (request->targets[i] >= above)
            above = request->targets[i] + 1;
    for (uint32_t i = 0; i < request->nfds; i++) {
        high[i] = (int) SYS3(fcntl, launch->fds[launch->first + (int) i], F_DUPFD_CLOEXEC, above);
        attempt(launch, LR_STEP_FDS, high[i]);
    }
    /* 0 to 2 are the keeper's own in this copy of the table: closed unless given. */
    for (int fd = 0; fd < 3; fd++)
        SYS1(close, fd);
    for (uint32_t i = 0; i < request->nfds; i++)
        attempt(launch, LR_STEP_FDS, SYS3(dup3, high[i], request->targets[i], 0));
}

static void set_place(struct launch *launch)
{
    const struct lr_request *request = launch->request;

    if (request->flags & LR_SPAWN_SESSION)
        attempt(launch, LR_STEP_GROUP, SYS0(setsid));
    else if (request->flags & LR_SPAWN_GROUP)
        attempt(launch, LR_STEP_GROUP, SYS2(setpgid, 0, 0));
    else
        attempt(launch, LR_STEP_GROUP, SYS2(setpgid, 0, request->group));
    if (launch->directory >= 0)
        attempt(launch, LR_STEP_CWD, SYS1(fchdir, launch->directory));
    place_fds(launch);
    if (request->chroot) {
        attempt(launch, LR_STEP_CHROOT, SYS1(chroot, launch->body + request->chroot));
        attempt(launch, LR_STEP_CHROOT, SYS1(chdir, "/"));
    }
    if (request->cwd)
        attempt(launch, LR_STEP_CWD, SYS1(chdir, launch->body + request->cwd));
}

static void set_limits(struct launch *launch)
{
    const struct lr_request *request = launch->request;

    if (request->flags & LR_SPAWN_UMASK)
        SYS1(umask, request->umask);
    for (uint32_t i = 0; i < request->nrlimits; i++)
        attempt(launch, LR_STEP_RLIMIT,
                SYS4(prlimit64, 0, request->rlimits[i].resource, &request->rlimits[i].soft, 0));
    if (request->flags & LR_SPAWN_NICE)
        attempt(launch, LR_STEP_NICE, SYS3(setpriority, PRIO_PROCESS, 0, request->nice));
    if (request->affinity)
        attempt(launch, LR_STEP_AFFINITY,
                SYS3(sched_setaffinity, 0, request->affinity_size, launch->body + request->affinity));
}

/* What the command has of its own: its pid in its environment (the strings are shared with the keeper, which sleeps), and
 * how soon it is killed when memory runs out. (Its memory is the keeper's until the exec; the kernel makes an exception for
 * a vfork: __set_oom_adj.) */
static void set_own(struct launch *launch)
{
    const struct lr_request *request = launch->request;
    char text[16], *at = text;

    for (int i = 0; i < LR_KEEPER_MAX_PID_TEXTS && request->pid_texts[i]; i++)
        text_number(launch->body + request->pid_texts[i], (uint64_t) SYS0(getpid));
    if (request->flags & LR_SPAWN_OOM) {
        if (request->oom_score_adj < 0)
            at = text_copy(at, "-");
        text_number(at, (uint64_t) (request->oom_score_adj < 0 ? -request->oom_score_adj : request->oom_score_adj));
        attempt(launch, LR_STEP_OOM, text_write(AT_FDCWD, "/proc/self/oom_score_adj", text));
    }
}

static void set_credentials(struct launch *launch)
{
    const struct lr_request *request = launch->request;

    if (request->flags & LR_SPAWN_GROUPS)
        attempt(launch, LR_STEP_GROUPS, SYS2(setgroups, request->ngroups, launch->body + request->groups));
    if (request->flags & LR_SPAWN_GID)
        attempt(launch, LR_STEP_GID, SYS3(setresgid, request->gid, request->gid, request->gid));
    if (request->flags & LR_SPAWN_UID)
        attempt(launch, LR_STEP_UID, SYS3(setresuid, request->uid, request->uid, request->uid));
}

static void set_signals(const struct lr_request *request)
{
    for (int signo = 1; signo <= LAST_SIGNAL; signo++) {
        int ignored = (int) (request->ignored >> (signo - 1) & 1);
        struct kernel_action action = { .handler = ignored ? (void *) SIG_IGN : (void *) SIG_DFL };

        SYS4(rt_sigaction, signo, &action, 0, KERNEL_SIGSET); /* KILL and STOP refuse */
    }
    SYS4(rt_sigprocmask, SIG_SETMASK, &request->blocked, 0, KERNEL_SIGSET);
}

/* Tries each path as execvp does: goes on after "not there", remembers "may
 * not". Never falls back to a shell. */
static void execute(struct launch *launch)
{
    const struct lr_request *request = launch->request;
    const char *path = launch->body + request->programs;
    long error = -ENOENT;

    for (uint32_t i = 0; i < request->nprograms; i++) {
        long result = SYS3(execve, path, launch->argv, launch->envp);

        if (result != -ENOENT && result != -ENOTDIR && result != -EACCES && result != -ESTALE
            && result != -ENODEV && result != -ETIMEDOUT)
            fail(launch, LR_STEP_EXEC, result);
        if (result == -EACCES || request->nprograms == 1)
            error = result;
        path += text_length(path) + 1;
    }
    fail(launch, LR_STEP_EXEC, error);
}

/* The child, on its own stack, until it is the command. */
static void become(void *argument)
{
    struct launch *launch = argument;

    attempt(launch, LR_STEP_ENTER, group_v1_enter()); /* with all privilege, and before a tracer looks */
    if (launch->request->flags & LR_SPAWN_PARK)
        park(launch);
    set_own(launch);
    set_place(launch);
    set_limits(launch);
    if (launch->request->flags & LR_SPAWN_PARK && launch->go.flags & LR_GO_FILTER)
        filter_install(&launch->go);   /* it takes the privilege that may be dropped now */
    set_credentials(launch);
    set_signals(launch->request);
    execute(launch);
}

static const char *fill_vector(const char **vector, const char *strings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        vector[i] = strings;
        strings += text_length(strings) + 1;
    }
    vector[count] = 0;
    return strings;
}

static size_t vectors_size(const struct lr_request *request)
{
    return (((size_t) request->argc + request->envc + 2) * sizeof(char *) + 15) / 16 * 16;
}

int launch_prepare(struct launch *launch, const struct lr_request *request, const int *fds, int nfds)
{
    long memory;

    memset(launch, 0, sizeof *launch);
    launch->request = request;
    launch->nfds = nfds;
    launch->directory = launch->cgroup = launch->memory_v1 = launch->cpu_v1 = launch->listener = -1;
    launch->step = LR_STEP_BODY;
    for (int i = 0; i < nfds; i++)
        launch->fds[i] = fds[i];
    launch->first = 1;
    if (request->flags & LR_SPAWN_DIRECTORY)
        launch->directory = fds[launch->first++];
    if (request->flags & LR_SPAWN_CGROUP)
        launch->cgroup = fds[launch->first++];
    if (request->flags & LR_SPAWN_MEMORY_V1)
        launch->memory_v1 = fds[launch->first++];
    if (request->flags & LR_SPAWN_CPU_V1)
        launch->cpu_v1 = fds[launch->first++];
    if (request->flags & LR_SPAWN_STAY) {
        launch->listener = fds[launch->first];
        launch->fds[launch->first++] = -1;
    }
    if (request->nfds > LR_KEEPER_MAX_FDS || request->nrlimits > LR_KEEPER_MAX_RLIMITS
        || (int) request->nfds + launch->first != nfds)
        return launch->error = EINVAL, -EINVAL;
    memory = SYS6(mmap, 0, request->body_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fds[0], 0);
    if (memory < 0 && memory > -4096)
        return launch->error = (int) -memory, (int) memory;
    launch->body = (char *) memory;
    launch->stack_size = STACK_SIZE;
    if (vectors_size(request) <= VECTORS_MAX) {
        launch->stack_size -= vectors_size(request);
        memory = (long) launch_stack + (long) launch->stack_size;
    } else {
        memory = SYS6(mmap, 0, vectors_size(request), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory < 0 && memory > -4096)
            return launch->error = (int) -memory, (int) memory;
    }
    launch->argv = (const char **) memory;
    launch->envp = launch->argv + request->argc + 1;
    fill_vector(launch->argv, launch->body + request->argv, request->argc);
    fill_vector(launch->envp, launch->body + request->env, request->envc);
    return 0;
}

static long clone_into(struct launch *launch, unsigned long flags, int cgroup, int *ret_pidfd)
{
    struct clone_args arguments = {
        .flags = flags | CLONE_INTO_CGROUP, .pidfd = (uint64_t) (uintptr_t) ret_pidfd,
        .exit_signal = SIGCHLD, .stack = (uint64_t) (uintptr_t) launch_stack, .stack_size = launch->stack_size,
        .cgroup = (uint64_t) cgroup,
    };

    return system_clone_on(__NR_clone3, (long) &arguments, sizeof arguments, 0, 0, 0, become, launch);
}

int launch_run(struct launch *launch, int *ret_pidfd)
{
    unsigned long flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
    long pid;

    launch->step = LR_STEP_LIMITS;
    pid = group_limit(launch->request);
    if (pid >= 0)
        pid = group_v1_open(launch);
    if (pid < 0)
        return launch->error = (int) -pid, (int) pid;
    pid = -ENOSYS;
    launch->step = LR_STEP_CLONE;
    launch->error = 0;
    launch->gone_ns = 0;
    if (group_fd() >= 0) {
        pid = clone_into(launch, flags, group_fd(), ret_pidfd);
        if (pid < 0 && !group_is_needed(launch->request))
            group_drop(); /* a sandbox without clone3, a threaded cgroup: the run does without */
    }
    if (pid < 0 && !group_is_needed(launch->request))
        pid = SYSTEM_CLONE(flags | SIGCHLD, launch_stack + launch->stack_size, ret_pidfd, become, launch);
    if (pid < 0)
        launch->error = (int) -pid;
    if (launch->request->flags & LR_SPAWN_REAPED) /* of a supervised program: it will not be needed for long */
        SYS3(madvise, launch->body, launch->request->body_size, MADV_DONTNEED);
    return (int) pid;
}

void launch_release(struct launch *launch)
{
    for (int i = 0; i < launch->nfds; i++)
        SYS1(close, launch->fds[i]);
    if (launch->argv && launch->stack_size == STACK_SIZE)
        SYS2(munmap, launch->argv, vectors_size(launch->request));
    if (launch->body)
        SYS2(munmap, launch->body, launch->request->body_size);
    memset(launch, 0, sizeof *launch);
}
