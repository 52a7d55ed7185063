/* SPDX-License-Identifier: Apache-2.0
 *
 * When a level will be zero; see forecast.h.
 */
#include "broker/base/forecast.h"

#include "wire/xassert.h"

/* Levels are kept in MiB, so that a product of one and an hour in seconds cannot overflow. */
#define UNIT_BITS 20u

static const struct forecast_mark *oldest(const struct forecast *forecast)
{
    return &forecast->marks[forecast->count < FORECAST_MARKS ? 0 : forecast->next];
}

void forecast_note(struct forecast *forecast, uint64_t now_ns, uint64_t level_bytes)
{
    const uint32_t newest = (forecast->next + FORECAST_MARKS - 1) % FORECAST_MARKS;
    struct forecast_mark mark = {.at_s = now_ns / 1000000000u, .level = level_bytes >> UNIT_BITS};

    XD_ASSERT(forecast->count == 0 || mark.at_s >= forecast->last.at_s);
    forecast->last = mark;
    if (forecast->count > 0 && mark.at_s < forecast->marks[newest].at_s + FORECAST_MARK_SECONDS)
        return;
    forecast->marks[forecast->next] = mark;
    forecast->next = (forecast->next + 1) % FORECAST_MARKS;
    forecast->count += forecast->count < FORECAST_MARKS;
}

uint64_t forecast_seconds(const struct forecast *forecast)
{
    const struct forecast_mark *from = oldest(forecast);
    uint64_t took_s = forecast->last.at_s - from->at_s;
    uint64_t level = forecast->last.level;

    XD_ASSERT(forecast->next < FORECAST_MARKS && forecast->count <= FORECAST_MARKS);
    if (took_s < FORECAST_LEAST_SECONDS || level >= from->level)
        return FORECAST_SECONDS_MAX;
    uint64_t fall = from->level - level;
    if (level / fall >= FORECAST_SECONDS_MAX / took_s)
        return FORECAST_SECONDS_MAX;
    return level / fall * took_s + level % fall * took_s / fall;
}
