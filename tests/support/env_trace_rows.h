/* SPDX-License-Identifier: Apache-2.0
 *
 * How env_trace.c adds to a trace. Readers of a trace need env_trace.h only.
 */
#ifndef CROSSDOCK_TESTS_SUPPORT_ENV_TRACE_ROWS_H
#define CROSSDOCK_TESTS_SUPPORT_ENV_TRACE_ROWS_H

#include "tests/support/env_trace.h"

#include <stdbool.h>
#include <stdint.h>

#define ENV_TRACE_NO_ROW UINT32_MAX

/* realloc that aborts without memory. */
void *env_trace_grown(void *memory, uint64_t count, uint64_t element_bytes);
/* Whether one row and `bytes` of data still fit. */
bool env_trace_has_room(struct env_trace *trace, uint64_t bytes);
/* Copies bytes, for which there is room; the place where they stand. */
uint64_t env_trace_data_add(struct env_trace *trace, const void *data, uint64_t bytes);
/* Number of the added row; ENV_TRACE_NO_ROW when the trace is full. */
uint32_t env_trace_row_add(struct env_trace *trace, const struct env_trace_row *row);
/* Adds a row with one or two names; `second` may be NULL. */
void env_trace_row_text(struct env_trace *trace, struct env_trace_row *row, const char *first,
                        const char *second);
bool env_trace_all_zero(const uint8_t *data, uint64_t bytes);

#endif
