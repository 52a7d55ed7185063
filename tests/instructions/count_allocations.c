/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts how often a program asks for memory; loaded into it by LD_PRELOAD. The count, 64 bits,
 * stands in the file that CROSSDOCK_ALLOCATIONS names, where a test can read it at any moment.
 *
 * Normal path: each call is counted and passed to glibc, whatever allocator the program was linked
 * with. Failure path: without the file, or when it cannot be mapped, the program ends at once, as
 * nothing must pass for a program that never asks. Must not ask for memory itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

/* glibc's own, below every other allocator. */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void *memory);

/* What this file puts in their places. */
EXPORTED void *memalign(size_t alignment, size_t bytes);

static _Atomic uint64_t before_start; /* calls before the file is mapped */
static _Atomic uint64_t *count = &before_start;

static void add(void)
{
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

__attribute__((constructor)) static void start(void)
{
    const char *path = getenv("CROSSDOCK_ALLOCATIONS");
    int file = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *page = MAP_FAILED;
    if (file >= 0)
        page = (void *)syscall(SYS_mmap, NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED,
                               file, 0);
    if (page == MAP_FAILED)
        _exit(97);
    close(file);
    *(_Atomic uint64_t *)page = before_start;
    count = page;
}

EXPORTED void *malloc(size_t bytes)
{
    add();
    return __libc_malloc(bytes);
}

EXPORTED void *calloc(size_t number, size_t bytes)
{
    add();
    return __libc_calloc(number, bytes);
}

EXPORTED void *realloc(void *memory, size_t bytes)
{
    add();
    return __libc_realloc(memory, bytes);
}

EXPORTED void *memalign(size_t alignment, size_t bytes)
{
    add();
    return __libc_memalign(alignment, bytes);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t bytes)
{
    return memalign(alignment, bytes);
}

EXPORTED int posix_memalign(void **ret_memory, size_t alignment, size_t bytes)
{
    void *memory = memalign(alignment, bytes);
    if (memory == NULL)
        return ENOMEM;
    *ret_memory = memory;
    return 0;
}

EXPORTED void *mmap(void *address, size_t bytes, int protection, int flags, int file, off_t offset)
{
    add();
    return (void *)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

EXPORTED void free(void *memory)
{
    __libc_free(memory);
}
