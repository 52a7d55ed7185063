/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock top`: what a broker is doing now.
 *
 * Normal path: a sample, a wait, a sample, a picture of what changed between the two; and again. On
 * a terminal until a signal, elsewhere --count times, once without it; with -o json one object a
 * tick.
 * Failure paths: a broker that is away ends the verb, but not on a terminal, where it is told and
 * tried again. Shutdown: the terminal is given back as it was.
 */
#include "tools/crossdock/human.h"
#include "tools/crossdock/merge.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/sample.h"
#include "tools/crossdock/screen.h"
#include "tools/crossdock/session.h"
#include "tools/crossdock/shards.h"
#include "tools/crossdock/values.h"

#include <crossdock/status.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define INTERVAL_MS_DEFAULT 2000u
/* A person does not want to wait for the first picture. */
#define FIRST_MS 500u
/* One wait; signals and the size of the terminal are looked at in between. */
#define STEP_MS 100u
/* On a terminal, a call of the broker must not hold up a signal for longer. */
#define SCREEN_TIMEOUT_MS 2000u
/* Lists that are longer are not asked for: that would be load of its own. */
#define LIST_ROWS_MAX 20000u

struct top {
    struct tool *tool;    /* */
    struct screen screen; /* closed unless on a terminal */
    bool live;            /* runs until a signal */
    uint32_t interval_ms; /* */
    uint64_t count;       /* ticks to come, when not live */
    struct sample before; /* of the last tick */
    char *picture;        /* drawn last, to be drawn again at another size */
    unsigned columns;     /* size that it was drawn at */
    unsigned lines;       /* */
};

/* ---- samples --------------------------------------------------------------------------------- */

static int64_t clock_us(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The rows of a list, unless there are too many of them. */
static int fetch_rows(struct tool *tool, const char *verb, const char *rows, const char *key,
                      json_int_t expected, json_t **ret_rows)
{
    if (expected > LIST_ROWS_MAX)
        return 0;
    return shards_list(tool, verb, rows, key, NULL, ret_rows);
}

/* The metrics of each shard and of all together. */
static int fetch_metrics(struct tool *tool, struct sample *sample)
{
    json_t *replies, *reply;
    size_t index;
    int status = shards_call(tool, "metrics", NULL, NULL, &replies);
    if (status < 0)
        return status;
    sample->metrics = merge_metrics(replies);
    sample->shards = json_array();
    json_array_foreach(replies, index, reply)
    {
        json_array_append(sample->shards, json_object_get(reply, "metrics"));
    }
    json_decref(replies);
    return 0;
}

static int fetch(struct tool *tool, struct sample *ret_sample)
{
    struct sample sample = {0};
    int status = fetch_metrics(tool, &sample);
    if (status < 0)
        return status;
    sample.at_us = clock_us(CLOCK_MONOTONIC);
    sample.wall_us = clock_us(CLOCK_REALTIME);
    json_int_t partitions = json_integer_value(json_object_get(sample.metrics, "partitions"));
    json_int_t channels = json_integer_value(json_object_get(sample.metrics, "channels"));
    status = fetch_rows(tool, "partition list", "partitions", "partition", partitions,
                        &sample.partitions);
    if (status == 0)
        status = fetch_rows(tool, "source list", "channels", "number", channels, &sample.channels);
    if (status < 0)
        sample_deinit(&sample);
    else
        *ret_sample = sample;
    return status;
}

/* ---- the picture ----------------------------------------------------------------------------- */

static uint64_t number_of(const json_t *data, const char *member)
{
    json_int_t number = json_integer_value(json_object_get(data, member));
    return number > 0 ? (uint64_t)number : 0;
}

static const char *text_of(const json_t *data, const char *member)
{
    const char *text = json_string_value(json_object_get(data, member));
    return text != NULL ? text : "";
}

static void draw_numbers(FILE *out, const json_t *data)
{
    char one[HUMAN_BYTES], two[HUMAN_BYTES], three[HUMAN_BYTES];
    human_bytes(number_of(data, "bytes_in_per_second"), one);
    fprintf(out, "in           %10" PRIu64 " records/s  %12s/s  %8" PRIu64 " batches/s\n",
            number_of(data, "records_in_per_second"), one,
            number_of(data, "batches_in_per_second"));
    human_bytes(number_of(data, "bytes_out_per_second"), one);
    fprintf(out, "out          %10" PRIu64 " reads/s    %12s/s  %8" PRIu64 " reads/s from disk\n",
            number_of(data, "reads_per_second") + number_of(data, "reads_from_disk_per_second"),
            one, number_of(data, "reads_from_disk_per_second"));
    human_us(number_of(data, "sync_us_mean"), one);
    human_us(number_of(data, "sync_ns_max") / 1000, two);
    human_bytes(number_of(data, "undurable_bytes"), three);
    fprintf(out, "sync         %10" PRIu64 " /s         %12s mean, longest %s, %s not durable\n",
            number_of(data, "syncs_per_second"), one, two, three);
    fprintf(out,
            "clients      %10" PRIu64 " open       %12" PRIu64 " readers wait, %" PRIu64
            " answers wait\n",
            number_of(data, "connections_open"), number_of(data, "readers_waiting"),
            number_of(data, "acks_waiting"));
    fprintf(out, "duplicates   %10" PRIu64 " batches/s  %12" PRIu64 " batches/s throttled\n",
            number_of(data, "duplicate_batches_per_second"),
            number_of(data, "throttled_per_second"));
    human_bytes(number_of(data, "disk_free_bytes"), one);
    human_bytes(number_of(data, "disk_size_bytes"), two);
    human_bytes(number_of(data, "log_kept_bytes"), three);
    fprintf(out, "disk         %10s free of %s, the log keeps %s\n", one, two, three);
}

static void draw_rows(FILE *out, const json_t *rows, const char *first, const char *second)
{
    size_t index;
    json_t *row;
    fprintf(out, "\n%-24s %-24s %-16s %12s\n", first, second, "FACILITY", "RECORDS/S");
    json_array_foreach((json_t *)(uintptr_t)rows, index, row)
    {
        char number[24];
        const json_t *partition = json_object_get(row, "partition");
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(partition));
        fprintf(out, "%-24s %-24s %-16s %12" PRIu64 "\n",
                partition != NULL ? number : text_of(row, "source"),
                partition != NULL ? text_of(row, "topic") : text_of(row, "channel"),
                text_of(row, "facility"), number_of(row, "records_per_second"));
    }
    if (json_array_size(rows) == 0)
        fprintf(out, "none\n");
}

/* With -o wide: where the work is. One shard is the broker, and has no line of its own. */
static void draw_shards(FILE *out, const json_t *shards)
{
    size_t index;
    json_t *row;
    if (json_array_size(shards) < 2)
        return;
    fprintf(out, "\n%-6s %-10s %12s %14s %9s %12s %12s %12s\n", "SHARD", "STATE", "RECORDS/S",
            "BYTES/S", "SYNCS/S", "SYNC MEAN", "NOT DURABLE", "LOG KEEPS");
    json_array_foreach((json_t *)(uintptr_t)shards, index, row)
    {
        char bytes[HUMAN_BYTES], mean[HUMAN_BYTES], waits[HUMAN_BYTES], kept[HUMAN_BYTES];
        human_bytes(number_of(row, "bytes_in_per_second"), bytes);
        human_us(number_of(row, "sync_us_mean"), mean);
        human_bytes(number_of(row, "undurable_bytes"), waits);
        human_bytes(number_of(row, "log_kept_bytes"), kept);
        fprintf(out, "%-6zu %-10s %12" PRIu64 " %14s %9" PRIu64 " %12s %12s %12s\n", index,
                text_of(row, "state"), number_of(row, "records_in_per_second"), bytes,
                number_of(row, "syncs_per_second"), mean, waits, kept);
    }
}

/* The picture as text; the caller frees it. NULL without memory. */
static char *picture_of(const json_t *data, bool wide)
{
    char *text = NULL, up[HUMAN_BYTES];
    size_t bytes = 0;
    FILE *out = open_memstream(&text, &bytes);
    if (out == NULL)
        return NULL;
    human_seconds(number_of(data, "uptime_seconds"), up);
    fprintf(out, "%.19sZ   %s   up %s   over %" PRIu64 " ms\n\n", text_of(data, "time"),
            text_of(data, "state"), up, number_of(data, "interval_ms"));
    draw_numbers(out, data);
    if (wide)
        draw_shards(out, json_object_get(data, "shards"));
    draw_rows(out, json_object_get(data, "busiest_partitions"), "PARTITION", "TOPIC");
    draw_rows(out, json_object_get(data, "busiest_channels"), "SOURCE", "CHANNEL");
    fclose(out);
    return text;
}

static void show(struct top *top, char *picture)
{
    free(top->picture);
    top->picture = picture;
    screen_size(&top->columns, &top->lines);
    screen_draw(&top->screen, picture != NULL ? picture : "");
}

/* Takes `data` over. */
static void print_tick(struct top *top, json_t *data)
{
    static const struct report_view view = {NULL, "state", ""};
    enum output output = top->tool->output;
    if (output == OUTPUT_TABLE || output == OUTPUT_WIDE) {
        char *picture = picture_of(data, output == OUTPUT_WIDE);
        json_decref(data);
        if (top->screen.open) {
            show(top, picture);
            return;
        }
        fputs(picture != NULL ? picture : "", stdout);
        free(picture);
    } else {
        if (output == OUTPUT_TSV) /* one line for each number: there is no place for rows */
            json_object_del(data, "shards");
        report_data(top->tool, &view, data);
    }
    fflush(stdout);
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* 0, or -EINTR after a signal. */
static int wait_ms(struct top *top, uint32_t wait)
{
    int64_t end_us = clock_us(CLOCK_MONOTONIC) + (int64_t)wait * 1000;
    for (;;) {
        int64_t left_us = end_us - clock_us(CLOCK_MONOTONIC);
        if (tool_interrupted())
            return -EINTR;
        if (left_us <= 0)
            return 0;
        int64_t step_us = left_us < STEP_MS * 1000 ? left_us : STEP_MS * 1000;
        struct timespec step = {.tv_nsec = (long)step_us * 1000};
        nanosleep(&step, NULL); /* a signal ends it early */
        unsigned columns, lines;
        screen_size(&columns, &lines);
        if (top->picture != NULL && (columns != top->columns || lines != top->lines)) {
            top->columns = columns;
            top->lines = lines;
            screen_draw(&top->screen, top->picture);
        }
    }
}

/* On a terminal a failure is told in the picture, and the connection is made anew. */
static int survive(struct top *top, int status)
{
    char *text = NULL;
    if (tool_interrupted())
        return -EINTR;
    if (!top->screen.open)
        return status;
    if (asprintf(&text, "no answer; trying again\n\n%s (%s)\n", top->tool->detail,
                 xdock_status_name(status)) < 0)
        text = NULL;
    show(top, text);
    session_close(top->tool);
    return 0;
}

static int tick(struct top *top)
{
    struct sample now = {0};
    int status = fetch(top->tool, &now);
    if (status < 0)
        return survive(top, status);
    if (top->before.metrics != NULL)
        print_tick(top, sample_compare(&top->before, &now));
    sample_deinit(&top->before);
    top->before = now;
    top->count -= top->count > 0;
    return 0;
}

static int run(struct top *top)
{
    int status = fetch(top->tool, &top->before);
    if (status < 0)
        return tool_interrupted() ? -EINTR : status;
    if (top->live && (top->tool->output == OUTPUT_TABLE || top->tool->output == OUTPUT_WIDE)) {
        screen_open(&top->screen);
        if (top->tool->timeout_ms > SCREEN_TIMEOUT_MS)
            top->tool->timeout_ms = SCREEN_TIMEOUT_MS;
    }
    uint32_t wait = top->interval_ms;
    if (top->screen.open && wait > FIRST_MS)
        wait = FIRST_MS;
    while (status == 0 && (top->live || top->count > 0)) {
        status = wait_ms(top, wait);
        if (status == 0)
            status = tick(top);
        wait = top->interval_ms;
    }
    return status;
}

int run_top(struct tool *tool)
{
    struct top top = {.tool = tool, .interval_ms = INTERVAL_MS_DEFAULT, .count = 1};
    const char *interval = tool_option(tool, "interval"), *count = tool_option(tool, "count");
    if (interval != NULL && value_duration_ms(interval, &top.interval_ms) < 0) {
        snprintf(tool->detail, sizeof tool->detail,
                 "--interval: '%s' is not 1ms to 24h, such as 500ms, 2s, 1m", interval);
        return report_failure(tool, XDOCK_OPTION_INVALID, NULL);
    }
    if (count != NULL && (value_number(count, UINT32_MAX, &top.count) < 0 || top.count == 0)) {
        snprintf(tool->detail, sizeof tool->detail, "--count: '%s' is not a number from 1", count);
        return report_failure(tool, XDOCK_OPTION_INVALID, NULL);
    }
    top.live = count == NULL && isatty(STDOUT_FILENO) != 0;
    int status = run(&top);
    screen_close(&top.screen);
    sample_deinit(&top.before);
    free(top.picture);
    if (status == -EINTR)
        return EXIT_INTERRUPTED;
    return status < 0 ? report_failure(tool, status, NULL) : EXIT_OK;
}
