/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/lines.c: form of a line, and what happens to floods.
 */
#include "broker/lines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795505935123456ll

static char text[64 * 1024];
static struct lines lines;

static void begin(void)
{
    memset(text, 0, sizeof text);
    lines_init(&lines, fmemopen(text, sizeof text - 1, "w"));
    cr_assert_not_null(lines.out);
}

static unsigned count(const char *words)
{
    unsigned found = 0;
    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        found++;
    return found;
}

/* Time in UTC, level, event, keyed values. */
Test(lines, writes_time_level_event_and_values)
{
    begin();
    lines_write_at(&lines, NOW, LINES_INFO, "ready", "addresses=127.0.0.1:7700");
    lines_write_at(&lines, NOW + 1, LINES_WARNING, "log_created", "");
    lines_write_at(&lines, NOW + 2, LINES_ERROR, "gave_up", "times=3");
    fclose(lines.out);
    cr_assert_str_eq(text, "2026-11-24T07:38:55.123456Z info ready addresses=127.0.0.1:7700\n"
                           "2026-11-24T07:38:55.123457Z warning log_created\n"
                           "2026-11-24T07:38:55.123458Z error gave_up times=3\n");
}

/* A flood is cut after the burst; when its window has ended the next line of any event says how
 * many were held back, and the event is heard again. */
Test(lines, holds_a_flood_back_and_says_how_many)
{
    begin();
    for (unsigned i = 0; i < LINES_BURST + 500; i++)
        lines_write_at(&lines, NOW + i, LINES_INFO, "flood", "");
    lines_write_at(&lines, NOW + LINES_WINDOW_US - 1, LINES_INFO, "other", "");
    cr_assert_eq(count(" info flood\n"), LINES_BURST);
    cr_assert_eq(count("lines_suppressed"), 0);
    lines_write_at(&lines, NOW + LINES_WINDOW_US, LINES_INFO, "other", "");
    cr_assert_eq(count("warning lines_suppressed of=flood count=500\n"), 1);
    lines_write_at(&lines, NOW + LINES_WINDOW_US + 1, LINES_INFO, "flood", "");
    cr_assert_eq(count(" info flood\n"), LINES_BURST + 1);
    fclose(lines.out);
}

/* A flood of one event does not silence another. */
Test(lines, counts_each_event_alone)
{
    begin();
    for (unsigned i = 0; i < LINES_BURST + 5; i++) {
        lines_write_at(&lines, NOW, LINES_INFO, "a", "");
        if (i < LINES_BURST)
            lines_write_at(&lines, NOW, LINES_INFO, "b", "");
    }
    fclose(lines.out);
    cr_assert_eq(count(" info a\n"), LINES_BURST);
    cr_assert_eq(count(" info b\n"), LINES_BURST);
}

/* A clock that is set back ends the window instead of holding lines back for years. */
Test(lines, survives_a_clock_that_is_set_back)
{
    begin();
    for (unsigned i = 0; i < LINES_BURST + 1; i++)
        lines_write_at(&lines, NOW, LINES_INFO, "a", "");
    lines_write_at(&lines, NOW - 3600000000ll, LINES_INFO, "a", "");
    fclose(lines.out);
    cr_assert_eq(count(" info a\n"), LINES_BURST + 1);
}

/* The end says what is still held back. */
Test(lines, says_at_the_end_what_is_held_back)
{
    begin();
    for (unsigned i = 0; i < LINES_BURST + 3; i++)
        lines_write(&lines, LINES_INFO, "a", "");
    lines_finish(&lines);
    fclose(lines.out);
    cr_assert_eq(count("lines_suppressed of=a count=3\n"), 1);
}

/* More different events than are watched are all written. */
Test(lines, writes_events_beyond_the_table)
{
    static char names[LINES_EVENTS_MAX + 2][16];
    begin();
    for (unsigned i = 0; i < LINES_EVENTS_MAX + 2; i++) {
        snprintf(names[i], sizeof names[i], "event_%u", i);
        lines_write_at(&lines, NOW, LINES_INFO, names[i], "");
    }
    fclose(lines.out);
    for (unsigned i = 0; i < LINES_EVENTS_MAX + 2; i++) {
        char line[32];
        snprintf(line, sizeof line, " %s\n", names[i]);
        cr_assert_eq(count(line), 1, "%s", names[i]);
    }
}

/* Values with blanks, quotes or nothing in them are quoted; a value never breaks its line. */
Test(lines, quotes_values_that_need_it)
{
    char out[64];
    cr_assert_str_eq(lines_quote("plain/path:1", out, sizeof out), "plain/path:1");
    cr_assert_str_eq(lines_quote("", out, sizeof out), "\"\"");
    cr_assert_str_eq(lines_quote("a b", out, sizeof out), "\"a b\"");
    cr_assert_str_eq(lines_quote("a\"b\\", out, sizeof out), "\"a\\\"b\\\\\"");
    cr_assert_str_eq(lines_quote("a\nb", out, sizeof out), "a?b");
    cr_assert_str_eq(lines_quote("k=v", out, sizeof out), "\"k=v\"");
}

/* A value that does not fit is cut, with its quotes closed, for every size. */
Test(lines, cuts_a_value_that_does_not_fit)
{
    char out[32];
    for (uint32_t bytes = 4; bytes <= 24; bytes++) {
        memset(out, 'z', sizeof out);
        lines_quote("\"\" \"\"\"\"\"\"\"\"\"\"", out, bytes);
        size_t length = strlen(out);
        cr_assert_lt(length, bytes);
        cr_assert(length >= 2 && out[0] == '"' && out[length - 1] == '"', "%u: %s", bytes, out);
        cr_assert_eq(out[bytes], 'z');
    }
}

#define WRITERS 4u
#define LINES_EACH 2000u

static void *write_many(void *argument)
{
    unsigned writer = *(const unsigned *)argument;
    for (unsigned i = 0; i < LINES_EACH; i++) {
        char json[64];
        lines_write(&lines, LINES_INFO, "flood", "from=many");
        int bytes = snprintf(json, sizeof json, "{\"writer\":%u,\"line\":%u}", writer, i);
        lines_print(&lines, json, (uint32_t)bytes);
    }
    return NULL;
}

/* Lines of several threads stay whole, none is lost, and floods are counted over all of them. */
Test(lines, of_several_threads_stay_whole)
{
    pthread_t threads[WRITERS];
    unsigned numbers[WRITERS], next[WRITERS] = {0}, floods = 0, held = 0, writer, number;
    char *memory = NULL, *state = NULL;
    size_t bytes;
    FILE *out = open_memstream(&memory, &bytes);
    lines_init(&lines, out);
    for (unsigned i = 0; i < WRITERS; i++) {
        numbers[i] = i;
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, &numbers[i]), 0);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    lines_finish(&lines);
    fclose(out);
    for (char *at = strtok_r(memory, "\n", &state); at; at = strtok_r(NULL, "\n", &state)) {
        const char *suppressed = strstr(at, "lines_suppressed of=flood count=");
        if (sscanf(at, "{\"writer\":%u,\"line\":%u}", &writer, &number) == 2) {
            cr_assert_lt(writer, WRITERS);
            cr_assert_eq(number, next[writer]++, "%s", at);
        } else if (suppressed != NULL) {
            held += (unsigned)strtoul(strrchr(suppressed, '=') + 1, NULL, 10);
        } else {
            cr_assert_not_null(strstr(at, " info flood from=many"), "%s", at);
            floods++;
        }
    }
    for (unsigned i = 0; i < WRITERS; i++)
        cr_assert_eq(next[i], LINES_EACH);
    cr_assert_eq(floods + held, WRITERS * LINES_EACH);
    free(memory);
}
