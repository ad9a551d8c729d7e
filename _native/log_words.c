/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Spans of a log's text, and the numbers in them.
 */
#include "log.h"

#define LETTER (LR_NAME | LR_WORD)
#define LOWER (LETTER | LR_LOWER_NAME)

/* LR_BLANK is what Python's \s matches in ASCII; LR_WORD what its \w does, with every byte of what is no ASCII. */
const uint8_t lr_byte_kinds[256] = {
    ['0' ... '9'] = LR_DIGIT | LR_HEX | LOWER,
    ['a' ... 'f'] = LR_HEX | LOWER,
    ['g' ... 'z'] = LOWER,
    ['A' ... 'F'] = LR_HEX | LETTER,
    ['G' ... 'Z'] = LETTER,
    ['_'] = LOWER,
    ['?'] = LR_NAME,
    [' '] = LR_BLANK,
    ['\t' ... '\r'] = LR_BLANK,
    [0x1c ... 0x1f] = LR_BLANK,
    [0x80 ... 0xff] = LR_WORD,
};

/* The value of `digits`, which are all that they are; too many of them: INT64_MAX. */
int64_t lr_decimal(struct lr_span digits)
{
    int64_t value = 0;

    for (size_t i = 0; i < digits.size; i++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, digits.at[i] - '0', &value))
            return INT64_MAX;
    return value;
}

/* What C would take `text` for: 12, -1, 0x7f, 022. A register has 64 bits: what is more than INT64_MAX is negative.
 * LR_LOG_NONE: it is no number. */
int64_t lr_number(struct lr_span text)
{
    const char *at = text.at, *end = at + text.size;
    bool negative = at < end && *at == '-';
    uint64_t value = 0;
    uint32_t base = 10;

    at += negative;
    if (end - at > 2 && at[0] == '0' && at[1] == 'x') {
        base = 16;
        at += 2;
    } else if (end - at > 1 && *at == '0') {
        base = 8;
        at++;
    }
    if (at == end)
        return LR_LOG_NONE;
    for (; at < end; at++) {
        uint32_t digit = lr_is(*at, LR_DIGIT) ? (uint32_t) (*at - '0') : (uint32_t) ((*at | 0x20) - 'a' + 10);

        if (!lr_is(*at, LR_HEX) || digit >= base || __builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit, &value))
            return LR_LOG_NONE;
    }
    return (int64_t) (negative ? 0 - value : value);
}

/* The nanoseconds that the digits behind a decimal point stand for. */
int64_t lr_fraction_ns(const char *at, const char *end)
{
    int64_t value = 0;

    for (int place = 0; place < 9; place++)
        value = value * 10 + (at < end ? *at++ - '0' : 0);
    return value;
}
