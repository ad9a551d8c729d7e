/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The files that a call is about, as its row of the table of system calls says: arguments that are paths, joined with
 * the directory that they begin at; then the descriptors among the arguments; then the one that is returned.
 */
#include "log.h"

static size_t slot_of(struct lr_span name)
{
    uint32_t hash = 2166136261u;

    for (size_t i = 0; i < name.size; i++)
        hash = (hash ^ (uint8_t) name.at[i]) * 16777619u;
    return (hash ^ hash >> 15) % LR_LOG_SLOTS;
}

/* Makes `table` of `count` rows, which it copies. */
int lr_path_table_make(struct lr_path_table *table, const struct lr_path_row *rows, uint32_t count)
{
    if (count > LR_LOG_SLOTS / 2)
        return -E2BIG;
    table->rows = calloc(count + 1, sizeof(*rows));
    if (!table->rows)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        struct lr_path_row *row = &table->rows[i];
        size_t slot;

        *row = rows[i];
        row->name[sizeof(row->name) - 1] = '\0';
        slot = slot_of((struct lr_span) {row->name, strlen(row->name)});
        while (table->slots[slot])
            slot = (slot + 1) % LR_LOG_SLOTS;
        table->slots[slot] = (uint16_t) (i + 1);
    }
    return 0;
}

static const struct lr_path_row *row_of(const struct lr_path_table *table, struct lr_span name)
{
    for (size_t slot = slot_of(name); table->slots[slot]; slot = (slot + 1) % LR_LOG_SLOTS) {
        const struct lr_path_row *row = &table->rows[table->slots[slot] - 1];

        if (name.size < sizeof(row->name) && !row->name[name.size] && !memcmp(row->name, name.at, name.size))
            return row;
    }
    return NULL;
}

/* The byte that the escape at `at` stands for: \ooo, \xhh. Returns what is behind it, NULL if it is none. */
static const char *escaped_byte(const char *at, const char *end, uint8_t *ret_byte)
{
    const char *behind;
    int64_t value;

    if (end - at < 2 || at[0] != '\\')
        return NULL;
    if (at[1] == 'x' && end - at >= 4 && lr_is(at[2], LR_HEX) && lr_is(at[3], LR_HEX)) {
        char digits[] = {'0', 'x', at[2], at[3]};

        *ret_byte = (uint8_t) lr_number((struct lr_span) {digits, sizeof(digits)});
        return at + 4;
    }
    for (value = 0, behind = at + 1; behind < end && behind < at + 4 && *behind >= '0' && *behind <= '7'; behind++)
        value = value * 8 + (*behind - '0');
    *ret_byte = (uint8_t) value;
    return behind > at + 1 && value < 256 ? behind : NULL;
}

/* The character that the escapes at `at` stand for, in `ret_bytes`, if a reader can see it and it does not look like
 * an escape itself. Returns what is behind it, else NULL. */
static const char *escaped_character(const char *at, const char *end, char ret_bytes[4], int *ret_size)
{
    uint32_t code;
    uint8_t byte;

    for (int size = 1; size <= 4; size++) {
        at = escaped_byte(at, end, &byte);
        if (!at)
            return NULL;
        ret_bytes[size - 1] = (char) byte;
        if (lr_utf8_size(ret_bytes, ret_bytes + size, &code) == size) {
            *ret_size = size;
            return lr_is_printable(code) && code != '\\' ? at : NULL;
        }
        if (byte < 0x80)
            return NULL;
    }
    return NULL;
}

/* Adds `raw` to `scratch`, in which there is room for it, with what strace escaped though it can be read. */
static void add_decoded(struct lr_text *scratch, struct lr_span raw)
{
    const char *at = raw.at, *end = at + raw.size;

    while (at < end) {
        const char *slash = memchr(at, '\\', (size_t) (end - at)), *behind;
        char bytes[4];
        int size;

        lr_text_add(scratch, at, (size_t) ((slash ? slash : end) - at));
        if (!slash)
            return;
        if (slash + 1 < end && slash[1] == '"') {
            lr_text_byte(scratch, '"');
            at = slash + 2;
        } else if ((behind = escaped_character(slash, end, bytes, &size))) {
            lr_text_add(scratch, bytes, (size_t) size);
            at = behind;
        } else {
            at = slash + (slash + 1 < end ? 2 : 1);
            lr_text_add(scratch, slash, (size_t) (at - slash));
        }
    }
}

static void add_path(struct lr_paths *paths, struct lr_span path)
{
    if (!path.size || paths->count == LR_LOG_PATHS)
        return;
    for (int i = 0; i < paths->count; i++)
        if (paths->path[i].size == path.size && !memcmp(paths->path[i].at, path.at, path.size))
            return;
    paths->path[paths->count++] = path;
}

static struct lr_span added(const struct lr_text *scratch, size_t from)
{
    return (struct lr_span) {scratch->data + from, scratch->size - from};
}

static void add_note(struct lr_paths *paths, struct lr_span note, struct lr_text *scratch)
{
    size_t from = scratch->size;

    if (!note.size || (note.at[0] != '/' && note.at[0] != '\\'))
        return;
    add_decoded(scratch, note);
    if (scratch->data[from] == '/')
        add_path(paths, added(scratch, from));
}

/* What the argument `index` is, between < and >; NULL: nothing. */
static const struct lr_note *note_of(const struct lr_arguments *arguments, int index)
{
    for (int i = 0; i < arguments->note_count; i++)
        if (arguments->note[i].argument == index && arguments->note[i].own)
            return &arguments->note[i];
    return NULL;
}

/* Adds the path `text`, a string with its quotes, and its directory's where it begins there. */
static void add_string(struct lr_paths *paths, struct lr_span text, const struct lr_note *directory,
                       struct lr_text *scratch)
{
    const char *close = memrchr(text.at + 1, '"', text.size - 1);
    struct lr_span raw = lr_between(text.at + 1, close ? close : text.at + text.size);
    size_t from = scratch->size, middle;

    if (directory && directory->text.size && raw.size && raw.at[0] != '/') {
        add_decoded(scratch, directory->text);
        if (scratch->data[scratch->size - 1] != '/')
            lr_text_byte(scratch, '/');
    }
    middle = scratch->size;
    add_decoded(scratch, raw);
    if (close)
        lr_text_add(scratch, close + 1, (size_t) (text.at + text.size - close - 1));
    if (middle > from && scratch->data[middle] == '/') {   /* as it turns out, it does not begin there */
        add_path(paths, added(scratch, middle));
        return;
    }
    if (middle > from && scratch->size == middle + 1 && scratch->data[middle] == '.')
        scratch->size = middle - (middle > from + 1);      /* the directory itself */
    add_path(paths, added(scratch, from));
}

/* Finds the files of the call `name`. The paths last as long as `scratch` is left alone. Returns -ENOMEM or 0. */
int lr_paths_of_call(const struct lr_path_table *table, struct lr_span name, const struct lr_arguments *arguments,
                     const struct lr_result *result, struct lr_text *scratch, struct lr_paths *ret_paths)
{
    const struct lr_path_row *row = row_of(table, name);
    const struct lr_note *taken[2] = {NULL, NULL};
    size_t room = result->note.size + arguments->address.size + 64;

    ret_paths->count = 0;
    scratch->size = 0;
    for (int i = 0; i < arguments->count; i++)
        room += arguments->argument[i].size + 4;
    for (int i = 0; i < arguments->note_count; i++)
        room += arguments->note[i].text.size * 3;
    if (!lr_text_room(scratch, room))    /* at once: nothing moves from here on */
        return -ENOMEM;
    for (int i = 0; row && i < row->count; i++) {
        int index = row->path[i];
        struct lr_span text;

        if (index >= arguments->count || !lr_begins(arguments->argument[index], "\""))
            continue;
        text = arguments->argument[index];
        if (row->directory[i] >= 0)
            taken[i] = note_of(arguments, row->directory[i]);
        if (lr_same(text, "\"\"") && taken[i])
            add_note(ret_paths, taken[i]->text, scratch);
        else
            add_string(ret_paths, text, taken[i], scratch);
    }
    if (arguments->address.at && arguments->address.at[1] == '/')
        add_string(ret_paths, arguments->address, NULL, scratch);
    for (int i = 0; i < arguments->note_count; i++)
        if (&arguments->note[i] != taken[0] && &arguments->note[i] != taken[1])
            add_note(ret_paths, arguments->note[i].text, scratch);
    add_note(ret_paths, result->note, scratch);
    return 0;
}
