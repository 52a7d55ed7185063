/* SPDX-License-Identifier: Apache-2.0
 *
 * The 16-byte frame header, in and out.
 *
 * What cannot be a frame is refused before its length is looked at, so that a peer that speaks
 * another protocol is told "malformed" and not "too large". Must not wait for the payload: the
 * caller has buffers and deadlines.
 */
#include "wire/frame.h"

#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <assert.h>
#include <string.h>

/* The header as it lies in the stream. */
struct frame_header {
    uint32_t length;      /* 0 */
    uint16_t op;          /* 4 */
    uint8_t version;      /* 6 */
    uint8_t flags;        /* 7 */
    uint64_t correlation; /* 8 */
};

static_assert(sizeof(struct frame_header) == XD_FRAME_HEADER_BYTES, "frame header size");
static_assert(offsetof(struct frame_header, op) == 4, "frame header layout");
static_assert(offsetof(struct frame_header, flags) == 7, "frame header layout");
static_assert(offsetof(struct frame_header, correlation) == 8, "frame header layout");

static int flags_known(uint8_t flags)
{
    if (flags & ~XD_FRAME_FLAGS_ALL)
        return 0;
    return flags != (XD_FRAME_REPLY | XD_FRAME_PUSH);
}

int xd_frame_decode(const uint8_t *data, size_t bytes, uint32_t length_max,
                    struct xd_frame *ret_frame)
{
    XD_ASSERT(ret_frame != NULL);
    XD_ASSERT(length_max <= XD_FRAME_BYTES_HARD_MAX);
    if (bytes < XD_FRAME_HEADER_BYTES)
        return XD_PARTIAL;

    struct frame_header header;
    memcpy(&header, data, sizeof(header));
    if (header.op == 0 || header.version == 0 || !flags_known(header.flags))
        return XD_FRAME_MALFORMED;
    if (header.length > length_max)
        return XD_FRAME_TOO_LARGE;

    *ret_frame = (struct xd_frame){
        .length = header.length,
        .op = header.op,
        .version = header.version,
        .flags = header.flags,
        .correlation = header.correlation,
    };
    return (int)XD_FRAME_HEADER_BYTES;
}

void xd_frame_encode(const struct xd_frame *frame, uint8_t *ret_data)
{
    XD_ASSERT(frame != NULL);
    XD_ASSERT(ret_data != NULL);
    XD_ASSERT(frame->length <= XD_FRAME_BYTES_HARD_MAX);
    XD_ASSERT(frame->op != 0);
    XD_ASSERT(frame->version != 0);
    XD_ASSERT(flags_known(frame->flags));

    const struct frame_header header = {
        .length = frame->length,
        .op = frame->op,
        .version = frame->version,
        .flags = frame->flags,
        .correlation = frame->correlation,
    };
    memcpy(ret_data, &header, sizeof(header));
}
