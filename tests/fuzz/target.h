/* SPDX-License-Identifier: Apache-2.0
 *
 * What every fuzz target defines, under the name that libFuzzer calls.
 */
#ifndef CROSSDOCK_TESTS_FUZZ_TARGET_H
#define CROSSDOCK_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* Runs one input. Always 0; a broken promise aborts through XD_ASSERT or a sanitizer. The input is
 * borrowed; a target must not keep anything from one input to the next. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#endif
