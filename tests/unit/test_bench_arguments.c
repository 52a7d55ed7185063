/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the load generator: units are understood, bounds are kept, and what is wrong is
 * named; a value that is refused leaves the default.
 */
#include "bench/arguments.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

struct values {
    uint64_t count, bytes, time, flag, choice;
    const char *text;
};

static int parse(struct values *values, const char *const *words, char *why)
{
    const struct argument table[] = {
        {"count", 'c', ARGUMENT_COUNT, &values->count, NULL, 1, 100, "1 to 100", ""},
        {"bytes", 'b', ARGUMENT_BYTES, &values->bytes, NULL, 0, 1 << 30, "0 to 1GiB", ""},
        {"time", 0, ARGUMENT_DURATION, &values->time, NULL, 1000, 60000000, "1ms to 1m", ""},
        {"flag", 0, ARGUMENT_FLAG, &values->flag, NULL, 0, 0, "", ""},
        {"choice", 'o', ARGUMENT_CHOICE, &values->choice, NULL, 0, 0, "text|json", ""},
        {"text", 0, ARGUMENT_TEXT, NULL, &values->text, 0, 0, "a name", ""},
    };
    char *argv[16];
    int argc = 0;

    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    return arguments_parse(argc, argv, table, sizeof table / sizeof table[0], why);
}

Test(bench_arguments, takes_every_form_of_a_value)
{
    const char *const words[] = {"-c", "7",    "--bytes=64KiB", "--time", "1500ms", "--flag",
                                 "-o", "json", "--text",        "-odd",   NULL};
    struct values values = {0};
    char why[ARGUMENTS_WHY_BYTES] = "";

    cr_assert_eq(parse(&values, words, why), 0, "%s", why);
    cr_assert_eq(values.count, 7);
    cr_assert_eq(values.bytes, 65536);
    cr_assert_eq(values.time, 1500000);
    cr_assert_eq(values.flag, 1);
    cr_assert_eq(values.choice, 1);
    cr_assert_str_eq(values.text, "-odd");
}

/* Seconds are the unit of a time without one, bytes of a size. */
Test(bench_arguments, knows_the_units)
{
    static const struct {
        const char *word;
        uint64_t us;
    } times[] = {{"2", 2000000}, {"2s", 2000000}, {"2000us", 2000}, {"1m", 60000000}};

    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        const char *const words[] = {"--time", times[i].word, NULL};
        struct values values = {0};
        char why[ARGUMENTS_WHY_BYTES] = "";
        cr_assert_eq(parse(&values, words, why), 0, "%s", why);
        cr_assert_eq(values.time, times[i].us, "%s", times[i].word);
    }
}

Test(bench_arguments, refuses_what_is_wrong_and_says_what)
{
    static const struct {
        const char *words[3];
        const char *named;
    } cases[] = {
        {{"--count", "0", NULL}, "1 to 100"},
        {{"--count", "101", NULL}, "1 to 100"},
        {{"--count", "7x", NULL}, "7x"},
        {{"--count", "-7", NULL}, "-7"},
        {{"--count", "99999999999999999999999", NULL}, "--count"},
        {{"--bytes", "18446744073709551615GiB", NULL}, "--bytes"},
        {{"--bytes", "1KB", NULL}, "1KB"},
        {{"--choice", "jso", NULL}, "text|json"},
        {{"--choice", "text|json", NULL}, "text|json"},
        {{"--text", "", NULL}, "--text"},
        {{"--count", NULL, NULL}, "--count"},
        {{"--counts", "7", NULL}, "--counts"},
        {{"-count", "7", NULL}, "-count"},
        {{"count", "7", NULL}, "count"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct values values = {.count = 5, .bytes = 5, .choice = 0};
        char why[ARGUMENTS_WHY_BYTES] = "";
        cr_assert_eq(parse(&values, cases[i].words, why), -EINVAL, "case %zu", i);
        cr_assert_not_null(strstr(why, cases[i].named), "case %zu: %s", i, why);
        cr_assert_eq(values.count, 5);
        cr_assert_eq(values.bytes, 5);
        cr_assert_eq(values.choice, 0);
    }
}

Test(bench_arguments, asks_for_help_wherever_it_stands)
{
    const char *const words[] = {"--flag", "--help", NULL};
    struct values values = {0};
    char why[ARGUMENTS_WHY_BYTES] = "";
    cr_assert_eq(parse(&values, words, why), 1);
}

Test(bench_arguments, finds_the_words_of_a_choice)
{
    const char *word = NULL;
    cr_assert_eq(arguments_word("a|bcd|e", 1, &word), 3);
    cr_assert_eq(memcmp(word, "bcd", 3), 0);
    cr_assert_eq(arguments_word("a|bcd|e", 2, &word), 1);
    cr_assert_eq(arguments_word("a|bcd|e", 3, &word), 0);
}
