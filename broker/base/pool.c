/* SPDX-License-Identifier: Apache-2.0
 *
 * Pool of equal-sized elements; see pool.h. Free slots form a list through `next_free`, last
 * released first: that element is the likeliest to be in the cache. The list lies outside the
 * elements, so a stray write into a free element cannot damage it, and poison covers all of it.
 * The poison macros do nothing in builds without AddressSanitizer.
 */
#include "broker/base/pool.h"

#include "wire/xassert.h"

#include <assert.h>
#include <stdbool.h>
#include <sanitizer/asan_interface.h>

/* Marks in next_free. */
#define SLOT_IN_USE UINT32_MAX
#define SLOT_LAST (UINT32_MAX - 1)

static_assert(POOL_ELEMENTS_MAX <= SLOT_LAST, "no index is a mark");
static_assert(POOL_ALIGN % _Alignof(struct pool_slot) == 0, "slots behind elements are aligned");
static_assert(sizeof(size_t) == 8, "the product of both maxima fits");

static size_t stride_of(size_t element_bytes)
{
    return (element_bytes + POOL_ALIGN - 1) & ~(size_t)(POOL_ALIGN - 1);
}

size_t pool_bytes(size_t element_bytes, uint32_t element_count)
{
    XD_ASSERT(element_bytes > 0 && element_bytes <= POOL_ELEMENT_BYTES_MAX);
    XD_ASSERT(element_count > 0 && element_count <= POOL_ELEMENTS_MAX);
    return (stride_of(element_bytes) + sizeof(struct pool_slot)) * element_count;
}

void pool_init(struct pool *pool, void *memory, size_t memory_bytes, size_t element_bytes,
               uint32_t element_count)
{
    size_t elements_bytes = stride_of(element_bytes) * element_count;

    XD_ASSERT(memory != NULL && (uintptr_t)memory % POOL_ALIGN == 0);
    XD_ASSERT(memory_bytes >= pool_bytes(element_bytes, element_count));
    *pool = (struct pool){
        .elements = memory,
        .slots = (void *)((uint8_t *)memory + elements_bytes),
        .element_bytes = element_bytes,
        .stride_bytes = stride_of(element_bytes),
        .element_count = element_count,
        .free_count = element_count,
        .free_first = 0,
    };
    for (uint32_t i = 0; i < element_count; i++)
        pool->slots[i] = (struct pool_slot){.next_free = i + 1, .generation = 1};
    pool->slots[element_count - 1].next_free = SLOT_LAST;
    ASAN_POISON_MEMORY_REGION(pool->elements, elements_bytes);
}

void pool_deinit(struct pool *pool)
{
    if (pool->elements != NULL)
        ASAN_UNPOISON_MEMORY_REGION(pool->elements, pool->stride_bytes * pool->element_count);
    *pool = (struct pool){0};
}

static bool in_use(const struct pool *pool, uint32_t index)
{
    XD_ASSERT(index < pool->element_count);
    return pool->slots[index].next_free == SLOT_IN_USE;
}

void *pool_acquire(struct pool *pool)
{
    uint32_t index = pool->free_first;
    uint8_t *element;

    if (pool->free_count == 0) {
        XD_ASSERT(index == SLOT_LAST);
        return NULL;
    }
    XD_ASSERT(!in_use(pool, index));
    pool->free_first = pool->slots[index].next_free;
    pool->free_count--;
    pool->slots[index].next_free = SLOT_IN_USE;
    element = pool->elements + index * pool->stride_bytes;
    ASAN_UNPOISON_MEMORY_REGION(element, pool->element_bytes);
    return element;
}

void pool_release(struct pool *pool, void *element)
{
    uint32_t index = pool_index(pool, element);
    struct pool_slot *slot = &pool->slots[index];

    XD_ASSERT(in_use(pool, index)); /* a failure here is a double release */
    XD_ASSERT(pool->free_count < pool->element_count);
    /* A slot comes back to a generation after 2^32 - 1 releases; 0 stays free for "no element". */
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    slot->next_free = pool->free_first;
    pool->free_first = index;
    pool->free_count++;
    ASAN_POISON_MEMORY_REGION(element, pool->stride_bytes);
}

uint32_t pool_index(const struct pool *pool, const void *element)
{
    size_t at = (size_t)((uintptr_t)element - (uintptr_t)pool->elements);

    XD_ASSERT(at < pool->stride_bytes * pool->element_count);
    XD_ASSERT(at % pool->stride_bytes == 0);
    return (uint32_t)(at / pool->stride_bytes);
}

uint32_t pool_generation(const struct pool *pool, uint32_t index)
{
    XD_ASSERT(index < pool->element_count);
    return pool->slots[index].generation;
}

void *pool_at(const struct pool *pool, uint32_t index)
{
    return in_use(pool, index) ? pool->elements + index * pool->stride_bytes : NULL;
}

void *pool_find(const struct pool *pool, uint32_t index, uint32_t generation)
{
    return pool_generation(pool, index) == generation ? pool_at(pool, index) : NULL;
}

void pool_check(const struct pool *pool)
{
    uint32_t listed = 0;
    uint32_t used = 0;

    for (uint32_t i = pool->free_first; i != SLOT_LAST; i = pool->slots[i].next_free) {
        XD_ASSERT(!in_use(pool, i)); /* also that i is an index */
        XD_ASSERT(listed < pool->element_count);
        listed++;
    }
    for (uint32_t i = 0; i < pool->element_count; i++) {
        XD_ASSERT(pool->slots[i].generation != 0);
        used += in_use(pool, i);
    }
    XD_ASSERT(listed == pool->free_count);
    XD_ASSERT(listed + used == pool->element_count);
}
