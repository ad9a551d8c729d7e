/* Fetches http://127.0.0.1:PORT/PATH by plain read and write calls, writes what it got to FILE, says how many bytes
 * it wrote to and read from the socket, and fails.
 *
 *     fetch PORT PATH FILE
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
    static char buffer[65536];
    long sent, received = 0, n;
    int server = socket(AF_INET, SOCK_STREAM, 0), file;

    if (argc < 4)
        return 2;
    to.sin_port = htons((unsigned short) atoi(argv[1]));
    file = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || connect(server, (struct sockaddr *) &to, sizeof to) < 0) {
        perror("fetch");
        return 2;
    }
    sent = write(server, buffer, (size_t) snprintf(buffer, sizeof buffer, "GET %s HTTP/1.0\r\n\r\n", argv[2]));
    while ((n = read(server, buffer, sizeof buffer)) > 0) {
        received += n;
        if (write(file, buffer, (size_t) n) != n)
            return 2;
    }
    close(server);
    printf("%ld %ld\n", sent, received);
    fflush(stdout);
    return 1;
}
