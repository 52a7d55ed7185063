#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sweep's arithmetic: counters of all shards are added up, a window is the difference of two
readings, rows are held to the right one, the verdict is that of the worst row, and the plot is
well-formed and shows every point. Prints TAP."""
import os
import sys
import xml.etree.ElementTree as xml

import sweep

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tests/support'))
import tap  # behind its path

PAGE = '''# HELP crossdock_records_appended_total records
crossdock_records_appended_total{shard="0"} 120
crossdock_records_appended_total{shard="1"} 3e1
crossdock_records_appended_total_of_others{shard="0"} 7
'''
ROWS = [{'value': value, 'ns': ns, 'low': ns - 10, 'high': ns + 10, 'records': 1.5e6,
         'resident': 2**30} for value, ns in ((2, 200), (128, 190), (100096, 240))]


def adds_up_a_metric_over_the_shards():
    assert sweep.metric(PAGE, 'records_appended_total') == 150


def refuses_a_page_without_the_metric():
    for name in ('records', 'records_appended_total_of'):
        try:
            sweep.metric(PAGE, name)
        except RuntimeError as error:
            assert name in str(error)
        else:
            raise AssertionError('accepted')


def takes_a_window_as_the_difference_of_two_readings():
    before = {'ns': 1000, 'time': 10.0, 'records': 500}
    after = {'ns': 61000, 'time': 12.0, 'records': 800}
    assert sweep.difference(before, after) == {'ns': 200.0, 'records': 150.0}


def refuses_a_window_without_records():
    same = {'ns': 1, 'time': 1.0, 'records': 5}
    try:
        sweep.difference(same, same)
    except RuntimeError:
        return
    raise AssertionError('accepted')


def changes_nothing_but_the_partitions_along_their_axis():
    points = list(sweep.partition_points('4KiB'))
    assert [value for value, _ in points] == [2, 128, 1024, 10112, 100096]
    assert {sweep.connections_of(loads) for _, loads in points} == {1564}
    for value, loads in points[1:]:
        used = {(load[2], name) for load in loads for name in load[4].split(',')}
        assert len(used) * sweep.WIDTH == value


def compares_with_the_first_row_of_partitions_and_that_of_64_connections():
    assert sweep.base_of('partitions', ROWS)['value'] == 2
    rows = [{'value': value} for value in (1, 16, 64, 1024)]
    assert sweep.base_of('connections', rows)['value'] == 64
    assert sweep.base_of('connections', rows[:2])['value'] == 1


def says_what_the_worst_row_is_worth():
    text = sweep.table('partitions', ROWS)
    assert '| 100,096 | 240 (230-250) | 1.20 | 1.500 | 1024 |' in text
    assert text.endswith('Worst 1.20, target 1.5: met.')
    worse = ROWS[:2] + [{**ROWS[2], 'ns': 301}]
    assert sweep.table('partitions', worse).endswith('Worst 1.50, target 1.5: MISSED.')


def counts_no_row_below_the_one_that_is_compared_with():
    rows = [{**ROWS[0], 'value': value, 'ns': ns}
            for value, ns in ((1, 900), (64, 100), (256, 120))]
    assert sweep.table('connections', rows).endswith('Worst 1.20, target 1.5: met.')


def rules_the_plot_with_round_numbers():
    for highest, tick in ((360, 100), (6, 1), (6.1, 2), (12345, 5000), (0.5, 0.1)):
        assert abs(sweep.tick_of(highest) - tick) < 1e-9, highest


def draws_every_point_inside_the_picture():
    for rows in (ROWS, ROWS[:1]):
        root = xml.fromstring(sweep.svg('Title', 'partitions', rows))
        space = '{http://www.w3.org/2000/svg}'
        width, height = float(root.get('width')), float(root.get('height'))
        circles = root.findall(space + 'circle')
        assert len(circles) == len(rows)
        assert all(0 < float(c.get('cx')) < width and 0 < float(c.get('cy')) < height
                   for c in circles)
        texts = [element.text for element in root.findall(space + 'text')]
        assert {f'{row["value"]:,}' for row in rows} <= set(texts)
        assert 'partitions' in texts and 'broker CPU, ns per record' in texts


def draws_higher_what_costs_more():
    root = xml.fromstring(sweep.svg('Title', 'partitions', ROWS))
    heights = [float(c.get('cy')) for c in root.iter('{http://www.w3.org/2000/svg}circle')]
    assert heights[1] > heights[0] > heights[2]


CASES = [adds_up_a_metric_over_the_shards, refuses_a_page_without_the_metric,
         takes_a_window_as_the_difference_of_two_readings, refuses_a_window_without_records,
         changes_nothing_but_the_partitions_along_their_axis,
         compares_with_the_first_row_of_partitions_and_that_of_64_connections,
         says_what_the_worst_row_is_worth, counts_no_row_below_the_one_that_is_compared_with,
         rules_the_plot_with_round_numbers, draws_every_point_inside_the_picture,
         draws_higher_what_costs_more]


if __name__ == '__main__':
    sys.exit(tap.run(CASES))
