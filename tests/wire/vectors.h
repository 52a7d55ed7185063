/* SPDX-License-Identifier: Apache-2.0
 *
 * Byte vectors for tests: hex in, an allocation of exactly that size out, so that a decoder that
 * reads one byte too far is stopped by the address sanitizer. Allocations are 8-byte aligned.
 */
#ifndef CROSSDOCK_TESTS_WIRE_VECTORS_H
#define CROSSDOCK_TESTS_WIRE_VECTORS_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire/xassert.h"

struct vector {
    uint8_t *data; /* owned; exactly `bytes` long */
    size_t bytes;  /* size of the vector */
};

static inline struct vector vector_copy(const void *data, size_t bytes)
{
    struct vector vector = {.data = malloc(bytes), .bytes = bytes};
    XD_ASSERT(vector.data != NULL || bytes == 0);
    if (bytes != 0)
        memcpy(vector.data, data, bytes);
    return vector;
}

static inline unsigned vector_nibble(char c)
{
    XD_ASSERT((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10u;
}

/* Lower-case hex; spaces may stand between bytes. */
static inline struct vector vector_hex(const char *hex)
{
    struct vector vector = {.data = malloc(strlen(hex) / 2 + 1), .bytes = 0};
    XD_ASSERT(vector.data != NULL);
    while (*hex != 0) {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        unsigned high = vector_nibble(hex[0]);
        vector.data[vector.bytes++] = (uint8_t)(high << 4 | vector_nibble(hex[1]));
        hex += 2;
    }
    struct vector exact = vector_copy(vector.data, vector.bytes);
    free(vector.data);
    return exact;
}

static inline void vector_free(struct vector *vector)
{
    free(vector->data);
    *vector = (struct vector){0};
}

/* Reads every byte, so that a pointer to memory that is not there cannot go unnoticed. The empty
 * assembly uses the sum; without it the loop could be optimized away. */
static inline void vector_touch(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t sum = 0;
    uint64_t word;
    for (; bytes >= sizeof(word); bytes -= sizeof(word), at += sizeof(word)) {
        memcpy(&word, at, sizeof(word));
        sum += word;
    }
    for (; bytes > 0; bytes--)
        sum += *at++;
    __asm__ volatile("" : : "r"(sum));
}

static inline void vector_flip_bit(struct vector *vector, size_t bit)
{
    XD_ASSERT(bit < vector->bytes * 8);
    vector->data[bit / 8] = (uint8_t)(vector->data[bit / 8] ^ (1u << (bit % 8)));
}

#endif
