/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Puts the packets of a capture in order of time: a ring's packets can be
 * stamped on one processor and entered on another, and rings are emptied one
 * after the other. Memory: 16 bytes a packet, twice that where very many are out of place.
 *
 * Mostly a few packets stand some places behind theirs. Then the stretches they
 * are in are written again where they are (lr_packets_mend); a second file, all
 * of it, costs more than the whole capture did, since it is the pages of a file
 * that are dear. Only where a stretch is very long is it made (lr_packets_sort).
 *
 * All this gives up soon with -ECANCELED when another thread sets `*stop`; what
 * was put in order until then stays so.
 */
#include "lowrun.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define BUFFER (1 << 20)
#define EPB_TYPE 6
#define LONGEST (16 << 20)              /* a stretch that is written again in place */
#define GATHERED (256 << 10)            /* stretches are written together up to so many bytes, */
#define NEAR (32 << 10)                 /* when no more than so many are between them */
#define MOVES 32                        /* for each packet; with more, they are sorted anew */

struct place {
    uint64_t ns;
    uint64_t offset;
};

static int older(const struct place *a, const struct place *b)
{
    return a->ns != b->ns ? a->ns < b->ns : a->offset < b->offset;
}

static int stopped(const uint32_t *stop)
{
    return __atomic_load_n(stop, __ATOMIC_RELAXED) != 0;
}

static uint32_t word(const uint8_t *at)
{
    uint32_t value;

    memcpy(&value, at, sizeof(value));
    return value;
}

/* Finds the packets; returns how many, or -errno. The places are the caller's to free in any case. */
static int64_t find(const uint8_t *data, uint64_t size, uint64_t at, const uint32_t *stop, struct place **ret_places)
{
    struct place *places = NULL;
    int64_t count = 0, room = 0;

    while (at + 12 <= size) {
        uint32_t total = word(data + at + 4);

        if (word(data + at) != EPB_TYPE || total < 32 || total > size - at || stopped(stop))
            break;
        if (count == room) {
            struct place *more = realloc(places, (size_t) (room = room * 2 + 4096) * sizeof(*places));

            if (more == NULL) {
                *ret_places = places;
                return -ENOMEM;
            }
            places = more;
        }
        places[count].ns = (uint64_t) word(data + at + 12) << 32 | word(data + at + 16);
        places[count++].offset = at;
        at += total;
    }
    *ret_places = places;
    if (at == size)
        return count;
    return stopped(stop) ? -ECANCELED : -EINVAL;
}

/* Moves those that are out of place to where they belong; 0: there are too many. */
static int move_few(struct place *places, int64_t count, const uint32_t *stop)
{
    int64_t moves = count * MOVES;

    for (int64_t i = 1; i < count && !stopped(stop); i++) {
        struct place place = places[i];
        int64_t at = i;

        for (; at > 0 && older(&place, &places[at - 1]); at--, moves--)
            places[at] = places[at - 1];
        places[at] = place;
        if (moves < 0)
            return 0;
    }
    return 1;
}

/* Both are in order of time; so is `to` then, which has room for both. */
static void merge(const struct place *left, int64_t lefts, const struct place *right, int64_t rights, struct place *to)
{
    while (lefts > 0 && rights > 0) {
        if (older(right, left)) {
            *to++ = *right++;
            rights--;
        } else {
            *to++ = *left++;
            lefts--;
        }
    }
    memcpy(to, left, (size_t) lefts * sizeof(*to));
    memcpy(to + lefts, right, (size_t) rights * sizeof(*to));
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Merges parts of 1, 2, 4... places between `*places` and as many others; qsort(3) could not be stopped. */
static int merge_all(struct place **places, int64_t count, const uint32_t *stop)
{
    struct place *from = *places, *to = malloc((size_t) count * sizeof(*to)), *other;

    if (to == NULL)
        return -ENOMEM;
    for (int64_t part = 1; part < count; part *= 2) {
        for (int64_t at = 0; at < count && !stopped(stop); at += 2 * part) {
            int64_t lefts = least(part, count - at), rights = least(part, count - at - lefts);

            merge(from + at, lefts, from + at + lefts, rights, to + at);
        }
        other = from;
        from = to;
        to = other;
    }
    free(to);
    *places = from;
    return stopped(stop) ? -ECANCELED : 0;
}

struct sorted {
    uint8_t *data;
    uint64_t size;
    struct place *places;
    int64_t count;
    const uint32_t *stop;
};

static void close_sorted(struct sorted *sorted)
{
    free(sorted->places);
    munmap(sorted->data, sorted->size);
}

/* Maps the file and finds its packets' order. */
static int open_sorted(int fd, uint64_t first, const uint32_t *stop, struct sorted *ret_sorted)
{
    struct stat status;
    int error;

    if (fstat(fd, &status) < 0)
        return -errno;
    ret_sorted->size = (uint64_t) status.st_size;
    ret_sorted->places = NULL;
    ret_sorted->stop = stop;
    ret_sorted->data = mmap(NULL, ret_sorted->size, PROT_READ, MAP_SHARED, fd, 0);
    if (ret_sorted->data == MAP_FAILED)
        return -errno;
    ret_sorted->count = find(ret_sorted->data, ret_sorted->size, first, stop, &ret_sorted->places);
    error = ret_sorted->count < 0 ? (int) ret_sorted->count : 0;
    if (error == 0 && !move_few(ret_sorted->places, ret_sorted->count, stop))
        error = merge_all(&ret_sorted->places, ret_sorted->count, stop);
    if (error == 0 && stopped(stop))
        error = -ECANCELED;
    if (error < 0)
        close_sorted(ret_sorted);
    return error;
}

static uint32_t size_of(const struct sorted *sorted, int64_t i)
{
    return word(sorted->data + sorted->places[i].offset + 4);
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

static int write_sorted(const struct sorted *sorted, uint64_t first, int to)
{
    struct out out = { .fd = to, .data = malloc(BUFFER) };
    int error = out.data == NULL ? -ENOMEM : append(&out, sorted->data, first);

    for (int64_t i = 0; i < sorted->count && error == 0; i++)
        error = stopped(sorted->stop) ? -ECANCELED
                                      : append(&out, sorted->data + sorted->places[i].offset, size_of(sorted, i));
    if (error == 0)
        error = flush(&out);
    free(out.data);
    return error;
}

/* Copies `from` to `to`: all before `first` as it is, and the packets from there to the end in order of time. */
int lr_packets_sort(int from, int to, uint64_t first, const uint32_t *stop)
{
    struct sorted sorted;
    int error = open_sorted(from, first, stop, &sorted);

    if (error < 0)
        return error;
    error = write_sorted(&sorted, first, to);
    close_sorted(&sorted);
    return error;
}

/* Packets from number `from` to before `to` belong to the bytes from `start` to `end`. */
struct stretch {
    int64_t from, to;
    uint64_t start, end;
};

/* `stretch->to` and `->end` are where all packets were in place until now and the next one is not: goes on to where
 * as many bytes have been passed as reach to the end of the hindmost of them, so that they are all there. */
static void pass_disorder(const struct sorted *sorted, struct stretch *stretch)
{
    uint64_t hindmost = stretch->end;

    do {
        uint32_t size = size_of(sorted, stretch->to);
        uint64_t end = sorted->places[stretch->to++].offset + size;

        stretch->end += size;
        if (end > hindmost)
            hindmost = end;
    } while (stretch->end < hindmost);
}

/* Goes on to the next packet that is not in place, or so many bytes, or to the end; returns whether it is the first.
 * When all is to stop there is none. */
static int pass_order(const struct sorted *sorted, struct stretch *stretch, uint64_t most)
{
    const uint64_t start = stretch->end;

    for (; stretch->to < sorted->count && stretch->end - start < most && !stopped(sorted->stop); stretch->to++) {
        if (sorted->places[stretch->to].offset != stretch->end)
            return 1;
        stretch->end += size_of(sorted, stretch->to);
    }
    return 0;
}

/* The next stretch out of order behind `stretch`, those near to it included; 0: there is none. */
static int next_stretch(const struct sorted *sorted, struct stretch *stretch)
{
    struct stretch more;

    if (!pass_order(sorted, stretch, UINT64_MAX))
        return 0;
    stretch->from = stretch->to;
    stretch->start = stretch->end;
    pass_disorder(sorted, stretch);
    for (more = *stretch; more.end - more.start < GATHERED && pass_order(sorted, &more, NEAR); *stretch = more)
        pass_disorder(sorted, &more);
    return 1;
}

static int write_at(int fd, const uint8_t *data, uint64_t size, uint64_t at)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t) (at + done));

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            done += (uint64_t) n;
    }
    return 0;
}

/* Writes the stretch in order; where that fails, as it was. */
static int rewrite(const struct sorted *sorted, const struct stretch *stretch, int fd)
{
    uint64_t size = stretch->end - stretch->start;
    uint8_t *former = malloc(2 * size), *ordered, *to;
    int error;

    if (former == NULL)
        return -ENOMEM;
    to = ordered = former + size;
    memcpy(former, sorted->data + stretch->start, size);
    for (int64_t i = stretch->from; i < stretch->to; i++) {
        const uint8_t *packet = former + (sorted->places[i].offset - stretch->start);

        memcpy(to, packet, word(packet + 4));
        to += word(packet + 4);
    }
    error = write_at(fd, ordered, size, stretch->start);
    if (error < 0)
        write_at(fd, former, size, stretch->start);
    free(former);
    return error;
}

static int mend(const struct sorted *sorted, uint64_t first, int fd)
{
    struct stretch stretch = { .end = first };
    int error = 0;

    while (next_stretch(sorted, &stretch))
        if (stretch.end - stretch.start > LONGEST)
            return 1;
    stretch = (struct stretch) { .end = first };
    while (error == 0 && next_stretch(sorted, &stretch))
        error = rewrite(sorted, &stretch, fd);
    return error == 0 && stopped(sorted->stop) ? -ECANCELED : error;
}

/* Puts the packets from `first` to the end of the file in order of time, where they are: 0; 1: a stretch that is out of
 * order is so long that it is not done, see lr_packets_sort. The file is whole in any case. */
int lr_packets_mend(int fd, uint64_t first, const uint32_t *stop)
{
    struct sorted sorted;
    int result = open_sorted(fd, first, stop, &sorted);

    if (result < 0)
        return result;
    result = mend(&sorted, first, fd);
    close_sorted(&sorted);
    return result;
}
