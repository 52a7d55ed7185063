/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/api.h"

#include <crossdock/admin.h>

/* The reply is the broker's JSON, zero-terminated. */
Test(admin, returns_the_reply, .init = start_client, .fini = finish)
{
    const char *reply = NULL;
    cr_assert_eq(xdock_admin_call(client, "echo", "{\"a\":[1,2]}", 1000, &reply), 0);
    cr_assert_str_eq(reply, "{\"a\":[1,2]}");
    cr_assert_eq(xdock_admin_call(client, "status", NULL, 1000, &reply), 0);
    cr_assert_str_eq(reply, "{}");
}

/* A refusal is its status, its detail the client's error, and the output stays. */
Test(admin, returns_a_refusal_with_its_detail, .init = start_client, .fini = finish)
{
    const char *reply = "before";
    broker->admin_status = XD_EXISTS;
    cr_assert_eq(xdock_admin_call(client, "topic create", "{}", 1000, &reply), XD_EXISTS);
    cr_assert_str_eq(reply, "before");
    cr_assert_not_null(strstr(xdock_client_error(client), "verb refused"));
    cr_assert_eq(xdock_admin_call(client, "", NULL, 1000, &reply), XD_FIELD_INVALID);
}

/* The deadline holds; a reply that comes too late is not taken for that of the next call. */
Test(admin, keeps_its_deadline_and_drops_late_replies, .init = start_client, .fini = finish)
{
    const char *reply = NULL;
    broker->cut_out_bytes = FAKE_NEVER;
    broker->recv_bytes_max = 1;
    uint64_t before_ns = broker->now_ns;
    broker->block_send = true;
    cr_assert_eq(xdock_admin_call(client, "echo", "{\"first\":1}", 200, &reply),
                 XD_DEADLINE_EXCEEDED);
    cr_assert_leq(broker->now_ns - before_ns, 205 * MS);
    broker->block_send = false;
    cr_assert_eq(xdock_admin_call(client, "echo", "{\"second\":2}", 1000, &reply), 0);
    cr_assert_str_eq(reply, "{\"second\":2}");
}

/* A verb that may have changed something is not sent twice: the outcome is unknown. */
Test(admin, says_unknown_when_the_connection_is_lost, .init = start_client, .fini = finish)
{
    const char *reply = NULL;
    broker->cut_out_bytes = 10;
    int status = xdock_admin_call(client, "topic create", "{}", 1000, &reply);
    cr_assert_eq(status, XD_CONNECTION_LOST);
    cr_assert_eq(xd_status_class(status), XD_CLASS_UNKNOWN);
    cr_assert_eq(xdock_admin_call(client, "echo", "{}", 5000, &reply), 0);
}
