/* SPDX-License-Identifier: Apache-2.0
 *
 * `crossdock check broker` and `crossdock check disk`: one line for a monitoring program, and an
 * exit status: 0 well, 6 warning, 7 critical.
 *
 * Normal path: ask the broker, compare with --warn and --crit, print one line; behind a bar it has
 * the number with its thresholds, as monitoring plugins print them. Failure path: a broker that
 * does not answer ends with exit status 5 as everywhere, which is as bad as critical.
 */
#include "tools/crossdock/human.h"
#include "tools/crossdock/merge.h"
#include "tools/crossdock/report.h"
#include "tools/crossdock/run.h"
#include "tools/crossdock/shards.h"
#include "tools/crossdock/values.h"

#include <crossdock/status.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_BYTES 1024u
#define SHARD_BYTES 40u

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_CRITICAL };

/* One check on its way. */
struct check {
    struct tool *tool;     /* */
    const char *name;      /* "disk" */
    enum level level;      /* worst so far */
    const char *label;     /* of the three numbers: "free", "time" */
    const char *unit;      /* of the three numbers: "B", "us" */
    uint64_t value;        /* */
    uint64_t warn;         /* thresholds, as numbers of that unit */
    uint64_t crit;         /* */
    size_t shard;          /* disk: whose it is */
    char text[TEXT_BYTES]; /* what was found */
};

static void worsen(struct check *check, enum level level)
{
    check->level = level > check->level ? level : check->level;
}

static int wrong_threshold(struct tool *tool, const char *option, const char *text,
                           const char *expected)
{
    snprintf(tool->detail, sizeof tool->detail, "--%s: '%s' is not %s", option, text, expected);
    return report_failure(tool, XDOCK_OPTION_INVALID, "");
}

/* Prints the line and gives the exit status. `range` is ":" where low numbers are bad. */
static int finish(struct check *check, const char *range)
{
    static const char *const names[] = {"ok", "warning", "critical"};
    static const int exits[] = {EXIT_OK, EXIT_WARNING, EXIT_CRITICAL};
    static const struct report_view view = {NULL, "check,state,text", ""};
    struct tool *tool = check->tool;
    const char *state = names[check->level];
    if (tool->output == OUTPUT_TABLE || tool->output == OUTPUT_WIDE) {
        printf("%s %s: %s | %s=%" PRIu64 "%s;%" PRIu64 "%s;%" PRIu64 "%s;0\n", check->name, state,
               check->text, check->label, check->value, check->unit, check->warn, range,
               check->crit, range);
        return exits[check->level];
    }
    report_data(tool, &view,
                json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:s}", "check", check->name, "state",
                          state, "text", check->text, "value", (json_int_t)check->value, "warn",
                          (json_int_t)check->warn, "crit", (json_int_t)check->crit, "unit",
                          check->unit));
    return exits[check->level];
}

/* ---- broker ---------------------------------------------------------------------------------- */

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void add_text(struct check *check, const char *first, const char *second)
{
    size_t used = strlen(check->text);
    snprintf(check->text + used, sizeof check->text - used, "%s%s%s", used > 0 ? ", " : "", first,
             second);
}

/* Checks of the broker itself that are not well, and a state in which producers wait. */
static void take_findings(struct check *check, const json_t *health, const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));
    bool well = state != NULL && strcmp(state, "running") == 0;
    char where[SHARD_BYTES] = "";
    size_t index;
    json_t *row;
    if (!well && check->tool->shards > 1)
        snprintf(where, sizeof where, " in shard %" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(status, "shard")));
    add_text(check, state != NULL ? state : "unknown", where);
    if (!well)
        worsen(check, LEVEL_WARNING);
    json_array_foreach(json_object_get(health, "checks"), index, row)
    {
        const char *text = json_string_value(json_object_get(row, "text"));
        if (json_is_true(json_object_get(row, "ok")))
            continue;
        worsen(check, LEVEL_CRITICAL);
        where[0] = '\0';
        if (check->tool->shards > 1)
            snprintf(where, sizeof where, "shard %" JSON_INTEGER_FORMAT ": ",
                     json_integer_value(json_object_get(row, "shard")));
        add_text(check, where, text != NULL ? text : "a check is not well");
    }
}

static int take_times(struct check *check)
{
    static const char expected[] = "1ms to 24h, such as 500ms or 5s";
    const char *warn = tool_option(check->tool, "warn"), *crit = tool_option(check->tool, "crit");
    uint32_t warn_ms = 1000, crit_ms = 5000;
    if (warn != NULL && value_duration_ms(warn, &warn_ms) < 0)
        return wrong_threshold(check->tool, "warn", warn, expected);
    if (crit != NULL && value_duration_ms(crit, &crit_ms) < 0)
        return wrong_threshold(check->tool, "crit", crit, expected);
    if (crit == NULL && crit_ms < warn_ms)
        crit_ms = warn_ms;
    if (warn == NULL && warn_ms > crit_ms)
        warn_ms = crit_ms;
    if (warn_ms > crit_ms)
        return wrong_threshold(check->tool, "warn", warn, "below --crit or equal to it");
    check->warn = (uint64_t)warn_ms * 1000;
    check->crit = (uint64_t)crit_ms * 1000;
    return EXIT_OK;
}

int run_check_broker(struct tool *tool)
{
    struct check check = {.tool = tool, .name = "broker", .label = "time", .unit = "us"};
    char took[HUMAN_BYTES];
    json_t *health = NULL, *states = NULL;
    int exit_status = take_times(&check);
    if (exit_status != EXIT_OK)
        return exit_status;
    int64_t begin_us = now_us();
    int status = shards_call(tool, "health", NULL, NULL, &health);
    check.value = (uint64_t)(now_us() - begin_us);
    if (status == 0)
        status = shards_call(tool, "status", NULL, NULL, &states);
    if (status < 0) {
        json_decref(health);
        return report_failure(tool, status, NULL);
    }
    json_t *checks = merge_health(health), *state = merge_status(states);
    take_findings(&check, checks, state);
    json_decref(checks);
    json_decref(state);
    human_us(check.value, took);
    add_text(&check, "connected and answered in ", took);
    if (check.value >= check.warn)
        worsen(&check, check.value >= check.crit ? LEVEL_CRITICAL : LEVEL_WARNING);
    json_decref(health);
    json_decref(states);
    return finish(&check, "");
}

/* ---- disk ------------------------------------------------------------------------------------ */

/* "10%" of the size, or "50GiB". 0 or XDOCK_FIELD_INVALID. */
static int threshold_bytes(const char *text, uint64_t size, uint64_t *ret_bytes)
{
    uint64_t percent;
    char digits[8];
    size_t bytes = strlen(text);
    if (bytes == 0 || text[bytes - 1] != '%')
        return value_bytes(text, ret_bytes);
    if (bytes > sizeof digits)
        return XDOCK_FIELD_INVALID;
    snprintf(digits, sizeof digits, "%.*s", (int)(bytes - 1), text);
    if (value_number(digits, 100, &percent) < 0)
        return XDOCK_FIELD_INVALID;
    *ret_bytes = size / 100 * percent;
    return 0;
}

/* One file system, as a shard tells it. */
struct disk {
    uint64_t free; /* bytes */
    uint64_t size; /* bytes */
};

/* Thresholds of a disk of that size; 0: only whether they are well-formed. */
static int take_sizes(struct check *check, uint64_t size)
{
    static const char expected[] = "a size or a share of the disk, such as 50GiB or 10%";
    const char *warn = tool_option(check->tool, "warn"), *crit = tool_option(check->tool, "crit");
    if (threshold_bytes(warn != NULL ? warn : "20%", size, &check->warn) < 0)
        return wrong_threshold(check->tool, "warn", warn, expected);
    if (threshold_bytes(crit != NULL ? crit : "10%", size, &check->crit) < 0)
        return wrong_threshold(check->tool, "crit", crit, expected);
    if (size == 0)
        return EXIT_OK;
    if (crit == NULL && check->crit > check->warn)
        check->crit = check->warn;
    if (warn == NULL && check->warn < check->crit)
        check->warn = check->crit;
    if (check->warn < check->crit)
        return wrong_threshold(check->tool, "warn", warn, "above --crit or equal to it");
    return EXIT_OK;
}

static struct disk disk_of(const json_t *reply)
{
    json_int_t left = json_integer_value(json_object_get(reply, "disk_free_bytes"));
    json_int_t size = json_integer_value(json_object_get(reply, "disk_size_bytes"));
    return (struct disk){left > 0 ? (uint64_t)left : 0, size > 0 ? (uint64_t)size : 0};
}

/* Judges the disk of one shard; keeps it when it is worse than what `check` has. */
static int judge_disk(struct check *check, const struct disk *disk, size_t shard)
{
    char free_text[HUMAN_BYTES], size_text[HUMAN_BYTES];
    struct check one = *check;
    one.level = LEVEL_OK;
    one.value = disk->free;
    one.shard = shard;
    int exit_status = take_sizes(&one, disk->size);
    if (exit_status != EXIT_OK)
        return exit_status;
    if (one.value < one.warn)
        one.level = one.value < one.crit ? LEVEL_CRITICAL : LEVEL_WARNING;
    if (shard > 0 &&
        (one.level < check->level || (one.level == check->level && one.value >= check->value)))
        return EXIT_OK;
    human_bytes(disk->free, free_text);
    human_bytes(disk->size, size_text);
    snprintf(one.text, sizeof one.text, "%s of %s free (%u %%)", free_text, size_text,
             disk->size > 0 ? (unsigned)((double)disk->free * 100.0 / (double)disk->size) : 0);
    *check = one;
    return EXIT_OK;
}

/* The worst of all shards; which one is told when they lie on more than one file system. */
static int judge_disks(struct check *check, const json_t *replies)
{
    bool apart = false;
    struct disk first = disk_of(json_array_get(replies, 0));
    for (size_t i = 0; i < json_array_size(replies); i++) {
        struct disk disk = disk_of(json_array_get(replies, i));
        int exit_status = judge_disk(check, &disk, i);
        if (exit_status != EXIT_OK)
            return exit_status;
        apart = apart || disk.size != first.size;
    }
    if (apart) {
        size_t used = strlen(check->text);
        snprintf(check->text + used, sizeof check->text - used, " in shard %zu", check->shard);
    }
    return EXIT_OK;
}

int run_check_disk(struct tool *tool)
{
    struct check check = {.tool = tool, .name = "disk", .label = "free", .unit = "B"};
    json_t *replies;
    int exit_status = take_sizes(&check, 0); /* wrong words are told without a broker, too */
    if (exit_status != EXIT_OK)
        return exit_status;
    int status = shards_call(tool, "log stats", NULL, NULL, &replies);
    if (status < 0)
        return report_failure(tool, status, NULL);
    exit_status = judge_disks(&check, replies);
    json_decref(replies);
    return exit_status == EXIT_OK ? finish(&check, ":") : exit_status;
}
