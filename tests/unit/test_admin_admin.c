/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/admin/admin.c: finding verbs, and what comes out of a call.
 */
#include "tests/support/admin_world.h"

#include <signal.h>

/* An unknown verb is refused with the nearest one and the way to the list. */
Test(admin_admin, names_the_verb_that_was_meant)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "topic shw", NULL), XD_NOT_FOUND);
    cr_assert_str_eq(world->detail,
                     "verb 'topic shw' is not known; 'verbs' lists them all; did you "
                     "mean 'topic show'?");
    cr_assert_eq(world_run(world, "Status", NULL), XD_NOT_FOUND);
    cr_assert_eq(world_run(world, "statuss", NULL), XD_NOT_FOUND);
    cr_assert_eq(world_run(world, "stat", NULL), XD_NOT_FOUND);
    world_end(world);
}

/* A refusal leaves the result as it was. */
Test(admin_admin, leaves_the_result_alone_on_refusal)
{
    struct admin_world *world = world_begin();
    struct admin_result before;
    memset(&before, 0xee, sizeof before);
    cr_assert_eq(world_run(world, "topic show", "{\"name\":\"none\"}"), XD_NOT_FOUND);
    cr_assert_arr_eq(&world->result, &before, sizeof before);
    cr_assert_eq(world_run(world, "topic show", "{"), XD_FIELD_INVALID);
    cr_assert_arr_eq(&world->result, &before, sizeof before);
    world_end(world);
}

/* Every verb that needs no argument answers with one JSON object in an empty broker. */
Test(admin_admin, answers_every_verb_without_needs_in_an_empty_broker)
{
    struct admin_world *world = world_begin();
    const struct admin_verb_row *verb;
    uint32_t answered = 0;
    for (unsigned i = 0; (verb = admin_verb_at(i)) != NULL; i++) {
        const struct admin_argument_row *argument = admin_argument_at(i, 0);
        if (argument != NULL && argument->required)
            continue;
        cr_assert_eq(world_run(world, verb->name, NULL), 0, "%s: %s", verb->name, world->detail);
        cr_assert_not(world->result.append);
        cr_assert_eq(world->out[0], '{', "%s", verb->name);
        answered++;
    }
    cr_assert_geq(answered, 8);
    world_end(world);
}

/* A verb writes inside the reply limit even when the caller's buffer is larger. */
Test(admin_admin, aborts_on_a_buffer_below_the_reply_limit, .signal = SIGABRT)
{
    struct admin_world *world = world_begin();
    struct xd_admin_request request = {.verb = text_of("status")};
    admin_run(&world->view, &request, world->out, XD_ADMIN_REPLY_BYTES_MAX - 1, &world->result,
              world->detail);
}

/* States have the names that replies and documents use. */
Test(admin_admin, names_every_state)
{
    static const char *const names[] = {"running", "throttling", "read_only", "fenced", "draining"};
    for (unsigned i = 0; i < ADMIN_STATE_COUNT; i++)
        cr_assert_str_eq(admin_state_name((enum admin_state)i), names[i]);
}

static uint32_t shard_for(const char *verb, const char *json)
{
    struct xd_admin_request request = {.verb = text_of(verb), .json = text_of(json)};
    return admin_shard(&request, 2, 4);
}

/* Changes go to shard 0, a look to the shard that is named; what is wrong is told by the shard that
 * has it. */
Test(admin_admin, knows_the_shard_that_a_request_is_for)
{
    cr_assert_eq(shard_for("topic create", "{\"name\":\"a\"}"), 0);
    cr_assert_eq(shard_for("facility add", "{\"name\":\"a\",\"dry_run\":true}"), 0);
    cr_assert_eq(shard_for("status", ""), 2);
    cr_assert_eq(shard_for("status", "{\"shard\":3}"), 3);
    cr_assert_eq(shard_for("source list", "{\"from\":1,\"shard\":0}"), 0);
    cr_assert_eq(shard_for("status", "{\"shard\":4}"), 2);
    cr_assert_eq(shard_for("status", "{\"shard\":-1}"), 2);
    cr_assert_eq(shard_for("topic list", "{\"shard\":1}"), 2);
    cr_assert_eq(shard_for("topic crate", ""), 2);
}

/* A shard answers for itself and for nobody else. */
Test(admin_admin, refuses_to_answer_for_another_shard)
{
    struct admin_world *world = world_begin();
    cr_assert_eq(world_run(world, "status", "{\"shard\":0}"), 0);
    cr_assert_eq(world_run(world, "status", "{\"shard\":1}"), XD_FIELD_INVALID);
    cr_assert_str_eq(world->detail, "shard: this broker has 1, from number 0");
    world->view.shard = 1;
    world->view.shard_count = 2;
    cr_assert_eq(world_run(world, "status", "{\"shard\":1}"), 0);
    world_is(world, "shard", "1");
    world_is(world, "shards", "2");
    world_end(world);
}
