/* SPDX-License-Identifier: Apache-2.0
 *
 * Channels by number; see channels.h.
 */
#include "tools/crossdock/channels.h"

#include "tools/crossdock/shards.h"

#include <inttypes.h>
#include <stdio.h>

#define NUMBER_BYTES 24u

static void fetch(struct channels *channels)
{
    json_t *rows;
    size_t index;
    json_t *row;
    json_decref(channels->rows);
    channels->rows = json_object();
    if (shards_list(channels->tool, "source list", "channels", "number", NULL, &rows) < 0)
        return; /* the numbers stand in the output without their names */
    json_array_foreach(rows, index, row)
    {
        char number[NUMBER_BYTES];
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(row, "number")));
        json_object_set(channels->rows, number, row);
    }
    json_decref(rows);
}

/* A channel that is new since the last fetch makes another one; one that stays unknown is noted, so
 * that it makes no third. */
static const char *name_of(struct channels *channels, uint64_t channel, const char *member)
{
    char number[NUMBER_BYTES];
    snprintf(number, sizeof number, "%" PRIu64, channel);
    json_t *row = channels->rows != NULL ? json_object_get(channels->rows, number) : NULL;
    if (row == NULL) {
        fetch(channels);
        row = json_object_get(channels->rows, number);
        if (row == NULL)
            json_object_set_new(channels->rows, number, json_null());
    }
    const char *name = json_string_value(json_object_get(row, member));
    return name != NULL ? name : "";
}

const char *channels_source(struct channels *channels, uint64_t number)
{
    return name_of(channels, number, "source");
}

const char *channels_name(struct channels *channels, uint64_t number)
{
    return name_of(channels, number, "channel");
}

void channels_deinit(struct channels *channels)
{
    json_decref(channels->rows);
    channels->rows = NULL;
}
