/* A tree of N processes (the first included) that live for SECONDS: each
 * computes for some 20 microseconds, 200 times a second, so none is ever idle
 * between two samples and all together hardly need a processor.
 *
 *     busy_tree N SECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    int processes = argc > 1 ? atoi(argv[1]) : 10;
    double end = now(CLOCK_MONOTONIC) + (argc > 2 ? atof(argv[2]) : 1);
    const struct timespec pause = { .tv_nsec = 5000000 };

    puts("ready");
    fflush(stdout);
    for (int i = 1; i < processes; i++)
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            processes = 0;
        }
    while (now(CLOCK_MONOTONIC) < end) {
        double burnt = now(CLOCK_MONOTONIC) + 20e-6;

        while (now(CLOCK_MONOTONIC) < burnt)
            ;
        nanosleep(&pause, NULL);
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
