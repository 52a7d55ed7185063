/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of crash points; see kill_point.h.
 */
#include "tests/crash/kill_point.h"

#include "wire/xassert.h"

#include <stdlib.h>
#include <string.h>

static const char *const names[ENV_CRASH_COUNT] = {
#define CRASH_POINT(name, text) [ENV_CRASH_##name] = #name,
#define BUGGIFY(name, text)
#include "broker/io/faults.def"
#undef CRASH_POINT
#undef BUGGIFY
};

const char *kill_point_name(enum env_crash_point point)
{
    XD_ASSERT(point < ENV_CRASH_COUNT);
    return names[point];
}

bool kill_point_parse(const char *text, enum env_crash_point *ret_point, uint32_t *ret_hit)
{
    char *end;
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon[1] < '0' || colon[1] > '9')
        return false;
    size_t bytes = (size_t)(colon - text);
    unsigned long hit = strtoul(colon + 1, &end, 10);
    if (*end != '\0' || hit < 1 || hit > KILL_HIT_MAX)
        return false;
    for (unsigned i = 0; i < ENV_CRASH_COUNT; i++) {
        if (strlen(names[i]) == bytes && memcmp(names[i], text, bytes) == 0) {
            *ret_point = (enum env_crash_point)i;
            *ret_hit = (uint32_t)hit;
            return true;
        }
    }
    return false;
}
