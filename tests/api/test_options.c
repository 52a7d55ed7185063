/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

#include "client/options.h"
#include "wire/status.h"

/* Every row has a name, a sentence and a default that lies in its range. */
Test(options, every_row_is_complete)
{
    xdock_option_row_t row;
    unsigned count = 0;
    for (; xdock_options_row(count, &row) == 0; count++) {
        cr_assert_gt(strlen(row.name), 0);
        cr_assert_gt(strlen(row.text), 10, "%s", row.name);
        cr_assert_gt(strlen(row.range), 0, "%s", row.name);
        cr_assert_eq(xd_option_find(row.name, strlen(row.name)), (int)count);
    }
    cr_assert_eq(count, XD_OPTION_COUNT);
    cr_assert_eq(xdock_options_row(count, &row), -ENOENT);
}

/* Units, bounds and words of each type; what does not fit is refused and changes nothing. */
Test(options, parse_their_types)
{
    const struct {
        const char *name, *value;
        int status;
        uint64_t number;
    } rows[] = {
        {"producer.batch_bytes", "4KiB", 0, 4096},
        {"producer.batch_bytes", "1008KiB", 0, 1032192},
        {"producer.batch_bytes", "65536", 0, 65536},
        {"producer.batch_bytes", "4095", XD_OPTION_INVALID, 0},
        {"producer.batch_bytes", "2MiB", XD_OPTION_INVALID, 0},
        {"producer.batch_bytes", "64KB", XD_OPTION_INVALID, 0},
        {"producer.batch_bytes", "-1", XD_OPTION_INVALID, 0},
        {"producer.batch_bytes", "18446744073709551616", XD_OPTION_INVALID, 0},
        {"producer.buffer_bytes", "4GiB", 0, 4294967296ull},
        {"producer.buffer_bytes", "17179869184GiB", XD_OPTION_INVALID, 0},
        {"reconnect.min", "50ms", 0, 50000},
        {"reconnect.min", "1s", 0, 1000000},
        {"reconnect.min", "50", XD_OPTION_INVALID, 0},
        {"reader.wait", "0", 0, 0},
        {"reader.wait", "30s", 0, 30000000},
        {"reader.wait", "31s", XD_OPTION_INVALID, 0},
        {"producer.linger_us", "250", 0, 250},
        {"producer.linger_us", "250us", XD_OPTION_INVALID, 0},
        {"producer.codec", "lz4", 0, 1},
        {"producer.codec", "lz", XD_OPTION_INVALID, 0},
        {"producer.durability", "memory", 0, 2},
        {"client.name", "", 0, 0},
        {"client.name", "line\nbreak", XD_OPTION_INVALID, 0},
        {"producer.batchbytes", "1", XD_OPTION_UNKNOWN, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        xdock_options_t *options = NULL;
        cr_assert_eq(xdock_options_init(&options), 0);
        cr_assert_eq(xdock_options_set(options, rows[i].name, rows[i].value), rows[i].status,
                     "%s = %s", rows[i].name, rows[i].value);
        int option = xd_option_find(rows[i].name, strlen(rows[i].name));
        if (rows[i].status == 0)
            cr_assert_eq(options->numbers[option], rows[i].number);
        else
            cr_assert_gt(strlen(xdock_options_error(options)), 10);
        if (rows[i].status == XD_OPTION_INVALID) {
            xdock_option_row_t row;
            cr_assert_eq(xdock_options_row((unsigned)option, &row), 0);
            cr_assert_str_eq(xdock_options_get(options, rows[i].name), row.default_text);
            cr_assert_not_null(strstr(xdock_options_error(options), row.range));
        }
        xdock_options_free(&options);
        cr_assert_null(options);
    }
    cr_assert_eq(xd_status_class(XD_OPTION_INVALID), XD_CLASS_REJECTED);
}

/* A value reads back as it was given; unknown names read as nothing. */
Test(options, read_back_as_they_were_given)
{
    xdock_options_t *options = NULL;
    cr_assert_eq(xdock_options_init(&options), 0);
    cr_assert_str_eq(xdock_options_get(options, "address"), "127.0.0.1:7700");
    cr_assert_eq(xdock_options_set(options, "address", "unix:/run/x"), 0);
    cr_assert_str_eq(xdock_options_get(options, "address"), "unix:/run/x");
    cr_assert_null(xdock_options_get(options, "nothing"));
    xdock_options_free(&options);
    xdock_options_free(&options);
    xdock_options_free(NULL);
}
