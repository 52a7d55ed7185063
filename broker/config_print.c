/* SPDX-License-Identifier: Apache-2.0
 *
 * The option table for people and programs; see config_print.h.
 */
#include "broker/config_print.h"

#include "broker/admin/writer.h"
#include "broker/config_value.h"
#include "wire/xassert.h"

#include <string.h>

#define WRAP_COLUMNS 96u

/* Every character of a value may need a backslash; origins hold paths. */
static_assert(OPTION_COUNT * (2u * CONFIG_TEXT_BYTES_MAX + 6u * CONFIG_ORIGIN_BYTES_MAX +
                              2u * CONFIG_EXPECT_BYTES) <=
                  CONFIG_JSON_BYTES_MAX,
              "any configuration fits its JSON");

static bool has_words(const struct config_row *row)
{
    return row->kind == CONFIG_TEXT || row->kind == CONFIG_LIST;
}

static bool is_default(const struct config *config, enum config_option option)
{
    static const char origin[] = "default";
    return strcmp(config_origin(config, option), origin) == 0;
}

/* A paragraph as comment lines. */
static void print_wrapped(FILE *out, const char *text)
{
    const char *at = text;
    while (*at != '\0') {
        size_t bytes = strlen(at);
        if (bytes > WRAP_COLUMNS) {
            bytes = WRAP_COLUMNS;
            while (bytes > 0 && at[bytes] != ' ')
                bytes--;
            XD_ASSERT(bytes > 0);
        }
        fprintf(out, "# %.*s\n", (int)bytes, at);
        at += bytes;
        at += strspn(at, " ");
    }
}

static bool begins_section(unsigned option)
{
    return option == 0 || strcmp(config_row(option)->section, config_row(option - 1)->section) != 0;
}

void config_print(const struct config *config, FILE *out)
{
    fprintf(out, "# SPDX-License-Identifier: Apache-2.0\n"
                 "# Configuration of crossdockd. What is commented out shows the default.\n"
                 "# Later sources win: this file, " CONFIG_FOLDER "/*.conf beside it, the "
                 "environment\n"
                 "# (CROSSDOCK_SECTION__KEY), the command line (--set section.key=value).\n"
                 "# Options take effect at start.\n");
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        char expected[CONFIG_EXPECT_BYTES];
        const char *text = config_text(config, (enum config_option)i);
        if (begins_section(i))
            fprintf(out, "\n[%s]\n", row->section);
        else
            fprintf(out, "\n");
        print_wrapped(out, row->text);
        config_value_expected(row, expected);
        fprintf(out, "# Expected: %s.\n", expected);
        fprintf(out, "%s%s =%s%s\n", is_default(config, (enum config_option)i) ? "#" : "", row->key,
                text[0] != '\0' ? " " : "", text);
    }
}

void config_print_doc(FILE *out)
{
    fprintf(out,
            "# Configuration\n\n"
            "Printed by `crossdockd --print-config-doc` from `broker/config.def`; a test "
            "compares the two.\n\n"
            "Sources, later wins: the defaults below, the file (`--config`, else `%s` when it "
            "is there), `" CONFIG_FOLDER "/*.conf` beside it in sequence of names, the "
            "environment (`CROSSDOCK_LOG__TAIL_BYTES=64MiB`), the command line (`--data`, "
            "`--listen`, `--insecure`, `--set log.tail_bytes=64MiB`).\n\n"
            "A wrong name or value stops the start with exit code 2 and says where it stands "
            "and what was expected. `crossdockd --check-config` only checks; `crossdockd "
            "--print-config` prints the result as a file.\n\n"
            "Options take effect at start. SIGHUP reads the sources again, changes nothing, "
            "and reports which options a restart would change.\n",
            CONFIG_FILE_DEFAULT);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        char expected[CONFIG_EXPECT_BYTES];
        config_value_expected(row, expected);
        if (begins_section(i))
            fprintf(out,
                    "\n## [%s]\n\n| option | default | expected | what it does |\n"
                    "|---|---|---|---|\n",
                    row->section);
        fprintf(out, "| `%s` | %s%s%s | %s%s%s%s | %s |\n", row->key,
                row->default_text[0] != '\0' ? "`" : "(empty)", row->default_text,
                row->default_text[0] != '\0' ? "`" : "", expected,
                row->kind == CONFIG_NUMBER ? " (" : "", row->kind == CONFIG_NUMBER ? row->unit : "",
                row->kind == CONFIG_NUMBER ? ")" : "", row->text);
    }
}

uint32_t config_json(const struct config *config, char *out, uint32_t out_bytes)
{
    struct writer writer;
    XD_ASSERT(out_bytes >= CONFIG_JSON_BYTES_MAX);
    writer_init(&writer, out, out_bytes - 1);
    writer_object(&writer, NULL);
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        const struct config_row *row = config_row(i);
        const struct config_value *value = &config->values[i];
        char text[CONFIG_EXPECT_BYTES];
        writer_object(&writer, row->name);
        if (has_words(row) || row->kind == CONFIG_CHOICE) {
            writer_string(&writer, "value", value->text);
        } else if (row->kind == CONFIG_FLAG) {
            writer_bool(&writer, "value", value->number != 0);
        } else {
            writer_signed(&writer, "value", value->number);
            config_value_text(row, value->number, text);
            writer_string(&writer, "text", text);
        }
        writer_string(&writer, "origin", value->origin);
        writer_object_end(&writer);
    }
    writer_object_end(&writer);
    uint32_t bytes = writer_finish(&writer);
    out[bytes] = '\0';
    return bytes;
}
