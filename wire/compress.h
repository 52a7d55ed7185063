/* SPDX-License-Identifier: Apache-2.0
 *
 * LZ4 with bounded output. compress.c is the one file that includes LZ4. Clients compress; the
 * broker only decodes, once, into scratch.
 */
#ifndef CROSSDOCK_WIRE_COMPRESS_H
#define CROSSDOCK_WIRE_COMPRESS_H

#include <stddef.h>
#include <stdint.h>

/* Compresses; returns the compressed bytes, or 0 when they would not be fewer than `bytes_max`
 * (send it raw then). Reentrant; needs no state. */
int xd_compress(const uint8_t *raw, uint32_t raw_bytes, uint8_t *out, uint32_t bytes_max);

/* Decodes exactly raw_bytes. 0, or XD_DECOMPRESS_FAILED when the input is damaged, gives fewer or
 * would give more bytes. Never writes beyond raw_bytes. */
int xd_decompress(const uint8_t *data, uint32_t bytes, uint8_t *out, uint32_t raw_bytes);

#endif
