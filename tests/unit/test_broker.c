/* SPDX-License-Identifier: Apache-2.0
 *
 * broker/broker.c: whole lives of a broker in a process of its own: start, ready line, signals,
 * exit codes. The environment may choose the engine, so that each is run.
 */
#include "broker/broker.h"

#include "tests/support/broker_child.h"
#include "tests/support/json.h"

/* Start, ready line with the port that was taken, stop on TERM with 0, and the folder is free again
 * for the next start, which finds its log. */
Test(broker, serves_and_stops_as_asked)
{
    struct child child;
    child_init(&child);
    child_start(&child);
    int port = child_port(&child);
    cr_assert_neq(port, 0);
    cr_assert(connects(port));
    char said[64];
    const char *engine = getenv("CROSSDOCK_PROCESS__ENGINE");
    snprintf(said, sizeof said, " engine name=%.32s", engine == NULL ? "" : engine);
    child_says(&child, said);
    child_says(&child, " log_created");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED, "%s", child.text);
    cr_assert_not_null(strstr(child.text, " stopping signal=TERM\n"));
    cr_assert_not_null(strstr(child.text, " stopped exit=0\n"));
    cr_assert_not(connects(port));

    child_start(&child);
    child_port(&child);
    cr_assert_null(strstr(child.text, "log_created"));
    cr_assert_null(strstr(child.text, "log_tail_cut"), "%s", child.text);
    kill(child.pid, SIGINT);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* A broker that was killed starts again over what it left. */
Test(broker, starts_again_after_a_kill)
{
    struct child child;
    int status;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGKILL);
    cr_assert_eq(waitpid(child.pid, &status, 0), child.pid);
    close(child.output);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* USR1 prints the status as one line of JSON, and the broker goes on. */
Test(broker, prints_its_status_on_usr1)
{
    struct child child;
    char value[JSON_VALUE_BYTES];
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGUSR1);
    const char *json = child_says(&child, "\n{\"version\":") + 1;
    child_says(&child, "\"next_steps\":[]}\n");
    size_t bytes = strcspn(json, "\n");
    cr_assert_str_eq(json_at(json, bytes, "state", value), "\"running\"");
    cr_assert_str_eq(json_at(json, bytes, "topics", value), "6");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* HUP reads the sources again and tells what a restart would change, or what is wrong with them. */
Test(broker, checks_the_configuration_on_hup)
{
    struct child child;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGHUP);
    child_says(&child, " configuration_checked changed=0\n");
    FILE *file = fopen(child.file, "a");
    fprintf(file, "insecure = yes\n[process]\ncpu = 0\n");
    fclose(file);
    kill(child.pid, SIGHUP);
    child_says(&child, " configuration_checked changed=2 options=server.insecure,process.cpu "
                       "next=restart\n");
    file = fopen(child.file, "a");
    fprintf(file, "mlok = yes\n");
    fclose(file);
    kill(child.pid, SIGHUP);
    child_says(&child, " warning configuration_refused why=");
    child_says(&child, "did you mean 'process.mlock'?");
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_remove(&child);
}

/* A folder that another broker uses is refused with exit code 1, and that other goes on. */
Test(broker, refuses_a_folder_in_use)
{
    struct child first, second;
    child_init(&first);
    child_start(&first);
    child_port(&first);
    second = first;
    second.bytes = 0;
    child_start(&second);
    cr_assert_eq(child_end(&second), BROKER_EXIT_FAILED, "%s", second.text);
    cr_assert_not_null(strstr(second.text, " start_failed step=engine error=DATA_LOCKED why="),
                       "%s", second.text);
    kill(first.pid, SIGTERM);
    cr_assert_eq(child_end(&first), BROKER_EXIT_STOPPED);
    child_remove(&first);
}

/* An address in use is refused with exit code 1 and named. */
Test(broker, refuses_an_address_in_use)
{
    struct child first, second;
    char set[128];
    child_init(&first);
    child_init(&second);
    child_start(&first);
    snprintf(set, sizeof set, "server.listen=127.0.0.1:%d", child_port(&first));
    child_set(&second, set);
    child_set(&second, "metrics.listen=none"); /* the port above may be somebody's as well */
    child_start(&second);
    cr_assert_eq(child_end(&second), BROKER_EXIT_FAILED);
    cr_assert_not_null(strstr(second.text, " start_failed step=listen error=EADDRINUSE why="), "%s",
                       second.text);
    kill(first.pid, SIGTERM);
    cr_assert_eq(child_end(&first), BROKER_EXIT_STOPPED);
    child_remove(&first);
    child_remove(&second);
}

/* A segment size that the folder does not have is a wrong configuration: exit code 2. */
Test(broker, refuses_options_that_the_folder_contradicts)
{
    struct child child;
    child_init(&child);
    child_start(&child);
    child_port(&child);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    child_set(&child, "log.segment_bytes=8MiB");
    child_start(&child);
    cr_assert_eq(child_end(&child), BROKER_EXIT_USAGE, "%s", child.text);
    cr_assert_not_null(strstr(child.text, " start_failed step=open error=OPTION_INVALID why="),
                       "%s", child.text);
    child_remove(&child);
}

/* A CPU that is not there is refused before the folder is touched. */
Test(broker, refuses_a_cpu_that_is_not_there)
{
    struct child child;
    char data[128];
    child_init(&child);
    child_set(&child, "process.cpu=1023");
    child_start(&child);
    cr_assert_eq(child_end(&child), BROKER_EXIT_FAILED, "%s", child.text);
    cr_assert_not_null(strstr(child.text, "step=cpu error=EINVAL why=\"process.cpu = 1023: "), "%s",
                       child.text);
    snprintf(data, sizeof data, "%s/data", child.folder);
    cr_assert_neq(access(data, F_OK), 0);
    child_remove(&child);
}

/* The service manager hears READY with the address, and STOPPING before the end. */
Test(broker, tells_the_service_manager)
{
    struct child child;
    char text[512] = "";
    child_init(&child);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(child.notify, sizeof child.notify, "%s/notify", child.folder);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", child.notify);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    child_start(&child);
    child_port(&child);
    cr_assert_gt(recv(fd, text, sizeof text - 1, 0), 0);
    cr_assert_eq(strncmp(text, "READY=1\nSTATUS=serving 127.0.0.1:", 33), 0, "%s", text);
    kill(child.pid, SIGTERM);
    memset(text, 0, sizeof text);
    cr_assert_gt(recv(fd, text, sizeof text - 1, 0), 0);
    cr_assert_eq(strncmp(text, "STOPPING=1\n", 11), 0, "%s", text);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    close(fd);
    child_remove(&child);
}

/* The service manager is told of life as often as it wants, however little there is to do. */
Test(broker, gives_signs_of_life_in_time)
{
    struct child child;
    char text[512];
    uint32_t signs = 0;
    child_init(&child);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    snprintf(child.notify, sizeof child.notify, "%s/notify", child.folder);
    snprintf(at.sun_path, sizeof at.sun_path, "%s", child.notify);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    setenv("WATCHDOG_USEC", "200000", 1);
    child_start(&child);
    child_port(&child);
    sleep_ms(2000);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED);
    memset(text, 0, sizeof text);
    while (recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0) {
        signs += strcmp(text, "WATCHDOG=1") == 0;
        memset(text, 0, sizeof text);
    }
    cr_assert_geq(signs, 7, "%u signs in 2 s", signs);
    close(fd);
    child_remove(&child);
}

/* Storage that fails and comes back: nothing is acknowledged in between, the broker opens its
 * folder again under the same port, and what is asked for then becomes durable. */
Test(broker, opens_again_after_storage_has_failed)
{
    struct child child;
    char reply[512] = "";
    child_init(&child);
    child_start(&child);
    int port = child_port(&child);
    int fd = connect_to(port);
    limit_files(&child, 0);
    ask_for_topic(fd, "{\"name\":\"x\"}");
    child_says(&child, " log_fenced error=EFBIG");
    child_forget(&child, child_says(&child, " error storage_failed error="));
    limit_files(&child, RLIM_INFINITY);
    child_says(&child, " ready addresses=127.0.0.1:");
    cr_assert_null(strstr(child.text, "start_failed"), "%s", child.text);
    close(fd);
    fd = connect_to(port);
    cr_assert_geq(fd, 0, "it does not listen on its old port: %s", child.text);
    ask_for_topic(fd, "{\"name\":\"y\"}");
    size_t bytes = 0;
    while (memmem(reply, bytes, "\"name\":\"y\"", 10) == NULL) {
        ssize_t got = read(fd, reply + bytes, sizeof reply - bytes);
        cr_assert_gt(got, 0, "no reply: %s", child.text);
        bytes += (size_t)got;
    }
    close(fd);
    kill(child.pid, SIGTERM);
    cr_assert_eq(child_end(&child), BROKER_EXIT_STOPPED, "%s", child.text);
    child_remove(&child);
}

/* Storage that stays broken ends the process with 1, after it was said. */
Test(broker, gives_up_when_storage_stays_broken)
{
    struct child child;
    child_init(&child);
    child_start(&child);
    int fd = connect_to(child_port(&child));
    limit_files(&child, 0);
    ask_for_topic(fd, "{\"name\":\"x\"}");
    cr_assert_eq(child_end(&child), BROKER_EXIT_FAILED, "%s", child.text);
    cr_assert_not_null(strstr(child.text, " error storage_failed error="), "%s", child.text);
    cr_assert_not_null(strstr(child.text, " stopped exit=1\n"), "%s", child.text);
    close(fd);
    child_remove(&child);
}
