/* SPDX-License-Identifier: Apache-2.0
 *
 * Values as people write them: numbers, durations, times, dates, UUIDs, base64. Every function
 * gives 0 or XDOCK_FIELD_INVALID, reads the whole text, and leaves its output alone on failure.
 * Must not print.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_VALUES_H
#define CROSSDOCK_TOOLS_CROSSDOCK_VALUES_H

#include <stddef.h>
#include <stdint.h>

/* "123", "0x1f"; at most `most`. */
int value_number(const char *text, uint64_t most, uint64_t *ret_number);
/* "500ms", "10s", "2m", "1h"; at least 1 ms, at most 24 h. */
int value_duration_ms(const char *text, uint32_t *ret_ms);
/* "4096", "64KiB", "50GiB"; units KiB, MiB, GiB, TiB, and B. */
int value_bytes(const char *text, uint64_t *ret_bytes);
/* "2026-11-24", "2026-11-24T07:53Z", "2026-11-24T08:53:55.25+01:00"; without a zone UTC. */
int value_time_us(const char *text, int64_t *ret_us);
/* "2026-11-24" as 20261124. */
int value_date(const char *text, uint32_t *ret_date);
/* 32 hexadecimal digits, with or without dashes. */
int value_uuid(const char *text, uint8_t ret_uuid[16]);
/* RFC 4648 with padding. `buffer` takes at least 3/4 of the text; *ret_bytes are used. */
int value_base64(const char *text, size_t text_bytes, uint8_t *buffer, size_t *ret_bytes);

#endif
