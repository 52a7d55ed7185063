/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of picks; see picks.h.
 */
#include "tools/demo/picks.h"

#include <crossdock/status.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 32u
#define DAY_FIRST_SECOND (6 * 3600)
#define DAY_US (16ll * 3600 * 1000000) /* of a working day */

enum column { COLUMN_DATE, COLUMN_ORDER, COLUMN_SKU, COLUMN_PIECES, COLUMN_LOCATION, COLUMN_COUNT };
static const char *const column_names[COLUMN_COUNT] = {"DATE", "OrderNumber", "SKU", "PCS",
                                                       "Location"};

/* One field of a line: borrowed, without its quotes. */
struct field {
    const char *text;
    size_t bytes;
};

/* State of reading one list. */
struct reading {
    struct picks *picks;
    uint32_t room;                  /* rows allocated */
    uint32_t line_number;           /* from 1, for messages */
    unsigned columns[COLUMN_COUNT]; /* where they stand */
    char *why;
};

uint64_t picks_random(uint64_t *state)
{
    /* splitmix64 */
    uint64_t value = (*state += 0x9e3779b97f4a7c15u);
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static int refuse(const struct reading *reading, const char *what)
{
    snprintf(reading->why, PICKS_WHY_BYTES, "line %u: %s", reading->line_number, what);
    return XDOCK_FIELD_INVALID;
}

/* Splits at commas outside double quotes; returns how many fields there are, at most COLUMNS_MAX.
 */
static unsigned split(const char *line, struct field *ret_fields)
{
    unsigned count = 0;
    while (count < COLUMNS_MAX) {
        bool quoted = *line == '"';
        const char *start = quoted ? line + 1 : line;
        size_t bytes = strcspn(start, quoted ? "\"" : ",");
        ret_fields[count++] = (struct field){start, bytes};
        line = start + bytes;
        line += strcspn(line, ",");
        if (*line == '\0')
            break;
        line++;
    }
    return count;
}

static int read_header(struct reading *reading, const char *line)
{
    struct field fields[COLUMNS_MAX];
    unsigned count = split(line, fields);
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        unsigned at = 0;
        while (at < count && (fields[at].bytes != strlen(column_names[i]) ||
                              memcmp(fields[at].text, column_names[i], fields[at].bytes) != 0))
            at++;
        if (at == count) {
            char what[64];
            snprintf(what, sizeof what, "no column %s", column_names[i]);
            return refuse(reading, what);
        }
        reading->columns[i] = at;
    }
    return 0;
}

/* Copies a text of 1 byte to PICKS_TEXT_BYTES - 1; false when it does not fit. */
static bool take_text(const struct field *field, char *ret_text)
{
    if (field->bytes == 0 || field->bytes >= PICKS_TEXT_BYTES)
        return false;
    memcpy(ret_text, field->text, field->bytes);
    ret_text[field->bytes] = '\0';
    return true;
}

/* month/day/year to noon of that day; false when there is no such day. */
static bool take_date(const struct field *field, struct pick *pick)
{
    char text[PICKS_TEXT_BYTES];
    char *at = text;
    long parts[3] = {0};
    if (!take_text(field, text))
        return false;
    for (unsigned i = 0; i < 3; i++) {
        parts[i] = strtol(at, &at, 10);
        if (*at != (i < 2 ? '/' : '\0'))
            return false;
        at++;
    }
    if (parts[0] < 1 || parts[0] > 12 || parts[1] < 1 || parts[1] > 31 || parts[2] < 1970 ||
        parts[2] > 9999)
        return false;
    struct tm day = {.tm_year = (int)parts[2] - 1900,
                     .tm_mon = (int)parts[0] - 1,
                     .tm_mday = (int)parts[1],
                     .tm_sec = DAY_FIRST_SECOND};
    pick->event_time_us = (int64_t)timegm(&day) * 1000000;
    pick->posting_date = (uint32_t)(parts[2] * 10000 + parts[0] * 100 + parts[1]);
    return day.tm_mday == (int)parts[1]; /* not so for 2/30 */
}

static int read_row(struct reading *reading, const char *line, struct pick *pick)
{
    struct field fields[COLUMNS_MAX];
    char pieces[PICKS_TEXT_BYTES];
    char *end;
    unsigned count = split(line, fields);
    memset(pick, 0, sizeof *pick);
    for (unsigned i = 0; i < COLUMN_COUNT; i++) {
        if (reading->columns[i] >= count)
            return refuse(reading, "too few fields");
    }
    if (!take_date(&fields[reading->columns[COLUMN_DATE]], pick))
        return refuse(reading, "DATE is not month/day/year");
    if (!take_text(&fields[reading->columns[COLUMN_ORDER]], pick->order) ||
        !take_text(&fields[reading->columns[COLUMN_SKU]], pick->sku) ||
        !take_text(&fields[reading->columns[COLUMN_LOCATION]], pick->location))
        return refuse(reading, "OrderNumber, SKU or Location is empty or too long");
    if (!take_text(&fields[reading->columns[COLUMN_PIECES]], pieces))
        return refuse(reading, "PCS is empty or too long");
    long value = strtol(pieces, &end, 10);
    if (*end != '\0' || value < 1 || value > 1000000)
        return refuse(reading, "PCS is not a number from 1 to 1000000");
    pick->pieces = (int32_t)value;
    snprintf(pick->handling_unit, sizeof pick->handling_unit, "C%s-1", pick->order);
    snprintf(pick->line, sizeof pick->line, "%s", line);
    return 0;
}

/* Room for one row more, or -ENOMEM. */
static int reserve(struct reading *reading)
{
    struct picks *picks = reading->picks;
    if (picks->count < reading->room)
        return 0;
    uint32_t room = reading->room == 0 ? 8192 : reading->room * 2;
    struct pick *rows = realloc(picks->rows, (size_t)room * sizeof *rows);
    if (rows == NULL)
        return -ENOMEM;
    picks->rows = rows;
    reading->room = room;
    return 0;
}

static int take_line(struct reading *reading, char *line)
{
    size_t bytes = strcspn(line, "\r\n");
    if (line[bytes] == '\0' && bytes + 1 == PICKS_LINE_BYTES)
        return refuse(reading, "the line is too long");
    line[bytes] = '\0';
    if (reading->line_number == 1)
        return read_header(reading, line);
    if (bytes == 0)
        return 0;
    if (reading->picks->count == PICKS_MAX)
        return refuse(reading, "more lines than this program takes");
    int status = reserve(reading);
    if (status >= 0)
        status = read_row(reading, line, &reading->picks->rows[reading->picks->count]);
    if (status >= 0)
        reading->picks->count++;
    return status;
}

/* Comparisons for qsort. The stable ones end with the place in the array (order_line holds it). */
static int compare_day(const void *left, const void *right)
{
    const struct pick *a = left, *b = right;
    if (a->posting_date != b->posting_date)
        return a->posting_date < b->posting_date ? -1 : 1;
    return a->order_line < b->order_line ? -1 : a->order_line > b->order_line;
}

static int compare_order(const void *left, const void *right)
{
    const struct pick *const *a = left, *const *b = right;
    int result = strcmp((*a)->order, (*b)->order);
    return result != 0 ? result : *a < *b ? -1 : *a > *b;
}

static int compare_sku(const void *left, const void *right)
{
    const struct pick *const *a = left, *const *b = right;
    return strcmp((*a)->sku, (*b)->sku);
}

/* Times of day: the picks of a day share it evenly, each somewhere in its part. */
static void give_times(struct picks *picks)
{
    uint64_t random = 1;
    for (uint32_t first = 0, next; first < picks->count; first = next) {
        next = first + 1;
        while (next < picks->count &&
               picks->rows[next].posting_date == picks->rows[first].posting_date)
            next++;
        int64_t part_us = DAY_US / (next - first);
        for (uint32_t i = first; i < next; i++)
            picks->rows[i].event_time_us +=
                part_us * (i - first) + (int64_t)(picks_random(&random) % (uint64_t)part_us);
    }
}

/* Numbers lines in orders, and SKUs. */
static int number(struct picks *picks)
{
    struct pick **sorted = malloc((size_t)picks->count * sizeof *sorted);
    if (sorted == NULL)
        return -ENOMEM;
    for (uint32_t i = 0; i < picks->count; i++)
        sorted[i] = &picks->rows[i];
    qsort(sorted, picks->count, sizeof *sorted, compare_order);
    for (uint32_t i = 0; i < picks->count; i++) {
        bool same = i > 0 && strcmp(sorted[i]->order, sorted[i - 1]->order) == 0;
        sorted[i]->order_line = same ? sorted[i - 1]->order_line + 1 : 1;
        picks->order_count += !same;
        snprintf(sorted[i]->business_key, sizeof sorted[i]->business_key, "%s/%u", sorted[i]->order,
                 sorted[i]->order_line);
    }
    qsort(sorted, picks->count, sizeof *sorted, compare_sku);
    for (uint32_t i = 0; i < picks->count; i++) {
        picks->sku_count += i == 0 || strcmp(sorted[i]->sku, sorted[i - 1]->sku) != 0;
        sorted[i]->sku_index = picks->sku_count - 1;
    }
    free(sorted);
    return 0;
}

static int finish(struct reading *reading)
{
    struct picks *picks = reading->picks;
    if (picks->count == 0)
        return refuse(reading, "there are no picks in the list");
    for (uint32_t i = 0; i < picks->count; i++)
        picks->rows[i].order_line = i;
    qsort(picks->rows, picks->count, sizeof picks->rows[0], compare_day);
    give_times(picks);
    return number(picks);
}

static int finish_or_free(struct reading *reading, int status)
{
    if (status >= 0)
        status = finish(reading);
    if (status == -ENOMEM)
        snprintf(reading->why, PICKS_WHY_BYTES, "no memory for the list");
    if (status < 0)
        picks_free(reading->picks);
    return status;
}

int picks_read(FILE *file, struct picks *ret_picks, char *why)
{
    char line[PICKS_LINE_BYTES];
    struct picks picks = {0};
    struct reading reading = {.picks = &picks, .why = why};
    int status = 0;
    while (status >= 0 && fgets(line, sizeof line, file) != NULL) {
        reading.line_number++;
        status = take_line(&reading, line);
    }
    if (status >= 0 && ferror(file)) {
        snprintf(why, PICKS_WHY_BYTES, "cannot read behind line %u", reading.line_number);
        status = -EIO;
    }
    status = finish_or_free(&reading, status);
    if (status >= 0)
        *ret_picks = picks;
    return status;
}

/* Lines of one order: 1 for most, seldom up to 10. Shares counted in a real list. */
static uint32_t lines_of_order(uint64_t *random)
{
    uint32_t lines = 1;
    while (lines < 10 && picks_random(random) % 100 < 27)
        lines++;
    return lines;
}

/* A line like those of a real list: SKU number, its fixed bin, pieces. */
static void write_line(uint64_t *random, uint32_t index, uint32_t order, char *ret_line)
{
    /* The third power of an even distribution: one SKU of 1050 makes a tenth of all lines. */
    uint64_t even = picks_random(random) >> 44;
    uint32_t sku = (uint32_t)((even * even * even >> 40) * 1050 >> 20);
    uint32_t aisle = 1 + sku % 11, cell = 1 + sku / 11 % 22;
    uint32_t pieces = picks_random(random) % 1000 < 955 ? 1 : 2 + picks_random(random) % 8;
    snprintf(ret_line, PICKS_LINE_BYTES,
             "%u,1/7/2019,%u,%u,%u,%u,A%02u%02u%u%02u,A%02u,%u,\"[%u.5, %u.0]\",A%02u%02u", index,
             order, 250000 + sku * 199, pieces, 250000 + sku * 199, aisle, cell, 1 + sku % 5,
             1 + sku / 242, aisle, cell, 15 + aisle * 3, 6 + cell, aisle, cell);
}

int picks_generate(uint64_t seed, uint32_t count, struct picks *ret_picks, char *why)
{
    char line[PICKS_LINE_BYTES] = ",DATE,OrderNumber,SKU,PCS,ReferenceID,Location,Alley_Number,"
                                  "Cellule,Coord,AlleyCell";
    struct picks picks = {0};
    struct reading reading = {.picks = &picks, .why = why, .line_number = 1};
    uint32_t order = 3790000, lines_left = lines_of_order(&seed);
    int status = take_line(&reading, line);
    for (uint32_t i = 0; status >= 0 && i < count; i++) {
        if (lines_left-- == 0) {
            lines_left = lines_of_order(&seed) - 1;
            order++;
        }
        write_line(&seed, i, order, line);
        reading.line_number++;
        status = take_line(&reading, line);
    }
    status = finish_or_free(&reading, status);
    if (status >= 0)
        *ret_picks = picks;
    return status;
}

void picks_free(struct picks *picks)
{
    free(picks->rows);
    memset(picks, 0, sizeof *picks);
}
