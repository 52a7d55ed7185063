/* SPDX-License-Identifier: Apache-2.0
 *
 * Help texts from the verb table.
 */
#include "tools/crossdock/help.h"

#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/suggest.h"

#include <crossdock/status.h>
#include <stdio.h>
#include <string.h>

#define COLUMNS 96u

/* A paragraph, every line behind `indent` blanks; the first one stands there already. */
static void print_wrapped(FILE *out, const char *text, unsigned indent)
{
    unsigned room = COLUMNS - indent;
    while (*text != '\0') {
        size_t bytes = strlen(text);
        if (bytes > room) {
            bytes = room;
            while (bytes > 1 && text[bytes] != ' ')
                bytes--;
        }
        fprintf(out, "%.*s\n", (int)bytes, text);
        text += bytes;
        text += strspn(text, " ");
        if (*text != '\0')
            fprintf(out, "%*s", (int)indent, "");
    }
}

static void print_option(FILE *out, const struct option_row *row)
{
    char head[96];
    int used = row->letter != 0 ? snprintf(head, sizeof head, "  -%c, --%s", row->letter, row->name)
                                : snprintf(head, sizeof head, "      --%s", row->name);
    if (row->value[0] != '\0' && used > 0)
        used += snprintf(head + used, sizeof head - (size_t)used, " %s", row->value);
    if (used > 26)
        fprintf(out, "%s\n%28s", head, "");
    else
        fprintf(out, "%-28s", head);
    print_wrapped(out, row->text, 28);
}

static void print_options(FILE *out, const struct verb *verb)
{
    const struct option_row *row;
    bool global = false, own = false;
    for (unsigned i = 0; (row = option_at(verb, i)) != NULL; i++) {
        bool of_all = row->verb == VERB_ID_global && strcmp(row->name, "dry-run") != 0;
        if (!of_all && !own)
            fprintf(out, "\nOptions\n");
        if (of_all && !global)
            fprintf(out, "\nOptions of every verb\n");
        own = own || !of_all;
        global = global || of_all;
        print_option(out, row);
    }
}

void help_verb(FILE *out, const struct verb *verb)
{
    const char *note;
    fprintf(out, "crossdock %s%s%s\n  ", verb->name, verb->arguments[0] != '\0' ? " " : "",
            verb->arguments);
    print_wrapped(out, verb->text, 2);
    for (unsigned i = 0; (note = note_at(verb, i)) != NULL; i++) {
        fprintf(out, "\n  ");
        print_wrapped(out, note, 2);
    }
    fprintf(out, "\nExamples\n  %s\n  %s\n", verb->examples[0], verb->examples[1]);
    print_options(out, verb);
}

void help_overview(FILE *out)
{
    const struct verb *verb;
    fprintf(out, "crossdock [-s ADDR] [-o table|wide|json|jsonl|tsv|name] VERB ...\n\nVerbs\n");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        fprintf(out, "  %-18s", verb->name);
        print_wrapped(out, verb->text, 20);
    }
    print_options(out, verb_at(VERB_ID_global));
    fprintf(out, "\nExit status\n"
                 "  0 done, 1 failed, 2 usage or configuration, 3 not found, 4 not permitted,\n"
                 "  5 unreachable or timed out, 6 a warning, 7 critical, 130 interrupted\n\n"
                 "`crossdock VERB --help` has the options and two examples of a verb.\n");
}

/* Whether the verb is one of the family ("topic create" of "topic"). */
static bool of_family(const struct verb *verb, const char *family)
{
    size_t bytes = strlen(family);
    return strncmp(verb->name, family, bytes) == 0 && verb->name[bytes] == ' ';
}

void help_family(FILE *out, const char *family)
{
    const struct verb *verb;
    char head[64];
    fprintf(out, "crossdock %s VERB ...\n\nVerbs\n", family);
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        if (!of_family(verb, family))
            continue;
        snprintf(head, sizeof head, "%s %s", verb->name, verb->arguments);
        fprintf(out, "  %-32s", head);
        print_wrapped(out, verb->text, 34);
    }
    fprintf(out, "\n`crossdock %s VERB --help` has the options and two examples of a verb.\n",
            family);
}

int help_answer_family(struct tool *tool)
{
    const char *family = tool->args.family;
    if (tool_flag(tool, "help")) {
        report_text_begin(tool);
        help_family(stdout, family);
        return report_text_end(tool);
    }
    help_family(stderr, family);
    snprintf(tool->detail, sizeof tool->detail, "'%s' needs one of its verbs", family);
    return report_failure(tool, XDOCK_OPTION_INVALID, "");
}

/* All verbs of a family with everything that there is to say. False when it has none. */
static bool print_all(const char *family)
{
    const struct verb *verb;
    bool found = false;
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++) {
        if (!of_family(verb, family))
            continue;
        printf("%s", found ? "\n" : "");
        help_verb(stdout, verb);
        found = true;
    }
    return found;
}

int run_help(struct tool *tool)
{
    const char *word = tool_argument(tool, 0);
    unsigned taken = 0;
    const struct verb *verb =
        verb_find(tool->args.positionals, tool->args.positional_count, &taken);
    report_text_begin(tool);
    bool found = true;
    if (word == NULL)
        help_overview(stdout);
    else if (verb != NULL)
        help_verb(stdout, verb);
    else
        found = print_all(word);
    int exit_status = found ? report_text_end(tool) : report_text_drop(tool);
    if (found)
        return exit_status;
    struct suggest suggest;
    suggest_init(&suggest, word);
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        suggest_offer(&suggest, verb->name, strcspn(verb->name, " "));
    snprintf(tool->detail, sizeof tool->detail, "'%s' is no verb", word);
    suggest_append(&suggest, tool->detail, sizeof tool->detail);
    return report_failure(tool, XDOCK_OPTION_UNKNOWN, NULL);
}

int run_global(struct tool *tool)
{
    if (tool_flag(tool, "help")) {
        report_text_begin(tool);
        help_overview(stdout);
        return report_text_end(tool);
    }
    help_overview(stderr);
    snprintf(tool->detail, sizeof tool->detail, "a verb is needed");
    return report_failure(tool, XDOCK_OPTION_INVALID, "");
}
