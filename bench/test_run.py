#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner's arithmetic: limit lines are read in the right units, medians do not hide their
range, a target is met or missed by what was measured, and only what stands between the markers of
a page is replaced. And its table of rows: each can be run and is held to something. Prints TAP."""
import os
import sys

import figures
import rows
import run

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/support'))
import tap  # behind its path

MB3 = ('fsync dgrp   plain C=8    W=16  F=65536  M=256  R=0       L=0    K=0 |    61000 frames/s  '
       '15.616 Mmsg/s  3997.7 MB/s ack p50   1900 p99   3100 p999   4000 max   9000 us | client')
MB3_BROKER = ('   broker: frames 140300 bad 0 dup 0 commits/s 5000 writes/s 5000 '
              'avgcommit 780.2 KB loops/s 9000 cqe/loop 7.1 stall 0 | cpu 0.97 cores  '
              'us/frame 16.00\n')
NET = ('mshot  FANOUT nc=4 F=524288 BS=65536  NB=32768 wb=1 |    4.31 GB/s  op/s   8220 '
       'avg 524288 B  enters/s    8100 rearm/notif 0 | broker cpu 0.98  ns/KB 232.5 GB/s/core 4.40')
COLD = ('scan     b=1048576 q=8  |    2.61 GB/s      2489 io/s p50   3100 p99   5200 us cpu 0.11 '
        '(GB/s/core 23.7) recs/s 0.00M bad 0')
ST = ('dire dsync  zero uring b=1048576 q=8  f=0 |     3100 batch/s    3251 MB/s  p50   2400 p99   '
      '3000 p999    5000 us | cpu')


def reads_the_line_of_the_mock_broker():
    found = figures.parse_limit('mb3', MB3)
    assert found == {'frames': 61.0, 'records': 15.616, 'bytes': 3997.7, 'p50': 1900.0,
                     'p99': 3100.0}


def reads_what_the_mock_broker_says_of_its_cpu():
    assert figures.parse_limit('mb3', MB3_BROKER + MB3)['broker_ns'] == 62.5  # of 256 records


def tells_what_the_mock_broker_sent_from_what_it_took():
    found = figures.parse_limit('mb3', MB3 + ' fanout 1200.5 MB/s\n')
    assert (found['bytes'], found['produced']) == (1200.5, 3997.7)


def reads_the_lines_of_senders_and_scans_in_megabytes():
    assert figures.parse_limit('net', NET) == {'bytes': 4310.0, 'broker_kib': 232.5}
    found = figures.parse_limit('cold', COLD)
    assert (round(found['bytes']), found['p50'], found['p99']) == (2610, 3100.0, 5200.0)


def reads_the_line_of_the_raw_append():
    found = figures.parse_limit('st', ST)
    assert (found['bytes'], found['frames'], found['p50']) == (3251.0, 3.1, 2400.0)


def refuses_output_without_a_result():
    try:
        figures.parse_limit('mb3', 'ring -12 errno=Cannot allocate memory')
    except RuntimeError as error:
        assert 'Cannot allocate' in str(error)
    else:
        raise AssertionError('accepted')


def gives_our_figures_in_the_units_of_the_limits():
    found = figures.parse_ours({'bytes_per_second': 4e9, 'records_per_second': 15.6e6,
                            'latency_us': {'p50': 180.5, 'p99': 300.0}})
    assert found == {'bytes': 4000.0, 'records': 15.6, 'frames': 15600.0, 'p50': 180.5,
                     'p99': 300.0}
    found = figures.parse_ours({'bytes_per_second': 2048.0, 'records_per_second': 8.0,
                                'client_user_ns_per_unit': 140.0, 'broker_ns_per_unit': 60.0,
                                'broker_cores': 0.5})
    assert (found['client_ns'], found['broker_ns']) == (140.0, 60.0)
    assert found['broker_kib'] == 0.25e9


def takes_the_median_and_keeps_the_range():
    numbers = figures.summary([10.0, 11.0, 9.0, 10.5, 12.0])
    assert (numbers['median'], numbers['low'], numbers['high']) == (10.5, 9.0, 12.0)
    assert not numbers['noisy']


def calls_a_wide_range_noisy_in_the_table():
    numbers = figures.summary([10.0, 11.0, 9.0, 10.5, 14.0])
    assert numbers['noisy']
    assert figures.cell(numbers) == '10.50 (9.00-14.00) noisy'


def keeps_figures_that_all_runs_have():
    assert set(figures.summaries([{'p50': 1.0, 'p99': 2.0}, {'p50': 1.5}])) == {'p50'}
    assert figures.summaries([]) == {}


def verdict_of(target, ours, limit):
    return figures.judged(target, {name: figures.summary([value]) for name, value in ours.items()},
                          {name: figures.summary([value]) for name, value in limit.items()})


def judges_a_rate_by_the_limit_of_the_same_run():
    target = rows.least('bytes', 0.7)
    assert verdict_of(target, {'bytes': 70.0}, {'bytes': 100.0})['met']
    missed = verdict_of(target, {'bytes': 69.0}, {'bytes': 100.0})
    assert not missed['met'] and missed['value'] == 0.69
    assert figures.target_cell(missed) == 'rate >= 0.7 x limit: **0.69, missed**'


def judges_a_time_that_must_not_be_longer():
    target = rows.most('p50', 1.3, 'p50')
    assert verdict_of(target, {'p50': 130.0}, {'p50': 100.0})['met']
    assert not verdict_of(target, {'p50': 131.0}, {'p50': 100.0})['met']


def judges_a_figure_that_stands_alone():
    target = rows.Target('cores', '<=', 0.01, False, 'cores')
    met = verdict_of(target, {'cores': 0.0005}, {})
    assert met['met'] and figures.target_cell(met) == 'cores <= 0.01: 0.0005'


def does_not_meet_a_target_that_was_not_measured():
    target = rows.least('bytes', 0.7)
    assert not verdict_of(target, {}, {'bytes': 100.0})['met']
    assert not verdict_of(target, {'bytes': 100.0}, {})['met']
    assert 'not measured' in figures.target_cell(verdict_of(target, {}, {}))


def shows_targets_and_both_costs_in_the_table():
    ours = {'bytes': figures.summary([80.0]), 'broker_ns': figures.summary([61.0])}
    limit = {'bytes': figures.summary([100.0]), 'broker_ns': figures.summary([50.0])}
    targets = [figures.judged(rows.least('bytes', 0.7), ours, limit)]
    text = figures.table([{'text': 'work', 'figure': 'bytes', 'ours': ours, 'limit': limit,
                           'targets': targets, 'command': 'do'}])
    assert text.splitlines()[2] == ('| work | MB/s | 80.00 (80.00-80.00) | 100 (100-100) '
                                    '| rate >= 0.7 x limit: 0.80 | 61.00, 50.00 | `do` |')


def knows_how_to_run_each_row_and_what_it_is_held_to():
    names = [row.name for row in rows.ROWS]
    assert len(set(names)) == len(names)
    for row in rows.ROWS:
        assert row.kind in run.KINDS, row.name
        assert row.figure in rows.UNITS, row.name
        assert row.targets, row.name
        assert not row.program or row.program in figures.LINES, row.name


def adds_up_the_threads_of_a_process():
    assert figures.process_cpu_ns(['1500 20 3\n', '500 1 1\n']) == 2000


def counts_what_others_use_of_the_cores():
    before = 'cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n'
    after = 'cpu  180 0 120 1080 70 0 0 0 0 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n'
    ticks = figures.os.sysconf('SC_CLK_TCK')
    assert abs(figures.busy_cores(before, after, 100 / ticks) - 1.0) < 1e-9
    assert abs(figures.busy_cores(before, before, 1.0) - 2.0) < 1e-9


def replaces_only_what_stands_between_the_markers():
    page = f'# Top\n{figures.BEGIN}\nold\n{figures.END}\n## Method\n'
    assert figures.replace_marked(page, 'new') == page.replace('old', 'new')


def refuses_a_page_without_markers():
    for page in ('# Top\n', f'{figures.END}\n{figures.BEGIN}\n'):
        try:
            figures.replace_marked(page, 'new')
        except ValueError:
            continue
        raise AssertionError('accepted')


CASES = [reads_the_line_of_the_mock_broker, reads_what_the_mock_broker_says_of_its_cpu,
         tells_what_the_mock_broker_sent_from_what_it_took,
         reads_the_lines_of_senders_and_scans_in_megabytes,
         reads_the_line_of_the_raw_append, refuses_output_without_a_result,
         gives_our_figures_in_the_units_of_the_limits,
         takes_the_median_and_keeps_the_range, calls_a_wide_range_noisy_in_the_table,
         keeps_figures_that_all_runs_have, judges_a_rate_by_the_limit_of_the_same_run,
         judges_a_time_that_must_not_be_longer, judges_a_figure_that_stands_alone,
         does_not_meet_a_target_that_was_not_measured,
         shows_targets_and_both_costs_in_the_table,
         knows_how_to_run_each_row_and_what_it_is_held_to,
         adds_up_the_threads_of_a_process, counts_what_others_use_of_the_cores,
         replaces_only_what_stands_between_the_markers, refuses_a_page_without_markers]


if __name__ == '__main__':
    sys.exit(tap.run(CASES))
