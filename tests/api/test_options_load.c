/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/options.h"
#include "wire/status.h"

static char path[] = "/tmp/crossdock-options-XXXXXX";

static void write_file(const char *text)
{
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void remove_file(void)
{
    unlink(path);
}

static xdock_options_t *make(void)
{
    xdock_options_t *options = NULL;
    cr_assert_eq(xdock_options_init(&options), 0);
    return options;
}

/* Section, then profile, then environment: later wins, other sections are left alone. */
Test(options_load, later_sources_win, .fini = remove_file)
{
    write_file("# site\n[broker]\nnonsense = 1\n\n[client]\naddress = 10.0.0.1:7700\n"
               "producer.codec = lz4 \n; night shift\n[profile night]\n"
               "producer.batch_bytes=128KiB\nproducer.linger_us=500\n");
    setenv("CROSSDOCK_PRODUCER_LINGER_US", "900", 1);
    xdock_options_t *options = make();
    cr_assert_eq(xdock_options_load(options, path, "night"), 0, "%s", xdock_options_error(options));
    cr_assert_str_eq(xdock_options_get(options, "address"), "10.0.0.1:7700");
    cr_assert_str_eq(xdock_options_get(options, "producer.codec"), "lz4");
    cr_assert_str_eq(xdock_options_get(options, "producer.batch_bytes"), "128KiB");
    cr_assert_str_eq(xdock_options_get(options, "producer.linger_us"), "900");
    xdock_options_free(&options);
}

/* A wrong line is reported with file and number. */
Test(options_load, names_file_and_line_of_a_mistake, .fini = remove_file)
{
    write_file("[client]\naddress = 10.0.0.1:7700\nproducer.codec = zip\n");
    xdock_options_t *options = make();
    cr_assert_eq(xdock_options_load(options, path, NULL), XD_OPTION_INVALID);
    char expected[80];
    snprintf(expected, sizeof(expected), "%s:3: producer.codec", path);
    cr_assert_eq(strncmp(xdock_options_error(options), expected, strlen(expected)), 0, "%s",
                 xdock_options_error(options));
    xdock_options_free(&options);
}

/* Lines without a value, sections without an end, unknown names, profiles that are not there. */
Test(options_load, refuses_what_it_cannot_read, .fini = remove_file)
{
    write_file("[client]\n");
    const char *const texts[] = {"[client]\naddress\n", "[client\n", "[client]\nspeed = 9\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(path, "w");
        fputs(texts[i], file);
        fclose(file);
        xdock_options_t *options = make();
        cr_assert_lt(xdock_options_load(options, path, NULL), 0, "%s", texts[i]);
        xdock_options_free(&options);
    }
    FILE *file = fopen(path, "w");
    fputs("[client]\n", file);
    fclose(file);
    xdock_options_t *options = make();
    cr_assert_eq(xdock_options_load(options, path, "night"), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(xdock_options_error(options), "profile night"));
    xdock_options_free(&options);
}

/* A file that was named must be there; one that was only looked for need not. */
Test(options_load, a_missing_file_matters_only_when_it_was_named)
{
    xdock_options_t *options = make();
    cr_assert_eq(xdock_options_load(options, "/nonexistent/client.conf", NULL), -ENOENT);
    setenv("CROSSDOCK_CLIENT_CONFIG", "/nonexistent/client.conf", 1);
    cr_assert_eq(xdock_options_load(options, NULL, NULL), 0);
    setenv("CROSSDOCK_ADDRESS", "[::1]:7701", 1);
    cr_assert_eq(xdock_options_load(options, NULL, NULL), 0);
    cr_assert_str_eq(xdock_options_get(options, "address"), "[::1]:7701");
    setenv("CROSSDOCK_PRODUCER_CODEC", "zip", 1);
    cr_assert_eq(xdock_options_load(options, NULL, NULL), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(xdock_options_error(options), "CROSSDOCK_PRODUCER_CODEC"));
    xdock_options_free(&options);
}
