/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes batches, as a client sends them and as the log gives them back.
 *
 * Promises: a batch that passes a check lies whole in the input, its body can be taken whatever it
 * holds, and what passes as sent also passes as stored. The body is decoded even where the checksum
 * is wrong, since a fuzzer does not find checksums; sealing repairs it, and must.
 */
#include "tests/fuzz/target.h"

#include <string.h>

#include "tests/wire/vectors.h"
#include "wire/batch.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

static void take_body(const struct xd_batch_header *h)
{
    struct vector scratch = {.data = malloc(h->raw_bytes), .bytes = h->raw_bytes};
    XD_ASSERT(scratch.data != NULL || scratch.bytes == 0);
    const uint8_t *body = NULL;
    int status = xd_batch_body(h, scratch.data, scratch.bytes, &body);
    if (status == 0)
        vector_touch(body, h->raw_bytes);
    else
        XD_ASSERT(status == XD_DECOMPRESS_FAILED);
    vector_free(&scratch);
}

static void check_passed(const struct xd_batch_header *h, size_t bytes)
{
    XD_ASSERT(h->batch_bytes <= bytes);
    XD_ASSERT(xd_batch_peek((const uint8_t *)h, bytes) == (int)h->batch_bytes);
    int status = xd_batch_check_hash(h);
    XD_ASSERT(status == 0 || status == XD_BATCH_CHECKSUM);
    vector_touch(h, h->batch_bytes);
    take_body(h);
}

/* The same batch sealed again is good and stays good as a stored one. */
static void check_sealed(const struct xd_batch_header *h)
{
    struct vector v = {.data = calloc(1, xd_batch_stride(h)), .bytes = xd_batch_stride(h)};
    XD_ASSERT(v.data != NULL);
    memcpy(v.data, h, h->batch_bytes);
    struct xd_batch_header *copy = (void *)v.data;
    const char *field = NULL;
    xd_batch_seal(copy, h->batch_bytes);
    XD_ASSERT(xd_batch_check_header(copy, copy->batch_bytes, &field) == 0);
    XD_ASSERT(xd_batch_check_hash(copy) == 0);
    copy->base_offset = 1000;
    copy->append_time_us = 1;
    XD_ASSERT(xd_batch_check_stored(copy, v.bytes, &field) == 0);
    XD_ASSERT(xd_batch_check_hash(copy) == 0);
    vector_free(&v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    /* A copy of exact size: aligned, and watched by the sanitizer at both ends. */
    struct vector v = vector_copy(data, bytes);
    const struct xd_batch_header *h = (const void *)v.data;
    const char *field = NULL;

    if (xd_batch_check_header(h, bytes, &field) == 0) {
        check_passed(h, bytes);
        check_sealed(h);
    } else {
        XD_ASSERT(field != NULL);
    }
    field = NULL;
    if (xd_batch_check_stored(h, bytes, &field) == 0) {
        check_passed(h, bytes);
        XD_ASSERT(xd_batch_stride(h) <= bytes);
        vector_touch(v.data + h->batch_bytes, xd_batch_bitmap_bytes(h));
    } else {
        XD_ASSERT(field != NULL);
    }
    vector_free(&v);
    return 0;
}
