/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/writer.c: JSON text, exactly.
 */
#include "broker/admin/writer.h"

#include "tests/support/json.h"

#include <signal.h>
#include <time.h>

/* Nests, commas and keys come out as the calls say, without blanks. */
Test(admin_writer, writes_what_the_calls_say)
{
    char out[512];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_object(&writer, NULL);
    writer_array(&writer, "empty");
    writer_array_end(&writer);
    writer_array(&writer, "rows");
    writer_object(&writer, NULL);
    writer_number(&writer, "a", 1);
    writer_object_end(&writer);
    writer_object(&writer, NULL);
    writer_object_end(&writer);
    writer_array_end(&writer);
    writer_bool(&writer, "yes", true);
    writer_bool(&writer, "no", false);
    writer_null(&writer, "none");
    writer_json(&writer, "raw", "{\"x\":[]}");
    writer_object_end(&writer);
    uint32_t bytes = writer_finish(&writer);
    static const char expected[] =
        "{\"empty\":[],\"rows\":[{\"a\":1},{}],\"yes\":true,\"no\":false,"
        "\"none\":null,\"raw\":{\"x\":[]}}";
    cr_assert_eq(bytes, sizeof expected - 1);
    cr_assert_arr_eq(out, expected, bytes);
    cr_assert(json_well_formed(out, bytes));
}

/* Numbers keep all 64 bits: they are integers, not doubles. */
Test(admin_writer, keeps_all_bits_of_numbers)
{
    char out[256];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_array(&writer, NULL);
    writer_number(&writer, NULL, UINT64_MAX);
    writer_number(&writer, NULL, (1ull << 53) + 1);
    writer_signed(&writer, NULL, INT64_MIN);
    writer_array_end(&writer);
    out[writer_finish(&writer)] = '\0';
    cr_assert_str_eq(out, "[18446744073709551615,9007199254740993,-9223372036854775808]");
}

/* Quotes, backslashes and control characters are escaped, the rest passes, also beyond ASCII. */
Test(admin_writer, escapes_what_json_forbids)
{
    char out[256];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_string(&writer, NULL, "a\"b\\c\n\x01\x7f/\xc3\xa4");
    uint32_t bytes = writer_finish(&writer);
    out[bytes] = '\0';
    cr_assert_str_eq(out, "\"a\\\"b\\\\c\\u000a\\u0001\\u007f/\xc3\xa4\"");
    cr_assert(json_well_formed(out, bytes));
}

/* Every byte value in a string gives well-formed JSON. */
Test(admin_writer, gives_well_formed_text_for_every_byte)
{
    char out[64];
    for (unsigned byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        struct writer writer;
        writer_init(&writer, out, sizeof out);
        writer_text(&writer, NULL, (struct xd_text){&c, 1});
        cr_assert(json_well_formed(out, writer_finish(&writer)), "byte %u", byte);
    }
}

static void expect_time(int64_t us, const char *expected)
{
    char text[WRITER_TIME_BYTES];
    writer_time_text(us, text);
    cr_assert_str_eq(text, expected);
}

/* Times are ISO 8601 in UTC with microseconds; also before 1970, and clamped to four-digit years.
 */
Test(admin_writer, writes_times_in_utc)
{
    expect_time(0, "1970-01-01T00:00:00.000000Z");
    expect_time(-1, "1969-12-31T23:59:59.999999Z");
    expect_time(1795505935123456, "2026-11-24T07:38:55.123456Z");
    expect_time(951782400000000, "2000-02-29T00:00:00.000000Z");
    expect_time(4107542399999999, "2100-02-28T23:59:59.999999Z");
    expect_time(4107542400000000, "2100-03-01T00:00:00.000000Z");
    expect_time(INT64_MAX, "9999-12-31T23:59:59.999999Z");
    expect_time(INT64_MIN, "0000-01-01T00:00:00.000000Z");
}

/* Every day of two centuries agrees with the C library. */
Test(admin_writer, agrees_with_the_c_library_about_days)
{
    char text[WRITER_TIME_BYTES], expected[WRITER_TIME_BYTES];
    for (int64_t day = -36524; day < 2 * 36524; day++) {
        time_t seconds = day * 86400 + 3661;
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
        writer_time_text((int64_t)seconds * 1000000, text);
        cr_assert_str_eq(text, expected);
    }
}

/* "Never" is null and not 1970. */
Test(admin_writer, writes_null_for_no_time)
{
    char out[64];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_time(&writer, NULL, 0);
    out[writer_finish(&writer)] = '\0';
    cr_assert_str_eq(out, "null");
}

/* A buffer that is too small is the caller's mistake. */
Test(admin_writer, aborts_when_the_buffer_is_too_small, .signal = SIGABRT)
{
    char out[4];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_string(&writer, NULL, "abc");
}

/* A nest that is left open is the caller's mistake. */
Test(admin_writer, aborts_when_a_nest_is_open, .signal = SIGABRT)
{
    char out[8];
    struct writer writer;
    writer_init(&writer, out, sizeof out);
    writer_object(&writer, NULL);
    (void)writer_finish(&writer);
}
