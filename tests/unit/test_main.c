/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/main.c: the program itself, as a shell sees it: what goes to which stream, and exit codes.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static char text[64 * 1024];

/* Runs the program without surroundings; the exit code. `streams` says which stream is heard: ""
 * for standard output alone, "2>&1 >/dev/null" for standard error alone. */
static int run(const char *words, const char *streams)
{
    char line[1024];
    snprintf(line, sizeof line, "env -i %s %s %s </dev/null", CROSSDOCKD, words, streams);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status), "%s", line);
    return WEXITSTATUS(status);
}

#define OUTPUT "2>/dev/null"
#define ERRORS "2>&1 >/dev/null"

/* What was asked for goes to standard output, exit code 0, and nothing to standard error. */
Test(main, prints_what_was_asked_for)
{
    static const struct {
        const char *words, *begins;
    } rows[] = {
        {"--version", "crossdockd "},
        {"--help", "crossdockd: the Crossdock broker\n"},
        {"--print-config-doc", "# Configuration\n"},
        {"--print-metrics-doc", "<!-- SPDX-License-Identifier: Apache-2.0 -->\n# Metrics\n"},
        {"--config /dev/null --print-config", "# SPDX-License-Identifier"},
        {"--config /dev/null --check-config", "configuration is well: "}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(run(rows[i].words, OUTPUT), 0, "%s", rows[i].words);
        cr_assert_eq(strncmp(text, rows[i].begins, strlen(rows[i].begins)), 0, "%s: %s",
                     rows[i].words, text);
        cr_assert_eq(run(rows[i].words, ERRORS), 0);
        cr_assert_str_eq(text, "", "%s", rows[i].words);
    }
}

/* Mistakes go to standard error, in one line, with exit code 2. */
Test(main, answers_mistakes_with_exit_code_2)
{
    static const struct {
        const char *words, *says;
    } rows[] = {{"--lisen x", "did you mean '--listen'?"},
                {"--config /nowhere/x.conf", "/nowhere/x.conf: cannot be read"},
                {"--config /dev/null --set log.sync=never", "one of: auto dsync fdatasync"},
                {"--config /dev/null --check-config --listen 0.0.0.0:1", "--insecure"},
                {"--config /dev/null --check-config --set log.retention_bytes=1KiB",
                 "four times log.segment_bytes"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(run(rows[i].words, ERRORS), 2, "%s", rows[i].words);
        cr_assert_eq(strncmp(text, "crossdockd: ", 12), 0, "%s", text);
        cr_assert_not_null(strstr(text, rows[i].says), "%s", text);
        cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1, "%s", text);
        cr_assert_eq(run(rows[i].words, OUTPUT), 2);
        cr_assert_str_eq(text, "", "%s", rows[i].words);
    }
}

/* The environment counts: a wrong variable stops the start like a wrong file. */
Test(main, looks_at_the_environment)
{
    setenv("CROSSDOCK_LOG__SYNC", "never", 1);
    char line[512];
    snprintf(line, sizeof line, "%s --config /dev/null --check-config 2>&1", CROSSDOCKD);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    text[fread(text, 1, sizeof text - 1, pipe)] = '\0';
    cr_assert_eq(WEXITSTATUS(pclose(pipe)), 2);
    cr_assert_not_null(strstr(text, "environment CROSSDOCK_LOG__SYNC"), "%s", text);
}

/* Output that cannot be written is a failure, not a success. */
Test(main, fails_when_output_cannot_be_written)
{
    cr_assert_eq(run("--help", ">/dev/full"), 1);
    cr_assert_eq(run("--config /dev/null --print-config", ">/dev/full"), 1);
}
