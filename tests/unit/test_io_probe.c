/* SPDX-License-Identifier: Apache-2.0
 *
 * The start-up probe: one remedy per failure, worded from facts that the tests make up.
 */
#include "broker/io/probe.h"
#include "wire/status.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include <criterion/criterion.h>

static struct probe_facts facts_make(void)
{
    return (struct probe_facts){
        .kernel = "6.1.0-test",
        .uring_disabled = 0,
        .memlock_bytes = 8ull << 20,
        .descriptors_soft = 1024,
        .descriptors_hard = 4096,
    };
}

static void hint_expect(int status, const struct probe_facts *facts, const char *part)
{
    char why[PROBE_WHY_BYTES] = "";
    probe_explain("ring set-up", status, facts, why);
    cr_assert_eq(strncmp(why, "ring set-up: E", 14), 0, "%s", why);
    cr_assert_not_null(strstr(why, part), "'%s' lacks '%s'", why, part);
}

/* A refusal names the setting that refuses: sysctl off, sysctl group, seccomp, or a policy. */
Test(io_probe, permission_names_what_refuses)
{
    struct probe_facts facts = facts_make();
    facts.uring_disabled = 2;
    hint_expect(-EPERM, &facts, "sysctl -w kernel.io_uring_disabled=0");
    facts.uring_disabled = 1;
    hint_expect(-EPERM, &facts, "kernel.io_uring_group");
    facts.uring_disabled = 0;
    facts.seccomp = 2;
    hint_expect(-EPERM, &facts, "--security-opt seccomp=");
    facts.uring_disabled = PROBE_DISABLED_UNKNOWN;
    hint_expect(-EACCES, &facts, "--security-opt seccomp=");
    facts.seccomp = 0;
    hint_expect(-EACCES, &facts, "SELinux or AppArmor");
}

/* Some profiles hide what they forbid; without a filter it is the kernel or a sandbox. */
Test(io_probe, a_hidden_call_names_what_may_hide_it)
{
    struct probe_facts facts = facts_make();
    hint_expect(-ENOSYS, &facts, "kernel 6.1.0-test has no io_uring or a sandbox hides it");
    facts.seccomp = 2;
    hint_expect(-ENOSYS, &facts, "kernel 6.1.0-test has no io_uring or a seccomp filter hides it");
    hint_expect(-ENOSYS, &facts, "io_uring_setup, io_uring_enter and io_uring_register");
}

/* The other failures name kernel, memory limit and descriptor limit with their present values. */
Test(io_probe, limits_are_named_with_their_values)
{
    struct probe_facts facts = facts_make();
    hint_expect(-EINVAL, &facts, "Linux 6.0 or newer");
    hint_expect(-ENOMEM, &facts, "8192 KiB");
    hint_expect(-ENOMEM, &facts, "LimitMEMLOCK");
    hint_expect(-EMFILE, &facts, "1024 (hard 4096)");
    hint_expect(-EMFILE, &facts, "LimitNOFILE");
    hint_expect(-ENFILE, &facts, "fs.file-max");
    hint_expect(-EIO, &facts, "EIO");
    facts.memlock_bytes = UINT64_MAX;
    hint_expect(-ENOMEM, &facts, "no memory for the ring: raise the memory limit");
}

/* What every engine needs is told as well. */
Test(io_probe, what_a_kernel_does_not_give_has_a_remedy)
{
    cr_assert_not_null(strstr(probe_remedy(-EMFILE), "LimitNOFILE"));
    cr_assert_not_null(strstr(probe_remedy(-ENFILE), "fs.file-max"));
    cr_assert_not_null(strstr(probe_remedy(-ENOSPC), "fs.epoll.max_user_watches"));
    cr_assert_not_null(strstr(probe_remedy(-ENOMEM), "memory limit"));
    cr_assert_str_eq(probe_remedy(-EIO), xd_status_text(-EIO));
}

/* The facts are those of this machine. */
Test(io_probe, facts_come_from_the_host)
{
    struct probe_facts facts;
    probe_facts(&facts);
    struct utsname name;
    cr_assert_eq(uname(&name), 0);
    cr_assert_str_eq(facts.kernel, name.release);
    cr_assert(facts.uring_disabled >= PROBE_DISABLED_UNKNOWN && facts.uring_disabled <= 2);
    cr_assert(facts.seccomp >= 0 && facts.seccomp <= 2);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    uint64_t soft = limit.rlim_cur == RLIM_INFINITY ? UINT64_MAX : limit.rlim_cur;
    cr_assert_eq(facts.descriptors_soft, soft);
}

/* The soft limit of descriptors is raised when the hard one allows it, and only then. */
Test(io_probe, descriptors_are_raised_up_to_the_hard_limit)
{
    struct rlimit limit = {.rlim_cur = 64, .rlim_max = 128};
    char why[PROBE_WHY_BYTES] = "";
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(probe_descriptors(64, why), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, 128, "a burst finds room as well, up to what is allowed");
    cr_assert_eq(probe_descriptors(100, why), 0);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, 128);
    cr_assert_eq(why[0], '\0');
    cr_assert_eq(probe_descriptors(1000, why), -EMFILE);
    cr_assert_not_null(strstr(why, "1000 are needed and 128 allowed"), "%s", why);
    cr_assert_not_null(strstr(why, "LimitNOFILE"), "%s", why);
}
