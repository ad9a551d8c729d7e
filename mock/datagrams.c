/* Sends COUNT numbered UDP datagrams of SIZE bytes to a socket of its own on
 * loopback, as fast as it can: datagrams COUNT SIZE CODE. Prints `ready` and
 * its port; the number is the first 8 bytes, in the network's order. Exits
 * with CODE right after the last one. */
#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof(address);
    int receiver = socket(AF_INET, SOCK_DGRAM, 0), sender = socket(AF_INET, SOCK_DGRAM, 0);
    static char data[65536];
    long count, bytes;

    if (argc != 4)
        return 2;
    count = atol(argv[1]);
    bytes = atol(argv[2]);
    if (bind(receiver, (struct sockaddr *) &address, size) < 0
        || getsockname(receiver, (struct sockaddr *) &address, &size) < 0
        || connect(sender, (struct sockaddr *) &address, size) < 0)
        return 3;
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (long i = 0; i < count; i++) {
        uint64_t number = htobe64((uint64_t) i);

        memcpy(data, &number, sizeof(number));
        if (send(sender, data, (size_t) bytes, 0) != bytes)
            return 4;
    }
    return atoi(argv[3]);
}
