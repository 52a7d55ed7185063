/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers for people keep their size: the unit changes, the first digits stay.
 */
#include <criterion/criterion.h>

#include "tools/crossdock/human.h"

static const char *bytes_of(uint64_t bytes)
{
    static char text[HUMAN_BYTES];
    human_bytes(bytes, text);
    return text;
}

static const char *us_of(uint64_t us)
{
    static char text[HUMAN_BYTES];
    human_us(us, text);
    return text;
}

static const char *seconds_of(uint64_t seconds)
{
    static char text[HUMAN_BYTES];
    human_seconds(seconds, text);
    return text;
}

/* Sizes count in 1024, with one decimal that is cut and not rounded up to the next unit. */
Test(tools_human, sizes_take_the_largest_unit_that_fits)
{
    cr_assert_str_eq(bytes_of(0), "0 B");
    cr_assert_str_eq(bytes_of(1023), "1023 B");
    cr_assert_str_eq(bytes_of(1024), "1.0 KiB");
    cr_assert_str_eq(bytes_of(1536), "1.5 KiB");
    cr_assert_str_eq(bytes_of((1u << 20) - 1), "1023.9 KiB");
    cr_assert_str_eq(bytes_of(77678919680u), "72.3 GiB");
    cr_assert_str_eq(bytes_of(UINT64_MAX), "15.9 EiB");
}

/* Times below a second and above it. */
Test(tools_human, times_take_the_largest_unit_that_fits)
{
    cr_assert_str_eq(us_of(999), "999 us");
    cr_assert_str_eq(us_of(1000), "1.0 ms");
    cr_assert_str_eq(us_of(999999), "999.9 ms");
    cr_assert_str_eq(us_of(1500000), "1.5 s");
}

/* How long a broker is up. */
Test(tools_human, durations_have_two_units_at_most)
{
    cr_assert_str_eq(seconds_of(119), "119 s");
    cr_assert_str_eq(seconds_of(120), "2 min");
    cr_assert_str_eq(seconds_of(2 * 3600 + 20 * 60), "2 h 20 min");
    cr_assert_str_eq(seconds_of(50 * 3600), "2 d 2 h");
}
