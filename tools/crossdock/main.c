/* SPDX-License-Identifier: Apache-2.0
 *
 * crossdock: the command line of the broker.
 *
 * Normal path: parse, settle how to print, run the verb, close the connection, give its exit
 * status. Failure paths: wrong arguments end with status 2 and the nearest known word; standard
 * output that cannot be written ends with status 1. SIGINT and SIGTERM set a flag that long verbs
 * look at; a second one ends the program at once.
 */
#include "tools/crossdock/help.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/tool.h"
#include "tools/crossdock/values.h"

#include <crossdock/status.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TIMEOUT_MS_DEFAULT 10000u

static volatile sig_atomic_t interrupted;

static void on_signal(int signal)
{
    (void)signal; /* both mean the same */
    interrupted = 1;
}

bool tool_interrupted(void)
{
    return interrupted != 0;
}

const char *tool_option(const struct tool *tool, const char *name)
{
    const char *value = NULL;
    for (unsigned i = 0; i < tool->args.option_count; i++)
        if (strcmp(tool->args.options[i].row->name, name) == 0)
            value = tool->args.options[i].value;
    return value;
}

bool tool_flag(const struct tool *tool, const char *name)
{
    for (unsigned i = 0; i < tool->args.option_count; i++)
        if (strcmp(tool->args.options[i].row->name, name) == 0)
            return true;
    return false;
}

const char *tool_argument(const struct tool *tool, unsigned index)
{
    return index < tool->args.positional_count ? tool->args.positionals[index] : NULL;
}

static void catch_signals(void)
{
    /* SA_RESETHAND: the second signal has its usual effect. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void set_output(struct tool *tool, const char *word)
{
    static const char *const forms[] = {"table", "wide", "json", "jsonl", "tsv", "name"};
    for (unsigned i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (strcmp(word, forms[i]) == 0) {
            tool->output = (enum output)i;
            tool->output_given = true;
        }
}

/* Wrong arguments are told in the form that was asked for, too, so it is looked for first. */
static void find_output(struct tool *tool, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strncmp(argv[i], "--output=", 9) == 0)
            set_output(tool, argv[i] + 9);
        else if (strncmp(argv[i], "-o", 2) == 0 && argv[i][2] != '\0')
            set_output(tool, argv[i] + 2);
        else if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0)
            set_output(tool, i + 1 < argc ? argv[i + 1] : "");
    }
}

static int settle(struct tool *tool)
{
    const char *timeout = tool_option(tool, "timeout"), *color = tool_option(tool, "color");
    const char *no_color = getenv("NO_COLOR");
    const char *output = tool_option(tool, "output");
    /* What find_output saw may have been a word for another program. */
    tool->output = OUTPUT_TABLE;
    tool->output_given = false;
    set_output(tool, output != NULL ? output : "");
    tool->timeout_ms = TIMEOUT_MS_DEFAULT;
    tool->verbose = tool_flag(tool, "verbose");
    tool->progress = isatty(STDERR_FILENO) != 0;
    if (color != NULL && strcmp(color, "never") == 0)
        setenv("NO_COLOR", "1", 1); /* bars, and programs beside this one, look there */
    if (color != NULL && strcmp(color, "auto") != 0)
        tool->color = strcmp(color, "always") == 0;
    else
        tool->color = isatty(STDOUT_FILENO) != 0 && (no_color == NULL || no_color[0] == '\0');
    if (timeout != NULL && value_duration_ms(timeout, &tool->timeout_ms) < 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--timeout: '%s' is not 1ms to 24h, such as 500ms, 10s, 2m", timeout);
        return XDOCK_OPTION_INVALID;
    }
    return 0;
}

static int run(struct tool *tool, int argc, char **argv)
{
    char why[DETAIL_BYTES];
    find_output(tool, argc, argv);
    int status = args_parse(argc, (const char *const *)argv, &tool->args, why, sizeof why);
    if (status < 0) {
        memcpy(tool->detail, why, sizeof why);
        return report_failure(tool, status, NULL);
    }
    const struct verb *verb = tool->args.verb;
    if (verb == NULL)
        return tool->args.family != NULL ? help_answer_family(tool)
                                         : verb_at(VERB_ID_global)->run(tool);
    if (tool_flag(tool, "help")) {
        report_text_begin(tool);
        help_verb(stdout, verb);
        return report_text_end(tool);
    }
    status = settle(tool);
    return status < 0 ? report_failure(tool, status, NULL) : verb->run(tool);
}

int main(int argc, char **argv)
{
    static struct tool tool;
    tool.program = argv[0];
    catch_signals();
    int exit_status = run(&tool, argc, argv);
    session_close(&tool);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "crossdock: standard output: %s\n", strerror(errno));
        return exit_status == EXIT_OK ? EXIT_FAILED : exit_status;
    }
    return exit_status;
}
