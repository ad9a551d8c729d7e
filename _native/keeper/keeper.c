/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The keeper: parent and subreaper of one command's tree at a time. A tiny
 * program without libc, so that it costs next to nothing to start and to
 * keep. It blocks every signal; it waits for three things with one ppoll: the
 * socket, a signalfd for SIGCHLD, and a pidfd of lowrun's process (a forked
 * worker of lowrun's host may hold a copy of the socket, so end-of-file alone
 * would come too late). The protocol is protocol.h.
 *
 *   idle --SPAWN--> running --command exits--> leftover --ECHILD--> idle
 *                      |                           |
 *                      +------------ END ----------+--> ending: SIGKILL to the
 *                                                       tree every few ms until
 *                                                       wait4 says ECHILD
 */
#include <errno.h>
#include <linux/prctl.h>
#include <linux/signalfd.h>
#include <signal.h>
#include <sys/poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "keeper.h"

#define KILL_AGAIN_NS 5000000   /* between two passes of SIGKILL */
#define LONG_PAUSE_NS 500000000
#define SHORT_RUN_NS 20000000
#define DENIED_AFTER 200        /* passes without effect until DENIED is sent */

static struct lr_request request;
static struct lr_request spawned; /* the last SPAWN, and what it came with */
static struct launch launch;
static struct lr_event totals;  /* of the run under way */
static int sigchld;
static int running, command_alive, ending, passes, expect_next, leaving, owned = 1, limited;

static void leave(void);
static void lose(void);

/* ---- messages ---- */

/* Waits for an owner that has not read yet: nothing is lost, and nothing is reaped meanwhile. */
void keeper_tell(const struct lr_event *event, int descriptor)
{
    struct pollfd sources[2] = {
        { .fd = KEEPER_SOCKET, .events = POLLOUT },
        { .fd = KEEPER_OWNER, .events = POLLIN },
    };
    long result;

    if (!owned)
        return;
    while ((result = event_send(KEEPER_SOCKET, event, &descriptor, descriptor >= 0)) == -EAGAIN && !sources[1].revents)
        SYS5(ppoll, sources, 2, 0, 0, 0);
    if (result < 0)
        lose();
}

/* ---- one run ---- */

static void begin_totals(void)
{
    memset(&totals, 0, sizeof totals);
    usage_begin(&totals, spawned.flags & LR_SPAWN_IO);
    ending = passes = 0;
    ends_forget();
}

/* Takes over a new request. The tree is counted by its cgroup, or, without
 * one, by the counter. */
static int accept_launch(const int *fds, int nfds)
{
    int result;

    launch_release(&launch);
    spawned = request;
    result = launch_prepare(&launch, &spawned, fds, nfds);
    stay_begin(launch.listener);
    launch.listener = -1;
    if (limited || spawned.memory_max || spawned.cpu_quota_us)
        group_close(); /* limits are of one command, and where they can be had */
    limited = spawned.memory_max || spawned.cpu_quota_us;
    if (result == 0 && launch.cgroup >= 0)
        group_open(launch.cgroup);
    if (group_fd() < 0)
        count_begin();
    return result;
}

static void spawn(const int *fds, int nfds)
{
    struct lr_event event = { .kind = LR_EVENT_FAILED };
    int pidfd = -1, pid;

    if (!owned || running || (request.flags & LR_SPAWN_AGAIN && !launch.body)) {
        for (int i = 0; i < nfds; i++)
            SYS1(close, fds[i]);
        event.step = LR_STEP_BODY;
        event.error = EBUSY;
        keeper_tell(&event, -1);
        return;
    }
    pid = request.flags & LR_SPAWN_AGAIN ? 0 : accept_launch(fds, nfds);
    if (pid == 0) {
        group_renew();
        begin_totals();
        event.started_ns = totals.started_ns = now_ns();
        pid = launch_run(&launch, &pidfd);
        if (launch.gone_ns)
            event.started_ns = totals.started_ns = launch.gone_ns;
    }
    event.step = launch.step;
    event.error = launch.error;
    if (pid > 0 && event.error == 0) {
        event.kind = LR_EVENT_STARTED;
        event.pid = totals.pid = running = command_alive = pid;
    } else {
        stay_end();
        if (pid > 0)
            SYS4(wait4, pid, 0, __WALL, 0);
    }
    keeper_tell(&event, event.kind == LR_EVENT_STARTED ? pidfd : -1);
    if (pidfd >= 0)
        SYS1(close, pidfd);
}

static void tell_exited(void)
{
    totals.kind = LR_EVENT_EXITED;
    keeper_tell(&totals, -1);
}

static void tell_reaped(long pid, int status, uint64_t ended_ns)
{
    const struct lr_event event = {
        .kind = LR_EVENT_REAPED, .pid = (int32_t) pid, .status = status, .ended_ns = ended_ns,
    };

    keeper_tell(&event, -1);
}

/* Reaps all there is to reap; sends REAPED, then EXITED, ENDED or both in one.
 * EXITED waits for what may come with it, but not past the next REAPED. */
static void reap(void)
{
    struct signalfd_siginfo info;
    struct rusage usage;
    int status, exited = 0;
    long pid;

    SYS3(read, sigchld, &info, sizeof info);
    while ((pid = SYS4(wait4, -1, &status, WNOHANG | __WALL, &usage)) > 0) {
        const uint64_t now = now_ns();

        if (watch_takes(pid, status))
            continue;
        usage_add(&totals, &usage);
        ends_remember(pid, status, now);
        if (pid == totals.pid) {
            exited = 1;
            command_alive = 0;
            totals.status = status;
            totals.ended_ns = now;
        } else if (running && spawned.flags & LR_SPAWN_REAPED) {
            if (exited)
                tell_exited();
            exited = 0;
            tell_reaped(pid, status, now);
        }
    }
    if (!running)
        return;
    if (pid == -ECHILD) {
        usage_end(&totals);
        totals.kind = exited ? LR_EVENT_LAST : LR_EVENT_ENDED;
        running = ending = 0;
        keeper_tell(&totals, -1);
        expect_next = totals.ended_ns - totals.started_ns < SHORT_RUN_NS;
    } else if (exited) {
        tell_exited();
    }
}

/* To all of the tree. Without /proc at least to the command, which is our own
 * child and not reaped yet. */
static int signal_all(int signo)
{
    int denied = 0;

    if (tree_signal(signo, &denied) < 0 && command_alive)
        denied = SYS2(kill, totals.pid, signo) == -EPERM;
    return denied;
}

/* One pass of SIGKILL. A refusal that lasts is told, once: what has gained
 * privileges may not be killed by us. */
static void kill_pass(void)
{
    group_kill();
    if (signal_all(SIGKILL) && ++passes == DENIED_AFTER) {
        struct lr_event event = { .kind = LR_EVENT_DENIED, .pid = totals.pid, .error = EPERM };

        keeper_tell(&event, -1);
    }
}

/* Ends all that is left and goes. */
static void leave(void)
{
    struct timespec pause = { .tv_nsec = KILL_AGAIN_NS };
    long pid;

    if (leaving)
        return; /* already on our way: DENIED found no listener */
    leaving = 1;
    while (!watch_pid()) {
        while ((pid = SYS4(wait4, -1, 0, WNOHANG | __WALL, 0)) > 0)
            ;
        if (pid == -ECHILD)
            break;
        kill_pass();
        SYS4(clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, 0);
        if (pause.tv_nsec < LONG_PAUSE_NS)
            pause.tv_nsec += pause.tv_nsec / 16; /* what may not be killed is not hammered */
    }
    group_close();
    SYS1(exit_group, 0);
}

/* Does what one request asks for. Returns 0 when there is none, -errno at the socket's end. */
static int serve(void)
{
    int fds[LR_REQUEST_MAX_FDS], nfds;
    long n = message_receive(KEEPER_SOCKET, &request, fds, &nfds);

    if (n == -EAGAIN || n == -EINTR)
        return 0;
    if (n != sizeof request)
        return -EPIPE;
    switch (request.kind) {
    case LR_REQUEST_SPAWN:
        spawn(fds, nfds);
        break;
    case LR_REQUEST_SIGNAL:
        if (running)
            signal_all((int) request.signo);
        break;
    case LR_REQUEST_WATCH:
        if (!running)
            watch_begin(request.watched);
        break;
    case LR_REQUEST_END:
        ending = running;
        reap();
        watch_end();
        break;
    case LR_REQUEST_FORGET:
        if (!running)
            stay_end();
        break;
    case LR_REQUEST_LEAVE:
        leave();
        break;
    }
    return 1;
}

/* ---- owners ---- */

/* The socket has ended or lowrun is dead. What it asked for last is still done, but nothing is started any more; then
 * its tree is ended, unless it is to stay. */
static void lose(void)
{
    if (!owned)
        return;
    owned = 0;
    while (stay_listener() >= 0 && serve() > 0)
        ;
    if (stay_listener() < 0)
        leave();
}

void keeper_describe(struct lr_event *ret_event)
{
    *ret_event = totals;
    ret_event->kind = LR_EVENT_TREE;
    ret_event->keeper = (int32_t) SYS0(getpid);
    ret_event->state = !running ? LR_TREE_GONE : command_alive ? LR_TREE_RUNNING : LR_TREE_LEFTOVER;
    ret_event->error = owned ? EBUSY : 0;
}

/* The command's end comes among the others' where it belongs; first, when it is so long ago that it is forgotten there. */
static void tell_ends(void)
{
    struct lr_event event;
    int exited = !command_alive;

    for (uint32_t i = 0; ends_read(i, &event); i++)
        exited = exited && event.pid != totals.pid;
    if (exited)
        tell_exited();
    for (uint32_t i = 0; ends_read(i, &event); i++)
        if (event.pid == totals.pid)
            tell_exited();
        else
            keeper_tell(&event, -1);
}

/* What the command was given and its next life needs, sockets above all: nobody else may have it any more. */
static void hand_over(void)
{
    for (uint32_t i = 0; i < spawned.nfds; i++) {
        const struct lr_event event = { .kind = LR_EVENT_HELD, .pid = spawned.targets[i] };

        keeper_tell(&event, launch.fds[launch.first + (int) i]);
    }
}

/* Takes who asks for it as the new owner. */
static void adopt(void)
{
    struct lr_event event;
    int fds[LR_EVENT_MAX_FDS], socket, owner, self;

    if (owned || !stay_adopter(&socket, &owner))
        return;
    for (int place = KEEPER_SOCKET; place <= KEEPER_SPARE; place++)
        SYS3(dup3, place == KEEPER_OWNER ? owner : socket, place, O_CLOEXEC);
    SYS1(close, socket);
    SYS1(close, owner);
    keeper_describe(&event);
    event.reaped = spawned.nfds;
    self = (int) SYS2(pidfd_open, event.keeper, 0);
    fds[0] = stay_listener();
    fds[1] = self;
    fds[2] = command_alive ? (int) SYS2(pidfd_open, totals.pid, 0) : -1;
    owned = 1;
    passes = 0;
    if (event_send(KEEPER_SOCKET, &event, fds, fds[2] < 0 ? 2 : 3) < 0)
        lose();
    SYS1(close, self);
    if (fds[2] >= 0)
        SYS1(close, fds[2]);
    hand_over();
    tell_ends();
    if (!running) {
        totals.kind = LR_EVENT_ENDED;
        keeper_tell(&totals, -1);
    }
}

static void run(void)
{
    struct pollfd sources[3 + STAY_SOURCES] = { { .events = POLLIN }, { .events = POLLIN }, { .events = POLLIN } };

    for (;;) {
        const int staying = stay_listener() >= 0, all = staying ? 3 + STAY_SOURCES : 3;
        const struct timespec again = { .tv_nsec = KILL_AGAIN_NS }, unclaimed = { .tv_sec = LR_UNCLAIMED_S };
        long n = 0;

        sources[0].fd = owned ? KEEPER_SOCKET : -1;
        sources[1].fd = sigchld;
        sources[2].fd = owned ? KEEPER_OWNER : -1;
        if (staying)
            stay_watch(sources + 3);
        if (ending)
            kill_pass();
        if (!expect_next || (n = wait_awake(sources, all)) == 0)
            n = SYS5(ppoll, sources, all, ending ? &again : owned || running ? 0 : &unclaimed, 0, 0);
        expect_next = 0;
        if (n == 0 && !owned && !running)
            leave();
        if (sources[1].revents)
            reap();
        if (sources[2].revents || (sources[0].revents && serve() < 0))
            lose();
        if (staying)
            stay_serve(sources + 3);
        adopt();
    }
}

__attribute__((used)) void keeper_main(void)
{
    const uint64_t all = ~0ULL, child = 1ULL << (SIGCHLD - 1);
    const uint64_t plain[4] = { 0 }; /* struct sigaction: SIG_DFL. Were it ignored, the kernel would reap for us. */

    SYS4(rt_sigaction, SIGCHLD, plain, 0, sizeof all);
    SYS2(setpgid, 0, 0); /* whoever kills lowrun's process group must not kill its keeper */
    SYS4(rt_sigprocmask, SIG_SETMASK, &all, 0, sizeof all);
    SYS5(prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    sigchld = (int) SYS4(signalfd4, -1, &child, sizeof child, SFD_CLOEXEC | SFD_NONBLOCK);
    run();
}

SYSTEM_START(keeper_main);
