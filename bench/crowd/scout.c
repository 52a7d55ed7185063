/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks for the catalog; see scout.h.
 */
#include "bench/crowd/scout.h"

#include "bench/check.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_MS 10000
#define ANSWERS_BYTES (2u * XD_FRAME_BYTES_DEFAULT_MAX)

struct scout {
    int fd;
    uint32_t bytes;                             /* received */
    _Alignas(8) uint8_t answers[ANSWERS_BYTES]; /* a frame at a time, from the start */
};

static int await(const struct scout *scout, short events)
{
    struct pollfd poll_fd = {.fd = scout->fd, .events = events};
    int count = poll(&poll_fd, 1, WAIT_MS);
    return count > 0 ? 0 : count == 0 ? -ETIMEDOUT : -errno;
}

static int ask(struct scout *scout)
{
    uint8_t requests[2 * TALK_REQUEST_BYTES_MAX];
    uint32_t bytes = talk_hello(requests);
    bytes += talk_catalog(requests + bytes);
    int status = await(scout, POLLOUT);
    if (status < 0)
        return status;
    ssize_t sent = send(scout->fd, requests, bytes, MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent == (ssize_t)bytes ? 0 : -EIO;
}

/* Receives until a whole frame is at the start. */
static int receive_frame(struct scout *scout, struct xd_frame *ret_frame)
{
    for (;;) {
        int status =
            xd_frame_decode(scout->answers, scout->bytes, XD_FRAME_BYTES_DEFAULT_MAX, ret_frame);
        if (status < 0)
            return status;
        if (status > 0 && scout->bytes >= XD_FRAME_HEADER_BYTES + ret_frame->length)
            return 0;
        status = await(scout, POLLIN);
        if (status < 0)
            return status;
        ssize_t got =
            recv(scout->fd, scout->answers + scout->bytes, ANSWERS_BYTES - scout->bytes, 0);
        if (got <= 0)
            return got < 0 ? -errno : -ECONNRESET;
        scout->bytes += (uint32_t)got;
    }
}

static int take_answers(struct scout *scout, const char *topic, const char *facility,
                        struct talk_place *ret_place)
{
    for (;;) {
        struct xd_frame frame;
        const uint8_t *payload = scout->answers + XD_FRAME_HEADER_BYTES;
        int status = receive_frame(scout, &frame);
        if (status < 0)
            return status;
        if (frame.correlation == TALK_CATALOG)
            return talk_place_of(payload, frame.length, topic, facility, ret_place);
        if (frame.correlation == TALK_HELLO && (status = talk_status_of(payload, frame.length)) < 0)
            return status;
        uint32_t used = XD_FRAME_HEADER_BYTES + frame.length;
        memmove(scout->answers, scout->answers + used, scout->bytes - used);
        scout->bytes -= used;
    }
}

int scout_place(struct dial *dial, const char *topic, const char *facility,
                struct talk_place *ret_place)
{
    struct scout *scout = calloc(1, sizeof *scout);
    if (scout == NULL)
        return -ENOMEM;
    int status = dial_start(dial, false, &scout->fd);
    if (status == 0) {
        status = ask(scout);
        if (status == 0)
            status = take_answers(scout, topic, facility, ret_place);
        close(scout->fd);
    }
    free(scout);
    return status;
}
