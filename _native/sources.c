/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything the loop can wait for as a descriptor: timerfd (on
 * CLOCK_MONOTONIC, so a clock that jumps moves no timer), eventfd, signalfd,
 * pidfd. All non-blocking and close-on-exec.
 */
#include "lowrun.h"

int lr_timer_create(void)
{
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

static struct timespec timespec_of(int64_t ns)
{
    return (struct timespec) { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };
}

/* after_ns 0 disarms (timerfd_settime(2)); the loop never passes 0 for "now". */
int lr_timer_set(int fd, int64_t after_ns, int64_t every_ns)
{
    struct itimerspec spec = {
        .it_value = timespec_of(after_ns), .it_interval = timespec_of(every_ns),
    };

    return timerfd_settime(fd, 0, &spec, NULL) < 0 ? -errno : 0;
}

int lr_counter_create(void)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    return fd < 0 ? -errno : fd;
}

int lr_counter_add(int fd)
{
    uint64_t one = 1;

    return write(fd, &one, sizeof one) < 0 && errno != EAGAIN ? -errno : 0;
}

/* Reads the eight-byte count of an eventfd or timerfd; 0 when there is none. */
int64_t lr_counter_take(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof count) == sizeof count)
        return (int64_t) (count & INT64_MAX);
    return errno == EAGAIN || errno == EINTR ? 0 : -errno;
}

/* Bit N-1 of a mask is signal N, as the kernel has it (sigprocmask(2)). */
static void set_of(uint64_t mask, sigset_t *ret_set)
{
    sigemptyset(ret_set);
    for (int signo = 1; signo <= 64; signo++)
        if (mask >> (signo - 1) & 1)
            sigaddset(ret_set, signo);
}

static uint64_t mask_of(const sigset_t *set)
{
    uint64_t mask = 0;

    for (int signo = 1; signo <= 64; signo++)
        if (sigismember(set, signo) == 1)
            mask |= 1ULL << (signo - 1);
    return mask;
}

int lr_signals_create(uint64_t mask)
{
    sigset_t set;
    int fd;

    set_of(mask, &set);
    fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Takes one pending signal: 1, or 0 when there is none. */
int lr_signals_take(int fd, int *ret_signo, int *ret_code, int *ret_pid)
{
    struct signalfd_siginfo info;

    if (read(fd, &info, sizeof info) != sizeof info)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    *ret_signo = (int) info.ssi_signo;
    *ret_code = info.ssi_code;
    *ret_pid = (int) info.ssi_pid;
    return 1;
}

/* The calling thread's blocked signals. */
int lr_signals_blocked(uint64_t *ret_mask)
{
    sigset_t set;

    if (pthread_sigmask(SIG_BLOCK, NULL, &set) != 0)
        return -EINVAL;
    *ret_mask = mask_of(&set);
    return 0;
}

/* The process's ignored signals. The kernel is asked itself: the C library keeps 32 and 33
 * for its own use and tells nothing of them, though they can have been inherited as ignored. */
int lr_signals_ignored(uint64_t *ret_mask)
{
    struct {
        void (*handler)(int);          /* the kernel's struct sigaction begins with it (rt_sigaction(2)) */
        unsigned long rest[7];
    } action;

    *ret_mask = 0;
    for (int signo = 1; signo <= 64; signo++)
        if (syscall(SYS_rt_sigaction, signo, NULL, &action, sizeof(uint64_t)) == 0 && action.handler == SIG_IGN)
            *ret_mask |= 1ULL << (signo - 1);
    return 0;
}

int lr_signals_block(uint64_t mask, uint64_t *ret_former)
{
    sigset_t set, former;

    set_of(mask, &set);
    if (pthread_sigmask(SIG_BLOCK, &set, &former) != 0)
        return -EINVAL;
    *ret_former = mask_of(&former);
    return 0;
}

int lr_signals_restore(uint64_t mask)
{
    sigset_t set;

    set_of(mask, &set);
    return pthread_sigmask(SIG_SETMASK, &set, NULL) != 0 ? -EINVAL : 0;
}

int lr_pidfd_open(int pid)
{
    int fd = (int) syscall(SYS_pidfd_open, pid, 0);

    return fd < 0 ? -errno : fd;
}

int lr_pidfd_signal(int pidfd, int signo)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}
