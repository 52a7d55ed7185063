/* SPDX-License-Identifier: Apache-2.0
 *
 * Admin calls: one verb with JSON out, its JSON back.
 *
 * Normal path: the request is queued, the connection driven until the reply is there.
 * Failure paths: a lost connection gives CONNECTION_LOST, class UNKNOWN: whether a changing verb
 * was carried out is for the caller to look up, so it is not sent again. A refusal has its detail
 * in xdock_client_error().
 */
#include "client/client.h"
#include "wire/status.h"
#include "wire/xassert.h"

#include <crossdock/admin.h>

#include <stdio.h>
#include <string.h>

/* The client's own requests are CATALOG with tag 0 and this. */
#define ADMIN_TAG 1u
#define REQUEST_BYTES_MAX (1u + XD_NAME_BYTES_MAX + XD_ADMIN_REQUEST_BYTES_MAX)

void xd_admin_reply(xdock_client_t *client, const struct xd_reply_head *head, struct xd_text detail,
                    const uint8_t *body, size_t body_bytes)
{
    struct xd_admin_state *admin = &client->admin;
    XD_ASSERT(admin->asked && !admin->answered);
    admin->asked = false;
    admin->answered = true;
    admin->status = head->status;
    if (head->status < 0) {
        char text[XD_DETAIL_BYTES_MAX + 1];
        snprintf(text, sizeof(text), "%.*s", (int)detail.bytes,
                 detail.data != NULL ? detail.data : "");
        /* The status comes out of the call, so this one is not looked at. */
        (void)xd_client_fail(client, head->status, xd_status_name(head->status), text);
        return;
    }
    if (body_bytes > XD_ADMIN_REPLY_BYTES_MAX) {
        admin->status =
            xd_client_fail(client, XD_FRAME_TOO_LARGE, "ADMIN", "the reply is too large");
        return;
    }
    memcpy(admin->reply, body, body_bytes);
    admin->reply[body_bytes] = '\0';
}

void xd_admin_lost(xdock_client_t *client)
{
    struct xd_admin_state *admin = &client->admin;
    if (!admin->asked)
        return;
    admin->asked = false;
    admin->answered = true;
    admin->status = xd_client_fail(client, XD_CONNECTION_LOST, "ADMIN",
                                   "the connection ended before the reply; look whether the change "
                                   "was made");
}

/* Queues the request as soon as the connection takes it. */
static int send_request(xdock_client_t *client, const struct xd_admin_request *request,
                        uint64_t end_ns)
{
    XD_ASSERT(!client->admin.asked);
    uint8_t body[REQUEST_BYTES_MAX];
    int bytes = xd_admin_encode(request, body, sizeof(body));
    XD_ASSERT(bytes > 0);
    while (xd_connection_request(&client->connection, XD_OP_ADMIN, body, (uint32_t)bytes, client,
                                 ADMIN_TAG, NULL, 0) < 0) {
        int status = xd_client_round(client, end_ns);
        if (status < 0)
            return status;
    }
    client->admin.asked = true;
    client->admin.answered = false;
    return 0;
}

static bool is_verb(const char *verb)
{
    size_t bytes = strnlen(verb, XD_NAME_BYTES_MAX + 1);
    for (size_t i = 0; i < bytes; i++) {
        if (verb[i] < 0x20 || verb[i] > 0x7e)
            return false;
    }
    return bytes >= 1 && bytes <= XD_NAME_BYTES_MAX;
}

int xdock_admin_call(xdock_client_t *client, const char *verb, const char *json,
                     uint32_t timeout_ms, const char **ret_reply)
{
    XD_ASSERT(verb != NULL && ret_reply != NULL);
    int status = xd_client_enter(client);
    if (status < 0)
        return status;
    size_t json_bytes = json != NULL ? strlen(json) : 0;
    if (!is_verb(verb))
        return xd_client_fail(client, XD_FIELD_INVALID, "verb", "1 to 64 printable characters");
    if (json_bytes > XD_ADMIN_REQUEST_BYTES_MAX)
        return xd_client_fail(client, XD_FIELD_INVALID, "json", "longer than 64 KiB");
    const struct xd_admin_request request = {
        .verb = {verb, (uint32_t)strlen(verb)},
        .json = {json_bytes > 0 ? json : NULL, (uint32_t)json_bytes}};
    uint64_t end_ns = xd_client_end_ns(client, timeout_ms);
    struct xd_admin_state *admin = &client->admin;
    status = send_request(client, &request, end_ns);
    while (status == 0 && !admin->answered)
        status = xd_client_round(client, end_ns);
    if (!admin->answered) {
        if (admin->asked) /* a late reply must not be taken for that of the next call */
            xd_connection_forget_tag(&client->connection, client, ADMIN_TAG);
        admin->asked = false;
        return status;
    }
    if (admin->status < 0)
        return admin->status;
    *ret_reply = admin->reply;
    return 0;
}
