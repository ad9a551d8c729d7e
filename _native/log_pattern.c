/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The paths that stracepy finds in a call: by a pattern, whatever the call. Searched are the first 500 characters of
 * the arguments and of what is behind the result; a path is one of
 *
 *     <P>  <P<  "P"     P = one or more of ([SEG] up to two dots / SEG)
 *                       SEG = a word boundary, then 1 to 256 characters other than < > * \ " [ ] | '
 *
 * SEG may hold slashes and dots, too. Before SEG stands a slash or a quote, which is no word character, so its first
 * is one; let a slash that a word character follows be a step. Then P is a run R of SEG's characters, between the
 * delimiters, such that
 *
 *     - it begins with a word character and its first step is at most 256 characters (and the dots) on, or with up to
 *       two dots and a step;
 *     - from step to step, and from the last to the end, there are at most 256 characters (and the dots): what is in
 *       between may be skipped, as slashes are SEG's, too.
 *
 * So one pass over R tells, where the pattern's own search may take exponential time.
 */
#include "log.h"

#define SEARCHED 500
#define SEGMENT 256

/* Bytes that end a run. */
static const uint8_t ends_run[256] = {
    ['<'] = 1, ['>'] = 1, ['*'] = 1, ['\\'] = 1, ['"'] = 1, ['['] = 1, [']'] = 1, ['|'] = 1, ['\''] = 1,
};

/* The dots directly before the slash at `at`, two at the most. */
static int dots_before(const char *run, int at)
{
    return at > 0 && run[at - 1] == '.' ? 1 + (at > 1 && run[at - 2] == '.') : 0;
}

static bool is_path(const char *run, int size)
{
    int last = lr_is(run[0], LR_WORD) ? -1 : -2;       /* the step that is reached: -1 is the beginning */
    const char *slash = run;

    while ((slash = memchr(slash, '/', (size_t) (run + size - slash)))) {
        int at = (int) (slash++ - run), dots;

        if (at + 1 == size || !lr_is(run[at + 1], LR_WORD))
            continue;
        dots = dots_before(run, at);
        if ((last > -2 && at - dots - (last + 1) <= SEGMENT) || (last == -2 && dots == at))
            last = at;
    }
    return last >= 0 && size - (last + 1) <= SEGMENT;
}

static bool is_ascii(const char *at, size_t size)
{
    uint64_t word, all = 0;
    size_t i = 0;

    for (; i + sizeof(word) <= size; i += sizeof(word)) {
        memcpy(&word, at + i, sizeof(word));
        all |= word;
    }
    for (; i < size; i++)
        all |= (uint64_t) (uint8_t) at[i] << 56 | (uint8_t) at[i];
    return !(all & 0x8080808080808080u);
}

/* How many bytes the first SEARCHED characters of `text` have; what is no UTF-8 counts by bytes. */
static size_t searched(struct lr_span text, bool *ret_ascii)
{
    size_t size = text.size < SEARCHED ? text.size : SEARCHED;
    const char *at = text.at, *end = text.at + text.size;
    bool ascii = is_ascii(text.at, size);
    uint32_t code;

    *ret_ascii = ascii;
    for (int i = 0; !ascii && i < SEARCHED && at < end; i++) {
        int bytes = lr_utf8_size(at, end, &code);

        at += bytes ? bytes : 1;
    }
    return ascii ? size : (size_t) (at - text.at);
}

/* Adds a path with its delimiters; duplicates are not added. */
static void add(struct lr_paths *paths, const char *at, size_t size)
{
    for (int i = 0; i < paths->count; i++)
        if (paths->path[i].size == size && !memcmp(paths->path[i].at, at, size))
            return;
    if (paths->count < LR_LOG_PATHS)
        paths->path[paths->count++] = (struct lr_span) {at, size};
}

static bool closes(char open, char close)
{
    return open == '<' ? close == '>' || close == '<' : close == '"';
}

/* Searches `size` characters at `text`; character i begins at byte `bytes[i]` of `at`, NULL: at byte i. */
static void search(const char *text, int size, const char *at, const uint16_t *bytes, struct lr_paths *paths)
{
    for (int i = 0, end; i < size; i = end) {
        end = i + 1;
        if (text[i] != '<' && text[i] != '"')
            continue;
        while (end < size && !ends_run[(uint8_t) text[end]])
            end++;
        if (end == size || end == i + 1 || !closes(text[i], text[end]) || !is_path(text + i + 1, end - i - 1))
            continue;
        end++;
        if (bytes)
            add(paths, at + bytes[i], (size_t) (bytes[end] - bytes[i]));
        else
            add(paths, text + i, (size_t) (end - i));
    }
}

/* The same where characters may have more than one byte: each becomes one that stands for it. */
static void search_wide(const char *at, size_t size, struct lr_paths *paths)
{
    char text[2 * SEARCHED];
    uint16_t bytes[2 * SEARCHED + 1];
    int count = 0;

    for (size_t i = 0; i < size && count < 2 * SEARCHED; count++) {
        uint32_t code;
        int one = lr_utf8_size(at + i, at + size, &code);

        text[count] = at[i];
        bytes[count] = (uint16_t) i;
        i += one ? (size_t) one : 1;
    }
    bytes[count] = (uint16_t) size;
    search(text, count, at, bytes, paths);
}

/* Finds the paths, without their delimiters. They last as long as `scratch` is left alone. */
void lr_paths_by_pattern(struct lr_span arguments, struct lr_span result, struct lr_text *scratch,
                         struct lr_paths *ret_paths)
{
    bool ascii, ascii_result;

    scratch->size = 0;
    ret_paths->count = 0;
    lr_text_add(scratch, arguments.at, searched(arguments, &ascii));
    lr_text_add(scratch, result.at, searched(result, &ascii_result));
    if (scratch->error)
        return;
    if (ascii && ascii_result)
        search(scratch->data, (int) scratch->size, NULL, NULL, ret_paths);
    else
        search_wide(scratch->data, scratch->size, ret_paths);
    for (int i = 0; i < ret_paths->count; i++) {
        ret_paths->path[i].at++;
        ret_paths->path[i].size -= 2;
    }
}
