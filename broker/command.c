/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of the command line; see command.h.
 */
#include "broker/command.h"

#include "broker/admin/suggest.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <stdio.h>
#include <string.h>

enum word {
    WORD_CONFIG,
    WORD_DATA,
    WORD_LISTEN,
    WORD_SET,
    WORD_INSECURE,
    WORD_CHECK_CONFIG,
    WORD_PRINT_CONFIG,
    WORD_PRINT_CONFIG_DOC,
    WORD_PRINT_METRICS_DOC,
    WORD_VERSION,
    WORD_HELP,
    WORD_COUNT
};
static const struct {
    const char *name;
    bool value; /* the next word, or what follows '=', belongs to it */
} words[] = {
    {"--config", true},
    {"--data", true},
    {"--listen", true},
    {"--set", true},
    {"--insecure", false},
    {"--check-config", false},
    {"--print-config", false},
    {"--print-config-doc", false},
    {"--print-metrics-doc", false},
    {"--version", false},
    {"--help", false},
};
_Static_assert(sizeof words / sizeof words[0] == WORD_COUNT, "one row per word");

/* State of one parse. */
struct parse {
    struct command *command;
    const char *sets[COMMAND_SETS_MAX]; /* of --set, in sequence */
    uint32_t set_count;
    bool insecure; /* --insecure */
    char *why;
};

const char *command_help(void)
{
    return "crossdockd: the Crossdock broker\n"
           "\n"
           "  crossdockd [--config FILE] [--data FOLDER] [--listen ADDRESS]... [--insecure]\n"
           "             [--set section.key=value]...\n"
           "  crossdockd --check-config | --print-config | --print-config-doc | "
           "--print-metrics-doc |\n"
           "             --version | --help\n"
           "\n"
           "  --config FILE     read FILE instead of " CONFIG_FILE_DEFAULT "\n"
           "  --data FOLDER     data folder; default ./crossdock-data, for root "
           "/var/lib/crossdock\n"
           "  --listen ADDRESS  127.0.0.1:7700 (default), [::1]:7700, unix:/path; may be repeated; "
           "port 0\n"
           "                    takes a free one, which the ready line names\n"
           "  --insecure        allow plain text beyond this host\n"
           "  --set NAME=VALUE  set an option; may be repeated; wins over all other sources\n"
           "  --check-config    check the configuration and stop\n"
           "  --print-config    print the configuration as a file and stop\n"
           "  --print-config-doc  print the page of the manual about options and stop\n"
           "  --print-metrics-doc  print the page of the manual about metrics and stop\n"
           "\n"
           "Exit: 0 stopped as asked, 1 failed, 2 wrong usage or configuration.\n"
           "Signals: TERM and INT stop, HUP checks the configuration, USR1 prints the status.\n"
           "\n"
           "Examples:\n"
           "  crossdockd --data /tmp/try --listen 127.0.0.1:0\n"
           "  crossdockd --config site.conf --set log.tail_bytes=1GiB\n";
}

static int refuse(struct parse *parse, const char *word, const char *text)
{
    snprintf(parse->why, CONFIG_WHY_BYTES, "%.200s: %s; see --help", word, text);
    return XD_OPTION_INVALID;
}

static int unknown(struct parse *parse, const char *text, uint32_t bytes)
{
    struct suggest suggest;
    char detail[XD_DETAIL_BYTES_MAX] = "not known";
    suggest_init(&suggest, (struct xd_text){text, bytes});
    for (unsigned i = 0; i < WORD_COUNT; i++)
        suggest_offer(&suggest, suggest_text(words[i].name));
    suggest_append(&suggest, detail);
    return refuse(parse, text, detail);
}

/* Appends an address to the set of --listen. */
static int take_listen(struct parse *parse, const char *value)
{
    char *listen = parse->command->listen;
    size_t used = strlen(listen);
    int written = snprintf(listen + used, sizeof parse->command->listen - used, "%s%s",
                           used == 0 ? "server.listen=" : ",", value);
    if (written < 0 || (size_t)written >= sizeof parse->command->listen - used)
        return refuse(parse, "--listen", "too many addresses");
    return 0;
}

static int take_data(struct parse *parse, const char *value)
{
    char *data = parse->command->data;
    int written = snprintf(data, sizeof parse->command->data, "server.data=%s", value);
    if (written < 0 || (size_t)written >= sizeof parse->command->data)
        return refuse(parse, "--data", "too long");
    return 0;
}

static int take_action(struct parse *parse, const char *word, enum command_action action)
{
    if (parse->command->action != COMMAND_RUN && parse->command->action != action)
        return refuse(parse, word, "another action was named before it");
    parse->command->action = action;
    return 0;
}

static int take(struct parse *parse, enum word word, const char *value)
{
    const char *name = words[word].name;
    switch (word) {
    case WORD_CONFIG:
        parse->command->file = value;
        return 0;
    case WORD_DATA:
        return take_data(parse, value);
    case WORD_LISTEN:
        return take_listen(parse, value);
    case WORD_SET:
        /* The shorthands need three places. */
        if (parse->set_count + 3 >= COMMAND_SETS_MAX)
            return refuse(parse, name, "too many of them; use a file");
        parse->sets[parse->set_count++] = value;
        return 0;
    case WORD_INSECURE:
        parse->insecure = true;
        return 0;
    case WORD_CHECK_CONFIG:
        return take_action(parse, name, COMMAND_CHECK_CONFIG);
    case WORD_PRINT_CONFIG:
        return take_action(parse, name, COMMAND_PRINT_CONFIG);
    case WORD_PRINT_CONFIG_DOC:
        return take_action(parse, name, COMMAND_PRINT_CONFIG_DOC);
    case WORD_PRINT_METRICS_DOC:
        return take_action(parse, name, COMMAND_PRINT_METRICS_DOC);
    case WORD_VERSION:
        return take_action(parse, name, COMMAND_VERSION);
    case WORD_HELP:
        return take_action(parse, name, COMMAND_HELP);
    case WORD_COUNT:
        break;
    }
    XD_ASSERT(false);
    return 0;
}

/* The word at argv[*at], "--name value" or "--name=value". Moves *at to the last one taken. */
static int parse_word(struct parse *parse, int argc, char **argv, int *at)
{
    char *text = argv[*at];
    uint32_t bytes = (uint32_t)strcspn(text, "=");
    char *value = text[bytes] == '=' ? text + bytes + 1 : NULL;
    for (unsigned i = 0; i < WORD_COUNT; i++) {
        if (strlen(words[i].name) != bytes || memcmp(words[i].name, text, bytes) != 0)
            continue;
        if (!words[i].value && value != NULL)
            return refuse(parse, words[i].name, "takes no value");
        if (words[i].value && value == NULL) {
            if (*at + 1 == argc)
                return refuse(parse, words[i].name, "needs a value");
            value = argv[++*at];
        }
        return take(parse, (enum word)i, value);
    }
    return unknown(parse, text, bytes);
}

int command_parse(int argc, char **argv, struct command *ret_command, char *why)
{
    static const char insecure[] = "server.insecure=yes";
    struct command *command = ret_command;
    struct parse parse = {.command = command, .why = why};
    memset(command, 0, sizeof *command);
    for (int at = 1; at < argc; at++) {
        int status = parse_word(&parse, argc, argv, &at);
        if (status < 0)
            return status;
    }
    if (command->data[0] != '\0')
        command->sets[command->set_count++] = command->data;
    if (command->listen[0] != '\0')
        command->sets[command->set_count++] = command->listen;
    if (parse.insecure)
        command->sets[command->set_count++] = insecure;
    for (uint32_t i = 0; i < parse.set_count; i++)
        command->sets[command->set_count++] = parse.sets[i];
    XD_ASSERT(command->set_count <= COMMAND_SETS_MAX);
    return 0;
}
