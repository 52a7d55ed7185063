/* SPDX-License-Identifier: Apache-2.0
 *
 * A catalog over plain memory, and the changes that tests make to it. Failures are Criterion
 * assertions.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_CATALOG_KIT_H
#define CROSSDOCK_TESTS_SUPPORT_CATALOG_KIT_H

#include "broker/partition/catalog.h"
#include "wire/route.h"
#include "wire/status.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

struct catalog_kit {
    struct catalog catalog;
    struct arena arena;
    void *memory;                /* of the arena */
    uint64_t log_index;          /* of the newest entry taken in */
    struct control_config entry; /* the newest one planned */
};

static inline void kit_begin(struct catalog_kit *kit, uint32_t facility_max, uint32_t partition_max)
{
    uint64_t bytes = catalog_bytes_needed(facility_max, partition_max);
    memset(kit, 0, sizeof *kit);
    kit->memory = malloc(bytes);
    cr_assert_not_null(kit->memory);
    memset(kit->memory, 0, bytes);
    arena_init(&kit->arena, kit->memory, bytes);
    cr_assert_eq(catalog_init(&kit->catalog, &kit->arena, facility_max, partition_max), 0);
}

static inline void kit_end(struct catalog_kit *kit)
{
    free(kit->memory);
}

static inline struct xd_text text_of(const char *text)
{
    return (struct xd_text){text, (uint32_t)strlen(text)};
}

static inline int kit_take(struct catalog_kit *kit, int planned)
{
    const char *why = NULL;
    if (planned == 1)
        cr_assert_eq(catalog_take(&kit->catalog, &kit->entry, ++kit->log_index, &why), 0, "%s",
                     why);
    return planned;
}

/* The plan's verdict; 1 = it was also taken in. */
static inline int kit_topic(struct catalog_kit *kit, const char *name, uint32_t strategy,
                            uint32_t width)
{
    return kit_take(kit,
                    catalog_plan_topic(&kit->catalog, text_of(name), strategy, width, &kit->entry));
}

static inline int kit_facility(struct catalog_kit *kit, const char *name)
{
    return kit_take(kit, catalog_plan_facility(&kit->catalog, text_of(name), &kit->entry));
}

#endif
