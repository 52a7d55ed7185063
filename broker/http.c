/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages over HTTP; see http.h. The only file that includes libmicrohttpd.
 */
#include "broker/http.h"

#include "broker/io/listen.h"
#include "broker/pages.h"
#include "wire/xassert.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE_TEXT "text/plain; charset=utf-8"
#define TYPE_PLAIN "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPEN "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define INDEX "/livez\n/readyz?verbose\n/metrics\n"

/* Bytes that one connection may use for its request and answer head. */
#define CONNECTION_BYTES 16384u

struct http {
    struct MHD_Daemon *daemon; /* NULL while it is being opened */
    struct watch *watch;       /* borrowed */
    int epoll_fd;              /* the daemon's */
};

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type,
                              const char *text, size_t bytes)
{
    /* Copied: the caller's memory is used again for the next one. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(bytes, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
    if (response == NULL)
        return MHD_NO; /* the connection is closed */
    enum MHD_Result result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (result == MHD_YES && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status,
                                   const char *text)
{
    return answer(connection, status, TYPE_TEXT, text, strlen(text));
}

static enum MHD_Result answer_checks(struct http *http, struct MHD_Connection *connection,
                                     bool ready)
{
    char text[PAGES_TEXT_BYTES];
    bool well;
    bool verbose = MHD_lookup_connection_value_n(connection, MHD_GET_ARGUMENT_KIND, "verbose", 7,
                                                 NULL, NULL) == MHD_YES;
    const struct pages_shard *shards;
    uint32_t count = watch_shards(http->watch, &shards);
    if (ready)
        pages_readyz(shards, count, verbose, &well, text);
    else
        pages_livez(shards, count, verbose, &well, text);
    return answer_text(connection, well ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static enum MHD_Result answer_metrics(struct http *http, struct MHD_Connection *connection)
{
    const char *accept =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    bool open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
    const char *text;
    uint64_t bytes = watch_metrics(http->watch, open ? METRICS_OPEN : METRICS_PLAIN, &text);
    return answer(connection, MHD_HTTP_OK, open ? TYPE_OPEN : TYPE_PLAIN, text, bytes);
}

static enum MHD_Result take_request(void *context, struct MHD_Connection *connection,
                                    const char *path, const char *method, const char *version,
                                    const char *upload, size_t *upload_bytes, void **state)
{
    struct http *http = context;
    (void)version;
    (void)upload;
    if (*upload_bytes > 0)
        return MHD_NO; /* nothing is taken from anybody */
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    if (*state == NULL) {
        /* Only heads have come. An answer now would end the connection, as for an upload. */
        *state = http;
        return MHD_YES;
    }
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(http, connection);
    if (strcmp(path, "/livez") == 0 || strcmp(path, "/readyz") == 0)
        return answer_checks(http, connection, path[1] == 'r');
    if (strcmp(path, "/") == 0)
        return answer_text(connection, MHD_HTTP_OK, INDEX);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "no such page; there are\n" INDEX);
}

/* What the library has to say about clients is no event of the broker. */
static void ignore(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

int http_open(const char *address, struct watch *watch, struct http **ret_http, char *ret_address)
{
    int fd;
    int status = listen_open(address, false, &fd, ret_address);
    if (status < 0)
        return status;
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    http->watch = watch;
    http->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, take_request,
                                    http, MHD_OPTION_EXTERNAL_LOGGER, ignore, NULL,
                                    MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
                                    HTTP_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                                    HTTP_TIMEOUT_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                                    (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    if (http->daemon == NULL) {
        (void)close(fd);
        free(http);
        return -ENOMEM;
    }
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    XD_ASSERT(info != NULL);
    http->epoll_fd = info->epoll_fd;
    *ret_http = http;
    return 0;
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon); /* closes the socket too */
    free(http);
}

int http_fd(const struct http *http)
{
    return http != NULL ? http->epoll_fd : -1;
}

int http_timeout_ms(struct http *http, int max_ms)
{
    MHD_UNSIGNED_LONG_LONG wanted;
    if (http == NULL || MHD_get_timeout(http->daemon, &wanted) != MHD_YES)
        return max_ms;
    return wanted < (unsigned)max_ms ? (int)wanted : max_ms;
}

void http_run(struct http *http)
{
    if (http != NULL)
        (void)MHD_run(http->daemon);
}
