/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Copies what a call's pointers point to out of a stopped tracee, as the
 * capture plan (records.h) says: process_vm_readv(2) into the open record.
 *
 * The kernel need not split one vector of process_vm_readv, so a read is cut
 * at page ends: bytes before a page that is not there still arrive. A string
 * is fetched by a first bite that nearly all fit in, then page by page. A bad
 * pointer gives a chunk that says so; it never ends the trace. Where a string
 * or a buffer is longer than what is left of LR_RECORD_MAX, it is cut there.
 */
#include "tracer.h"

#include <stddef.h>
#include <net/if.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PAGE 4096                      /* the smallest there is: cutting more often does no harm */
#define AT_ONCE (16 * PAGE)            /* bytes of one process_vm_readv */
#define FIRST_BITE 256
#define POINTERS 512                   /* of argv or envp at once */
#define POINTERS_MAX (1 << 20)

struct source {
    struct lr_tracer *tracer;
    const struct lr_task *task;
    const int64_t *rval;               /* NULL at entry */
};

/* Reads at most AT_ONCE; returns the bytes read before the first that cannot be, or -errno. */
static ssize_t read_pages(const struct source *s, uint64_t address, void *out, size_t len)
{
    struct iovec local = { out, len }, remote[AT_ONCE / PAGE + 1];
    int pieces = 0;
    ssize_t n;

    while (len > 0) {
        size_t piece = PAGE - address % PAGE;

        if (piece > len)
            piece = len;
        remote[pieces++] = (struct iovec) { (void *) address, piece };
        address += piece;
        len -= piece;
    }
    n = process_vm_readv((pid_t) s->task->tid, &local, 1, remote, (unsigned long) pieces, 0);
    return n < 0 ? -errno : n;
}

/* The same without a limit. */
static ssize_t read_memory(const struct source *s, uint64_t address, void *out, size_t len)
{
    size_t got = 0;

    while (got < len) {
        size_t want = len - got < AT_ONCE ? len - got : AT_ONCE;
        ssize_t n = read_pages(s, address + got, (uint8_t *) out + got, want);

        if (n < 0 && got == 0)
            return n;
        got += n > 0 ? (size_t) n : 0;
        if (n < (ssize_t) want)
            break;
    }
    return (ssize_t) got;
}

static bool read_whole(const struct source *s, uint64_t address, void *out, size_t len)
{
    return len == 0 || (address != 0 && read_memory(s, address, out, len) == (ssize_t) len);
}

/* Reads a string of at most `limit` bytes into `out`, which has room for one more.
 * Returns its length without the NUL, or -EFAULT. */
static ssize_t read_string(const struct source *s, uint64_t address, char *out, size_t limit, bool *ret_cut)
{
    size_t got = 0;

    *ret_cut = false;
    while (address != 0 && got <= limit) {
        size_t want = got == 0 ? FIRST_BITE : PAGE;
        ssize_t n;
        char *end;

        if (want > limit + 1 - got)
            want = limit + 1 - got;
        n = read_memory(s, address + got, out + got, want);
        if (n <= 0)
            return -EFAULT;
        end = memchr(out + got, 0, (size_t) n);
        if (end != NULL)
            return end - out;
        got += (size_t) n;
    }
    *ret_cut = true;
    return address != 0 ? (ssize_t) limit : -EFAULT;
}

static uint64_t size_of(const struct source *s, const struct lr_capture_cell *cell)
{
    if (cell->of != 7)
        return s->task->args[cell->of];
    return s->rval != NULL && *s->rval > 0 ? (uint64_t) *s->rval : 0;
}

/* How much of `size` bytes is copied. */
static size_t kept_of(const struct source *s, uint64_t size, size_t limit)
{
    size_t room = lr_record_room(s->tracer);

    if (limit > room)
        limit = room;
    return size > limit ? limit : (size_t) size;
}

/* Each capture_* extends the open record by its bytes and returns 0 (1: cut), or -errno. */

static int capture_bytes(const struct source *s, uint64_t address, uint64_t size, size_t limit)
{
    size_t len = kept_of(s, size, limit);
    uint8_t *out = lr_record_extend(s->tracer, len);

    if (out == NULL || !read_whole(s, address, out, len))
        return -EFAULT;
    lr_record_shrink(s->tracer, out + len);
    return size > len;
}

static int capture_string(const struct source *s, uint64_t address, size_t limit)
{
    size_t room = lr_record_room(s->tracer);
    bool cut;
    ssize_t len;
    char *out;

    if (room == 0)
        return -E2BIG;
    if (limit > room - 1)
        limit = room - 1;
    out = lr_record_extend(s->tracer, limit + 1);
    if (out == NULL)
        return -E2BIG;
    len = read_string(s, address, out, limit, &cut);
    if (len < 0)
        return (int) len;
    lr_record_shrink(s->tracer, out + len);
    return cut;
}

/* Parts lie one after the other, each padded to 8; the last one's padding belongs to the chunk too. */
static void end_part(const struct source *s, uint8_t *end)
{
    lr_record_shrink(s->tracer, end);
    s->tracer->end = s->tracer->used;
}

/* A part of a chunk: u32 len, u32 cut, the bytes. What cannot be read has len 0 and is cut. */
static int capture_part(const struct source *s, uint64_t address, uint64_t size, size_t limit)
{
    uint32_t *head = lr_record_extend(s->tracer, 8);
    size_t len = kept_of(s, size, limit);
    uint8_t *out = head != NULL ? lr_record_extend(s->tracer, len) : NULL;
    bool good;

    if (out == NULL)
        return -E2BIG;
    good = read_whole(s, address, out, len);
    head[0] = good ? (uint32_t) len : 0;
    head[1] = !good || size > len;
    end_part(s, out + head[0]);
    return 0;
}

static int capture_string_part(const struct source *s, uint64_t address)
{
    uint32_t *head = lr_record_extend(s->tracer, 8);
    int result = head != NULL ? capture_string(s, address, s->tracer->options.string_limit) : -E2BIG;

    if (result == -E2BIG) {
        if (head != NULL)
            lr_record_shrink(s->tracer, head);
        return result;
    }
    if (result < 0)
        lr_record_shrink(s->tracer, head + 2);
    head[0] = (uint32_t) (s->tracer->buffer + s->tracer->end - (uint8_t *) (head + 2));
    head[1] = result != 0;
    s->tracer->end = s->tracer->used;
    return 0;
}

/* Strace prints no more elements of a vector than bytes of a string. */
static uint64_t elements_max(const struct source *s)
{
    return s->tracer->options.string_limit < LR_VECTOR_MAX ? s->tracer->options.string_limit : LR_VECTOR_MAX;
}

/* Counts a NULL-terminated vector of pointers and keeps the first ones. Returns -EFAULT for a bad one. */
static int64_t read_pointers(const struct source *s, uint64_t address, uint64_t first[LR_VECTOR_MAX])
{
    uint64_t some[POINTERS];
    int64_t count = 0;

    while (address != 0 && count < POINTERS_MAX) {
        ssize_t n = read_memory(s, address + (uint64_t) count * 8, some, sizeof some) / 8;

        if (n <= 0)
            return -EFAULT;
        for (ssize_t i = 0; i < n; i++, count++) {
            if (some[i] == 0)
                return count;
            if (count < LR_VECTOR_MAX)
                first[count] = some[i];
        }
    }
    return address != 0 ? count : -EFAULT;
}

static int capture_vector(const struct source *s, uint64_t address, bool with_strings)
{
    uint64_t first[LR_VECTOR_MAX], *out = lr_record_extend(s->tracer, sizeof *out);
    int64_t count = read_pointers(s, address, first), kept = (int64_t) elements_max(s);

    if (out == NULL || count < 0)
        return -EFAULT;
    *out = (uint64_t) count;
    if (!with_strings)
        return 0;
    if (kept > count)
        kept = count;
    for (int64_t i = 0; i < kept; i++)
        if (capture_string_part(s, first[i]) < 0)
            return 1;
    return count > kept;
}

static int capture_iovec(const struct source *s, uint64_t address, uint64_t count, size_t limit)
{
    uint64_t max = elements_max(s), *kept = lr_record_extend(s->tracer, sizeof *kept);
    uint64_t left = s->rval == NULL ? UINT64_MAX : *s->rval > 0 ? (uint64_t) *s->rval : 0;
    struct iovec *vector;
    ssize_t n;

    if (kept == NULL)
        return -E2BIG;
    *kept = count < max ? count : max;
    vector = lr_record_extend(s->tracer, *kept * sizeof *vector);
    n = vector == NULL ? -E2BIG : *kept == 0 ? 0 : read_memory(s, address, vector, *kept * sizeof *vector);
    if (n < 0 || address == 0 || (*kept > 0 && (size_t) n < sizeof *vector))
        return -EFAULT;
    *kept = (size_t) n / sizeof *vector;
    lr_record_shrink(s->tracer, vector + *kept);
    for (size_t i = 0; i < *kept; i++) {
        uint64_t len = vector[i].iov_len < left ? vector[i].iov_len : left;

        if (capture_part(s, (uint64_t) vector[i].iov_base, len, limit) < 0)
            break;
        if (s->rval != NULL)
            left -= len;
    }
    return count > max;
}

static int capture_msghdr(const struct source *s, uint64_t address)
{
    struct msghdr *head = lr_record_extend(s->tracer, sizeof *head);
    size_t limit = s->tracer->options.string_limit;
    uint16_t family = AF_UNSPEC;
    uint8_t *vector;
    int cut;

    if (head == NULL || !read_whole(s, address, head, sizeof *head))
        return -EFAULT;
    if (capture_part(s, (uint64_t) head->msg_name, head->msg_namelen, 128) < 0
        || capture_part(s, (uint64_t) head->msg_control, head->msg_controllen, LR_CONTROL_MAX) < 0)
        return -E2BIG;
    if (head->msg_namelen >= sizeof family)
        read_whole(s, (uint64_t) head->msg_name, &family, sizeof family);
    if (family == AF_NETLINK)
        limit = LR_NETLINK_MAX;
    vector = s->tracer->buffer + s->tracer->end;
    cut = capture_iovec(s, (uint64_t) head->msg_iov, head->msg_iovlen, limit);
    if (cut < 0)                       /* all else is there */
        lr_record_shrink(s->tracer, vector);
    return cut > 0;
}

static int capture_mmsghdr(const struct source *s, uint64_t address, uint64_t count)
{
    for (uint64_t i = 0; i < count && i < LR_VECTOR_MAX; i++) {
        uint64_t at = address + i * sizeof(struct mmsghdr);
        uint32_t *head = lr_record_extend(s->tracer, 8);
        struct source one = *s;
        uint32_t msg_len;
        int64_t rval;

        if (head == NULL || !read_whole(s, at + offsetof(struct mmsghdr, msg_len), &msg_len, sizeof msg_len))
            return i == 0 ? -EFAULT : 1;
        rval = msg_len;
        one.rval = s->rval != NULL ? &rval : NULL;
        if (capture_msghdr(&one, at) < 0) {
            lr_record_shrink(s->tracer, head);
            return i == 0 ? -EFAULT : 1;
        }
        head[0] = (uint32_t) (s->tracer->buffer + s->tracer->used - (uint8_t *) (head + 2));
        head[1] = msg_len;
    }
    return count > LR_VECTOR_MAX;
}

static int capture_pointees(const struct source *s, uint64_t address, uint64_t count, size_t size)
{
    size_t kept = count > LR_VECTOR_MAX ? LR_VECTOR_MAX : (size_t) count;
    uint64_t *pointers = lr_record_extend(s->tracer, kept * sizeof *pointers);

    if (pointers == NULL || !read_whole(s, address, pointers, kept * sizeof *pointers))
        return -EFAULT;
    for (size_t i = 0; i < kept; i++)
        if (capture_part(s, pointers[i], size, size) < 0)
            return -E2BIG;
    return count > LR_VECTOR_MAX;
}

/* As capture_bytes, but what there is of it will do. */
static int capture_up_to(const struct source *s, uint64_t address, size_t size)
{
    uint8_t *out = lr_record_extend(s->tracer, size);
    ssize_t n = out != NULL && address != 0 ? read_memory(s, address, out, size) : -EFAULT;

    if (n <= 0)
        return -EFAULT;
    lr_record_shrink(s->tracer, out + n);
    return (size_t) n < size;
}

static const struct {
    uint8_t pointer;                   /* where in the struct */
    uint8_t count, count_size;         /* where and how wide the number of elements is; size 0: a string */
    uint8_t element;                   /* bytes */
} deep[] = {
    [LR_DEEP_SIGSET] = { 0, 8, 8, 1 },
    [LR_DEEP_IOVEC] = { offsetof(struct iovec, iov_base), offsetof(struct iovec, iov_len), 8, 1 },
    [LR_DEEP_PATHNAME] = { 0, 0, 0, 1 },
    [LR_DEEP_LICENSE] = { 16, 0, 0, 1 },
    [LR_DEEP_IFCONF] = { offsetof(struct ifconf, ifc_buf), offsetof(struct ifconf, ifc_len), 4, 1 },
};

static int capture_deep(const struct source *s, uint64_t address, uint8_t kind, size_t size)
{
    uint32_t *head = lr_record_extend(s->tracer, 8);
    uint8_t *out = head != NULL ? lr_record_extend(s->tracer, size) : NULL;
    ssize_t n = out != NULL && address != 0 ? read_memory(s, address, out, size) : -EFAULT;
    uint64_t pointer = 0, count = 0;

    if (n <= 0 || kind >= sizeof deep / sizeof *deep)
        return -EFAULT;
    head[0] = (uint32_t) n;
    head[1] = (size_t) n < size;
    end_part(s, out + n);
    if (n < deep[kind].pointer + 8 || n < deep[kind].count + deep[kind].count_size)
        return 0;
    memcpy(&pointer, out + deep[kind].pointer, sizeof pointer);
    memcpy(&count, out + deep[kind].count, deep[kind].count_size);
    if (deep[kind].count_size == 0)
        return capture_string_part(s, pointer);
    if (count > LR_COUNTED_MAX)
        count = LR_COUNTED_MAX;
    return capture_part(s, pointer, count * deep[kind].element, LR_COUNTED_MAX);
}

static int capture_cell(const struct source *s, const struct lr_capture_cell *cell, uint64_t address)
{
    uint32_t len;

    switch (cell->what) {
    case LR_CAP_STRING:
        return capture_string(s, address, s->tracer->options.string_limit);
    case LR_CAP_PATH:
        return capture_string(s, address, LR_PATH_MAX);
    case LR_CAP_ARGV:
        return capture_vector(s, address, true);
    case LR_CAP_ENVP:
        return capture_vector(s, address, false);
    case LR_CAP_BUFFER:
        return capture_bytes(s, address, size_of(s, cell),
                             cell->size != 0 ? cell->size : s->tracer->options.string_limit);
    case LR_CAP_FIXED:
        return capture_bytes(s, address, cell->size, UINT16_MAX);
    case LR_CAP_PTRLEN:
        if (!read_whole(s, size_of(s, cell), &len, sizeof len) || size_of(s, cell) == 0)
            return -EFAULT;
        return capture_bytes(s, address, len, s->tracer->options.string_limit);
    case LR_CAP_COUNTED:
        if (cell->size == 0 || size_of(s, cell) > UINT32_MAX)
            return -EFAULT;
        return capture_bytes(s, address, size_of(s, cell) * cell->size, LR_COUNTED_MAX / cell->size * cell->size);
    case LR_CAP_IOVEC:
        return capture_iovec(s, address, size_of(s, cell), s->tracer->options.string_limit);
    case LR_CAP_MSGHDR:
        return capture_msghdr(s, address);
    case LR_CAP_UPTO:
        return capture_up_to(s, address, cell->size);
    case LR_CAP_DEEP:
        return capture_deep(s, address, cell->of, cell->size);
    case LR_CAP_POINTEES:
        return capture_pointees(s, address, size_of(s, cell), cell->size);
    case LR_CAP_MMSGHDR:
        return capture_mmsghdr(s, address, size_of(s, cell));
    default:
        return -EINVAL;
    }
}

static uint64_t key_part(const struct lr_capture_row *row, const uint64_t args[6], int i)
{
    return row->bits[i] == 0 ? 0 : args[row->select[i]] & ((UINT64_C(1) << row->bits[i]) - 1);
}

/* The row for a call: that of the variant that its arguments select, or the call's own. NULL: nothing to copy. */
const struct lr_capture_row *lr_capture_row(const struct lr_tracer *t, uint64_t nr, bool foreign,
                                            const uint64_t args[6])
{
    uint64_t index = foreign ? nr + LR_CALLS_MAX : nr, key;
    const struct lr_capture_row *row;
    uint32_t low, high;

    if (nr >= LR_CALLS_MAX || index >= t->options.rows)
        return NULL;
    row = &t->options.plan[index];
    if (row->variants == 0)
        return row;
    key = key_part(row, args, 0) | key_part(row, args, 1) << 32;
    low = row->first;
    high = low + row->variants;
    while (low < high) {
        uint32_t middle = (low + high) / 2;

        if (t->options.plan[middle].key == key)
            return &t->options.plan[middle];
        if (t->options.plan[middle].key < key)
            low = middle + 1;
        else
            high = middle;
    }
    return row;
}

/* A call that failed and may have written nonetheless: ended by a signal (nanosleep's time that is left), or too little
 * room (name_to_handle_at's size). The kernel's own ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and
 * ERESTART_RESTARTBLOCK are no part of its headers for programs. */
bool lr_writes_failing(int64_t rval)
{
    return rval == -EINTR || rval == -EOVERFLOW || (rval <= -512 && rval >= -516);
}

/* Appends the chunks of one stop to the open record; rval is NULL at entry. Returns how many. */
uint32_t lr_capture(struct lr_tracer *t, const struct lr_task *task, const struct lr_capture_cell *cells,
                    const int64_t *rval)
{
    struct source source = { t, task, rval };
    uint32_t count = 0;

    for (uint8_t i = 0; i < 6; i++) {
        struct lr_chunk *chunk;
        int result;

        if (cells[i].what == LR_CAP_NONE || cells[i].what == LR_CAP_FD)
            continue;
        chunk = lr_record_extend(t, sizeof *chunk);
        if (chunk == NULL)
            break;
        result = capture_cell(&source, &cells[i], task->args[i]);
        *chunk = (struct lr_chunk) { .arg = i, .what = cells[i].what, .cut = result > 0, .bad = result < 0 };
        if (result < 0)
            lr_record_shrink(t, chunk + 1);
        chunk->len = (uint32_t) (t->buffer + t->end - (uint8_t *) (chunk + 1));
        count++;
    }
    return count;
}
