/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock-inspect: `crossdock log dump` and `crossdock log verify`, which run it. It opens a data
 * folder without a broker, for reading only.
 *
 *   crossdock-inspect dump|verify FOLDER [-o FORM] [--force-read] [--records] [--partition=N]
 *                     [--segment=N]
 *
 * Exit status: 0 clean, 1 findings or not readable, 2 usage, 3 no such folder, 4 not permitted.
 */
#include "tools/common/json_out.h"
#include "tools/inspect/commands.h"
#include "wire/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int usage(const char *word)
{
    fprintf(stderr, "crossdock: log: '%s' is not known; see `crossdock help log`\n", word);
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0)
        return false;
    *ret_number = number;
    return true;
}

/* NULL, or the word that is wrong. */
static const char *parse(int argc, char **argv, struct command *command)
{
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-o") == 0 && i + 1 < argc) {
            const char *form = argv[++i];
            command->lines = strcmp(form, "jsonl") == 0;
            command->json = command->lines || strcmp(form, "json") == 0;
        } else if (strcmp(word, "--force-read") == 0) {
            command->force = true;
        } else if (strcmp(word, "--records") == 0) {
            command->records = true;
        } else if (strncmp(word, "--partition=", 12) == 0) {
            if (!parse_number(word + 12, &command->partition))
                return word;
        } else if (strncmp(word, "--segment=", 10) == 0) {
            if (!parse_number(word + 10, &command->segment))
                return word;
        } else if (word[0] == '-' || command->path != NULL) {
            return word;
        } else {
            command->path = word;
        }
    }
    return command->path == NULL ? "" : NULL;
}

static int failed(const struct command *command, bool verify, const char *why, int status)
{
    const char *name = verify ? "log verify" : "log dump";
    fprintf(stderr, "crossdock: %s: %s (%s)\n", name, why, xd_status_name(status));
    if (command->json) {
        struct json_out out;
        json_begin(&out, stdout);
        json_text(&out, "command", name);
        json_bool(&out, "ok", false);
        json_open(&out, "error", '{');
        json_signed(&out, "code", status);
        json_text(&out, "name", xd_status_name(status));
        json_text(&out, "class", xd_class_name(xd_status_class(status)));
        json_text(&out, "text", why);
        json_text(&out, "hint", "");
        json_close(&out, '}');
        json_end(&out);
    }
    return status == -ENOENT || status == -ENOTDIR ? 3
           : status == -EACCES || status == -EPERM ? 4
                                                   : 1;
}

int main(int argc, char **argv)
{
    struct command command = {.partition = COMMAND_ANY, .segment = COMMAND_ANY};
    struct folder_set set;
    bool verify = argc > 1 && strcmp(argv[1], "verify") == 0;
    if (argc < 2 || (!verify && strcmp(argv[1], "dump") != 0))
        return usage(argc < 2 ? "" : argv[1]);
    const char *wrong = parse(argc, argv, &command);
    if (wrong != NULL)
        return usage(wrong);
    int exit_status;
    int status = folder_set_open(&set, command.path, command.force);
    if (status < 0)
        exit_status = failed(&command, verify, set.why, status);
    else
        exit_status = verify ? command_verify(&command, &set) : command_dump(&command, &set);
    folder_set_close(&set);
    return fflush(stdout) != 0 || ferror(stdout) ? 1 : exit_status;
}
