/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the configuration: texts of a file, of the environment and of the command line, as the
 * daemon takes them when it starts.
 *
 * The input is pieces with a zero byte between them: the file; then variables (those that begin
 * with CROSSDOCK_) and settings of --set. A byte from 0x80 to 0xbf stands for the name of an
 * option, so that names survive mutation: to look for what was meant by an unknown one is most of a
 * run. Promises: a mistake is one printable line that says where; what is accepted lies in its
 * row's bounds, is the same when its text is parsed again, and survives being printed and read
 * back; and what it means can be told or is refused with a reason.
 */
#include "tests/fuzz/target.h"

#include "broker/config.h"
#include "broker/config_print.h"
#include "broker/config_value.h"
#include "broker/setup.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define INPUT_BYTES_MAX 1024u /* a mistake ends the reading: what is behind it is not seen */
#define PIECES_MAX 8u
#define TEXT_BYTES_MAX (INPUT_BYTES_MAX * 4u) /* with names put in */
#define NAME_FIRST 0x80u
#define NAME_LAST 0xbfu
#define PRINTED_BYTES_MAX (64u * 1024u)
#define LINE_BYTES_MAX 150u /* longer values make lines that a file refuses, in so many words */

/* Memory that every run fills anew. */
static struct scratch {
    struct config defaults;           /* made once, never changed */
    struct config config;             /* of the input */
    struct config again;              /* of what was printed */
    struct setup setup;               /* of the input */
    char text[TEXT_BYTES_MAX + 1];    /* the input with names put in, terminated */
    char printed[PRINTED_BYTES_MAX];  /* the configuration written out */
    char json[CONFIG_JSON_BYTES_MAX]; /* the same as JSON */
    char why[CONFIG_WHY_BYTES];       /* of the last refusal */
    char path[32];                    /* of the file in memory */
    int fd;                           /* of the file in memory, 0 before the first run */
} scratch;

static void begin(void)
{
    if (scratch.fd > 0)
        return;
    scratch.fd = memfd_create("fuzz_config", MFD_CLOEXEC);
    XD_ASSERT(scratch.fd > 0);
    snprintf(scratch.path, sizeof scratch.path, "/proc/self/fd/%d", scratch.fd);
    config_defaults(&scratch.defaults);
}

/* Puts names in; the bytes of the text, which is cut where it is full. */
static size_t expand(const uint8_t *data, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        const char *word = (const char *)data + i;
        size_t word_bytes = 1;
        if (data[i] >= NAME_FIRST && data[i] <= NAME_LAST) {
            word = config_row((data[i] - NAME_FIRST) % OPTION_COUNT)->name;
            word_bytes = strlen(word);
        }
        if (used + word_bytes > TEXT_BYTES_MAX)
            break;
        memcpy(scratch.text + used, word, word_bytes);
        used += word_bytes;
    }
    scratch.text[used] = '\0';
    return used;
}

/* The file has this content. */
static void put_file(const char *text, size_t bytes)
{
    XD_ASSERT(pwrite(scratch.fd, text, bytes, 0) == (ssize_t)bytes);
    XD_ASSERT(ftruncate(scratch.fd, (off_t)bytes) == 0); /* behind it: the page is kept */
}

/* A refusal is one line of plain text. */
static void check_why(int status)
{
    size_t bytes = strnlen(scratch.why, CONFIG_WHY_BYTES);
    XD_ASSERT(status == XD_OPTION_INVALID || status == XD_OPTION_UNKNOWN);
    XD_ASSERT(bytes > 0 && bytes < CONFIG_WHY_BYTES);
}

static void check_value(const struct config *config, unsigned option)
{
    const struct config_row *row = config_row(option);
    const struct config_value *value = &config->values[option];
    int64_t number = 0;
    XD_ASSERT(config_value_parse(row, value->text, &number) == 0);
    XD_ASSERT(number == value->number);
    if (row->kind != CONFIG_TEXT)
        XD_ASSERT(number >= row->min && number <= row->max);
    for (const char *at = value->origin; *at != '\0'; at++)
        XD_ASSERT(*at >= 0x20 && *at <= 0x7e);
    char element[CONFIG_TEXT_BYTES_MAX];
    for (uint32_t i = 0; row->kind == CONFIG_LIST && i < number; i++)
        XD_ASSERT(config_element(config, option, i, element, sizeof element));
    if (row->kind != CONFIG_LIST)
        return;
    XD_ASSERT(!config_element(config, option, (uint32_t)number, element, sizeof element));
}

/* Printed and read again it is the same. */
static void check_printed(const struct config *config)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (strlen(config->values[i].text) > LINE_BYTES_MAX)
            return;
    FILE *out = fmemopen(scratch.printed, sizeof scratch.printed, "w");
    XD_ASSERT(out != NULL);
    config_print(config, out);
    long bytes = ftell(out);
    XD_ASSERT(fclose(out) == 0);
    XD_ASSERT(bytes > 0 && bytes < (long)sizeof scratch.printed);
    put_file(scratch.printed, (size_t)bytes);
    scratch.again = scratch.defaults;
    XD_ASSERT(config_load_file(&scratch.again, scratch.path, scratch.why) == 0);
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        XD_ASSERT(config_same(config, &scratch.again, (enum config_option)i));
}

static void check_accepted(const struct config *config)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++)
        if (strcmp(config->values[i].text, scratch.defaults.values[i].text) != 0)
            check_value(config, i);
    check_printed(config);
    uint32_t bytes = config_json(config, scratch.json, sizeof scratch.json);
    XD_ASSERT(bytes > 0 && scratch.json[bytes] == '\0');
    int status = setup_make(config, "/var/lib/crossdock", &scratch.setup, scratch.why);
    if (status < 0)
        check_why(status);
}

/* Takes the file, and what the pieces behind it say. */
static int load(size_t file_bytes, size_t text_bytes)
{
    char *environment[PIECES_MAX + 1] = {NULL};
    const char *sets[PIECES_MAX];
    struct config_sources sources = {.file = scratch.path, .sets = sets};
    uint32_t variable_count = 0;
    size_t at = file_bytes + 1;
    for (uint32_t i = 0; at < text_bytes && i < PIECES_MAX; i++) {
        char *piece = scratch.text + at;
        if (strncmp(piece, "CROSSDOCK_", 10) == 0)
            environment[variable_count++] = piece;
        else
            sets[sources.set_count++] = piece;
        at += strlen(piece) + 1;
    }
    if (variable_count > 0 || sources.set_count > 0) {
        sources.environment = environment;
        return config_load(&scratch.config, &sources, scratch.why);
    }
    scratch.config = scratch.defaults;
    return config_load_file(&scratch.config, scratch.path, scratch.why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes > INPUT_BYTES_MAX)
        return 0;
    begin();
    size_t text_bytes = expand(data, bytes);
    size_t file_bytes = strlen(scratch.text);
    put_file(scratch.text, file_bytes);
    int status = load(file_bytes, text_bytes);
    if (status < 0)
        check_why(status);
    else
        check_accepted(&scratch.config);
    return 0;
}
