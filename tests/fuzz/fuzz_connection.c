/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes the state machine of live connections: the input is a script of what up to four clients do
 * to a whole shard in the simulator, from HELLO to a reset inside a frame. See
 * tests/sim/sim_connection.h for the script and for all that is promised.
 *
 * Hashes and encodings are made right by the step that sends a frame, so a fuzzer moves between
 * states instead of guessing bytes; bytes of its own are a step as well.
 */
#include "tests/fuzz/target.h"

#include "tests/sim/sim_connection.h"

static struct script script; /* its world is made by the first input */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (bytes > SCRIPT_BYTES_MAX)
        return 0;
    if (script.world.sim == NULL)
        script_open(&script);
    script_run(&script, data, bytes);
    return 0;
}
