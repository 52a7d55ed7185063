/* SPDX-License-Identifier: Apache-2.0
 *
 * The ring: what the allow-list refuses, what it lets through, and the modes.
 *
 * Without io_uring every test is skipped with the operator's hint as the notice.
 */
#include "broker/io/uring_ring.h"

#include "broker/io/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <criterion/criterion.h>

static struct uring_ring ring;

static void ring_setup(void)
{
    char why[PROBE_WHY_BYTES] = "";
    int status = uring_ring_open(&ring, 8, URING_MODE_DEFER, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES)
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, 0, "%d: %s", status, why);
    cr_assert_eq(uring_ring_enable(&ring, why), 0, "%s", why);
}

static void ring_teardown(void)
{
    uring_ring_close(&ring);
}

/* Submits the entry and returns the result of its completion. */
static int32_t result_of(struct io_uring_sqe *sqe)
{
    struct io_uring_cqe *cqe = NULL;
    io_uring_sqe_set_data64(sqe, 1);
    cr_assert_eq(io_uring_submit_and_wait(&ring.ring, 1), 1);
    cr_assert_eq(io_uring_peek_cqe(&ring.ring, &cqe), 0);
    int32_t result = cqe->res;
    io_uring_cqe_seen(&ring.ring, cqe);
    return result;
}

static struct io_uring_sqe *entry(void)
{
    struct io_uring_sqe *sqe = uring_ring_sqe(&ring);
    cr_assert_not_null(sqe);
    return sqe;
}

/* Opcodes that the engine does not use are refused by the kernel: files, sockets, other rings. */
Test(io_uring_ring, forbidden_opcodes_are_refused, .init = ring_setup, .fini = ring_teardown)
{
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_nop(sqe);
    cr_assert_eq(result_of(sqe), -EACCES);
    sqe = entry();
    io_uring_prep_openat(sqe, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    cr_assert_eq(result_of(sqe), -EACCES);
    sqe = entry();
    io_uring_prep_socket(sqe, AF_INET, SOCK_STREAM, 0, 0);
    cr_assert_eq(result_of(sqe), -EACCES);
    sqe = entry();
    io_uring_prep_connect(sqe, 0, NULL, 0);
    cr_assert_eq(result_of(sqe), -EACCES);
    sqe = entry();
    io_uring_prep_unlinkat(sqe, AT_FDCWD, "nothing", 0);
    cr_assert_eq(result_of(sqe), -EACCES);
    sqe = entry();
    io_uring_prep_close(sqe, 0);
    cr_assert_eq(result_of(sqe), -EACCES);
}

/* Every opcode from 0 to the last one that liburing knows is refused unless it is one of the eight
 * that the engine submits. */
Test(io_uring_ring, only_the_allowed_opcodes_pass, .init = ring_setup, .fini = ring_teardown)
{
    uint32_t passed = 0;
    for (uint8_t opcode = 0; opcode < IORING_OP_LAST; opcode++) {
        struct io_uring_sqe *sqe = entry();
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = opcode;
        sqe->fd = -1;
        passed += result_of(sqe) != -EACCES;
    }
    cr_assert_eq(passed, 8);
}

/* An allowed opcode works, and its linked or drained form, which the engine never uses, does not.
 */
Test(io_uring_ring, only_the_allowed_flags_pass, .init = ring_setup, .fini = ring_teardown)
{
    int ends[2];
    char byte = 0;
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(write(ends[1], "x", 1), 1);
    struct io_uring_sqe *sqe = entry();
    io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
    cr_assert_eq(result_of(sqe), 1);
    cr_assert_eq(byte, 'x');

    static const unsigned refused[] = {IOSQE_IO_LINK, IOSQE_IO_DRAIN, IOSQE_ASYNC,
                                       IOSQE_FIXED_FILE};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        cr_assert_eq(write(ends[1], "x", 1), 1);
        sqe = entry();
        io_uring_prep_read(sqe, ends[0], &byte, 1, 0);
        io_uring_sqe_set_flags(sqe, refused[i]);
        cr_assert_eq(result_of(sqe), -EACCES, "flag %x", refused[i]);
    }
}

/* Registrations are over once the ring runs. */
Test(io_uring_ring, registration_is_refused, .init = ring_setup, .fini = ring_teardown)
{
    int fd = 0;
    cr_assert_eq(io_uring_register_files(&ring.ring, &fd, 1), -EACCES);
    cr_assert_eq(io_uring_register_eventfd(&ring.ring, 0), -EACCES);
    cr_assert_eq(io_uring_register_personality(&ring.ring), -EACCES);
}

/* Each mode can be asked for, and closing gives everything back: far more rings than descriptors
 * allow can be opened one after the other. */
Test(io_uring_ring, every_mode_opens_and_closes)
{
    struct rlimit limit = {.rlim_cur = 32, .rlim_max = 32};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    for (int i = 0; i < 100; i++) {
        enum uring_mode mode = (enum uring_mode)(i % URING_MODE_COUNT);
        char why[PROBE_WHY_BYTES] = "";
        int status = uring_ring_open(&ring, 8, mode, why);
        if (status == -EPERM || status == -ENOSYS || status == -EACCES)
            cr_skip_test("io_uring is not available: %s", why);
        cr_assert_eq(status, 0, "%s", why);
        cr_assert_geq(ring.mode, mode);
        cr_assert_eq(uring_ring_enable(&ring, why), 0, "%s", why);
        uring_ring_close(&ring);
        uring_ring_close(&ring);
    }
}

/* Without a descriptor the set-up fails with EMFILE and the hint to raise the limit. */
Test(io_uring_ring, missing_descriptors_are_explained)
{
    struct rlimit limit;
    char why[PROBE_WHY_BYTES] = "";
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    int next = dup(0);
    cr_assert_geq(next, 0);
    close(next);
    limit.rlim_cur = (rlim_t)next;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    int status = uring_ring_open(&ring, 8, URING_MODE_DEFER, why);
    if (status == -EPERM || status == -ENOSYS || status == -EACCES)
        cr_skip_test("io_uring is not available: %s", why);
    cr_assert_eq(status, -EMFILE);
    cr_assert_not_null(strstr(why, "LimitNOFILE"), "%s", why);
    cr_assert_not(ring.is_open);
}
