/* SPDX-License-Identifier: Apache-2.0
 *
 * Values; see values.h.
 */
#include "tools/crossdock/values.h"

#include <crossdock/status.h>
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS 86400000u

int value_number(const char *text, uint64_t most, uint64_t *ret_number)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return XDOCK_FIELD_INVALID;
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    errno = 0;
    unsigned long long number = strtoull(text, &end, hex ? 16 : 10);
    if (errno != 0 || *end != '\0' || number > most)
        return XDOCK_FIELD_INVALID;
    *ret_number = number;
    return 0;
}

int value_duration_ms(const char *text, uint32_t *ret_ms)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 8)
        return XDOCK_FIELD_INVALID;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t ms = strtoull(text, NULL, 10) * units[i].ms;
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        if (ms == 0 || ms > DAY_MS)
            return XDOCK_FIELD_INVALID;
        *ret_ms = (uint32_t)ms;
        return 0;
    }
    return XDOCK_FIELD_INVALID;
}

int value_bytes(const char *text, uint64_t *ret_bytes)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 15)
        return XDOCK_FIELD_INVALID;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t number = strtoull(text, NULL, 10);
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        if (number > (UINT64_MAX >> 1) >> units[i].shift)
            return XDOCK_FIELD_INVALID;
        *ret_bytes = number << units[i].shift;
        return 0;
    }
    return XDOCK_FIELD_INVALID;
}

/* Exactly `digits` decimal digits at *at, which moves behind them; -1 without. */
static int take_digits(const char **at, unsigned digits)
{
    int number = 0;
    for (unsigned i = 0; i < digits; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        number = number * 10 + (**at - '0');
    }
    return number;
}

static bool take(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

static bool leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Days from 1970-01-01, -1 when there is no such day. */
static int64_t days_of(int year, int month, int day)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    if (year < 1970 || month < 1 || month > 12 || day < 1)
        return -1;
    int length = before[month] - before[month - 1] + (month == 2 && leap(year));
    if (day > length)
        return -1;
    int64_t y = year - 1;
    int64_t days = y * 365 + y / 4 - y / 100 + y / 400 - 719162;
    return days + before[month - 1] + (month > 2 && leap(year)) + day - 1;
}

static int take_date(const char **at, int *ret_date, int64_t *ret_days)
{
    int year = take_digits(at, 4);
    bool dashes = take(at, '-');
    int month = take_digits(at, 2);
    dashes = take(at, '-') && dashes;
    int day = take_digits(at, 2);
    int64_t days = days_of(year, month, day);
    if (!dashes || month < 0 || day < 0 || days < 0)
        return XDOCK_FIELD_INVALID;
    *ret_date = year * 10000 + month * 100 + day;
    *ret_days = days;
    return 0;
}

/* Behind the seconds: ".25" as 250000; digits behind the sixth must be 0. */
static int take_fraction(const char **at, int64_t *ret_us)
{
    int64_t us = 0, unit = 100000;
    if (!take(at, '.'))
        return 0;
    if (!isdigit((unsigned char)**at))
        return XDOCK_FIELD_INVALID;
    for (; isdigit((unsigned char)**at); (*at)++) {
        if (unit == 0 && **at != '0')
            return XDOCK_FIELD_INVALID;
        us += (**at - '0') * unit;
        unit /= 10;
    }
    *ret_us = us;
    return 0;
}

/* "Z", "+01:00", "-0530" or nothing. */
static int take_zone(const char **at, int64_t *ret_minutes)
{
    if (take(at, 'Z') || **at == '\0')
        return 0;
    int sign = take(at, '+') ? 1 : take(at, '-') ? -1 : 0;
    int hours = take_digits(at, 2);
    (void)take(at, ':'); /* the colon may be left out */
    int minutes = hours >= 0 ? take_digits(at, 2) : -1;
    if (sign == 0 || hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
        return XDOCK_FIELD_INVALID;
    *ret_minutes = sign * (hours * 60 + minutes);
    return 0;
}

int value_time_us(const char *text, int64_t *ret_us)
{
    const char *at = text;
    int date;
    int64_t days, us = 0, zone = 0;
    int hours = 0, minutes = 0, seconds = 0;
    if (take_date(&at, &date, &days) < 0)
        return XDOCK_FIELD_INVALID;
    if (*at != '\0') {
        if (!take(&at, 'T') && !take(&at, ' '))
            return XDOCK_FIELD_INVALID;
        hours = take_digits(&at, 2);
        minutes = take(&at, ':') ? take_digits(&at, 2) : -1;
        seconds = take(&at, ':') ? take_digits(&at, 2) : 0;
        if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59 || seconds < 0 || seconds > 59 ||
            take_fraction(&at, &us) < 0 || take_zone(&at, &zone) < 0)
            return XDOCK_FIELD_INVALID;
    }
    if (*at != '\0')
        return XDOCK_FIELD_INVALID;
    *ret_us = (((days * 24 + hours) * 60 + minutes - zone) * 60 + seconds) * 1000000 + us;
    return 0;
}

int value_date(const char *text, uint32_t *ret_date)
{
    const char *at = text;
    int date;
    int64_t days;
    if (take_date(&at, &date, &days) < 0 || *at != '\0')
        return XDOCK_FIELD_INVALID;
    *ret_date = (uint32_t)date;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int value_uuid(const char *text, uint8_t ret_uuid[16])
{
    uint8_t uuid[16];
    size_t bytes = strlen(text);
    if (bytes != 32 && bytes != 36)
        return XDOCK_FIELD_INVALID;
    for (unsigned i = 0; i < 16; i++) {
        bool dash = bytes == 36 && (i == 4 || i == 6 || i == 8 || i == 10);
        if (dash && *text++ != '-')
            return XDOCK_FIELD_INVALID;
        int high = hex_digit(text[0]);
        int low = high >= 0 ? hex_digit(text[1]) : -1;
        if (low < 0)
            return XDOCK_FIELD_INVALID;
        uuid[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    memcpy(ret_uuid, uuid, sizeof uuid);
    return 0;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

int value_base64(const char *text, size_t text_bytes, uint8_t *buffer, size_t *ret_bytes)
{
    size_t used = 0;
    if (text_bytes % 4 != 0)
        return XDOCK_FIELD_INVALID;
    for (size_t i = 0; i < text_bytes; i += 4) {
        bool last = i + 4 == text_bytes;
        unsigned padding = !last ? 0 : text[i + 3] != '=' ? 0 : text[i + 2] != '=' ? 1 : 2;
        uint32_t group = 0;
        for (unsigned k = 0; k < 4; k++) {
            int digit = k + padding >= 4 ? 0 : base64_digit(text[i + k]);
            if (digit < 0)
                return XDOCK_FIELD_INVALID;
            group = group << 6 | (uint32_t)digit;
        }
        /* Bits behind the last byte are zero in the one proper spelling. */
        if ((padding == 1 && (group & 0xff) != 0) || (padding == 2 && (group & 0xffff) != 0))
            return XDOCK_FIELD_INVALID;
        for (unsigned k = 0; k + padding < 3; k++)
            buffer[used++] = (uint8_t)(group >> (16 - 8 * k));
    }
    *ret_bytes = used;
    return 0;
}
