/* Says when its first instruction was executed: writes its pid and CLOCK_MONOTONIC in nanoseconds to the FIFO that
 * $BEACON_FIFO names, a line, then, to the descriptor that $BEACON_READY names, if any, the newline by which s6's
 * services say that they are ready; then sleeps for ever. Takes no arguments: it can be a service directory's ./run.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void)
{
    const char *fifo = getenv("BEACON_FIFO"), *ready = getenv("BEACON_READY");
    struct timespec now;
    char line[64];
    int n, fd;

    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!fifo || (fd = open(fifo, O_WRONLY | O_CLOEXEC)) < 0)
        return 2;
    n = snprintf(line, sizeof line, "%d %lld\n", (int) getpid(), now.tv_sec * 1000000000LL + now.tv_nsec);
    if (write(fd, line, (size_t) n) != n)
        return 2;
    if (ready && write(atoi(ready), "\n", 1) != 1)
        return 2;
    for (;;)
        pause();
}
