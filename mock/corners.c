/* The corners of tracing, each a short program:  corners WHAT [ARG]
 *
 *   parked FD PROGRAM...  waits for a byte (or the end) on FD, then executes PROGRAM
 *   single                a fixed row of calls in one thread
 *   loop N                N times open, read, close; prints the seconds it took
 *   getppid N             N times getppid; prints the seconds it took
 *   contended THREADS N   THREADS threads of N getppid each, at once; prints the seconds it took
 *   threads N             N threads of 100 getppid each
 *   exec-by-thread        a thread that is not the leader executes `single`
 *   leader-first          the leader ends, a thread makes 100 getppid and then ends with 7
 *   vfork                 a vfork child executes `single`
 *   signals               handles SIGUSR1 that it sends itself, 3 times; then dies of SIGTERM
 *   children N            N children, one after the other, each exits with 0
 *   wait                  waits on its standard input, then exits with 5
 *
 * Each prints `ready` first, but for `parked` and those that print how long they took.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char *self;

static int parked(int argc, char **argv)
{
    char byte;

    (void) argc;
    if (read(atoi(argv[0]), &byte, 1) < 0)
        return 1;
    execvp(argv[1], argv + 1);
    return 127;
}

static int single(int argc, char **argv)
{
    char bytes[8];
    int fd = open("/dev/zero", O_RDONLY);

    (void) argc, (void) argv;
    if (read(fd, bytes, sizeof bytes) != sizeof bytes || lseek(fd, 0, SEEK_SET) < 0)
        return 1;
    close(fd);
    access("/nonexistent", R_OK);
    read(-1, NULL, 0);
    open((char *) 8, O_RDONLY);
    return getppid() > 0 ? 0 : 1;
}

static void print_seconds_since(const struct timespec *began)
{
    struct timespec ended;

    clock_gettime(CLOCK_MONOTONIC, &ended);
    printf("%.6f\n", (double) (ended.tv_sec - began->tv_sec) + (double) (ended.tv_nsec - began->tv_nsec) / 1e9);
}

static int loop(int argc, char **argv)
{
    struct timespec began;
    char bytes[64];

    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int left = argc > 0 ? atoi(argv[0]) : 1000; left > 0; left--) {
        int fd = open("/etc/passwd", O_RDONLY);

        if (read(fd, bytes, sizeof bytes) < 0)
            return 1;
        close(fd);
    }
    print_seconds_since(&began);
    return 0;
}

static int count;

static void *ask_parent(void *unused)
{
    for (int left = count; left > 0; left--)
        syscall(SYS_getppid);
    return unused;
}

static int getppids(int argc, char **argv)
{
    struct timespec began;

    count = argc > 0 ? atoi(argv[0]) : 1000;
    clock_gettime(CLOCK_MONOTONIC, &began);
    ask_parent(NULL);
    print_seconds_since(&began);
    return 0;
}

static int contended(int argc, char **argv)
{
    struct timespec began;
    pthread_t all[64];
    int threads = argc > 0 ? atoi(argv[0]) : 4;

    count = argc > 1 ? atoi(argv[1]) : 1000;
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (int i = 0; i < threads && i < 64; i++)
        pthread_create(&all[i], NULL, ask_parent, NULL);
    for (int i = 0; i < threads && i < 64; i++)
        pthread_join(all[i], NULL);
    print_seconds_since(&began);
    return 0;
}

static void *hundred(void *unused)
{
    for (int i = 0; i < 100; i++)
        syscall(SYS_getppid);
    return unused;
}

static int threads(int argc, char **argv)
{
    pthread_t all[64];
    int count = argc > 0 ? atoi(argv[0]) : 8;

    for (int i = 0; i < count; i++)
        pthread_create(&all[i], NULL, hundred, NULL);
    for (int i = 0; i < count; i++)
        pthread_join(all[i], NULL);
    return 0;
}

static void *execute(void *unused)
{
    usleep(20000);                     /* the leader waits by then */
    execl(self, self, "single", NULL);
    return unused;
}

static int exec_by_thread(int argc, char **argv)
{
    pthread_t thread;

    (void) argc, (void) argv;
    pthread_create(&thread, NULL, execute, NULL);
    pthread_join(thread, NULL);
    return 1;
}

static void *hundred_and_exit(void *leader)
{
    pthread_join(*(pthread_t *) leader, NULL);
    hundred(NULL);
    exit(7);
}

static int leader_first(int argc, char **argv)
{
    static pthread_t leader;
    pthread_t thread;

    (void) argc, (void) argv;
    leader = pthread_self();
    pthread_create(&thread, NULL, hundred_and_exit, &leader);
    pthread_exit(NULL);
}

static int vforks(int argc, char **argv)
{
    int status;
    pid_t child = vfork();

    (void) argc, (void) argv;
    if (child == 0) {
        execl(self, self, "single", NULL);
        _exit(127);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

static void handle(int signo)
{
    (void) signo;
}

static int signals(int argc, char **argv)
{
    (void) argc, (void) argv;
    signal(SIGUSR1, handle);
    for (int i = 0; i < 3; i++)
        raise(SIGUSR1);
    raise(SIGTERM);
    return 1;
}

static int children(int argc, char **argv)
{
    for (int left = argc > 0 ? atoi(argv[0]) : 10; left > 0; left--) {
        if (fork() == 0)
            _exit(0);
        wait(NULL);
    }
    return 0;
}

static int waits(int argc, char **argv)
{
    char byte;

    (void) argc, (void) argv;
    while (read(0, &byte, 1) > 0)
        ;
    return 5;
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    int quiet;
} corners[] = {
    { "parked", parked, 1 }, { "single", single, 0 }, { "loop", loop, 1 }, { "getppid", getppids, 1 },
    { "contended", contended, 1 }, { "threads", threads, 0 },
    { "exec-by-thread", exec_by_thread, 0 }, { "leader-first", leader_first, 0 }, { "vfork", vforks, 0 },
    { "signals", signals, 0 }, { "children", children, 0 }, { "wait", waits, 0 },
};

int main(int argc, char **argv)
{
    self = argv[0];
    for (size_t i = 0; argc > 1 && i < sizeof corners / sizeof *corners; i++)
        if (strcmp(argv[1], corners[i].name) == 0) {
            if (!corners[i].quiet) {
                puts("ready");
                fflush(stdout);
            }
            return corners[i].run(argc - 2, argv + 2);
        }
    fputs("usage: corners WHAT [ARG]; see its source\n", stderr);
    return 2;
}
