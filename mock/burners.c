/* Children one after the other, each burning CPU time:  burners COUNT MILLISECONDS [ignore|wait [BYTES [CODE]]]
 *
 * Prints `ready`, then a line for each child and one for itself at its end: the
 * nanoseconds of CPU time that CLOCK_PROCESS_CPUTIME_ID says it used. With `ignore` SIGCHLD is ignored, so
 * wait4 tells the parent nothing of them. With BYTES (65536 at most) each child writes so many to /dev/null, in one
 * call. It exits with CODE, 0 without.
 */
#include <fcntl.h>
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

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500;
    long long burn = (argc > 2 ? atoi(argv[2]) : 4) * 1000000LL;
    size_t bytes = argc > 4 ? strtoul(argv[4], NULL, 10) : 0;
    int null = open("/dev/null", O_WRONLY);
    static char zeros[65536];

    if (argc > 3 && strcmp(argv[3], "ignore") == 0)
        signal(SIGCHLD, SIG_IGN);
    puts("ready");
    fflush(stdout);
    while (count-- > 0) {
        if (fork() == 0) {
            while (used() < burn)
                ;
            if (bytes > 0 && write(null, zeros, bytes) != (ssize_t) bytes)
                _exit(1);
            printf("%lld\n", used());
            fflush(stdout);
            _exit(0);
        }
        wait(NULL);
    }
    printf("%lld\n", used());
    return argc > 5 ? atoi(argv[5]) : 0;
}
