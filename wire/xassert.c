/* SPDX-License-Identifier: Apache-2.0
 *
 * The one exit of a failed assertion.
 */
#include "wire/xassert.h"

#include <stdio.h>
#include <stdlib.h>

void xd_assert_failed(const char *text, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, text);
    abort();
}
