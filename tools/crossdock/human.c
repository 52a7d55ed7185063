/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people read them; see human.h.
 */
#include "tools/crossdock/human.h"

#include <inttypes.h>
#include <stdio.h>

void human_bytes(uint64_t bytes, char ret_text[HUMAN_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    uint64_t whole = bytes, rest = 0;
    while (whole >= 1024) {
        rest = whole % 1024;
        whole /= 1024;
        unit++;
    }
    if (unit == 0)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " B", bytes);
    else
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 ".%" PRIu64 " %s", whole, rest * 10 / 1024,
                 units[unit]);
}

void human_us(uint64_t us, char ret_text[HUMAN_BYTES])
{
    if (us < 1000)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " us", us);
    else if (us < 1000000)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 ".%" PRIu64 " ms", us / 1000, us % 1000 / 100);
    else
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 ".%" PRIu64 " s", us / 1000000,
                 us % 1000000 / 100000);
}

void human_seconds(uint64_t seconds, char ret_text[HUMAN_BYTES])
{
    uint64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
    if (seconds < 120)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " s", seconds);
    else if (minutes < 120)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " min", minutes);
    else if (hours < 48)
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " h %" PRIu64 " min", hours, minutes % 60);
    else
        snprintf(ret_text, HUMAN_BYTES, "%" PRIu64 " d %" PRIu64 " h", days, hours % 24);
}
