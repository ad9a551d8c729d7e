/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Text that grows, and what is put into it: escaped for one reader or another. All that is written is UTF-8.
 */
#include "log.h"

/* Bytes that are written as they are. */
#define PLAIN_EVENTS 1
#define PLAIN_CSV 2
#define PLAIN_VERBATIM 4
#define PLAIN_REPR 8
#define PLAIN_ALL (PLAIN_EVENTS | PLAIN_CSV | PLAIN_VERBATIM | PLAIN_REPR)

static const uint8_t plain[256] = {
    [0 ... 0x1f] = PLAIN_VERBATIM,
    [' ' ... '!'] = PLAIN_ALL,
    ['"'] = PLAIN_EVENTS,
    ['#' ... '&'] = PLAIN_ALL,
    ['\''] = PLAIN_EVENTS | PLAIN_CSV | PLAIN_VERBATIM,
    ['(' ... '['] = PLAIN_ALL,
    ['\\'] = PLAIN_EVENTS | PLAIN_CSV | PLAIN_VERBATIM,
    [']' ... '~'] = PLAIN_ALL,
    [0x7f] = PLAIN_VERBATIM,
};
static const uint8_t plain_of[] = {
    [LR_ESCAPE_EVENTS] = PLAIN_EVENTS, [LR_ESCAPE_CSV] = PLAIN_CSV, [LR_ESCAPE_VERBATIM] = PLAIN_VERBATIM,
};

/* What no one sees, or would take for something else, as Python's str.isprintable() has it; of characters that
 * Unicode may yet assign it says nothing. */
static const struct { uint32_t first, last; } unprintable[] = {
    {0x7f, 0xa0}, {0xad, 0xad}, {0x600, 0x605}, {0x61c, 0x61c}, {0x6dd, 0x6dd}, {0x70f, 0x70f}, {0x1680, 0x1680},
    {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f}, {0x3000, 0x3000}, {0xd800, 0xf8ff},
    {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0xe0000, 0x10ffff},
};

bool lr_is_printable(uint32_t code)
{
    if (code < ' ')
        return false;
    for (size_t i = 0; i < sizeof(unprintable) / sizeof(*unprintable); i++)
        if (code <= unprintable[i].last)
            return code < unprintable[i].first;
    return false;
}

/* How many bytes the character at `at` has; 0: this is no UTF-8. */
int lr_utf8_size(const char *at, const char *end, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t first = (uint8_t) *at;
    int size = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
    uint32_t code = size == 1 ? first : first & (0x7fu >> size);

    if (!size || end - at < size)
        return 0;
    for (int i = 1; i < size; i++) {
        if (((uint8_t) at[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((uint8_t) at[i] & 0x3f);
    }
    *ret_code = code;
    return code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}

char *lr_text_grow(struct lr_text *text, size_t size)
{
    size_t room = text->room * 2 + size + 256;
    char *data = text->error ? NULL : realloc(text->data, room);

    if (!data) {
        text->error = -ENOMEM;
        return NULL;
    }
    text->data = data;
    text->room = room;
    return data + text->size;
}

/* Writes `number` into `digits`; returns where it is. */
struct lr_span lr_digits_of(int64_t number, struct lr_digits *digits)
{
    char *end = digits->text + sizeof(digits->text), *at = end;
    uint64_t rest = number < 0 ? 0 - (uint64_t) number : (uint64_t) number;

    do
        *--at = (char) ('0' + rest % 10);
    while (rest /= 10);
    if (number < 0)
        *--at = '-';
    return lr_between(at, end);
}

void lr_text_number(struct lr_text *text, int64_t number)
{
    struct lr_digits digits;
    struct lr_span span = lr_digits_of(number, &digits);

    lr_text_add(text, span.at, span.size);
}

static void add_octal(struct lr_text *text, uint8_t byte)
{
    char digits[] = {'\\', (char) ('0' + (byte >> 6)), (char) ('0' + (byte >> 3 & 7)), (char) ('0' + (byte & 7))};

    lr_text_add(text, digits, sizeof(digits));
}

/* Adds the character at `at` that is not plain; returns what is behind it. */
static const char *add_odd(struct lr_text *text, const char *at, const char *end, enum lr_escape escape)
{
    uint32_t code = 0;
    int size = lr_utf8_size(at, end, &code);

    if (*at == '"') {
        lr_text_add(text, "\"\"", 2);
        return at + 1;
    }
    if (size > 1 && (code >= 0xa0 || escape == LR_ESCAPE_VERBATIM)) {
        lr_text_add(text, at, (size_t) size);
        return at + size;
    }
    if (!size)
        size = 1;
    for (int i = 0; i < size; i++)
        add_octal(text, (uint8_t) at[i]);
    return at + size;
}

/* Fields are short: to copy byte by byte what is plain takes half the time of finding its end and copying it then. */
void lr_text_escaped(struct lr_text *text, struct lr_span data, enum lr_escape escape)
{
    const char *at = data.at, *end = at + data.size;
    uint8_t bit = plain_of[escape];

    while (at < end) {
        char *begin = lr_text_room(text, (size_t) (end - at)), *to = begin;

        if (!begin)
            return;
        while (at < end && plain[(uint8_t) *at] & bit)
            *to++ = *at++;
        text->size += (size_t) (to - begin);
        if (at < end)
            at = add_odd(text, at, end, escape);
    }
}

/* Adds `data` as a string of JSON; what is in it is escaped as LR_ESCAPE_EVENTS says. */
void lr_text_json(struct lr_text *text, struct lr_span data)
{
    size_t from, to;

    lr_text_byte(text, '"');
    from = text->size;
    lr_text_escaped(text, data, LR_ESCAPE_EVENTS);
    to = text->size;
    if (!text->error && (memchr(text->data + from, '"', to - from) || memchr(text->data + from, '\\', to - from))) {
        size_t more = 0;

        for (size_t i = from; i < to; i++)
            more += text->data[i] == '"' || text->data[i] == '\\';
        if (!lr_text_room(text, more))
            return;
        text->size += more;
        for (size_t i = to, into = text->size; i-- > from;) {
            text->data[--into] = text->data[i];
            if (text->data[i] == '"' || text->data[i] == '\\')
                text->data[--into] = '\\';
        }
    }
    lr_text_byte(text, '"');
}

static void add_code(struct lr_text *text, uint32_t code)
{
    static const char hex[] = "0123456789abcdef";
    int digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
    const char *special = code < 128 ? strchr("\tt\nn\rr", (int) code) : NULL;

    lr_text_byte(text, '\\');
    if (code && special) {
        lr_text_byte(text, special[1]);
        return;
    }
    lr_text_byte(text, digits == 2 ? 'x' : digits == 4 ? 'u' : 'U');
    while (digits--)
        lr_text_byte(text, hex[code >> 4 * digits & 15]);
}

/* Adds `data` as Python's repr(str) would, in a CSV field: " is doubled. What is no UTF-8 is \ooo by then, and so,
 * unless `escape` is LR_ESCAPE_VERBATIM, are control characters. */
void lr_text_repr(struct lr_text *text, struct lr_span data, enum lr_escape escape)
{
    const char *at = data.at, *end = at + data.size;
    bool doubled = data.size && memchr(at, '\'', data.size) && !memchr(at, '"', data.size);

    lr_text_add(text, "\"\"", doubled ? 2 : 0);
    lr_text_add(text, "'", !doubled);
    while (at < end) {
        const char *begin = at;
        uint32_t code = 0;
        int size;

        while (at < end && plain[(uint8_t) *at] & PLAIN_REPR)
            at++;
        lr_text_add(text, begin, (size_t) (at - begin));
        if (at == end)
            break;
        size = lr_utf8_size(at, end, &code);
        if (*at == '"') {
            lr_text_add(text, "\"\"", 2);
        } else if (*at == '\\' || (*at == '\'' && !doubled)) {
            lr_text_byte(text, '\\');
            lr_text_byte(text, *at);
        } else if (!size || (escape != LR_ESCAPE_VERBATIM && code < 0xa0 && code != '\'')) {
            size = size ? size : 1;
            for (int i = 0; i < size; i++) {
                lr_text_byte(text, '\\');
                add_octal(text, (uint8_t) at[i]);
            }
        } else if (lr_is_printable(code)) {
            lr_text_add(text, at, (size_t) size);
        } else {
            add_code(text, code);
        }
        at += size;
    }
    lr_text_add(text, "\"\"", doubled ? 2 : 0);
    lr_text_add(text, "'", !doubled);
}

void lr_text_free(struct lr_text *text)
{
    free(text->data);
    *text = (struct lr_text) {0};
}
