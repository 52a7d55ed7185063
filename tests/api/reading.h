/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of readers share beyond api.h: selections, and reading to the end.
 */
#ifndef CROSSDOCK_TESTS_API_READING_H
#define CROSSDOCK_TESTS_API_READING_H

#include "tests/api/api.h"

/* Everything of topic "stock" from its beginning. */
static inline xdock_selection_t select_stock(void)
{
    return (xdock_selection_t){.struct_bytes = sizeof(xdock_selection_t),
                               .from = XDOCK_FROM_BEGIN,
                               .topic = "stock",
                               .partition = -1};
}

/* One partition of that topic. */
#define BASE fake_partition_base(1, 1)
static inline xdock_selection_t select_base(uint32_t from, int64_t position)
{
    xdock_selection_t selection = select_stock();
    selection.from = from;
    selection.position = position;
    selection.facility = "DC07";
    selection.partition = (int32_t)BASE;
    return selection;
}

static inline xdock_reader_t *open_reader(const xdock_selection_t *selection)
{
    xdock_reader_t *reader = NULL;
    int status = xdock_reader_open(client, selection, 1000, &reader);
    cr_assert_eq(status, 0, "%s: %s", xd_status_name(status), xdock_client_error(client));
    return reader;
}

/* Reads until the end that was heard of; the number of records. */
static inline uint32_t count_all(xdock_reader_t *reader)
{
    uint32_t count = 0;
    while (!xdock_reader_at_end(reader)) {
        int status = xdock_reader_poll(reader, 1000);
        cr_assert_geq(status, 0, "%s", xd_status_name(status));
        while (xdock_reader_next(reader) != NULL)
            count++;
    }
    return count;
}

#endif
