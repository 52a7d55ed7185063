#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner's arithmetic: limit lines are read in the right units, medians do not hide their
range, and only what stands between the markers of a page is replaced. Prints TAP."""
import sys
import traceback

import run

MB3 = ('fsync dgrp   plain C=8    W=16  F=65536  M=256  R=0       L=0    K=0 |    61000 frames/s  '
       '15.616 Mmsg/s  3997.7 MB/s ack p50   1900 p99   3100 p999   4000 max   9000 us | client')
ST = ('dire dsync  zero uring b=1048576 q=8  f=0 |     3100 batch/s    3251 MB/s  p50   2400 p99   '
      '3000 p999    5000 us | cpu')


def reads_the_line_of_the_mock_broker():
    found = run.parse_limit('mb3', MB3)
    assert found == {'frames': 61.0, 'records': 15.616, 'bytes': 3997.7, 'p50': 1900.0,
                     'p99': 3100.0}


def reads_the_line_of_the_raw_append():
    found = run.parse_limit('st', ST)
    assert (found['bytes'], found['frames'], found['p50']) == (3251.0, 3.1, 2400.0)


def refuses_output_without_a_result():
    try:
        run.parse_limit('mb3', 'ring -12 errno=Cannot allocate memory')
    except RuntimeError as error:
        assert 'Cannot allocate' in str(error)
    else:
        raise AssertionError('accepted')


def gives_our_figures_in_the_units_of_the_limits():
    found = run.parse_ours({'bytes_per_second': 4e9, 'records_per_second': 15.6e6,
                            'latency_us': {'p50': 180.5, 'p99': 300.0}})
    assert found == {'bytes': 4000.0, 'records': 15.6, 'frames': 15600.0, 'p50': 180.5,
                     'p99': 300.0}


def takes_the_median_and_keeps_the_range():
    numbers = run.summary([10.0, 11.0, 9.0, 10.5, 12.0])
    assert (numbers['median'], numbers['low'], numbers['high']) == (10.5, 9.0, 12.0)
    assert not numbers['noisy']


def calls_a_wide_range_noisy_in_the_table():
    numbers = run.summary([10.0, 11.0, 9.0, 10.5, 14.0])
    assert numbers['noisy']
    assert run.cell(numbers) == '10.50 (9.00-14.00) noisy'


def counts_what_others_use_of_the_cores():
    before = 'cpu  100 0 100 1000 50 0 0 0 0 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n'
    after = 'cpu  180 0 120 1080 70 0 0 0 0 0\ncpu0 1 0\ncpu1 1 0\nintr 5\n'
    ticks = run.os.sysconf('SC_CLK_TCK')
    assert abs(run.busy_cores(before, after, 100 / ticks) - 1.0) < 1e-9
    assert abs(run.busy_cores(before, before, 1.0) - 2.0) < 1e-9


def replaces_only_what_stands_between_the_markers():
    page = f'# Top\n{run.BEGIN}\nold\n{run.END}\n## Method\n'
    assert run.replace_marked(page, 'new') == f'# Top\n{run.BEGIN}\nnew\n{run.END}\n## Method\n'


def refuses_a_page_without_markers():
    for page in ('# Top\n', f'{run.END}\n{run.BEGIN}\n'):
        try:
            run.replace_marked(page, 'new')
        except ValueError:
            continue
        raise AssertionError('accepted')


CASES = [reads_the_line_of_the_mock_broker, reads_the_line_of_the_raw_append,
         refuses_output_without_a_result, gives_our_figures_in_the_units_of_the_limits,
         takes_the_median_and_keeps_the_range, calls_a_wide_range_noisy_in_the_table,
         counts_what_others_use_of_the_cores, replaces_only_what_stands_between_the_markers,
         refuses_a_page_without_markers]


def main():
    failed = 0
    print(f'1..{len(CASES)}')
    for number, case in enumerate(CASES, 1):
        try:
            case()
        except Exception:  # any failure of a case is its result
            failed += 1
            print(f'not ok {number} - {case.__name__}')
            print('# ' + traceback.format_exc().replace('\n', '\n# '))
        else:
            print(f'ok {number} - {case.__name__}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
