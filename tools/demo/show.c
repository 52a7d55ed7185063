/* SPDX-License-Identifier: Apache-2.0
 *
 * What the demonstration prints. Every figure was counted by sender or readback; nothing is judged
 * but here: show_summary() returns the verdict. Must not change the run.
 */
#include "tools/demo/demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *show_number(uint64_t number, char *ret_text)
{
    char digits[24];
    size_t count = (size_t)snprintf(digits, sizeof digits, "%" PRIu64, number);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            ret_text[used++] = ',';
        ret_text[used++] = digits[i];
    }
    ret_text[used] = '\0';
    return ret_text;
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* Rate; 0 when nothing was measured. */
static uint64_t per_second(uint64_t count, uint64_t ns)
{
    return ns == 0 ? 0 : (uint64_t)((double)count / seconds(ns));
}

static void show_date(uint32_t yyyymmdd, const char *end)
{
    printf("%04u-%02u-%02u%s", yyyymmdd / 10000, yyyymmdd / 100 % 100, yyyymmdd % 100, end);
}

void show_head(const struct demo *demo)
{
    char lines[32], orders[32], skus[32];
    const struct picks *picks = &demo->picks;
    printf("Crossdock demonstration\n\n");
    printf("  picks     %s order lines of %s orders, %s SKUs\n", show_number(picks->count, lines),
           show_number(picks->order_count, orders), show_number(picks->sku_count, skus));
    if (demo->options.picks_path != NULL)
        printf("            from %s\n", demo->options.picks_path);
    else
        printf("            generated from seed %" PRIu64 "\n", demo->options.seed);
    printf("            picked ");
    show_date(picks->rows[0].posting_date, "");
    if (picks->rows[picks->count - 1].posting_date != picks->rows[0].posting_date) {
        printf(" to ");
        show_date(picks->rows[picks->count - 1].posting_date, "");
    }
    printf("; times of day and cartons are made up, flag SYNTHETIC says so\n");
    printf("  broker    pid %d on %s, data in %s\n\n", (int)demo->broker.pid, demo->broker.address,
           demo->broker.data);
    fflush(stdout);
}

void show_event(const struct demo *demo, const char *text)
{
    printf("  %5.1f s  %s\n", seconds(process_now_ns() - demo->started_ns), text);
    fflush(stdout);
}

static void show_row(const char *label, uint64_t number, const char *text)
{
    char digits[32];
    printf("  %-26s %9s%s%s\n", label, show_number(number, digits), *text != '\0' ? "  " : "",
           text);
}

static void show_sending(const struct demo *demo)
{
    char text[160], sent[32];
    const struct sender *sender = &demo->sender;
    show_row("picks in the list", demo->picks.count, "");
    snprintf(text, sizeof text, "in %s batches, %" PRIu64 " of them sent again; %u kills",
             show_number(sender->batches_sent, sent), sender->batches_resent, demo->kill_count);
    show_row("sent", sender->posted, text);
    show_row("  appended", sender->fates[FATE_APPENDED], "acknowledged the first time");
    show_row("  duplicates recognised", sender->fates[FATE_DUPLICATE],
             "were durable, answer lost: sent again, not appended again");
    show_row("  found at resume", sender->fates[FATE_RESUMED],
             "were durable when the restarted program asked");
    uint64_t open = (uint64_t)sender->posted - sender->fates[FATE_APPENDED] -
                    sender->fates[FATE_DUPLICATE] - sender->fates[FATE_RESUMED];
    if (open != 0 || sender->twice != 0) {
        show_row("  WITHOUT AN OUTCOME", open, "");
        show_row("  WITH TWO OUTCOMES", sender->twice, "");
    }
}

static void show_reading(const struct demo *demo)
{
    char text[160], number[32];
    const struct readback *readback = &demo->readback;
    snprintf(text, sizeof text, "%" PRIu64 " missing, %" PRIu64 " doubled, %" PRIu64 " never sent",
             readback->missing, readback->doubled, readback->unknown);
    show_row("read back", readback->read_count, text);
    snprintf(text, sizeof text, "fields unlike the source; %" PRIu64 " not where acknowledged",
             readback->elsewhere);
    show_row("different", readback->different, text);
    snprintf(text, sizeof text,
             "of %s SKUs in sequence, %" PRIu64 " records out of it; %" PRIu64
             " offset gaps in %u partitions",
             show_number(demo->picks.sku_count, number), readback->sku_out_of_sequence,
             readback->offset_gaps, readback->partition_count);
    show_row("sequence per SKU", readback->skus_kept, text);
    if (readback->first[0] != '\0')
        printf("  first difference: %s\n", readback->first);
}

static void show_figures(const struct demo *demo)
{
    char text[160], number[32];
    const struct sender *sender = &demo->sender;
    uint32_t acks = sender->fates[FATE_APPENDED] + sender->fates[FATE_DUPLICATE];
    snprintf(text, sizeof text, "picks/s over %.1f s, paced, trouble included",
             seconds(demo->sending_ns));
    show_row("rate of sending", (uint64_t)((double)sender->posted / seconds(demo->sending_ns)),
             text);
    snprintf(text, sizeof text, "picks/s, compared field by field");
    show_row("rate of reading", per_second(demo->readback.read_count, demo->readback.elapsed_ns),
             text);
    snprintf(text, sizeof text, "of %s acknowledgements name fsync; longest wait %.0f ms (a kill)",
             show_number(acks, number), (double)sender->ack_ns_max / 1e6);
    show_row("durability", acks - sender->weaker, text);
}

bool show_summary(const struct demo *demo)
{
    const struct sender *sender = &demo->sender;
    const struct readback *readback = &demo->readback;
    uint64_t outcomes = (uint64_t)sender->fates[FATE_APPENDED] + sender->fates[FATE_DUPLICATE] +
                        sender->fates[FATE_RESUMED];
    bool whole = readback_faults(readback) == 0 && sender->twice == 0 && sender->weaker == 0 &&
                 outcomes == demo->picks.count && readback->read_count == demo->picks.count;
    printf("\n");
    show_sending(demo);
    show_reading(demo);
    show_figures(demo);
    printf("\n");
    if (!whole)
        printf("FAILED: the log does not hold exactly what was sent, each pick once; see above.\n");
    else if (sender->fates[FATE_DUPLICATE] == 0)
        printf("This run has shown nothing: no duplicate had to be recognised.\n");
    else
        printf("Every pick is in the log once, as sent, in the sequence of its SKU.\n");
    fflush(stdout);
    return whole && sender->fates[FATE_DUPLICATE] > 0;
}

void show_next(const struct demo *demo)
{
    char address[64] = "";
    const struct process *broker = &demo->broker;
    if (broker->port != PROCESS_PORT_DEFAULT)
        snprintf(address, sizeof address, "CROSSDOCK_ADDRESS=%s ", broker->address);
    printf("\nThree commands to try next:\n");
    if (broker->pid == 0 && broker->port != PROCESS_PORT_DEFAULT)
        printf("  %s --data %s --listen %s &\n", broker->program, broker->data, broker->address);
    else if (broker->pid == 0)
        printf("  %s --data %s &\n", broker->program, broker->data);
    printf("  %s%s status\n", address, demo->tool);
    printf("  %s%s read %s --from begin --max 5\n", address, demo->tool, SENDER_TOPIC);
    if (broker->pid != 0)
        printf("  kill %d    # the broker, which was left running\n", (int)broker->pid);
}
