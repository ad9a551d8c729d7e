/* Sends COUNT datagrams of 100 bytes over loopback, as fast as it can, to a
 * socket of its own that nobody reads (so nothing answers), and says how long
 * that took: seconds.
 *
 *     flood COUNT
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    socklen_t size = sizeof to;
    char payload[100] = "lowrun";
    int reader = socket(AF_INET, SOCK_DGRAM, 0), writer = socket(AF_INET, SOCK_DGRAM, 0);
    long count = argc > 1 ? atol(argv[1]) : 1000;
    double began;

    if (bind(reader, (struct sockaddr *) &to, size) < 0 || getsockname(reader, (struct sockaddr *) &to, &size) < 0
        || connect(writer, (struct sockaddr *) &to, size) < 0) {
        perror("flood");
        return 1;
    }
    began = now();
    for (long i = 0; i < count; i++)
        if (send(writer, payload, sizeof payload, 0) < 0) {
            perror("flood: send");
            return 1;
        }
    printf("%.6f\n", now() - began);
    return 0;
}
