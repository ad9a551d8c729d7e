/* A tree of threads and odd ends:  threaded WAY
 *
 *   early   three threads write and end before the leader
 *   leader  the leader ends first, a thread goes on
 *   exec    a thread that is not the leader executes this program again, as `early`
 *   orphans ten children make ten children each and end before them
 *   vfork   2,000 children by posix_spawn, each `true`, whose end nobody waits for
 *
 * Prints `ready`; each thread or process writes 1,000 bytes to /dev/null in one call.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static const char *program;
static int null;

static void give(void)
{
    static const char zeros[1000];

    if (write(null, zeros, sizeof zeros) != sizeof zeros)
        _exit(1);
}

static void *writes(void *unused)
{
    give();
    return unused;
}

static void *writes_later(void *leader)
{
    pthread_join(*(pthread_t *) leader, NULL);
    give();
    exit(0);
}

static void *executes(void *unused)
{
    give();
    execl(program, program, "early", (char *) NULL);
    return unused;
}

static void in_threads(void *(*start)(void *), int count, void *argument)
{
    pthread_t threads[8];

    for (int i = 0; i < count; i++)
        pthread_create(&threads[i], NULL, start, argument);
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

/* The first process reads the end of a pipe that all others have open: it ends last. */
static void orphans(void)
{
    int ends[2];
    char end;

    if (pipe(ends) < 0)
        exit(1);
    for (int i = 0; i < 10; i++)
        if (fork() == 0) {
            for (int j = 0; j < 10; j++)
                if (fork() == 0) {
                    usleep(1000);
                    give();
                    _exit(0);
                }
            give();
            _exit(0);
        }
    close(ends[1]);
    if (read(ends[0], &end, 1) != 0)
        exit(1);
}

static void storm(void)
{
    char *argv[] = { "true", NULL };
    pid_t pid;

    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 2000; i++)
        if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) != 0)
            exit(1);
    wait(NULL);
}

int main(int argc, char **argv)
{
    static pthread_t leader, other;
    const char *way = argc > 1 ? argv[1] : "early";

    program = argv[0];
    null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    puts("ready");
    fflush(stdout);
    give();
    if (strcmp(way, "early") == 0)
        in_threads(writes, 3, NULL);
    if (strcmp(way, "exec") == 0)
        in_threads(executes, 1, NULL);
    if (strcmp(way, "orphans") == 0)
        orphans();
    if (strcmp(way, "vfork") == 0)
        storm();
    if (strcmp(way, "leader") == 0) {
        leader = pthread_self();
        pthread_create(&other, NULL, writes_later, &leader);
        pthread_exit(NULL);
    }
    return 0;
}
