/* A server that is handed its socket (sd_listen_fds(3)): says its pid to whoever connects. Exits with 3 without one. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
    const char *count = getenv("LISTEN_FDS"), *pid = getenv("LISTEN_PID");
    char text[16];
    int size = snprintf(text, sizeof text, "%d\n", (int) getpid());

    if (!count || atoi(count) != 1 || !pid || atoi(pid) != getpid())
        return 3;
    for (;;) {
        int client = accept(3, NULL, NULL);

        if (client < 0)
            return 4;
        if (write(client, text, (size_t) size) != size)
            perror("write");
        close(client);
    }
}
