/* Children one after the other, each burning CPU time:  burners COUNT MILLISECONDS [ignore]
 *
 * Prints `ready`, then a line for each child and one for itself at its end: the
 * nanoseconds of CPU time that CLOCK_PROCESS_CPUTIME_ID says it used. With `ignore` SIGCHLD is ignored, so
 * wait4 tells the parent nothing of them.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long used(void)
{
    struct timespec at;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500;
    long long burn = (argc > 2 ? atoi(argv[2]) : 4) * 1000000LL;

    if (argc > 3)
        signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    while (count-- > 0) {
        if (fork() == 0) {
            while (used() < burn)
                ;
            printf("%lld\n", used());
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
    }
    printf("%lld\n", used());
    return 0;
}
