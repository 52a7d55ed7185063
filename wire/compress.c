/* SPDX-License-Identifier: Apache-2.0
 *
 * The one file that includes LZ4. Block format, no frame: the batch header holds both sizes.
 *
 * Compression is for clients and gives up when it does not pay. Decoding takes bytes from outside:
 * sizes are compared with limits.h first, LZ4 is told both ends, and anything but exactly raw_bytes
 * is a failure; the output then holds unspecified bytes. Must not allocate: LZ4 keeps its 16 KiB
 * hash table on the stack.
 */
#include "wire/compress.h"

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <stddef.h>

#include <lz4.h>

static_assert(XD_BATCH_RAW_BYTES_MAX <= LZ4_MAX_INPUT_SIZE, "LZ4 takes the largest body");

int xd_compress(const uint8_t *raw, uint32_t raw_bytes, uint8_t *out, uint32_t bytes_max)
{
    XD_ASSERT(raw != NULL);
    XD_ASSERT(out != NULL);
    XD_ASSERT(raw_bytes <= XD_BATCH_RAW_BYTES_MAX);
    if (bytes_max < 2)
        return 0;
    /* One byte less than bytes_max is the most that is worth sending. */
    uint32_t room = bytes_max - 1 < XD_BATCH_RAW_BYTES_MAX ? bytes_max - 1 : XD_BATCH_RAW_BYTES_MAX;
    int written = LZ4_compress_default((const char *)raw, (char *)out, (int)raw_bytes, (int)room);
    XD_ASSERT(written >= 0);
    XD_ASSERT((uint32_t)written <= room);
    return written;
}

int xd_decompress(const uint8_t *data, uint32_t bytes, uint8_t *out, uint32_t raw_bytes)
{
    XD_ASSERT(data != NULL);
    XD_ASSERT(out != NULL || raw_bytes == 0);
    if (bytes > XD_BATCH_BYTES_MAX || raw_bytes > XD_BATCH_RAW_BYTES_MAX)
        return XD_DECOMPRESS_FAILED;
    int decoded = LZ4_decompress_safe((const char *)data, (char *)out, (int)bytes, (int)raw_bytes);
    return decoded == (int)raw_bytes ? 0 : XD_DECOMPRESS_FAILED;
}
