/* Says when its first instruction was executed: writes its pid and CLOCK_MONOTONIC in nanoseconds to FIFO, a line,
 * then sleeps for ever.
 *
 *     beacon FIFO
 */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    char line[64];
    int n, fd;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 2 || (fd = open(argv[1], O_WRONLY | O_CLOEXEC)) < 0)
        return 2;
    n = snprintf(line, sizeof line, "%d %lld\n", (int) getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(fd, line, (size_t) n) != n)
        return 2;
    for (;;)
        pause();
}
