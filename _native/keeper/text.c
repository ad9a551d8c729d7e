/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Strings and small files, for a program without libc. memcpy and memset are
 * here because the compiler may call them on its own account.
 */
#include <errno.h>
#include <linux/fcntl.h>

#include "keeper.h"

void *memcpy(void *to, const void *from, size_t size)
{
    char *target = to;
    const char *source = from;

    while (size--)
        *target++ = *source++;
    return to;
}

void *memset(void *at, int byte, size_t size)
{
    char *target = at;

    while (size--)
        *target++ = (char) byte;
    return at;
}

size_t text_length(const char *text)
{
    size_t length = 0;

    while (text[length])
        length++;
    return length;
}

char *text_copy(char *to, const char *from)
{
    while (*from)
        *to++ = *from++;
    *to = '\0';
    return to;
}

char *text_number(char *to, uint64_t number)
{
    char digits[20];
    int n = 0;

    do {
        digits[n++] = (char) ('0' + number % 10);
        number /= 10;
    } while (number);
    while (n)
        *to++ = digits[--n];
    *to = '\0';
    return to;
}

/* Takes a decimal number at *at and moves it past the number. */
uint64_t text_parse(const char **at)
{
    uint64_t number = 0;

    while (**at >= '0' && **at <= '9')
        number = number * 10 + (uint64_t) (*(*at)++ - '0');
    return number;
}

long text_read(int directory, const char *path, char *ret_text, size_t size)
{
    long fd = SYS4(openat, directory, path, O_RDONLY | O_CLOEXEC, 0);
    long total = 0, n;

    if (fd < 0)
        return fd;
    while ((n = SYS3(read, fd, ret_text + total, size - 1 - (size_t) total)) > 0)
        total += n;
    SYS1(close, fd);
    if (n < 0)
        return n;
    ret_text[total] = '\0';
    return total;
}

long text_write(int directory, const char *path, const char *text)
{
    long fd = SYS4(openat, directory, path, O_WRONLY | O_CLOEXEC, 0), n;

    if (fd < 0)
        return fd;
    n = SYS3(write, fd, text, text_length(text));
    SYS1(close, fd);
    return n;
}
