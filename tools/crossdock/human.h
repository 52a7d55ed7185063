/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as people read them: sizes, times, shares. Tables only; JSON and TSV have the numbers
 * themselves. Pure.
 */
#ifndef CROSSDOCK_TOOLS_CROSSDOCK_HUMAN_H
#define CROSSDOCK_TOOLS_CROSSDOCK_HUMAN_H

#include <stdint.h>

/* Room for any of the texts. */
#define HUMAN_BYTES 32u

/* "512 B", "1.5 KiB", "72.3 GiB". */
void human_bytes(uint64_t bytes, char ret_text[HUMAN_BYTES]);
/* "850 us", "3.2 ms", "1.5 s". */
void human_us(uint64_t us, char ret_text[HUMAN_BYTES]);
/* "42 s", "12 min", "3 h 20 min", "5 d 2 h". */
void human_seconds(uint64_t seconds, char ret_text[HUMAN_BYTES]);

#endif
