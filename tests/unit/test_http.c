/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/http.c: pages as clients of all manners see them. The workers behind it do not run: that
 * makes every page but the index say so.
 */
#include "broker/http.h"

#include "broker/io/env.h"
#include "broker/worker.h"
#include "tests/support/broker_child.h"

#include <poll.h>

#define ANSWER_BYTES 65536u

static struct worker *workers;
static struct watch *watch;
static struct http *http;
static char address[ENV_ADDRESS_BYTES_MAX];
static char answer[ANSWER_BYTES];

static void begin(void)
{
    workers = workers_make(1);
    watch = watch_open(workers, 1);
    cr_assert_eq(http_open("127.0.0.1:0", watch, &http, address), 0);
}

static void end(void)
{
    http_close(http);
    watch_close(watch);
    workers_free(workers, 1);
}

static int dial(void)
{
    int fd = connect_to((int)strtol(strrchr(address, ':') + 1, NULL, 10));
    cr_assert_geq(fd, 0);
    cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* What the supervisor does, for so long. */
static void look(int ms)
{
    for (int waited = 0; waited <= ms; waited += 5) {
        struct pollfd fd = {.fd = http_fd(http), .events = POLLIN};
        (void)poll(&fd, 1, http_timeout_ms(http, 5));
        http_run(http);
    }
}

/* Reads until the other side closes, or says nothing for a second; bytes of `answer`. */
static size_t hear(int fd)
{
    size_t bytes = 0;
    for (int silent = 0; silent < 200; silent++) {
        look(0);
        ssize_t got = read(fd, answer + bytes, sizeof answer - 1 - bytes);
        if (got == 0 || (got < 0 && errno != EAGAIN))
            break;
        bytes += got > 0 ? (size_t)got : 0;
        silent = got > 0 ? 0 : silent;
    }
    answer[bytes] = '\0';
    close(fd);
    return bytes;
}

/* One request that ends its connection. */
static const char *ask(const char *method, const char *path, const char *heads)
{
    char request[512];
    int fd = dial();
    int bytes =
        snprintf(request, sizeof request,
                 "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method, path, heads);
    cr_assert_eq(write(fd, request, (size_t)bytes), bytes);
    hear(fd);
    return answer;
}

static void has(const char *words)
{
    cr_assert_not_null(strstr(answer, words), "no '%s' in: %s", words, answer);
}

static bool begins(const char *words)
{
    return strncmp(answer, words, strlen(words)) == 0;
}

/* The index names the pages; what is not there is answered with them. */
Test(http, names_its_pages, .init = begin, .fini = end)
{
    ask("GET", "/", "");
    cr_assert(begins("HTTP/1.1 200 "), "%s", answer);
    has("\r\n\r\n/livez\n/readyz?verbose\n/metrics\n");
    ask("GET", "/nothing", "");
    cr_assert(begins("HTTP/1.1 404 "), "%s", answer);
    has("no such page; there are\n/livez\n");
    ask("GET", "/metrics/", "");
    cr_assert(begins("HTTP/1.1 404 "), "%s", answer);
}

/* What is not well is 503 with the reason, and verbose shows what is well too. */
Test(http, answers_503_with_the_reason, .init = begin, .fini = end)
{
    ask("GET", "/livez", "");
    cr_assert(begins("HTTP/1.1 503 "), "%s", answer);
    has("Content-Type: text/plain; charset=utf-8\r\n");
    has("\r\n\r\n[-] shard 0 turns: idle\nlivez failed\n");
    ask("GET", "/readyz?verbose", "");
    cr_assert(begins("HTTP/1.1 503 "), "%s", answer);
    has("[-] shard 0 listens: idle\n");
    has("readyz failed\n");
}

/* What a shard is doing is the reason, in every stage but one. */
Test(http, answers_readyz_by_the_stage_of_a_shard, .init = begin, .fini = end)
{
    struct bells bells = {0};
    const struct worker_common common = {.bells = &bells, .shard_count = 1};
    cr_assert_eq(bells_open(&bells, 1), 0);
    workers[0].common = &common;
    atomic_store(&workers[0].percent, 41);
    for (int stage = WORKER_OPENING; stage <= WORKER_FAILED; stage++) {
        char line[64];
        atomic_store(&workers[0].turned_ns, UINT64_MAX);
        atomic_store(&workers[0].stage, (uint32_t)stage);
        ask("GET", "/readyz", "");
        snprintf(line, sizeof line, "[-] shard 0 listens: %s\n",
                 worker_stage_name((enum worker_stage)stage));
        cr_assert_eq(begins("HTTP/1.1 503 "), stage != WORKER_SERVING, "%s", answer);
        cr_assert_eq(strstr(answer, line) != NULL, stage != WORKER_SERVING, "%s", answer);
        if (stage == WORKER_RECOVERING)
            has("[-] shard 0 recovered: recovering, 41 %\n");
        ask("GET", "/livez", "");
        cr_assert_eq(begins("HTTP/1.1 200 "), stage < WORKER_ENDED, "%s", answer);
    }
    atomic_store(&workers[0].stage, WORKER_IDLE);
    bells_close(&bells);
}

/* HEAD is GET without the page, with its length. */
Test(http, answers_head_without_the_page, .init = begin, .fini = end)
{
    ask("HEAD", "/", "");
    cr_assert(begins("HTTP/1.1 200 "), "%s", answer);
    has("Content-Length: 32\r\n");
    cr_assert_null(strstr(answer, "/livez"));
    ask("HEAD", "/readyz", "");
    cr_assert(begins("HTTP/1.1 503 "), "%s", answer);
}

/* Nobody can change anything. */
Test(http, refuses_every_other_method, .init = begin, .fini = end)
{
    static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH", "NONSENSE"};
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        ask(methods[i], "/metrics", "Content-Length: 0\r\n");
        cr_assert(begins("HTTP/1.1 405 "), "%s: %s", methods[i], answer);
        has("Allow: GET, HEAD\r\n");
    }
    ask("POST", "/livez", "Content-Length: 5\r\n");
    cr_assert(begins("HTTP/1.1 405 "), "%s", answer);
}

/* The form of the numbers is the one that was asked for; the older one otherwise. */
Test(http, gives_metrics_in_the_form_asked_for, .init = begin, .fini = end)
{
    ask("GET", "/metrics", "");
    cr_assert(begins("HTTP/1.1 200 "), "%s", answer);
    has("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    cr_assert_null(strstr(answer, "# EOF"));
    has("crossdock_build_info");
    ask("GET", "/metrics",
        "Accept: text/plain;q=0.5,application/openmetrics-text;version=1.0.0\r\n");
    has("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n");
    has("# EOF\n");
    ask("GET", "/metrics", "Accept: text/html\r\n");
    has("version=0.0.4");
}

/* One connection may ask again and again. */
Test(http, answers_several_requests_of_one_connection, .init = begin, .fini = end)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    int fd = dial();
    for (int i = 0; i < 3; i++) {
        size_t bytes = 0;
        cr_assert_eq(write(fd, request, sizeof request - 1), (ssize_t)sizeof request - 1);
        answer[0] = '\0';
        for (int rounds = 0; rounds < 1000 && strstr(answer, "/metrics\n") == NULL; rounds++) {
            look(0);
            ssize_t got = read(fd, answer + bytes, sizeof answer - 1 - bytes);
            bytes += got > 0 ? (size_t)got : 0;
            answer[bytes] = '\0';
        }
        has("/metrics\n");
    }
    close(fd);
}

/* Bytes that are no request, and heads without an end, are refused or dropped; the next client is
 * served as before. */
Test(http, survives_bytes_that_are_no_request, .init = begin, .fini = end)
{
    static const char *const bytes[] = {
        "\r\n\r\n\r\n",           "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n", "\x16\x03\x01\x02\x01\x01\xfc\x03\x03",
        ": : :\r\n\r\n",          "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"};
    static char large[64 * 1024];
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        int fd = dial();
        size_t length = strlen(bytes[i]);
        cr_assert_eq(write(fd, bytes[i], length), (ssize_t)length);
        cr_assert_eq(shutdown(fd, SHUT_WR), 0);
        hear(fd);
        cr_assert_not(begins("HTTP/1.1 200 "), "%zu: %s", i, answer);
    }
    memset(large, 'a', sizeof large);
    memcpy(large, "GET /", 5);
    int fd = dial();
    cr_assert_gt(write(fd, large, sizeof large), 0);
    hear(fd);
    cr_assert_not(begins("HTTP/1.1 200 "), "%s", answer);
    ask("GET", "/", "");
    cr_assert(begins("HTTP/1.1 200 "), "%s", answer);
}

/* As many clients as it takes that say nothing: none of them makes it wait, more are not taken, and
 * when one goes the next one is served. */
Test(http, is_not_held_up_by_silent_clients, .init = begin, .fini = end)
{
    int fds[HTTP_CONNECTIONS_MAX];
    for (uint32_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        fds[i] = dial();
        cr_assert_eq(write(fds[i], "GET / HT", 8), 8);
        look(5);
    }
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (int i = 0; i < 20; i++)
        http_run(http);
    clock_gettime(CLOCK_MONOTONIC, &after);
    cr_assert_lt(after.tv_sec - before.tv_sec, 2);
    close(fds[0]);
    look(20);
    ask("GET", "/", "");
    cr_assert(begins("HTTP/1.1 200 "), "%s", answer);
    for (uint32_t i = 1; i < HTTP_CONNECTIONS_MAX; i++)
        close(fds[i]);
}

/* An address in use, or none that can be, is a status; NULL is nobody who listens. */
Test(http, tells_an_address_it_cannot_have, .init = begin, .fini = end)
{
    struct http *other = NULL;
    char bound[ENV_ADDRESS_BYTES_MAX];
    cr_assert_eq(http_open(address, watch, &other, bound), -EADDRINUSE);
    cr_assert_eq(http_open("nowhere", watch, &other, bound), -EINVAL);
    cr_assert_null(other);
    cr_assert_eq(http_fd(NULL), -1);
    cr_assert_eq(http_timeout_ms(NULL, 17), 17);
    http_run(NULL);
    http_close(NULL);
}
