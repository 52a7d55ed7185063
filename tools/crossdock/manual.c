/* SPDX-License-Identifier: Apache-2.0
 *
 * The manual page (man(7) macros) and docs/CLI.md from the verb table.
 */
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"

#include <stdio.h>
#include <string.h>

static const char *const exit_texts[][2] = {
    {"0", "done"},
    {"1", "failed; for `produce`: a line was wrong; for `log verify`: there is a finding"},
    {"2", "wrong arguments or configuration"},
    {"3", "no such topic, facility, source, status, option"},
    {"4", "not permitted"},
    {"5", "no broker answers there, or not in time"},
    {"6", "`check`: a warning"},
    {"7", "`check`: critical; `health`: a check is not well"},
    {"130", "interrupted"},
};

/* Text for troff: backslashes and leading dots are made harmless, `x` becomes bold. */
static void roff(const char *text)
{
    bool bold = false, start = true;
    for (; *text != '\0'; text++) {
        if (*text == '`') {
            fputs(bold ? "\\fR" : "\\fB", stdout);
            bold = !bold;
        } else if (*text == '\\') {
            fputs("\\e", stdout);
        } else if (*text == '-') {
            fputs("\\-", stdout);
        } else if (start && (*text == '.' || *text == '\'')) {
            printf("\\&%c", *text);
        } else {
            putchar(*text);
        }
        start = *text == '\n';
    }
    fputs(bold ? "\\fR\n" : "\n", stdout);
}

static void roff_option(const struct option_row *row)
{
    char head[160];
    printf(".TP\n.B ");
    snprintf(head, sizeof head, "%s%c%s--%s%s%s", row->letter != 0 ? "-" : "",
             row->letter != 0 ? row->letter : ' ', row->letter != 0 ? ", " : "", row->name,
             row->value[0] != '\0' ? " " : "", row->value);
    roff(row->letter != 0 ? head : head + 1);
    roff(row->text);
}

/* Options that belong to the verb alone. */
static const struct option_row *own_option(const struct verb *verb, unsigned row)
{
    const struct option_row *option = option_at(verb, row);
    bool own = option != NULL && (option->verb == verb->id || strcmp(option->name, "dry-run") == 0);
    return own ? option : NULL;
}

static void roff_verb(const struct verb *verb)
{
    const struct option_row *row;
    const char *note;
    printf(".SS ");
    char head[160];
    snprintf(head, sizeof head, "%s %s", verb->name, verb->arguments);
    roff(head);
    roff(verb->text);
    for (unsigned i = 0; (note = note_at(verb, i)) != NULL; i++) {
        printf(".PP\n");
        roff(note);
    }
    for (unsigned i = 0; (row = own_option(verb, i)) != NULL; i++)
        roff_option(row);
    printf(".PP\n.nf\n");
    roff(verb->examples[0]);
    roff(verb->examples[1]);
    printf(".fi\n");
}

static void print_roff(void)
{
    const struct verb *verb;
    const struct option_row *row;
    printf(".\\\" SPDX-License-Identifier: Apache-2.0\n.TH CROSSDOCK 1 \"\" \"Crossdock %s\"\n",
           CROSSDOCK_VERSION);
    printf(".SH NAME\ncrossdock \\- command line of the Crossdock message broker\n.SH SYNOPSIS\n");
    printf(".B crossdock\n[options] verb [arguments]\n.SH DESCRIPTION\n"
           "Data goes to standard output, everything else to standard error. With\n"
           ".B \\-o json\na verb prints one object: command, ok, and data or error.\n");
    printf(".SH OPTIONS\n");
    for (unsigned i = 0; (row = option_at(verb_at(VERB_ID_global), i)) != NULL; i++)
        roff_option(row);
    printf(".SH VERBS\n");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        roff_verb(verb);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < sizeof exit_texts / sizeof exit_texts[0]; i++) {
        printf(".TP\n.B %s\n", exit_texts[i][0]);
        roff(exit_texts[i][1]);
    }
    printf(".SH ENVIRONMENT\n.TP\n.B CROSSDOCK_ADDRESS\nwhere the broker listens\n"
           ".TP\n.B CROSSDOCK_CLIENT_CONFIG\nthe client's configuration file\n"
           ".TP\n.B CROSSDOCK_LIBEXEC\nfolder of crossdockd, crossdock\\-inspect and "
           "crossdock\\-bench\n.TP\n.B CROSSDOCK_PROGRESS_AFTER_MS\n"
           "a run that lasts longer shows a bar; 300 when it is not set\n"
           ".TP\n.B NO_COLOR\nno colours when it is set\n");
}

/* A table cell: a bar would end it. */
static void markdown_cell(const char *text)
{
    for (; *text != '\0'; text++)
        printf("%s%c", *text == '|' ? "\\" : "", *text);
}

static void markdown_options(const struct verb *verb, bool global)
{
    const struct option_row *row;
    for (unsigned i = 0; (row = global ? option_at(verb, i) : own_option(verb, i)) != NULL; i++) {
        printf("%s| `", i == 0 ? "\n| option | |\n|---|---|\n" : "");
        if (row->letter != 0)
            printf("-%c`, `", row->letter);
        printf("--%s%s", row->name, row->value[0] != '\0' ? " " : "");
        markdown_cell(row->value);
        printf("` | ");
        markdown_cell(row->text);
        printf(" |\n");
    }
}

static void markdown_verb(const struct verb *verb)
{
    const char *note;
    printf("\n### %s\n\n`crossdock %s%s%s`: %s.\n", verb->name, verb->name,
           verb->arguments[0] != '\0' ? " " : "", verb->arguments, verb->text);
    for (unsigned i = 0; (note = note_at(verb, i)) != NULL; i++)
        printf("\n%s\n", note);
    markdown_options(verb, false);
    printf("\n```sh\n%s\n%s\n```\n", verb->examples[0], verb->examples[1]);
}

static void print_markdown(void)
{
    const struct verb *verb;
    printf(
        "<!-- SPDX-License-Identifier: Apache-2.0 -->\n# Command line\n\n"
        "Printed by `crossdock man --markdown` from `tools/crossdock/verbs.def`; a test compares "
        "the two.\nRecords as JSON and CSV: [RECORDS.md](RECORDS.md).\n\n"
        "`crossdock [options] verb [arguments]`; options may stand anywhere.\n\n"
        "## Contract\n\n"
        "- Standard output is data, standard error is talk. JSON and TSV are stable, tables may "
        "change.\n"
        "- With `-o json` a verb prints one object, also when it fails or is a dry run: "
        "`{\"command\",\"ok\",\"data\"}`\n"
        "  or `{\"command\",\"ok\",\"error\":{\"code\",\"name\",\"class\",\"text\",\"hint\"}}`. "
        "`produce` that sent only some lines\n  has both. `read`, `log dump`, `top` and `produce "
        "--follow` print one object a line,\n  and the object with `error` last when they fail. "
        "`help`, `man` and `completion` have their text in `data.text`.\n"
        "- `-o jsonl` prints rows one a line, without the object around them.\n"
        "- A dry run prints what the real run would, plus `\"dry_run\":true`.\n"
        "- Times are ISO 8601 in UTC, quantities exact decimals.\n"
        "- Nothing waits at a prompt. Waiting for the broker ends with `--timeout`.\n\n"
        "| exit status | |\n|---|---|\n");
    for (size_t i = 0; i < sizeof exit_texts / sizeof exit_texts[0]; i++)
        printf("| %s | %s |\n", exit_texts[i][0], exit_texts[i][1]);
    printf("\n## Options of every verb\n");
    markdown_options(verb_at(VERB_ID_global), true);
    printf("\n## Verbs\n");
    for (unsigned i = 1; (verb = verb_at(i)) != NULL; i++)
        markdown_verb(verb);
}

int run_man(struct tool *tool)
{
    report_text_begin(tool);
    if (tool_flag(tool, "markdown"))
        print_markdown();
    else
        print_roff();
    return report_text_end(tool);
}
