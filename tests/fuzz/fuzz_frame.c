/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes frame headers: the input is a stream of frames, cut by the decoder until it refuses or
 * asks for more. Promises: "partial" only where the header is not whole, a decoded header encodes
 * to the same bytes, its length is within the limit, and the tighter limit refuses nothing else.
 */
#include "tests/fuzz/target.h"

#include <string.h>

#include "wire/frame.h"
#include "wire/limits.h"
#include "wire/status.h"
#include "wire/xassert.h"

/* One header at `data`. Returns bytes to skip, 0 at the end of what can be read. */
static size_t read_frame(const uint8_t *data, size_t bytes, uint32_t length_max)
{
    struct xd_frame frame;
    int status = xd_frame_decode(data, bytes, length_max, &frame);
    if (status == XD_PARTIAL) {
        XD_ASSERT(bytes < XD_FRAME_HEADER_BYTES);
        return 0;
    }
    if (status < 0) {
        XD_ASSERT(status == XD_FRAME_MALFORMED || status == XD_FRAME_TOO_LARGE);
        return 0;
    }

    XD_ASSERT(status == (int)XD_FRAME_HEADER_BYTES);
    XD_ASSERT(frame.length <= length_max);
    uint8_t again[XD_FRAME_HEADER_BYTES];
    xd_frame_encode(&frame, again);
    XD_ASSERT(memcmp(again, data, sizeof(again)) == 0);
    size_t whole = XD_FRAME_HEADER_BYTES + (size_t)frame.length;
    return whole <= bytes ? whole : 0;
}

static void check_limits_agree(const uint8_t *data, size_t bytes)
{
    struct xd_frame wide, tight;
    int wide_status = xd_frame_decode(data, bytes, XD_FRAME_BYTES_HARD_MAX, &wide);
    int tight_status = xd_frame_decode(data, bytes, XD_FRAME_BYTES_PREAUTH_MAX, &tight);
    if (wide_status == tight_status)
        return;
    XD_ASSERT(tight_status == XD_FRAME_TOO_LARGE);
    XD_ASSERT(wide_status == (int)XD_FRAME_HEADER_BYTES);
    XD_ASSERT(wide.length > XD_FRAME_BYTES_PREAUTH_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    check_limits_agree(data, bytes);
    size_t at = 0;
    for (size_t step = 1; step != 0; at += step)
        step = read_frame(data + at, bytes - at, XD_FRAME_BYTES_DEFAULT_MAX);
    return 0;
}
