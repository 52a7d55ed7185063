/* SPDX-License-Identifier: Apache-2.0
 *
 * Results as text and JSON; see result.h.
 */
#include "bench/result.h"

#include "bench/check.h"
#include "bench/json.h"
#include "bench/machine.h"

#include <inttypes.h>

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

static double per_second(const struct result *result, uint64_t count)
{
    return result->elapsed_ns > 0 ? (double)count / seconds(result->elapsed_ns) : 0.0;
}

/* CPU time of a record, or of a batch when records are not counted, in ns. */
static double per_unit(const struct result *result, uint64_t cpu_ns)
{
    uint64_t units = result->records > 0 ? result->records : result->batches;
    return units > 0 ? (double)cpu_ns / (double)units : 0.0;
}

static double micros(const struct latency *latency, uint32_t per_million)
{
    return (double)latency_quantile_ns(latency, per_million) / 1e3;
}

void result_progress(const char *command, uint64_t second, uint64_t records, uint64_t elapsed_ns)
{
    double rate = elapsed_ns > 0 ? (double)records / seconds(elapsed_ns) : 0.0;
    fprintf(stderr, "%s: %3" PRIu64 " s  %12.0f records/s\n", command, second, rate);
}

void result_print(const struct result *result, FILE *out)
{
    const char *unit = result->records > 0 ? "record" : "batch";
    fprintf(out, "%s: %.2f s measured\n", result->command, seconds(result->elapsed_ns));
    if (result->records > 0)
        fprintf(out, "  %12.0f records/s\n", per_second(result, result->records));
    if (result->batches > 0)
        fprintf(out, "  %12.0f batches/s\n", per_second(result, result->batches));
    fprintf(out, "  %12.1f MB/s\n", per_second(result, result->bytes) / 1e6);
    if (result->latency != NULL && result->latency->count > 0)
        fprintf(out, "  %s  p50 %.0f  p99 %.0f  p999 %.0f  max %.0f us\n", result->latency_of,
                micros(result->latency, 500000), micros(result->latency, 990000),
                micros(result->latency, 999000), (double)result->latency->max_ns / 1e3);
    fprintf(out, "  client CPU %.2f of a core, %.0f ns per %s, %.0f of them outside the kernel\n",
            per_second(result, result->client_cpu_ns) / 1e9,
            per_unit(result, result->client_cpu_ns), unit,
            per_unit(result, result->client_user_ns));
    if (result->broker_cpu_ns > 0)
        fprintf(out, "  broker CPU %.2f of a core, %.0f ns per %s, %.0f MiB resident\n",
                per_second(result, result->broker_cpu_ns) / 1e9,
                per_unit(result, result->broker_cpu_ns), unit,
                (double)result->broker_resident_bytes / 1048576.0);
    if (result->waited > 0)
        fprintf(out, "  %" PRIu64 " units left later than due\n", result->waited);
    if (result->failed > 0)
        fprintf(out, "  %" PRIu64 " records were refused\n", result->failed);
    for (uint32_t i = 0; i < result->count_count; i++)
        fprintf(out, "  %12" PRIu64 " %s\n", result->counts[i].count, result->counts[i].name);
}

static void json_machine(struct json *json)
{
    struct machine machine;
    machine_describe(&machine);
    json_object(json, "machine");
    json_string(json, "cpu", machine.cpu);
    json_integer(json, "cpus", machine.cpus);
    json_string(json, "kernel", machine.kernel);
    json_integer(json, "memory_bytes", machine.memory_bytes);
    json_object_end(json);
}

static void json_options(struct json *json, const struct argument *table, uint32_t count)
{
    json_object(json, "options");
    for (uint32_t i = 0; i < count; i++) {
        const struct argument *argument = &table[i];
        const char *word = "";
        int bytes;
        char text[32];
        switch (argument->kind) {
        case ARGUMENT_TEXT:
            if (*argument->text != NULL)
                json_string(json, argument->name, *argument->text);
            break;
        case ARGUMENT_CHOICE:
            bytes = arguments_word(argument->range, *argument->number, &word);
            BENCH_ASSERT(bytes > 0);
            snprintf(text, sizeof text, "%.*s", bytes, word);
            json_string(json, argument->name, text);
            break;
        case ARGUMENT_COUNT:
        case ARGUMENT_BYTES:
        case ARGUMENT_DURATION:
        case ARGUMENT_FLAG:
            json_integer(json, argument->name, *argument->number);
            break;
        }
    }
    json_object_end(json);
}

static void json_latency(struct json *json, const struct latency *latency, const char *of)
{
    json_object(json, "latency_us");
    json_string(json, "of", of);
    json_integer(json, "samples", latency->count);
    json_decimal(json, "p50", micros(latency, 500000));
    json_decimal(json, "p99", micros(latency, 990000));
    json_decimal(json, "p999", micros(latency, 999000));
    json_decimal(json, "max", (double)latency->max_ns / 1e3);
    json_object_end(json);
}

void result_print_json(const struct result *result, FILE *out)
{
    struct json json = {.out = out};
    BENCH_ASSERT(result->command != NULL && result->table != NULL);
    json_object(&json, NULL);
    json_string(&json, "command", result->command);
    json_string(&json, "commit", bench_commit());
    if (result->library != NULL)
        json_string(&json, "library", result->library);
    json_machine(&json);
    json_options(&json, result->table, result->table_count);
    if (result->broker != NULL)
        json_verbatim(&json, "broker", result->broker);
    json_decimal(&json, "seconds", seconds(result->elapsed_ns));
    json_decimal(&json, "records_per_second", per_second(result, result->records));
    json_decimal(&json, "batches_per_second", per_second(result, result->batches));
    json_decimal(&json, "bytes_per_second", per_second(result, result->bytes));
    if (result->latency != NULL)
        json_latency(&json, result->latency, result->latency_of);
    json_integer(&json, "failed", result->failed);
    json_integer(&json, "waited", result->waited);
    json_decimal(&json, "client_cores", per_second(result, result->client_cpu_ns) / 1e9);
    json_decimal(&json, "client_ns_per_unit", per_unit(result, result->client_cpu_ns));
    json_decimal(&json, "client_user_ns_per_unit", per_unit(result, result->client_user_ns));
    if (result->broker_cpu_ns > 0) {
        json_decimal(&json, "broker_cores", per_second(result, result->broker_cpu_ns) / 1e9);
        json_decimal(&json, "broker_ns_per_unit", per_unit(result, result->broker_cpu_ns));
        json_integer(&json, "broker_resident_bytes", result->broker_resident_bytes);
    }
    for (uint32_t i = 0; i < result->count_count; i++)
        json_integer(&json, result->counts[i].name, result->counts[i].count);
    json_object_end(&json);
    putc('\n', out);
}
