/* SPDX-License-Identifier: Apache-2.0
 *
 * Views: decoded records as programs see them. A view and what the accessors need of the decoded
 * record lie side by side; both live as long as the batch body behind them.
 */
#ifndef CROSSDOCK_CLIENT_VIEW_H
#define CROSSDOCK_CLIENT_VIEW_H

#include <crossdock/record.h>

#include "wire/batch.h"
#include "wire/record.h"

struct xd_view {
    xdock_view_t view;       /* first member; view.internal points to record */
    struct xd_record record; /* decoded, borrowed from the body */
};

/* Fills a view from element->record, which is number `index` of the batch. */
void xd_view_fill(struct xd_view *element, const struct xd_batch_header *batch, uint32_t index);

/* True when the key field of a record is this text; `key` is the text's key64. */
int xd_view_key_is(const struct xd_record *record, uint64_t field, uint8_t tag, uint64_t key,
                   struct xd_text text);

#endif
