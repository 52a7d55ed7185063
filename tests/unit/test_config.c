/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/config.c: which source wins, and how mistakes are named.
 */
#include "broker/config.h"

#include "wire/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder with a configuration in it, and what comes of loading it. */
struct place {
    struct config config;
    char folder[64];
    char file[128];
    char why[CONFIG_WHY_BYTES];
};

static void place_begin(struct place *place)
{
    memset(place, 0, sizeof *place);
    snprintf(place->folder, sizeof place->folder, "/tmp/xd_config_XXXXXX");
    cr_assert_not_null(mkdtemp(place->folder));
    snprintf(place->file, sizeof place->file, "%s/crossdock.conf", place->folder);
}

static void place_write(struct place *place, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->folder, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    fputs(text, file);
    fclose(file);
}

static void place_remove(struct place *place, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", place->folder, name);
    (void)remove(path); /* not every test has made it */
}

static void place_end(struct place *place)
{
    static const char *const names[] = {"crossdock.conf",
                                        "crossdock.d/10.conf",
                                        "crossdock.d/20.conf",
                                        "crossdock.d/30.txt",
                                        "crossdock.d/.40.conf",
                                        "crossdock.d",
                                        ""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        place_remove(place, names[i]);
}

static int load(struct place *place, char *const *environment, const char *const *sets,
                uint32_t set_count)
{
    struct config_sources sources = {
        .file = place->file, .environment = environment, .sets = sets, .set_count = set_count};
    return config_load(&place->config, &sources, place->why);
}

static int load_text(struct place *place, const char *text)
{
    place_write(place, "crossdock.conf", text);
    return load(place, NULL, NULL, 0);
}

/* Without any source every option has its default and says so. */
Test(config, begins_with_the_defaults)
{
    struct place place;
    place_begin(&place);
    cr_assert_eq(load_text(&place, ""), 0);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        cr_assert_str_eq(config_text(&place.config, (enum config_option)i),
                         config_row(i)->default_text);
        cr_assert_str_eq(config_origin(&place.config, (enum config_option)i), "default");
    }
    cr_assert_eq(config_number(&place.config, OPTION_log_tail_bytes), 128 << 20);
    place_end(&place);
}

/* File, folder, environment, command line: each source in turn wins over those before it. */
Test(config, lets_later_sources_win)
{
    struct place place;
    char environment_net[] = "CROSSDOCK_NET__CONNECTIONS_MAX=4";
    char *environment[] = {environment_net, NULL};
    const char *sets[] = {"net.connections_max=5", "net.connections_max=6"};
    place_begin(&place);
    place_write(&place, "crossdock.conf", "[net]\nconnections_max = 1\n");
    cr_assert_eq(load(&place, NULL, NULL, 0), 0, "%s", place.why);
    cr_assert_eq(config_number(&place.config, OPTION_net_connections_max), 1);

    char folder[128];
    snprintf(folder, sizeof folder, "%s/crossdock.d", place.folder);
    cr_assert_eq(mkdir(folder, 0700), 0);
    place_write(&place, "crossdock.d/20.conf", "[net]\nconnections_max = 3\n");
    place_write(&place, "crossdock.d/10.conf", "[net]\nconnections_max = 2\nsend_timeout_ms=9\n");
    place_write(&place, "crossdock.d/30.txt", "[net]\nconnections_max = 30\n");
    place_write(&place, "crossdock.d/.40.conf", "[net]\nconnections_max = 40\n");
    cr_assert_eq(load(&place, NULL, NULL, 0), 0, "%s", place.why);
    cr_assert_eq(config_number(&place.config, OPTION_net_connections_max), 3);
    cr_assert_eq(config_number(&place.config, OPTION_net_send_timeout_ms), 9);
    cr_assert_not_null(
        strstr(config_origin(&place.config, OPTION_net_connections_max), "/crossdock.d/20.conf:2"));

    cr_assert_eq(load(&place, environment, NULL, 0), 0, "%s", place.why);
    cr_assert_eq(config_number(&place.config, OPTION_net_connections_max), 4);
    cr_assert_str_eq(config_origin(&place.config, OPTION_net_connections_max),
                     "environment CROSSDOCK_NET__CONNECTIONS_MAX");
    cr_assert_eq(load(&place, environment, sets, 2), 0, "%s", place.why);
    cr_assert_eq(config_number(&place.config, OPTION_net_connections_max), 6);
    cr_assert_str_eq(config_origin(&place.config, OPTION_net_connections_max), "command line");
    place_end(&place);
}

/* Every option can be set through every kind of source. */
Test(config, takes_every_option_from_every_source)
{
    struct place place;
    place_begin(&place);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        char text[CONFIG_TEXT_BYTES_MAX + 128], variable[CONFIG_TEXT_BYTES_MAX + 128];
        snprintf(text, sizeof text, "[%s]\n%s = %s\n", row->section, row->key, row->default_text);
        cr_assert_eq(load_text(&place, text), 0, "%s", place.why);
        cr_assert_not_null(strstr(config_origin(&place.config, (enum config_option)i), ":2"), "%s",
                           row->name);

        snprintf(variable, sizeof variable, "CROSSDOCK_%s__%s=%s", row->section, row->key,
                 row->default_text);
        for (char *at = variable; *at != '=' && *at != '\0'; at++)
            *at = *at >= 'a' && *at <= 'z' ? (char)(*at - 32) : *at;
        char *environment[] = {variable, NULL};
        cr_assert_eq(load(&place, environment, NULL, 0), 0, "%s", place.why);
        cr_assert_eq(
            strncmp(config_origin(&place.config, (enum config_option)i), "environment ", 12), 0,
            "%s", row->name);

        snprintf(text, sizeof text, "%s=%s", row->name, row->default_text);
        const char *sets[] = {text};
        cr_assert_eq(load(&place, NULL, sets, 1), 0, "%s", place.why);
        cr_assert_str_eq(config_origin(&place.config, (enum config_option)i), "command line");
    }
    place_end(&place);
}

static void expect_refused(struct place *place, const char *text, int line, const char *words)
{
    char position[200];
    cr_assert_lt(load_text(place, text), 0, "%s", text);
    snprintf(position, sizeof position, "%s:%d: ", place->file, line);
    cr_assert_eq(strncmp(place->why, position, strlen(position)), 0, "%s", place->why);
    cr_assert_not_null(strstr(place->why, words), "%s", place->why);
}

/* A mistake in a file is named by file and line, with what was expected or meant. */
Test(config, names_file_and_line_of_a_mistake)
{
    struct place place;
    place_begin(&place);
    expect_refused(&place, "# comment\n\n[log]\ntail_bytes = 100MiB\n", 4,
                   "log.tail_bytes = '100MiB': expected a size with KiB, MiB, GiB or TiB, 16MiB to "
                   "8GiB, a power of two");
    expect_refused(&place, "[log]\ntail_byts = 1GiB\n", 2,
                   "log.tail_byts is not an option; did you mean 'log.tail_bytes'?");
    expect_refused(&place, "[lok]\nsync = auto\n", 2, "did you mean 'log.sync'?");
    expect_refused(&place, "sync = auto\n", 1, "sync is not an option");
    expect_refused(&place, "[log]\nsync\n", 2, "expected [section], key = value, or a comment");
    expect_refused(&place, "[log\nsync = auto\n", 1, "expected [section]");
    expect_refused(&place, "[log]\nsync = auto\n[net]\n[log]\nsync = dsync\n", 5,
                   "log.sync stands in line 2 already");
    expect_refused(&place, "[log]\nsync = auto\n  dsync\n", 3, "log.sync stands in line 2");
    expect_refused(&place, "[net]\nconnections_max = 0\n", 2, "expected a number, 1 to 65535");
    place_end(&place);
}

/* A line that inih would cut in two is refused, not read as two. */
Test(config, refuses_a_line_that_is_too_long)
{
    struct place place;
    char text[2048];
    place_begin(&place);
    memset(text, 'x', sizeof text);
    memcpy(text, "[server]\ndata = ", 16);
    text[sizeof text - 1] = '\0';
    expect_refused(&place, text, 2, "the line is longer than");
    memset(text + 16, ' ', sizeof text - 17);
    text[1200] = '\n';
    expect_refused(&place, text, 2, "the line is longer than");
    place_end(&place);
}

/* A last line without a newline counts. */
Test(config, reads_a_last_line_without_newline)
{
    struct place place;
    place_begin(&place);
    cr_assert_eq(load_text(&place, "[log]\nsync = dsync"), 0, "%s", place.why);
    cr_assert_eq(config_number(&place.config, OPTION_log_sync), 1);
    place_end(&place);
}

/* A file that was named must be there; the default one need not. */
Test(config, demands_only_a_file_that_was_named)
{
    struct place place;
    place_begin(&place);
    cr_assert_eq(load(&place, NULL, NULL, 0), -ENOENT);
    cr_assert_eq(strncmp(place.why, place.file, strlen(place.file)), 0, "%s", place.why);
    struct config_sources sources = {0};
    if (access(CONFIG_FILE_DEFAULT, F_OK) != 0)
        cr_assert_eq(config_load(&place.config, &sources, place.why), 0, "%s", place.why);
    place_end(&place);
}

/* Variables with a section are options and must be right; others with the prefix are not ours. */
Test(config, checks_the_environment)
{
    struct place place;
    char wrong[] = "CROSSDOCK_LOG__TAIL_BYTS=1GiB", value[] = "CROSSDOCK_LOG__SYNC=never";
    char other[] = "CROSSDOCK_HOME=/x", foreign[] = "PATH=/bin__x", late[] = "CROSSDOCK_X=a__b";
    char *fine[] = {other, foreign, late, NULL}, *bad[] = {other, wrong, NULL},
         *bad_value[] = {value, NULL};
    place_begin(&place);
    place_write(&place, "crossdock.conf", "");
    cr_assert_eq(load(&place, fine, NULL, 0), 0, "%s", place.why);
    cr_assert_eq(load(&place, bad, NULL, 0), XD_OPTION_UNKNOWN);
    cr_assert_str_eq(place.why, "environment CROSSDOCK_LOG__TAIL_BYTS: log.tail_byts is not an "
                                "option; did you mean 'log.tail_bytes'?");
    cr_assert_eq(load(&place, bad_value, NULL, 0), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(place.why, "one of: auto dsync fdatasync"), "%s", place.why);
    place_end(&place);
}

/* A set needs a name and a value; the value may hold further equals signs. */
Test(config, checks_the_command_line)
{
    struct place place;
    const char *none[] = {"log.sync"}, *wrong[] = {"=auto"}, *equals[] = {"server.data=a=b"};
    place_begin(&place);
    place_write(&place, "crossdock.conf", "");
    cr_assert_eq(load(&place, NULL, none, 1), XD_OPTION_INVALID);
    cr_assert_str_eq(place.why, "--set log.sync: expected section.key=value");
    cr_assert_eq(load(&place, NULL, wrong, 1), XD_OPTION_UNKNOWN);
    cr_assert_eq(load(&place, NULL, equals, 1), 0, "%s", place.why);
    cr_assert_str_eq(config_text(&place.config, OPTION_server_data), "a=b");
    place_end(&place);
}

/* Elements of a list come without the blanks around them. */
Test(config, gives_the_elements_of_a_list)
{
    struct place place;
    char text[32];
    const char *sets[] = {"server.listen=127.0.0.1:1 , [::1]:2,unix:/x"};
    place_begin(&place);
    place_write(&place, "crossdock.conf", "");
    cr_assert_eq(load(&place, NULL, sets, 1), 0, "%s", place.why);
    cr_assert(config_element(&place.config, OPTION_server_listen, 0, text, sizeof text));
    cr_assert_str_eq(text, "127.0.0.1:1");
    cr_assert(config_element(&place.config, OPTION_server_listen, 1, text, sizeof text));
    cr_assert_str_eq(text, "[::1]:2");
    cr_assert(config_element(&place.config, OPTION_server_listen, 2, text, sizeof text));
    cr_assert_str_eq(text, "unix:/x");
    cr_assert_not(config_element(&place.config, OPTION_server_listen, 3, text, sizeof text));
    place_end(&place);
}

/* Two spellings of one value are the same, two values are not. */
Test(config, compares_values_not_spellings)
{
    struct place place;
    static struct config other;
    const char *sets[] = {"log.tail_bytes=131072KiB", "process.mlock=off"};
    place_begin(&place);
    place_write(&place, "crossdock.conf", "");
    cr_assert_eq(load(&place, NULL, sets, 2), 0, "%s", place.why);
    config_defaults(&other);
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        cr_assert(config_same(&place.config, &other, (enum config_option)i));
    char why[CONFIG_WHY_BYTES];
    struct xd_text data = {"server.data", 11}, tail = {"log.tail_bytes", 14};
    cr_assert_eq(config_set(&other, data, "x", "here", why), 0);
    cr_assert_not(config_same(&place.config, &other, OPTION_server_data));
    cr_assert_eq(config_set(&other, tail, "64MiB", "here", why), 0);
    cr_assert_not(config_same(&place.config, &other, OPTION_log_tail_bytes));
    place_end(&place);
}

/* A refused value leaves the option as it was. */
Test(config, keeps_the_old_value_on_refusal)
{
    static struct config config;
    char why[CONFIG_WHY_BYTES];
    struct xd_text sync = {"log.sync", 8};
    config_defaults(&config);
    cr_assert_eq(config_set(&config, sync, "never", "here", why), XD_OPTION_INVALID);
    cr_assert_eq(config_number(&config, OPTION_log_sync), 0);
    cr_assert_str_eq(config_origin(&config, OPTION_log_sync), "default");
}
