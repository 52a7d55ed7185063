/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines; see lines.h.
 */
#include "broker/lines.h"

#include "broker/admin/writer.h"
#include "wire/xassert.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

static const char *const level_names[] = {"info", "warning", "error"};
_Static_assert(sizeof level_names / sizeof level_names[0] == LINES_LEVEL_COUNT, "one per level");

void lines_init(struct lines *lines, FILE *out)
{
    *lines = (struct lines){.lock = PTHREAD_MUTEX_INITIALIZER, .out = out};
}

/* A stream that cannot be written to is no reason to stop a broker: the result is ignored. */
static void put(struct lines *lines, int64_t now_us, enum lines_level level, const char *event,
                const char *text)
{
    char time[WRITER_TIME_BYTES];
    writer_time_text(now_us, time);
    (void)fprintf(lines->out, "%s %s %s%s%s\n", time, level_names[level], event,
                  text[0] != '\0' ? " " : "", text);
    (void)fflush(lines->out);
}

static void say_suppressed(struct lines *lines, int64_t now_us, struct lines_repeat *repeat)
{
    char text[128];
    if (repeat->suppressed > 0) {
        snprintf(text, sizeof text, "of=%.64s count=%u", repeat->event, repeat->suppressed);
        put(lines, now_us, LINES_WARNING, "lines_suppressed", text);
    }
    repeat->since_us = now_us;
    repeat->count = 0;
    repeat->suppressed = 0;
}

/* The entry of an event, or NULL when the table is full of others. */
static struct lines_repeat *repeat_of(struct lines *lines, const char *event, int64_t now_us)
{
    for (uint32_t i = 0; i < lines->repeat_count; i++)
        if (strcmp(lines->repeats[i].event, event) == 0)
            return &lines->repeats[i];
    if (lines->repeat_count == LINES_EVENTS_MAX)
        return NULL;
    struct lines_repeat *repeat = &lines->repeats[lines->repeat_count++];
    *repeat = (struct lines_repeat){.event = event, .since_us = now_us};
    return repeat;
}

/* A clock that was set back ends the window too. */
static bool window_ended(const struct lines_repeat *repeat, int64_t now_us)
{
    return now_us >= repeat->since_us + LINES_WINDOW_US || now_us < repeat->since_us;
}

static void write_line(struct lines *lines, int64_t now_us, enum lines_level level,
                       const char *event, const char *text)
{
    for (uint32_t i = 0; i < lines->repeat_count; i++)
        if (window_ended(&lines->repeats[i], now_us))
            say_suppressed(lines, now_us, &lines->repeats[i]);
    struct lines_repeat *repeat = repeat_of(lines, event, now_us);
    if (repeat != NULL && ++repeat->count > LINES_BURST) {
        repeat->suppressed++;
        return;
    }
    put(lines, now_us, level, event, text);
}

void lines_write_at(struct lines *lines, int64_t now_us, enum lines_level level, const char *event,
                    const char *text)
{
    XD_ASSERT(level < LINES_LEVEL_COUNT);
    pthread_mutex_lock(&lines->lock);
    write_line(lines, now_us, level, event, text);
    pthread_mutex_unlock(&lines->lock);
}

static int64_t now(void)
{
    struct timespec time;
    int status = clock_gettime(CLOCK_REALTIME, &time);
    XD_ASSERT(status == 0);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

void lines_write(struct lines *lines, enum lines_level level, const char *event, const char *text)
{
    lines_write_at(lines, now(), level, event, text);
}

void lines_print(struct lines *lines, const char *text, uint32_t bytes)
{
    pthread_mutex_lock(&lines->lock);
    (void)fprintf(lines->out, "%.*s\n", (int)bytes, text);
    (void)fflush(lines->out);
    pthread_mutex_unlock(&lines->lock);
}

void lines_finish(struct lines *lines)
{
    pthread_mutex_lock(&lines->lock);
    for (uint32_t i = 0; i < lines->repeat_count; i++)
        say_suppressed(lines, now(), &lines->repeats[i]);
    pthread_mutex_unlock(&lines->lock);
}

const char *lines_quote(const char *value, char *ret_text, uint32_t bytes)
{
    bool quotes = value[0] == '\0' || strpbrk(value, " \"=\\") != NULL;
    uint32_t used = 0;
    XD_ASSERT(bytes >= 4);
    if (quotes)
        ret_text[used++] = '"';
    /* Room for an escape, the closing quote and the terminator. */
    for (const char *at = value; *at != '\0' && used + 4 <= bytes; at++) {
        if (*at == '"' || *at == '\\')
            ret_text[used++] = '\\';
        ret_text[used++] = *at >= 0 && *at < 0x20 ? '?' : *at;
    }
    if (quotes)
        ret_text[used++] = '"';
    ret_text[used] = '\0';
    return ret_text;
}
