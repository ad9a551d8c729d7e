/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Writes records (records.h) into one buffer and the buffer, when it fills,
 * to the output. A run that is short, or is not kept, never writes.
 *
 * Without an output they are read while the command runs: there are two
 * buffers, one being filled and one being read. The reader is woken by the
 * counter `options.wake`, once for what has come since it took the last; when
 * the buffer is full before it comes, the tracees wait.
 *
 * Disk full or any other error of write(2): recording ends there, and what
 * was written is cut back to whole records, the last of which says why.
 *
 * Where only the last records matter, two outputs take turns. What a descriptor
 * is must be said again after each turn, since the record of it is gone with the
 * next one: so a turn is made before all that belongs to a call's entry.
 */
#include "tracer.h"

uint64_t lr_clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static uint32_t size_at(const struct lr_tracer *t, uint32_t offset)
{
    return ((const struct lr_record *) (t->buffer + offset))->size;
}

/* The output holds `written` bytes of the buffer: leave whole records in it,
 * and after them the one that says so. It goes where bytes have been written,
 * so there is room for it even on a full disk. */
static void give_up(struct lr_tracer *t, uint32_t written, int error)
{
    struct { struct lr_record head; struct lr_rec_lost body; } last = {
        { .size = sizeof last, .kind = LR_REC_LOST, .tid = t->root, .tgid = t->root,
          .time_ns = lr_clock_ns(CLOCK_REALTIME) },
        { .error = error },
    };
    uint32_t whole = 0;
    off_t end = lseek(t->options.output, 0, SEEK_CUR);

    t->write_error = error;
    while (whole < t->used && whole + size_at(t, whole) + sizeof last <= written)
        whole += size_at(t, whole);
    if (end >= 0 && lseek(t->options.output, whole - (off_t) written, SEEK_CUR) >= 0
        && write(t->options.output, &last, sizeof last) == (ssize_t) sizeof last)
        whole += sizeof last;
    if (end >= 0 && ftruncate(t->options.output, end - (written - whole)) < 0)
        t->write_error = error;        /* a reader stops at a record that is cut */
}

/* Which of the two has the latest records. */
int lr_tracer_output(const struct lr_tracer *t)
{
    return t->options.output;
}

/* Why records are missing in between: an errno; 0: none are. */
int lr_tracer_gap_error(const struct lr_tracer *t)
{
    return t->gap_error;
}

/* Returns how many bytes were written: all, or *ret_error says why not. */
static uint32_t write_buffer(const struct lr_tracer *t, int *ret_error)
{
    uint32_t written = 0;

    *ret_error = 0;
    while (*ret_error == 0 && written < t->used) {
        ssize_t n = write(t->options.output, t->buffer + written, t->used - written);

        if (n > 0)
            written += (uint32_t) n;
        else if (n == 0 || errno != EINTR)
            *ret_error = n < 0 ? errno : ENOSPC;
    }
    return written;
}

/* Goes on with the other output, emptied; false: it cannot be. */
static bool turn(struct lr_tracer *t)
{
    int former = t->options.output;

    if (ftruncate(t->options.spare, t->options.head) < 0 || lseek(t->options.spare, t->options.head, SEEK_SET) < 0)
        return false;
    t->options.output = t->options.spare;
    t->options.spare = former;
    t->written = 0;
    return true;
}

/* Only the last records matter, and the disk is full: the other output makes room. What the buffer holds is lost, and
 * what was written of it is taken back. */
static void pass_over(struct lr_tracer *t, uint32_t written, int error)
{
    off_t end = lseek(t->options.output, 0, SEEK_CUR);

    t->gap_error = error;
    t->has_gap = true;
    if (end < 0 || ftruncate(t->options.output, end - written) < 0 || !turn(t))
        give_up(t, 0, error);
}

int lr_tracer_flush(struct lr_tracer *t)
{
    uint32_t written;
    int error;

    if (!t->recording || t->write_error != 0)  /* an entry that led to no execve */
        t->used = 0;
    written = write_buffer(t, &error);
    if (error == 0)
        t->written += written;
    else if (t->options.spare >= 0)
        pass_over(t, written, error);
    else
        give_up(t, written, error);
    t->used = 0;
    return -t->write_error;
}

/* Between two records: goes on with the other output when this one is full. Returns whether descriptors are to be
 * looked at anew: records of them are gone, or will be. */
bool lr_records_turn(struct lr_tracer *t)
{
    bool again = t->has_gap;

    t->has_gap = false;
    if (t->options.spare < 0 || t->written + t->used < t->options.turn_size || lr_tracer_flush(t) < 0)
        return again;
    return turn(t) || again;
}

static void wake_reader(struct lr_tracer *t)
{
    if (!t->told) {
        t->told = true;
        lr_counter_add(t->options.wake);
    }
}

/* A record is being written: no reader may come. */
static void begin_writing(struct lr_tracer *t)
{
    if (t->taken != NULL)
        pthread_mutex_lock(&t->writing);
    t->open = t->used;
    t->busy = true;
}

static void end_writing(struct lr_tracer *t)
{
    t->busy = false;
    if (t->taken != NULL)
        pthread_mutex_unlock(&t->writing);
}

/* The tracer's process is gone, killed perhaps: takes back the record that it was writing. From the thread whose
 * storage it ran on, which is the mutex's owner therefore. */
void lr_records_abandon(struct lr_tracer *t)
{
    if (!t->busy)
        return;
    t->used = t->open;
    end_writing(t);
}

/* The reader is behind: its turn. That can take long, so the processors may sleep. */
static void await_room(struct lr_tracer *t)
{
    while (t->used > LR_BUFFER_SIZE - LR_RECORD_MAX && !t->stopping) {
        wake_reader(t);
        end_writing(t);
        lr_latency_bound(t);
        while (sem_wait(&t->room) < 0 && errno == EINTR && !t->stopping)
            lr_latency_release(t);
        begin_writing(t);
    }
    if (t->stopping)
        t->used = 0;
}

/* From the reader: returns how many bytes of records there are at *ret_records, until it comes again. */
int64_t lr_tracer_take(struct lr_tracer *t, const uint8_t **ret_records)
{
    uint8_t *full = t->buffer;
    uint32_t size = 0;

    pthread_mutex_lock(&t->writing);
    t->told = false;
    if (t->recording) {
        full = t->buffer;
        size = t->used;
        t->buffer = t->taken;
        t->taken = full;
        t->used = 0;
    }
    pthread_mutex_unlock(&t->writing);
    sem_post(&t->room);
    *ret_records = full;
    return size;
}

/* Opens a record and returns its body, to be filled; NULL when nothing is written any more. */
void *lr_record_begin(struct lr_tracer *t, const struct lr_task *task, int kind, size_t body)
{
    struct lr_record *record;

    if (t->taken == NULL && t->write_error == 0 && t->used > LR_BUFFER_SIZE - LR_RECORD_MAX)
        lr_tracer_flush(t);
    if (t->write_error != 0)
        return NULL;
    begin_writing(t);
    if (t->taken != NULL)
        await_room(t);
    t->open = t->used;
    record = (struct lr_record *) (t->buffer + t->open);
    *record = (struct lr_record) {
        .kind = (uint16_t) kind, .tid = task->tid, .tgid = task->tgid, .time_ns = lr_clock_ns(CLOCK_REALTIME),
    };
    t->used += sizeof *record;
    return lr_record_extend(t, body);
}

void lr_record_end(struct lr_tracer *t)
{
    ((struct lr_record *) (t->buffer + t->open))->size = t->used - t->open;
    if (t->taken != NULL)
        wake_reader(t);
    end_writing(t);
}

/* Takes the open record back. */
void lr_record_drop(struct lr_tracer *t)
{
    t->used = t->open;
    end_writing(t);
}

/* Before the first execve only the latest entry counts: forget the former. */
void lr_record_restart(struct lr_tracer *t)
{
    t->used = 0;
}

/* How many bytes the open record can still be extended by. */
size_t lr_record_room(const struct lr_tracer *t)
{
    return LR_RECORD_MAX - (t->used - t->open);
}

/* Returns `len` more bytes (padded to 8, the padding zeroed) of the open record; NULL: it is too long. */
void *lr_record_extend(struct lr_tracer *t, size_t len)
{
    size_t padded = (len + 7) & ~(size_t) 7;
    uint8_t *room = t->buffer + t->used;

    if (padded > lr_record_room(t))
        return NULL;
    if (padded > 0)
        memset(room + padded - 8, 0, 8);
    t->used += (uint32_t) padded;
    t->end = t->used;
    return room;
}

/* Gives back what was extended beyond `end`, but for the padding. */
void lr_record_shrink(struct lr_tracer *t, void *end)
{
    size_t used = (size_t) ((uint8_t *) end - t->buffer), padded = (used + 7) & ~(size_t) 7;

    memset(t->buffer + used, 0, padded - used);
    t->used = (uint32_t) padded;
    t->end = (uint32_t) used;
}
