/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/base/forecast: a steady fall is foreseen to the second, everything else is a year away.
 */
#include <criterion/criterion.h>

#include "broker/base/forecast.h"

#define S 1000000000ull
#define MIB (1024ull * 1024u)

/* Notes a level every second from `from_s` to `to_s`, falling by `mib_per_s`. */
static uint64_t fall(struct forecast *forecast, uint64_t from_s, uint64_t to_s, uint64_t level,
                     uint64_t mib_per_s)
{
    for (uint64_t s = from_s; s <= to_s; s++) {
        forecast_note(forecast, s * S, level * MIB);
        level -= mib_per_s;
    }
    return level + mib_per_s;
}

/* A steady fall ends when the level divided by it says. */
Test(base_forecast, foresees_the_end_of_a_steady_fall)
{
    struct forecast forecast = {0};
    uint64_t level = fall(&forecast, 1000, 1000 + 7200, 1000000, 2);

    cr_assert_eq(forecast_seconds(&forecast), level / 2);
}

/* Only the last hour counts: a fall that ended an hour ago is forgotten, a new one is seen. */
Test(base_forecast, looks_back_one_hour)
{
    struct forecast forecast = {0};
    uint64_t level = fall(&forecast, 0, 3600, 1000000, 10);

    cr_assert_eq(forecast_seconds(&forecast), level / 10);
    fall(&forecast, 3601, 3600 + 3720, level, 0);
    cr_assert_eq(forecast_seconds(&forecast), FORECAST_SECONDS_MAX);
    level = fall(&forecast, 7321, 7321 + 3720, level, 5);
    cr_assert_eq(forecast_seconds(&forecast), level / 5);
}

/* Nothing is foreseen from less than ten minutes: what a start takes is no trend. */
Test(base_forecast, says_nothing_before_ten_minutes)
{
    struct forecast forecast = {0};

    cr_assert_eq(forecast_seconds(&forecast), FORECAST_SECONDS_MAX);
    fall(&forecast, 5, 5 + 599, 100000, 100);
    cr_assert_eq(forecast_seconds(&forecast), FORECAST_SECONDS_MAX);
    forecast_note(&forecast, 605 * S, 40000 * MIB);
    cr_assert_eq(forecast_seconds(&forecast), 400);
}

/* A level that rises or rests never reaches zero; a slow fall is capped at a year. */
Test(base_forecast, caps_at_a_year)
{
    struct forecast rising = {0}, slow = {0};

    for (uint64_t s = 0; s < 3600; s++)
        forecast_note(&rising, s * S, (1000 + s) * MIB);
    cr_assert_eq(forecast_seconds(&rising), FORECAST_SECONDS_MAX);
    for (uint64_t s = 0; s < 3600; s++)
        forecast_note(&slow, s * S, (UINT64_MAX / 2) - (s / 1800) * MIB);
    cr_assert_eq(forecast_seconds(&slow), FORECAST_SECONDS_MAX);
}

/* A level of zero is reached now. */
Test(base_forecast, answers_zero_when_it_is_reached)
{
    struct forecast forecast = {0};

    fall(&forecast, 0, 1000, 1000, 1);
    cr_assert_eq(forecast_seconds(&forecast), 0);
}

/* Rare notes count as well: one mark per note then. */
Test(base_forecast, takes_rare_notes)
{
    struct forecast forecast = {0};

    for (uint64_t i = 0; i < 200; i++)
        forecast_note(&forecast, i * 600 * S, (100000 - i * 100) * MIB);
    cr_assert_eq(forecast_seconds(&forecast), (100000 - 199 * 100) * 6);
}
