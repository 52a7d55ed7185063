/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: what a connection carries. A 16-byte header, then `length` bytes of payload.
 *
 *   at  size  field
 *   0   4     length       of what follows the header, <= the connection's limit
 *   4   2     op           see request.def
 *   6   1     version      of this op's layout
 *   7   1     flags        XD_FRAME_*; unknown bits are malformed
 *   8   8     correlation  chosen by the requester, echoed in the reply; 0 in pushes
 *
 * Pure: no I/O, no allocation. Must not interpret payloads.
 */
#ifndef CROSSDOCK_WIRE_FRAME_H
#define CROSSDOCK_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define XD_FRAME_HEADER_BYTES 16u

#define XD_FRAME_REPLY 0x01u /* answers the request with the same correlation */
#define XD_FRAME_PUSH 0x02u  /* unasked: acknowledgements, GOAWAY */
#define XD_FRAME_FLAGS_ALL 0x03u

struct xd_frame {
    uint32_t length;      /* payload bytes */
    uint16_t op;          /* enum xd_op */
    uint8_t version;      /* layout version of the op, >= 1 */
    uint8_t flags;        /* XD_FRAME_* */
    uint64_t correlation; /* 0 in pushes */
};

/* What a decoder answers: a positive count of consumed bytes, or one of these. */
#define XD_PARTIAL 0 /* more bytes are needed to decide */
/* Negative: a status that names what is malformed. */

/* Decodes a header from `bytes` bytes at `data`. Returns XD_FRAME_HEADER_BYTES and fills
 * *ret_frame, or XD_PARTIAL, or XD_FRAME_TOO_LARGE when length > length_max, or
 * XD_FRAME_MALFORMED (op 0, version 0, unknown flags, both REPLY and PUSH). */
int xd_frame_decode(const uint8_t *data, size_t bytes, uint32_t length_max,
                    struct xd_frame *ret_frame);

/* Writes the 16 header bytes. Asserts what the caller controls (flags, length <= hard max). */
void xd_frame_encode(const struct xd_frame *frame, uint8_t *ret_data);

#endif
