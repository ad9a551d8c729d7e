/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds the place in a capture from which on its packets are recent enough and
 * not too many: blocks lead from one to the next, so all before it are passed.
 */
#include "lowrun.h"

#include <sys/mman.h>
#include <sys/stat.h>

#define LEAST 32                        /* bytes of an Enhanced Packet Block */

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

static uint64_t find(const uint8_t *data, uint64_t size, uint64_t at, uint64_t room, uint64_t since_ns)
{
    while (at + LEAST <= size) {
        uint64_t ns = (uint64_t) word(data + at + 12) << 32 | word(data + at + 16);
        uint32_t total = word(data + at + 4);

        if (size - at <= room && ns >= since_ns)
            return at;
        if (total < LEAST)
            break;
        at += total;
    }
    return size;
}

/* Where the first packet begins, among those from byte `first` on, that is not older than `since_ns` and has no more
 * than `room` bytes from its beginning to the end of the file: where the file ends, if there is none. */
int64_t lr_packets_recent(int fd, uint64_t first, uint64_t room, uint64_t since_ns)
{
    struct stat file;
    void *data;
    uint64_t found;

    if (fstat(fd, &file) < 0)
        return -errno;
    if ((uint64_t) file.st_size <= first)
        return file.st_size;
    data = mmap(NULL, (size_t) file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return -errno;
    found = find(data, (uint64_t) file.st_size, first, room, since_ns);
    munmap(data, (size_t) file.st_size);
    return (int64_t) found;
}
