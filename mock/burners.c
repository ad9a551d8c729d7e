/* Children one after the other, each burning CPU time:  burners COUNT MILLISECONDS [ignore|wait [BYTES [CODE]]]
 *
 * Prints `ready`, then a line for each child and one for itself at its end: the
 * nanoseconds of CPU time that CLOCK_PROCESS_CPUTIME_ID says it used. With `ignore` SIGCHLD is ignored, so
 * wait4 tells the parent nothing of them. With BYTES (65536 at most) each child writes so many to /dev/null, in one
 * call. It exits with CODE, 0 without.
 *
 * Children are processes that share their parent's memory (clone(2), CLONE_VM). What a child cannot tell is what the
 * kernel does after it has read the clock: for a copy of the memory, that it is taken down, 0.1 ms and more where
 * others use the caches; so, 0.04 ms.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long used(void)
{
    struct timespec at;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static long long burn;
static size_t bytes;
static int null;

static void say_used(void)
{
    char line[32];
    int size = snprintf(line, sizeof line, "%lld\n", used());

    if (write(STDOUT_FILENO, line, (size_t) size) != size)
        _exit(1);
}

static int child(void *unused)
{
    static const char zeros[65536];

    (void) unused;
    while (used() < burn)
        ;
    if (bytes > 0 && write(null, zeros, bytes) != (ssize_t) bytes)
        _exit(1);
    say_used();
    _exit(0);
}

int main(int argc, char **argv)
{
    static char stack[65536] __attribute__((aligned(16)));
    int count = argc > 1 ? atoi(argv[1]) : 500;

    burn = (argc > 2 ? atoi(argv[2]) : 4) * 1000000LL;
    bytes = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    null = open("/dev/null", O_WRONLY);

    if (argc > 3 && strcmp(argv[3], "ignore") == 0)
        signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    while (count-- > 0) {
        if (clone(child, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL) < 0)
            return 2;
        wait(NULL);
    }
    say_used();
    return argc > 5 ? atoi(argv[5]) : 0;
}
