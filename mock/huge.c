/* Calls with more to show than one record of the tracer holds. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define MANY 400

int main(void)
{
    static char text[100000], word[3001], *words[MANY + 1];
    struct iovec vector[MANY];
    int fd = open("/dev/null", O_WRONLY);

    memset(text, 'x', sizeof text);
    memset(word, 'y', sizeof word - 1);
    for (int i = 0; i < MANY; i++) {
        words[i] = word;
        vector[i] = (struct iovec) { word, sizeof word - 1 };
    }
    puts("ready");
    fflush(stdout);
    if (write(fd, text, sizeof text) < 0 || writev(fd, vector, MANY) < 0)
        return 1;
    execve("/nonexistent", words, words + MANY);
    return 0;
}
