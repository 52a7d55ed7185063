/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/command.c: words of the command line.
 */
#include "broker/command.h"

#include "wire/status.h"

#include <criterion/criterion.h>
#include <string.h>

static struct command command;
static char why[CONFIG_WHY_BYTES];

#define WORDS_MAX 80

/* Parses up to WORDS_MAX words, NULL at the end. */
static int parse(const char *const *words)
{
    static char copies[WORDS_MAX][64];
    char *argv[WORDS_MAX + 1] = {copies[0]};
    int argc = 1;
    for (; words[argc - 1] != NULL; argc++) {
        strncpy(copies[argc], words[argc - 1], sizeof copies[0] - 1);
        argv[argc] = copies[argc];
    }
    return command_parse(argc, argv, &command, why);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* No word at all runs the broker with the defaults. */
Test(command, runs_without_words)
{
    cr_assert_eq(parse((const char *const[]){NULL}), 0);
    cr_assert_eq(command.action, COMMAND_RUN);
    cr_assert_null(command.file);
    cr_assert_eq(command.set_count, 0);
}

/* Shorthands become sets, and --set comes behind them so that it wins. */
Test(command, puts_sets_behind_shorthands)
{
    cr_assert_eq(parse(WORDS("--set", "server.data=z", "--listen", "127.0.0.1:0", "--data=/srv/x",
                             "--listen=unix:/y", "--insecure", "--config", "f.conf")),
                 0, "%s", why);
    cr_assert_str_eq(command.file, "f.conf");
    cr_assert_eq(command.set_count, 4);
    cr_assert_str_eq(command.sets[0], "server.data=/srv/x");
    cr_assert_str_eq(command.sets[1], "server.listen=127.0.0.1:0,unix:/y");
    cr_assert_str_eq(command.sets[2], "server.insecure=yes");
    cr_assert_str_eq(command.sets[3], "server.data=z");
}

/* Each action has its word; two different ones are refused. */
Test(command, takes_one_action)
{
    static const struct {
        const char *word;
        enum command_action action;
    } actions[] = {{"--check-config", COMMAND_CHECK_CONFIG},
                   {"--print-config", COMMAND_PRINT_CONFIG},
                   {"--print-config-doc", COMMAND_PRINT_CONFIG_DOC},
                   {"--print-metrics-doc", COMMAND_PRINT_METRICS_DOC},
                   {"--version", COMMAND_VERSION},
                   {"--help", COMMAND_HELP}};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        cr_assert_eq(parse(WORDS(actions[i].word)), 0);
        cr_assert_eq(command.action, actions[i].action);
        cr_assert_not_null(strstr(command_help(), actions[i].word));
    }
    cr_assert_eq(parse(WORDS("--help", "--help")), 0);
    cr_assert_eq(parse(WORDS("--help", "--version")), XD_OPTION_INVALID);
}

static void expect_refused(const char *const *words, const char *text)
{
    cr_assert_eq(parse(words), XD_OPTION_INVALID);
    cr_assert_not_null(strstr(why, text), "%s", why);
}

/* Mistakes are named, with the nearest word. */
Test(command, names_mistakes)
{
    expect_refused(WORDS("--lisen", "x"), "--lisen: not known; did you mean '--listen'?");
    expect_refused(WORDS("--lisen=x"), "did you mean '--listen'?");
    expect_refused(WORDS("start"), "start: not known; see --help");
    expect_refused(WORDS("--data"), "--data: needs a value");
    expect_refused(WORDS("--help=x"), "--help: takes no value");
    expect_refused(WORDS("--insecure=no"), "--insecure: takes no value");
    expect_refused(WORDS("-h"), "not known");
    expect_refused(WORDS(""), "not known");
}

/* More than fits is refused and not cut. */
Test(command, refuses_more_than_fits)
{
    const char *words[2 * COMMAND_SETS_MAX + 1] = {0};
    for (unsigned i = 0; i < 38; i++) {
        words[2 * i] = "--listen";
        words[2 * i + 1] = "unix:/tmp/a-long-name-so-that-few-of-them-fill-the-list";
    }
    expect_refused(words, "--listen: too many addresses");
    memset(words, 0, sizeof words);
    for (unsigned i = 0; i < WORDS_MAX - 1; i++)
        words[i] = "--set=log.sync=auto";
    expect_refused(words, "--set: too many of them");
    memset(words, 0, sizeof words);
    for (unsigned i = 0; i < COMMAND_SETS_MAX - 3; i++)
        words[i] = "--set=log.sync=auto";
    words[COMMAND_SETS_MAX - 3] = "--data=x";
    words[COMMAND_SETS_MAX - 2] = "--listen=x";
    words[COMMAND_SETS_MAX - 1] = "--insecure";
    cr_assert_eq(parse(words), 0, "%s", why);
    cr_assert_eq(command.set_count, COMMAND_SETS_MAX);
}
