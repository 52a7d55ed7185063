/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/config_value.c: every row of the option table at its default, its ends and beyond them.
 */
#include "broker/config_value.h"

#include "wire/status.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_quantity(const struct config_row *row)
{
    return row->kind == CONFIG_NUMBER || row->kind == CONFIG_BYTES || row->kind == CONFIG_TIME;
}

/* A number in the smallest unit of its kind. */
static int parse_raw(const struct config_row *row, int64_t number, int64_t *ret_number)
{
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 "%s", number, row->kind == CONFIG_TIME ? "us" : "");
    return config_value_parse(row, text, ret_number);
}

/* Names are unique, sections stand together, and a text tells what it does. */
Test(config_value, has_a_table_that_keeps_its_rules)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        cr_assert_eq(strlen(row->name), strlen(row->section) + 1 + strlen(row->key), "%s",
                     row->name);
        cr_assert(strlen(row->text) >= 16 && row->text[strlen(row->text) - 1] == '.', "%s",
                  row->name);
        cr_assert_leq(row->min, row->max, "%s", row->name);
        cr_assert_geq(row->step, 0, "%s", row->name);
        for (unsigned other = 0; other < i; other++) {
            cr_assert_str_neq(row->name, config_row(other)->name);
            if (strcmp(row->section, config_row(other)->section) == 0)
                cr_assert_str_eq(config_row(i - 1)->section, row->section, "%s", row->name);
        }
    }
    cr_assert_null(config_row(OPTION_COUNT));
}

/* Each default is a value of its option. */
Test(config_value, takes_every_default)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        int64_t number = INT64_MIN;
        cr_assert_eq(config_value_parse(config_row(i), config_row(i)->default_text, &number), 0,
                     "%s", config_row(i)->name);
        cr_assert_neq(number, INT64_MIN);
    }
}

/* Both ends are inside, one step beyond them is not. */
Test(config_value, keeps_every_range)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        int64_t number = 0;
        if (!is_quantity(row))
            continue;
        int64_t step = row->step > 1 ? row->step : 1;
        cr_assert_eq(parse_raw(row, row->min, &number), 0, "%s", row->name);
        cr_assert_eq(number, row->min);
        cr_assert_eq(parse_raw(row, row->max, &number), 0, "%s", row->name);
        cr_assert_eq(number, row->max);
        number = 77;
        cr_assert_eq(parse_raw(row, row->min - step, &number), XD_OPTION_INVALID, "%s", row->name);
        cr_assert_eq(parse_raw(row, row->max + step, &number), XD_OPTION_INVALID, "%s", row->name);
        cr_assert_eq(parse_raw(row, 2 * row->max, &number), XD_OPTION_INVALID, "%s", row->name);
        cr_assert_eq(number, 77, "%s: changed by a refusal", row->name);
    }
}

/* Multiples and powers of two are demanded where the table says so. */
Test(config_value, keeps_every_step)
{
    int64_t number;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        if (is_quantity(row) && row->step > 1)
            cr_assert_eq(parse_raw(row, row->min + row->step / 2, &number), XD_OPTION_INVALID, "%s",
                         row->name);
        if (is_quantity(row) && row->step == 0)
            cr_assert_eq(parse_raw(row, row->max / 2 + row->max / 4, &number), XD_OPTION_INVALID,
                         "%s", row->name);
    }
    const struct config_row *tail = config_row(OPTION_log_tail_bytes);
    cr_assert_eq(config_value_parse(tail, "64MiB", &number), 0);
    cr_assert_eq(config_value_parse(tail, "96MiB", &number), XD_OPTION_INVALID);
}

/* Text, garbage and overflow are no quantity of any option. */
Test(config_value, refuses_what_is_no_quantity)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "x",
                                        "1x",
                                        "0x10",
                                        "1.5",
                                        "--1",
                                        "+1",
                                        "1 2",
                                        "1GiBx",
                                        "9223372036854775808",
                                        "99999999999999999999",
                                        "9223372036854775807TiB",
                                        "MiB",
                                        "1 ",
                                        " 1",
                                        "1e6",
                                        "-"};
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        int64_t number;
        if (!is_quantity(config_row(i)))
            continue;
        for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++)
            cr_assert_eq(config_value_parse(config_row(i), texts[k], &number), XD_OPTION_INVALID,
                         "%s = '%s'", config_row(i)->name, texts[k]);
    }
}

/* Units multiply; a size has no times and a time no sizes. */
Test(config_value, knows_the_units_of_each_kind)
{
    const struct config_row *bytes = config_row(OPTION_log_retention_bytes);
    const struct config_row *time = config_row(OPTION_log_retention_time);
    const struct config_row *plain = config_row(OPTION_net_connections_max);
    int64_t number;
    cr_assert_eq(config_value_parse(bytes, "3KiB", &number), 0);
    cr_assert_eq(number, 3072);
    cr_assert_eq(config_value_parse(bytes, "2 GiB", &number), 0);
    cr_assert_eq(number, 2147483648);
    cr_assert_eq(config_value_parse(bytes, "1TiB", &number), 0);
    cr_assert_eq(number, 1099511627776);
    cr_assert_eq(config_value_parse(bytes, "1s", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(bytes, "1GB", &number), XD_OPTION_INVALID);

    static const struct {
        const char *text;
        int64_t us;
    } times[] = {{"0", 0},          {"5us", 5},          {"7ms", 7000},          {"3s", 3000000},
                 {"2m", 120000000}, {"4h", 14400000000}, {"30d", 2592000000000}, {"0d", 0}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        cr_assert_eq(config_value_parse(time, times[i].text, &number), 0, "%s", times[i].text);
        cr_assert_eq(number, times[i].us, "%s", times[i].text);
    }
    cr_assert_eq(config_value_parse(time, "5", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(time, "5KiB", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(plain, "5KiB", &number), XD_OPTION_INVALID);
}

/* A flag has four spellings of each value. */
Test(config_value, takes_the_spellings_of_a_flag)
{
    const struct config_row *row = config_row(OPTION_process_mlock);
    static const char *const words[] = {"no", "false", "off", "0", "yes", "true", "on", "1"};
    int64_t number;
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(config_value_parse(row, words[i], &number), 0);
        cr_assert_eq(number, i / 4);
    }
    cr_assert_eq(config_value_parse(row, "2", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(row, "Yes", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(row, "", &number), XD_OPTION_INVALID);
}

/* Every word of a choice is its number, in the sequence of the enumeration behind it. */
Test(config_value, takes_the_words_of_a_choice)
{
    static const char *const syncs[] = {"auto", "dsync", "fdatasync"};
    const struct config_row *row = config_row(OPTION_log_sync);
    int64_t number;
    for (int i = 0; i < 3; i++) {
        char text[CONFIG_EXPECT_BYTES];
        cr_assert_eq(config_value_parse(row, syncs[i], &number), 0);
        cr_assert_eq(number, i);
        config_value_text(row, i, text);
        cr_assert_str_eq(text, syncs[i]);
    }
    cr_assert_eq(config_value_parse(row, "sync", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(row, "auto dsync", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(row, "", &number), XD_OPTION_INVALID);
}

/* Lists are bounded by their number of elements; texts and lists are printable ASCII. */
Test(config_value, bounds_lists_and_texts)
{
    const struct config_row *listen = config_row(OPTION_server_listen);
    const struct config_row *data = config_row(OPTION_server_data);
    int64_t number;
    cr_assert_eq(config_value_parse(listen, "a,b,c", &number), 0);
    cr_assert_eq(number, 3);
    cr_assert_eq(config_value_parse(listen, "", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(listen, "1,2,3,4,5,6,7,8", &number), 0);
    cr_assert_eq(config_value_parse(listen, "1,2,3,4,5,6,7,8,9", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(data, "a\tb", &number), XD_OPTION_INVALID);
    cr_assert_eq(config_value_parse(data, "\xc3\xa4", &number), XD_OPTION_INVALID);
    char text[CONFIG_TEXT_BYTES_MAX + 1];
    memset(text, 'x', sizeof text);
    text[CONFIG_TEXT_BYTES_MAX] = '\0';
    cr_assert_eq(config_value_parse(data, text, &number), XD_OPTION_INVALID);
    text[CONFIG_TEXT_BYTES_MAX - 1] = '\0';
    cr_assert_eq(config_value_parse(data, text, &number), 0);
}

/* What a line of a file would cut is refused wherever it stands, so that a printed configuration is
 * the one in force. */
Test(config_value, refuses_texts_that_no_file_can_hold)
{
    const struct config_row *data = config_row(OPTION_server_data);
    const struct config_row *listen = config_row(OPTION_server_listen);
    static const char *const texts[] = {" a", "a ", " ", "a ;b", ";a", ";"};
    int64_t number = 4711;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_assert_eq(config_value_parse(data, texts[i], &number), XD_OPTION_INVALID, "%s",
                     texts[i]);
        cr_assert_eq(config_value_parse(listen, texts[i], &number), XD_OPTION_INVALID, "%s",
                     texts[i]);
    }
    cr_assert_eq(number, 4711);
    cr_assert_eq(config_value_parse(data, "a b;c#d #e", &number), 0);
    cr_assert_eq(config_value_parse(listen, "a, b", &number), 0);
}

/* What is written for a value is read as that value again. */
Test(config_value, writes_what_it_reads)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        int64_t values[3] = {row->min, row->max, 0}, number;
        char text[CONFIG_EXPECT_BYTES];
        if (row->kind == CONFIG_TEXT || row->kind == CONFIG_LIST)
            continue;
        cr_assert_eq(config_value_parse(row, row->default_text, &values[2]), 0);
        for (unsigned k = 0; k < 3; k++) {
            config_value_text(row, values[k], text);
            cr_assert_eq(config_value_parse(row, text, &number), 0, "%s: %s", row->name, text);
            cr_assert_eq(number, values[k], "%s: %s", row->name, text);
        }
        config_value_text(row, values[2], text);
        cr_assert_str_eq(text, row->default_text, "%s", row->name);
    }
}

/* Expectations name bounds in units that people use. */
Test(config_value, says_what_it_expects)
{
    char text[CONFIG_EXPECT_BYTES];
    config_value_expected(config_row(OPTION_log_tail_bytes), text);
    cr_assert_str_eq(text, "a size with KiB, MiB, GiB or TiB, 16MiB to 8GiB, a power of two");
    config_value_expected(config_row(OPTION_log_segment_bytes), text);
    cr_assert_str_eq(text, "a size with KiB, MiB, GiB or TiB, 4MiB to 1GiB, a multiple of 1MiB");
    config_value_expected(config_row(OPTION_log_sync), text);
    cr_assert_str_eq(text, "one of: auto dsync fdatasync");
    config_value_expected(config_row(OPTION_process_cpu), text);
    cr_assert_str_eq(text, "a number, -1 to 1023");
}
