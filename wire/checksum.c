/* SPDX-License-Identifier: Apache-2.0
 *
 * The one file that includes xxHash.
 *
 * On x86-64 the dispatch header renames the XXH3 functions to versions that choose SSE2, AVX2 or
 * AVX-512 at run time: Debian's library is built for plain SSE2 and its undispatched entry points
 * give about 4 GB/s where these give 25 to 75. The choice is made at the first call and written to
 * a table inside the library; threads that race there write the same values.
 *
 * Nothing here fails. Must not be used against attackers: XXH3 is not a cryptographic hash.
 */
#include "wire/checksum.h"

#include "wire/xassert.h"

#include <assert.h>
#include <stddef.h>

#define XXH_STATIC_LINKING_ONLY /* makes XXH3_state_t a complete type */
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>
#endif

static_assert(sizeof(XXH3_state_t) == sizeof(struct xd_xxh3_state), "the library's state fits");
static_assert(_Alignof(XXH3_state_t) == _Alignof(struct xd_xxh3_state), "and is aligned");

uint64_t xd_xxh3(const void *data, size_t bytes)
{
    XD_ASSERT(data != NULL || bytes == 0);
    return XXH3_64bits(data, bytes);
}

uint64_t xd_xxh3_seeded(const void *data, size_t bytes, uint64_t seed)
{
    XD_ASSERT(data != NULL || bytes == 0);
    return XXH3_64bits_withSeed(data, bytes, seed);
}

void xd_xxh3_begin(struct xd_xxh3_state *state, uint64_t seed)
{
    XD_ASSERT(state != NULL);
    XXH3_state_t *library_state = (XXH3_state_t *)(void *)state->opaque;
    /* Reset compares the new seed with the one in the state to skip deriving the secret; memory
     * that was never a state must not look like one. */
    XXH3_INITSTATE(library_state);
    XXH_errorcode result = XXH3_64bits_reset_withSeed(library_state, seed);
    XD_ASSERT(result == XXH_OK);
}

void xd_xxh3_add(struct xd_xxh3_state *state, const void *data, size_t bytes)
{
    XD_ASSERT(state != NULL);
    XD_ASSERT(data != NULL || bytes == 0);
    if (bytes == 0)
        return;
    XXH_errorcode result = XXH3_64bits_update((XXH3_state_t *)(void *)state->opaque, data, bytes);
    XD_ASSERT(result == XXH_OK);
}

uint64_t xd_xxh3_end(const struct xd_xxh3_state *state)
{
    XD_ASSERT(state != NULL);
    return XXH3_64bits_digest((const XXH3_state_t *)(const void *)state->opaque);
}
