/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts the packets of a capture in order of time: a ring's packets can be
 * stamped on one processor and entered on another, and rings are emptied one
 * after the other. Memory: 16 bytes a packet.
 */
#include "lowrun.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUFFER (1 << 20)
#define EPB_TYPE 6

struct place {
    uint64_t ns;
    uint64_t offset;
};

static int older(const void *left, const void *right)
{
    const struct place *a = left, *b = right;

    if (a->ns != b->ns)
        return a->ns < b->ns ? -1 : 1;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Finds the packets; returns how many, or -errno. */
static int64_t find(const uint8_t *data, uint64_t size, uint64_t at, struct place **ret_places)
{
    struct place *places = NULL;
    int64_t count = 0, room = 0;

    while (at + 12 <= size) {
        uint32_t total = word(data + at + 4);

        if (word(data + at) != EPB_TYPE || total < 32 || total > size - at)
            break;
        if (count == room) {
            struct place *more = realloc(places, (size_t) (room = room * 2 + 4096) * sizeof(*places));

            if (more == NULL) {
                free(places);
                return -ENOMEM;
            }
            places = more;
        }
        places[count].ns = (uint64_t) word(data + at + 12) << 32 | word(data + at + 16);
        places[count++].offset = at;
        at += total;
    }
    *ret_places = places;
    return at == size ? count : (free(places), -EINVAL);
}

struct out {
    int fd;
    size_t size;
    uint8_t *data;
};

static int write_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, data, size);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0) {
            data += n;
            size -= (size_t) n;
        }
    }
    return 0;
}

static int flush(struct out *out)
{
    size_t size = out->size;

    out->size = 0;
    return write_all(out->fd, out->data, size);
}

static int append(struct out *out, const uint8_t *data, size_t size)
{
    int error = out->size + size > BUFFER ? flush(out) : 0;

    if (error < 0 || size > BUFFER)
        return error < 0 ? error : write_all(out->fd, data, size);
    memcpy(out->data + out->size, data, size);
    out->size += size;
    return 0;
}

static int write_sorted(const uint8_t *data, uint64_t first, const struct place *places, int64_t count, int to)
{
    struct out out = { .fd = to, .data = malloc(BUFFER) };
    int error = out.data == NULL ? -ENOMEM : append(&out, data, first);

    for (int64_t i = 0; i < count && error == 0; i++)
        error = append(&out, data + places[i].offset, word(data + places[i].offset + 4));
    if (error == 0)
        error = flush(&out);
    free(out.data);
    return error;
}

/* Copies `from` to `to`: all before `first` as it is, and the packets from there to the end in order of time. */
int lr_packets_sort(int from, int to, uint64_t first)
{
    struct place *places = NULL;
    struct stat status;
    uint8_t *data;
    int64_t count;
    int error;

    if (fstat(from, &status) < 0)
        return -errno;
    data = mmap(NULL, (size_t) status.st_size, PROT_READ, MAP_SHARED, from, 0);
    if (data == MAP_FAILED)
        return -errno;
    count = find(data, (uint64_t) status.st_size, first, &places);
    error = count < 0 ? (int) count : 0;
    if (count > 0)
        qsort(places, (size_t) count, sizeof(*places), older);
    if (count >= 0) {
        error = write_sorted(data, first, places, count, to);
        free(places);
    }
    munmap(data, (size_t) status.st_size);
    return error;
}
