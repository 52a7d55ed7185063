/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdint.h>

#include "client/memory.h"

/* Memory is zeroed and starts on a cache line, whatever its size. */
Test(memory, is_zeroed_and_aligned)
{
    for (size_t bytes = 0; bytes < 300; bytes += 7) {
        uint8_t *memory = xd_memory_acquire(bytes);
        cr_assert_not_null(memory);
        cr_assert_eq((uintptr_t)memory % XD_CACHE_LINE_BYTES, 0);
        for (size_t i = 0; i < bytes; i++) {
            cr_assert_eq(memory[i], 0);
            memory[i] = 0xff;
        }
        xd_memory_release(memory);
    }
    xd_memory_release(NULL);
}

/* Sizes that no machine has give NULL instead of a small piece. */
Test(memory, refuses_sizes_that_overflow)
{
    cr_assert_null(xd_memory_acquire(SIZE_MAX));
    cr_assert_null(xd_memory_acquire_array(SIZE_MAX / 2, 3));
}
