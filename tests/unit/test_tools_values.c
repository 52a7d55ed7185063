/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people write them: what is taken, and what is refused without touching the output.
 */
#include <criterion/criterion.h>

#include <crossdock/status.h>
#include <string.h>
#include <time.h>

#include "tools/crossdock/values.h"

/* Numbers are whole, unsigned, and end with the text. */
Test(tools_values, numbers_are_whole)
{
    static const char *const wrong[] = {"", "-1", "+1", " 1", "1 ", "1x", "1.5", "0x", "256"};
    uint64_t number = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(value_number(wrong[i], 255, &number), XDOCK_FIELD_INVALID, "%s", wrong[i]);
    cr_assert_eq(number, 77);
    cr_assert_eq(value_number("0xff", 255, &number), 0);
    cr_assert_eq(number, 255);
    cr_assert_eq(value_number("18446744073709551615", UINT64_MAX, &number), 0);
    cr_assert_eq(number, UINT64_MAX);
    cr_assert_eq(value_number("18446744073709551616", UINT64_MAX, &number), XDOCK_FIELD_INVALID);
}

/* Durations need a unit and lie between 1 ms and a day. */
Test(tools_values, durations_need_a_unit)
{
    static const char *const wrong[] = {"", "5", "s", "0s", "-1s", "1.5s", "25h", "99999999h"};
    uint32_t ms = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(value_duration_ms(wrong[i], &ms), XDOCK_FIELD_INVALID, "%s", wrong[i]);
    cr_assert_eq(ms, 77);
    cr_assert(value_duration_ms("250ms", &ms) == 0 && ms == 250);
    cr_assert(value_duration_ms("2m", &ms) == 0 && ms == 120000);
    cr_assert(value_duration_ms("24h", &ms) == 0 && ms == 86400000);
}

/* Every day of four centuries, against the C library. */
Test(tools_values, times_agree_with_the_c_library)
{
    for (int64_t day = 0; day < 146097; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm civil;
        char text[64];
        int64_t us = 0;
        cr_assert_not_null(gmtime_r(&seconds, &civil));
        cr_assert(strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &civil) > 0);
        cr_assert_eq(value_time_us(text, &us), 0, "%s", text);
        cr_assert_eq(us, (int64_t)seconds * 1000000, "%s", text);
    }
}

/* Zones, fractions and short forms. */
Test(tools_values, times_have_zones_and_fractions)
{
    int64_t utc, other;
    cr_assert_eq(value_time_us("2026-11-24T07:53:55.25Z", &utc), 0);
    cr_assert(value_time_us("2026-11-24T08:53:55.250+01:00", &other) == 0 && other == utc);
    cr_assert(value_time_us("2026-11-24 02:23:55.25-0530", &other) == 0 && other == utc);
    cr_assert(value_time_us("2026-11-24T07:53:55.250000000", &other) == 0 && other == utc);
    cr_assert_eq(value_time_us("2026-11-24", &utc), 0);
    cr_assert(value_time_us("2026-11-24T00:00", &other) == 0 && other == utc);
}

/* Days and times that do not exist. */
Test(tools_values, impossible_times_are_refused)
{
    static const char *const wrong[] = {"2026-02-29",
                                        "2026-13-01",
                                        "2026-00-10",
                                        "2026-04-31",
                                        "1969-12-31",
                                        "2026-11-24T24:00",
                                        "2026-11-24T10:60",
                                        "2026-11-24T10:00:60",
                                        "2026-11-24T10:00Zx",
                                        "2026-11-24T",
                                        "26-11-24",
                                        "2026-11-24T10:00+15:00",
                                        "2026-11-24T10:00:00.",
                                        "2026/11/24",
                                        "2026-11-24T10:00:00.0000001"};
    int64_t us = 77;
    uint32_t date = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(value_time_us(wrong[i], &us), XDOCK_FIELD_INVALID, "%s", wrong[i]);
    cr_assert_eq(us, 77);
    cr_assert_eq(value_date("2026-02-30", &date), XDOCK_FIELD_INVALID);
    cr_assert_eq(value_date("2026-02-28T", &date), XDOCK_FIELD_INVALID);
    cr_assert_eq(date, 77);
    cr_assert(value_date("2028-02-29", &date) == 0 && date == 20280229);
}

/* UUIDs with dashes where they belong, or with none. */
Test(tools_values, uuids_have_their_dashes_in_place)
{
    uint8_t plain[16], dashed[16], untouched[16] = {9};
    cr_assert_eq(value_uuid("0192a3b4c5d67e8f90123456789ABCDE", plain), 0);
    cr_assert_eq(value_uuid("0192a3b4-c5d6-7e8f-9012-3456789abcde", dashed), 0);
    cr_assert_arr_eq(plain, dashed, 16);
    cr_assert_eq(value_uuid("0192a3b4c-5d6-7e8f-9012-3456789abcde", untouched),
                 XDOCK_FIELD_INVALID);
    cr_assert_eq(value_uuid("0192a3b4c5d67e8f90123456789abcdg", untouched), XDOCK_FIELD_INVALID);
    cr_assert_eq(untouched[0], 9);
}

/* The vectors of RFC 4648, and spellings that are not the proper one. */
Test(tools_values, base64_has_one_spelling)
{
    static const char *const pairs[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}};
    static const char *const wrong[] = {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zg==Zg==", "Zm9-"};
    uint8_t bytes[16];
    size_t count;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        cr_assert_eq(value_base64(pairs[i][1], strlen(pairs[i][1]), bytes, &count), 0);
        cr_assert_eq(count, strlen(pairs[i][0]));
        cr_assert(memcmp(bytes, pairs[i][0], count) == 0);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(value_base64(wrong[i], strlen(wrong[i]), bytes, &count), XDOCK_FIELD_INVALID,
                     "%s", wrong[i]);
}

/* Sizes have binary units; what does not fit a file offset is no size. */
Test(tools_values, sizes_have_units)
{
    static const char *const wrong[] = {"", "GiB", "5GB", "5 GiB", "-1", "1.5GiB", "9000000000TiB"};
    uint64_t bytes = 9;
    cr_assert_eq(value_bytes("4096", &bytes), 0);
    cr_assert_eq(bytes, 4096);
    cr_assert_eq(value_bytes("50GiB", &bytes), 0);
    cr_assert_eq(bytes, 50ull << 30);
    cr_assert_eq(value_bytes("0B", &bytes), 0);
    cr_assert_eq(bytes, 0);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(value_bytes(wrong[i], &bytes), XDOCK_FIELD_INVALID, "%s", wrong[i]);
    cr_assert_eq(bytes, 0);
}
