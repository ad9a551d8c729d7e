/* Signals and what they do to calls, each a short program:  signals WHAT [ARG]
 *
 *   sleeper          nanosleep of 0.2 s that a handled signal interrupts, after 0.05 s
 *   stopped SIGNO    stops a child in its nanosleep of 0.3 s by signal SIGNO, and continues it
 *   killed           kills a child in its read
 *   restarted        a read that a handler with SA_RESTART interrupts; the byte comes later
 *   paused           pause, until a handler without SA_RESTART ran
 *   kinds            one signal of every kind of siginfo_t that the kernel makes for an ordinary program
 *   faults           SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP with their codes and addresses, each survived
 *   nested           a handler that runs with another mask, inside another handler
 *   children         children that exit, are killed, dump core, are stopped and continued
 *   seccomp          dies of a seccomp filter at getppid
 *   trapped          the same, with SECCOMP_RET_TRAP and a handler
 *   sandboxed        the same, with SECCOMP_RET_TRACE: without a tracer that asked for it getppid fails with ENOSYS
 *   abort            dies of SIGABRT; dumps core when the limit lets it
 *   traceme          PTRACE_TRACEME, with the error it gets
 *   traces           traces a child of its own: PTRACE_SEIZE, with the error it gets
 *   report           prints the Sig* lines of its status, then the dispositions that are not the default
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void handle(int signo)
{
    (void) signo;
}

static void catch(int signo, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

    sigaction(signo, &action, NULL);
}

static void alarm_after(int milliseconds)
{
    struct itimerval timer = { .it_value = { .tv_usec = milliseconds * 1000 } };

    setitimer(ITIMER_REAL, &timer, NULL);
}

static void sleep_for(int milliseconds)
{
    struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000 };

    syscall(SYS_nanosleep, &time, NULL);
}

static int sleeper(const char *argument)
{
    (void) argument;
    catch(SIGALRM, handle, 0);
    alarm_after(50);
    sleep_for(200);
    return 0;
}

/* A child in a process group of its own, so that SIGTSTP stops it (an orphaned group it does not). */
static int stopped(const char *argument)
{
    sigset_t told;
    pid_t child = fork();

    if (child == 0) {
        setpgid(0, 0);
        sleep_for(300);
        _exit(0);
    }
    sigemptyset(&told);                /* whether a wait has begun when SIGCHLD comes would be chance */
    sigaddset(&told, SIGCHLD);
    sigprocmask(SIG_BLOCK, &told, NULL);
    sleep_for(100);
    kill(child, atoi(argument));
    waitpid(child, NULL, WUNTRACED);
    kill(child, SIGCONT);
    waitpid(child, NULL, 0);
    return 0;
}

static int killed(const char *argument)
{
    sigset_t hidden;
    int ends[2];
    char byte;
    pid_t child;

    (void) argument;
    sigemptyset(&hidden);
    sigaddset(&hidden, SIGCHLD);       /* it could come before the waiting begins, or after */
    if (pipe(ends) < 0 || sigprocmask(SIG_BLOCK, &hidden, NULL) < 0)
        return 1;
    if ((child = fork()) == 0)
        _exit(read(ends[0], &byte, 1) == 1);
    sleep_for(50);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}

static int write_end;

static void write_byte(int signo)
{
    (void) signo;
    if (write(write_end, "x", 1) != 1)
        _exit(1);
}

static int restarted(const char *argument)
{
    int ends[2];
    char byte;

    (void) argument;
    if (pipe(ends) < 0)
        return 1;
    write_end = ends[1];
    catch(SIGALRM, write_byte, SA_RESTART);
    alarm_after(50);
    return read(ends[0], &byte, 1) == 1 ? 0 : 1;
}

static int paused(const char *argument)
{
    (void) argument;
    catch(SIGALRM, handle, 0);
    alarm_after(50);
    pause();
    return 0;
}

static void queued(void)
{
    union sigval value = { .sival_ptr = (void *) 0x123456789a };

    catch(SIGRTMIN + 3, handle, 0);
    sigqueue(getpid(), SIGRTMIN + 3, value);
    value.sival_ptr = NULL;
    sigqueue(getpid(), SIGRTMIN + 3, value);
}

static void timed(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2, .sigev_value.sival_int = 77 };
    struct itimerspec soon = { .it_value = { .tv_nsec = 1000000 } };
    timer_t timer;

    catch(SIGUSR2, handle, 0);
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &soon, NULL);
    pause();
    timer_delete(timer);
}

static void told_by_descriptor(void)
{
    int ends[2];

    catch(SIGIO, handle, 0);
    if (pipe(ends) < 0)
        return;
    fcntl(ends[0], F_SETOWN, getpid());
    fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    if (write(ends[1], "x", 1) != 1)
        _exit(1);
    fcntl(ends[0], F_SETSIG, SIGIO);           /* only now does siginfo_t say which descriptor */
    if (write(ends[1], "x", 1) != 1)
        _exit(1);
    fcntl(ends[0], F_SETSIG, SIGRTMIN + 4);
    catch(SIGRTMIN + 4, handle, 0);
    if (write(ends[1], "x", 1) != 1)
        _exit(1);
    close(ends[1]);
    close(ends[0]);
}

static void told_by_queue(void)
{
    struct mq_attr attributes = { .mq_maxmsg = 1, .mq_msgsize = 8 };
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 5 };
    mqd_t queue = mq_open("/lowrun-signals", O_RDWR | O_CREAT, 0600, &attributes);

    if (queue < 0)
        return;
    mq_unlink("/lowrun-signals");
    mq_notify(queue, &event);
    mq_send(queue, "x", 1, 0);
    mq_close(queue);
}

static int kinds(const char *argument)
{
    int ends[2];

    (void) argument;
    catch(SIGUSR1, handle, 0);
    kill(getpid(), SIGUSR1);
    raise(SIGUSR1);
    queued();
    timed();
    told_by_descriptor();
    told_by_queue();
    catch(SIGALRM, handle, 0);
    alarm_after(1);
    pause();
    catch(SIGPIPE, handle, 0);
    if (pipe(ends) < 0 || close(ends[0]) < 0 || write(ends[1], "x", 1) >= 0)
        return 1;
    catch(SIGURG, handle, 0);
    syscall(SYS_tgkill, getpid(), getpid(), SIGURG);
    return 0;
}

static volatile char *bad;

static void skip(int signo, siginfo_t *info, void *context)
{
    ucontext_t *where = context;
    greg_t *ip = &where->uc_mcontext.gregs[REG_RIP];

    (void) info;
    *ip += signo == SIGTRAP ? 0 : signo == SIGFPE ? 2 : signo == SIGILL ? 2 : 3;
}

static void fault_at(volatile char *address)
{
    __asm__ volatile("movb $1, (%%rdi); nop" : : "D" (address) : "memory");    /* 3 bytes */
}

static int faults(const char *argument)
{
    struct sigaction action = { .sa_sigaction = skip, .sa_flags = SA_SIGINFO };
    char *page, *beyond;
    int file = memfd_create("empty", 0);

    (void) argument;
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGTRAP, &action, NULL);
    page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    beyond = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    bad = NULL;
    fault_at(bad);
    fault_at(page);
    fault_at(beyond);
    fault_at((char *) 0x8000000000000000);     /* not canonical: no address is told */
    __asm__ volatile("xor %%edx, %%edx; xor %%ecx, %%ecx; mov $1, %%eax; idiv %%ecx" : : : "eax", "ecx", "edx");
    __asm__ volatile("ud2");
    __asm__ volatile("int3");
    return 0;
}

static void send_other(int signo)
{
    (void) signo;
    raise(SIGUSR2);
}

static int nested(const char *argument)
{
    struct sigaction action = { .sa_handler = send_other };

    (void) argument;
    sigaddset(&action.sa_mask, SIGHUP);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGRTMIN + 5);
    sigaction(SIGUSR1, &action, NULL);
    catch(SIGUSR2, handle, 0);
    raise(SIGUSR1);
    return 0;
}

static int children(const char *argument)
{
    struct rlimit no_core = { 0, 0 };
    pid_t child;

    (void) argument;
    catch(SIGCHLD, handle, SA_RESTART);
    setrlimit(RLIMIT_CORE, &no_core);
    if ((child = fork()) == 0)
        _exit(3);
    waitpid(child, NULL, 0);
    if ((child = fork()) == 0)
        for (;;)
            pause();
    kill(child, SIGSTOP);
    waitpid(child, NULL, WUNTRACED);
    kill(child, SIGCONT);
    waitpid(child, NULL, WCONTINUED);
    kill(child, SIGTERM);
    waitpid(child, NULL, 0);
    if ((child = fork()) == 0)
        abort();
    waitpid(child, NULL, 0);
    return 0;
}

static void filter_getppid(unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };

    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int seccomp(const char *argument)
{
    (void) argument;
    filter_getppid(SECCOMP_RET_KILL_PROCESS);
    getppid();
    return 1;
}

static int trapped(const char *argument)
{
    (void) argument;
    catch(SIGSYS, handle, 0);
    filter_getppid(SECCOMP_RET_TRAP | 7);
    getppid();
    return 0;
}

static int sandboxed(const char *argument)
{
    (void) argument;
    filter_getppid(SECCOMP_RET_TRACE);
    return getppid() == -1 && errno == ENOSYS ? 0 : 1;
}

static int aborts(const char *argument)
{
    (void) argument;
    abort();
}

static int traceme(const char *argument)
{
    (void) argument;
    puts(ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? strerrorname_np(errno) : "traced");
    return 0;
}

static int traces(const char *argument)
{
    pid_t child = fork();

    (void) argument;
    if (child == 0)
        for (;;)
            pause();
    puts(ptrace(PTRACE_SEIZE, child, 0, 0) < 0 ? strerrorname_np(errno) : "traced");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}

static int report(const char *argument)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];

    (void) argument;
    while (status != NULL && fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, "SigQ", 4) != 0 && (strncmp(line, "Sig", 3) == 0 || strncmp(line, "Shd", 3) == 0
                                              || strncmp(line, "NoNewPrivs", 10) == 0))
            fputs(line, stdout);
    for (int signo = 1; signo < 65; signo++) {
        struct sigaction action;

        if (sigaction(signo, NULL, &action) == 0 && (action.sa_handler != SIG_DFL || action.sa_flags != 0))
            printf("%d: %s %#x\n", signo, action.sa_handler == SIG_IGN ? "ignored" : "other", action.sa_flags);
    }
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const char *argument);
} all[] = {
    { "sleeper", sleeper }, { "stopped", stopped }, { "killed", killed }, { "restarted", restarted }, { "paused", paused },
    { "kinds", kinds }, { "faults", faults }, { "nested", nested }, { "children", children },
    { "seccomp", seccomp }, { "trapped", trapped }, { "sandboxed", sandboxed }, { "abort", aborts },
    { "traceme", traceme }, { "traces", traces }, { "report", report },
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < sizeof all / sizeof *all; i++)
        if (strcmp(argv[1], all[i].name) == 0) {
            puts("ready");
            fflush(stdout);
            return all[i].run(argc > 2 ? argv[2] : "0");
        }
    fputs("usage: signals WHAT [ARG]; see its source\n", stderr);
    return 2;
}
