/* SPDX-License-Identifier: Apache-2.0
 *
 * The release, as the build names it.
 */
#include <crossdock/client.h>
#include <crossdock/version.h>

const char *xdock_version(void)
{
    return CROSSDOCK_RELEASE;
}
