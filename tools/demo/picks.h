/* SPDX-License-Identifier: Apache-2.0
 *
 * A list of picks: order lines of a warehouse, from a CSV file or generated from a seed.
 *
 * The file names its columns in its first line; DATE (month/day/year), OrderNumber, SKU, PCS and
 * Location are needed, others are kept as part of the line. A list of picks knows days, not times:
 * picks are put in the sequence of their days, in a day in that of the file, and get times of day
 * that rise strictly between 06:00 and 22:00 UTC. These times, and the handling unit (one carton
 * per order), are made up. Failure path: -errno or XDOCK_FIELD_INVALID with a sentence in `why`
 * (PICKS_WHY_BYTES).
 */
#ifndef CROSSDOCK_TOOLS_DEMO_PICKS_H
#define CROSSDOCK_TOOLS_DEMO_PICKS_H

#include <stdint.h>
#include <stdio.h>

#define PICKS_MAX 1000000u
#define PICKS_LINE_BYTES 192u /* with terminator */
#define PICKS_TEXT_BYTES 24u  /* with terminator */
#define PICKS_WHY_BYTES 256u

struct pick {
    int64_t event_time_us;                    /* us since 1970 UTC; day of the file, time made up */
    uint32_t posting_date;                    /* yyyymmdd */
    uint32_t order_line;                      /* nth line of its order, from 1 */
    uint32_t sku_index;                       /* SKUs numbered from 0 */
    int32_t pieces;                           /* */
    char sku[PICKS_TEXT_BYTES];               /* */
    char order[PICKS_TEXT_BYTES];             /* */
    char location[PICKS_TEXT_BYTES];          /* bin */
    char handling_unit[PICKS_TEXT_BYTES + 4]; /* carton, made up from the order */
    char business_key[PICKS_TEXT_BYTES + 12]; /* "order/line" */
    char line[PICKS_LINE_BYTES];              /* as it stands in the file */
};

struct picks {
    struct pick *rows;    /* rising in event_time_us; owned */
    uint32_t count;       /* */
    uint32_t sku_count;   /* different SKUs */
    uint32_t order_count; /* different orders */
};

/* Reads a list; the caller closes the file and frees the picks. */
int picks_read(FILE *file, struct picks *ret_picks, char *why);
/* A day of `count` lines of the same shape as a real list, from a seed: few SKUs make much of it,
 * most orders have one line, most lines one piece. */
int picks_generate(uint64_t seed, uint32_t count, struct picks *ret_picks, char *why);
/* Frees the rows. Accepts a zeroed object. */
void picks_free(struct picks *picks);

/* Pseudo-random numbers from a state that starts as the seed. */
uint64_t picks_random(uint64_t *state);

#endif
