/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/config_print.c: what is printed is right, and what is in the project is what is printed.
 */
#include "broker/config_print.h"

#include "tests/support/json.h"
#include "wire/status.h"

#include <unistd.h>

#define TEXT_BYTES (64u * 1024u)

static struct config config;

static struct xd_text name_of(const char *name)
{
    return (struct xd_text){name, (uint32_t)strlen(name)};
}

static void set(const char *name, const char *value)
{
    char why[CONFIG_WHY_BYTES];
    cr_assert_eq(config_set(&config, name_of(name), value, "here", why), 0, "%s", why);
}

/* What a printer prints. Valid until the next call. */
static const char *printed(bool doc)
{
    static char text[TEXT_BYTES];
    memset(text, 0, sizeof text);
    FILE *file = fmemopen(text, sizeof text - 1, "w");
    cr_assert_not_null(file);
    if (doc)
        config_print_doc(file);
    else
        config_print(&config, file);
    fclose(file);
    return text;
}

static void expect_file(const char *path, const char *expected)
{
    static char text[TEXT_BYTES];
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cr_assert_str_eq(text, expected, "%s is not what the program prints: print it anew", path);
}

/* The page of the manual in the project is what this program prints. */
Test(config_print, agrees_with_the_page_of_the_manual)
{
    expect_file(CONFIGURATION_MD, printed(true));
}

/* The packaged configuration is what this program prints. */
Test(config_print, agrees_with_the_packaged_file)
{
    config_defaults(&config);
    expect_file(CROSSDOCK_CONF, printed(false));
}

/* The defaults are printed as comments only, so that the file changes nothing. */
Test(config_print, prints_defaults_as_comments)
{
    config_defaults(&config);
    const char *at = printed(false);
    while (*at != '\0') {
        cr_assert(*at == '#' || *at == '\n' || *at == '[', "%.40s", at);
        at += strcspn(at, "\n") + 1;
    }
}

/* A printed configuration, read again, is the same configuration. */
Test(config_print, prints_a_file_that_reads_back)
{
    char path[] = "/tmp/xd_config_print_XXXXXX", why[CONFIG_WHY_BYTES];
    static struct config again;
    config_defaults(&config);
    set("log.tail_bytes", "1GiB");
    set("log.retention_time", "36h");
    set("server.listen", "[::1]:0,unix:/tmp/x");
    set("server.data", "/srv/x");
    set("process.mlock", "yes");
    set("process.cpu", "3");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    FILE *file = fdopen(fd, "w");
    config_print(&config, file);
    fclose(file);
    config_defaults(&again);
    cr_assert_eq(config_load_file(&again, path, why), 0, "%s", why);
    unlink(path);
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        cr_assert(config_same(&config, &again, (enum config_option)i), "%s", config_row(i)->name);
}

/* The JSON holds every option with value, origin, and a text where units help. */
Test(config_print, writes_every_option_as_json)
{
    static char json[CONFIG_JSON_BYTES_MAX];
    char value[JSON_VALUE_BYTES], path[128];
    config_defaults(&config);
    set("server.data", "a\"b\\c");
    uint32_t bytes = config_json(&config, json, sizeof json);
    cr_assert_eq(json[bytes], '\0');
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        snprintf(path, sizeof path, "[%s].value", config_row(i)->name);
        cr_assert_str_neq(json_at(json, bytes, path, value), "", "%s", path);
    }
    cr_assert_str_eq(json_at(json, bytes, "[log.tail_bytes].value", value), "134217728");
    cr_assert_str_eq(json_at(json, bytes, "[log.tail_bytes].text", value), "\"128MiB\"");
    cr_assert_str_eq(json_at(json, bytes, "[log.tail_bytes].origin", value), "\"default\"");
    cr_assert_str_eq(json_at(json, bytes, "[server.data].value", value), "\"a\\\"b\\\\c\"");
    cr_assert_str_eq(json_at(json, bytes, "[server.data].origin", value), "\"here\"");
    cr_assert_str_eq(json_at(json, bytes, "[process.cpu].value", value), "-1");
    cr_assert_str_eq(json_at(json, bytes, "[process.mlock].value", value), "false");
    cr_assert_str_eq(json_at(json, bytes, "[log.sync].value", value), "\"auto\"");
}

/* The largest values there can be fit the JSON. */
Test(config_print, has_room_for_the_largest_values)
{
    static char json[CONFIG_JSON_BYTES_MAX];
    char text[CONFIG_TEXT_BYTES_MAX], origin[CONFIG_ORIGIN_BYTES_MAX], why[CONFIG_WHY_BYTES];
    memset(text, '\\', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(origin, '\x01', sizeof origin - 1);
    origin[sizeof origin - 1] = '\0';
    config_defaults(&config);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        bool words = config_row(i)->kind == CONFIG_TEXT || config_row(i)->kind == CONFIG_LIST;
        cr_assert_eq(config_set(&config, name_of(config_row(i)->name),
                                words ? text : config_row(i)->default_text, origin, why),
                     0, "%s", why);
    }
    uint32_t bytes = config_json(&config, json, sizeof json);
    cr_assert(json_well_formed(json, bytes));
}
