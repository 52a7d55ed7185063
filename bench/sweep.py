#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Cost per record along an axis: partitions touched, or connections. A table and an SVG plot.

  sweep.py --build BUILD [--axis partitions|connections] [--runs N] [--seconds S] [--batch SIZE]
           [--values V,V..] [--plot FILE]

partitions: the broker always has 100,224 of them, and always the same 1,564 connections send: 782
for each of two topics, each with SKUs for all 64 partitions of its topic in one facility. They are
spread over 1, 8, 79 or all 782 facilities, so that only the number of partitions with records
changes from row to row. In the first row each topic has one SKU, and so one partition.
connections: one record per request, 1 to 10,000 connections, all to one facility, written by
`crossdock-bench crowd` from several addresses of loopback.

Each point has a broker of its own on a fresh folder. Broker CPU time and records are those of one
window, taken from the broker while all connections of the loads are open. What is compared is CPU
time per record: the rate of a sweep is bounded by the load programs, which share one core.
"""
import argparse
import os
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
import urllib.request

import broker as brokers

FACILITIES = 782
TOPICS = ('lane1', 'lane2')
WIDTH = 64
# For every partition of the topic to have one of the SKUs, all but surely.
KEYS = 512
# The loads of partitions come from one address.
SETTINGS = ('net.address_strangers_max=0', 'metrics.listen=127.0.0.1:0',
            'log.retention_bytes=4GiB')
PARTITION_SETTINGS = (
    'catalog.partitions_max=131072', 'catalog.facilities_max=1024', 'produce.chains_max=131072',
    'catalog.topics=' + ','.join(f'{topic}:key:{WIDTH}' for topic in TOPICS))
CONNECTION_SETTINGS = ('produce.channels_max=16384', 'produce.chains_max=32768')
CONNECTIONS = (1, 16, 64, 256, 1024, 4096, 10000)
# What rows are compared with: below 64 connections the broker's wake-ups are not shared.
BASE = {'partitions': 1, 'connections': 64}
FLAT_MAX = 1.5
OPEN_SECONDS_MAX = 60
SETTLE_SECONDS = 1.0


# ---- points -----------------------------------------------------------------------------------


def facilities(count):
    return ','.join(f'F{number:04}' for number in range(count))


def partition_points(batch):
    """Axis value and the arguments of the two loads."""
    points = [(len(TOPICS), 1, 1)]
    points += [(len(TOPICS) * WIDTH * count, count, KEYS) for count in (1, 8, 79, FACILITIES)]
    for value, count, keys in points:
        yield value, [['produce', '-t', topic, '-f', facilities(count), '--source', topic, '-k',
                       str(keys), '-c', str(FACILITIES), '--encoded', '-w', '4', '-b', batch]
                      for topic in TOPICS]


def connection_points():
    for count in CONNECTIONS:
        yield count, [['crowd', '-c', str(count), '-n', str(count)]]


def points_of(axis, batch):
    return partition_points(batch) if axis == 'partitions' else connection_points()


def connections_of(loads):
    return sum(int(load[load.index('-c') + 1]) for load in loads)


def settings_of(axis):
    return SETTINGS + (PARTITION_SETTINGS if axis == 'partitions' else CONNECTION_SETTINGS)


# ---- one measurement --------------------------------------------------------------------------


def metric(text, name):
    """Sum over the shards of a metric of the page, whatever its type."""
    found = re.findall(rf'^crossdock_{name}\{{[^}}]*\}} (\S+)$', text, re.MULTILINE)
    if not found:
        raise RuntimeError(f'the broker has no metric {name}')
    return sum(float(value) for value in found)


class Observed(brokers.Broker):
    """A broker that is asked for its counters."""

    def page(self):
        with open(self.log_path, encoding='utf-8') as log:
            address = re.search(r' metrics=(\S+)', log.read()).group(1)
        with urllib.request.urlopen(f'http://{address}/metrics', timeout=20) as answer:
            return answer.read().decode()

    def resident_bytes(self):
        with open(f'/proc/{self.process.pid}/statm', encoding='ascii') as file:
            return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def counters(self):
        page = self.page()
        return {'ns': self.cpu_ns(), 'time': time.monotonic(),
                'records': metric(page, 'records_appended_total')}


def difference(before, after):
    """Figures of the window between two readings of the counters."""
    records = after['records'] - before['records']
    if records <= 0:
        raise RuntimeError('no record was appended in the window')
    return {'ns': (after['ns'] - before['ns']) / records,
            'records': records / (after['time'] - before['time'])}


def prepared(build, address):
    """All facilities exist at every point, so that the catalog is the same."""
    for topic in TOPICS:
        brokers.run_bench(build, ['produce', '-a', address, '-t', topic, '-f',
                                  facilities(FACILITIES), '-c', str(FACILITIES),
                                  '--source', 'first', '-d', '1ms', '--warmup', '0'])


def wait_until_sending(running, programs, connections):
    """All connections are open, and records have been appended for a while since."""
    end = time.monotonic() + OPEN_SECONDS_MAX
    while time.monotonic() < end:
        page = running.page()
        if (metric(page, 'connections_open') >= connections
                and metric(page, 'records_appended_total') > 0):
            time.sleep(SETTLE_SECONDS)
            return
        for program in programs:
            if program.poll() is not None:
                raise RuntimeError('a load ended early: ' + program.stderr.read()[-1000:])
        time.sleep(0.2)
    raise RuntimeError(f'not all {connections} connections were made')


def window(build, running, loads, seconds):
    common = ['-a', running.address, '-d', '60m', '--warmup', '0', '--cpu',
              str(brokers.CLIENT_CPU)]
    programs = []
    try:
        for load in loads:
            programs.append(subprocess.Popen(brokers.bench_command(build, load + common),
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                             text=True))
        wait_until_sending(running, programs, connections_of(loads))
        before = running.counters()
        time.sleep(seconds)
        figure = difference(before, running.counters())
        figure['resident'] = running.resident_bytes()
        return figure
    finally:
        for program in programs:
            program.send_signal(signal.SIGKILL)
            program.communicate()


def measure(build, folder, axis, loads, seconds):
    place = tempfile.mkdtemp(dir=folder)
    try:
        running = Observed(build, os.path.join(place, 'data'), settings_of(axis))
        try:
            if axis == 'partitions':
                prepared(build, running.address)
            return window(build, running, loads, seconds)
        finally:
            running.end()
    finally:
        shutil.rmtree(place)


def sweep(arguments):
    """Rows of axis value, broker ns per record, records per second, resident bytes: medians."""
    axis, rows = arguments.axis, []
    for value, loads in points_of(axis, arguments.batch):
        if arguments.values and value not in arguments.values:
            continue
        figures = [measure(arguments.build, arguments.folder, axis, loads, arguments.seconds)
                   for _ in range(arguments.runs)]
        row = {name: statistics.median(figure[name] for figure in figures) for name in figures[0]}
        row.update(value=value, low=min(figure['ns'] for figure in figures),
                   high=max(figure['ns'] for figure in figures))
        rows.append(row)
        print(f'{value:>9,} {axis}: {row["ns"]:7.0f} ns/record ({row["low"]:.0f}-{row["high"]:.0f})'
              f'  {row["records"] / 1e6:6.2f} M records/s  {row["resident"] / 2**20:6.0f} MiB',
              flush=True)
    return rows


# ---- table and plot ---------------------------------------------------------------------------


def base_of(axis, rows):
    """The row that others are compared with."""
    return next((row for row in rows if row['value'] >= BASE[axis]), rows[0])


def table(axis, rows):
    base = base_of(axis, rows)
    lines = [f'| {axis} | broker ns per record: median (range) | to {base["value"]:,} | '
             'M records/s | MiB resident |', '|---|---|---|---|---|']
    for row in rows:
        lines.append(f'| {row["value"]:,} | {row["ns"]:.0f} ({row["low"]:.0f}-{row["high"]:.0f}) | '
                     f'{row["ns"] / base["ns"]:.2f} | {row["records"] / 1e6:.3f} | '
                     f'{row["resident"] / 2**20:.0f} |')
    worst = max(row['ns'] / base['ns'] for row in rows if row['value'] >= base['value'])
    lines += ['', f'Worst {worst:.2f}, target {FLAT_MAX}: '
              + ('met.' if worst <= FLAT_MAX else 'MISSED.')]
    return '\n'.join(lines)


def tick_of(highest):
    """Distance of lines of the grid: 1, 2 or 5 times a power of ten, at most six of them."""
    for power in range(-3, 12):
        for digit in (1, 2, 5):
            if highest / (digit * 10 ** power) <= 6:
                return digit * 10 ** power
    raise ValueError(f'{highest} is beyond any plot')


def text(x, y, content, *, anchor='middle', extra=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{content}</text>'


def line(x1, y1, x2, y2, look):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look}/>'


def svg(title, axis, rows):
    """ns per record over the values in equal steps, with ranges and the bound that is aimed at."""
    width, height, left, right, top, bottom = 680, 360, 70, 24, 44, 56
    base = base_of(axis, rows)
    bound = base['ns'] * FLAT_MAX
    highest = 1.1 * max(bound, *(row['high'] for row in rows))
    step = (width - left - right - 60) / max(1, len(rows) - 1)

    def y_of(value):
        return height - bottom - value / highest * (height - bottom - top)

    points = [(left + 30 + i * step, y_of(row['ns'])) for i, row in enumerate(rows)]
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
           f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" role="img">',
           f'<title>{title}</title>', '<rect width="100%" height="100%" fill="white"/>',
           text(left, 24, title, anchor='start', extra=' font-size="15"')]
    for i in range(int(highest / tick_of(highest)) + 1):
        value = i * tick_of(highest)
        out += [line(left, y_of(value), width - right, y_of(value),
                     'stroke="black"' if i == 0 else 'stroke="#dddddd"'),
                text(left - 8, y_of(value) + 4, f'{value:,g}', anchor='end')]
    out += [line(left, top, left, y_of(0), 'stroke="black"'),
            line(left, y_of(bound), width - right, y_of(bound),
                 'stroke="firebrick" stroke-dasharray="5 4"'),
            text(width - right, y_of(bound) - 5, f'{FLAT_MAX} x that of {base["value"]:,}',
                 anchor='end', extra=' fill="firebrick"'),
            '<polyline fill="none" stroke="steelblue" stroke-width="2" points="'
            + ' '.join(f'{x:.1f},{y:.1f}' for x, y in points) + '"/>']
    for (x, y), row in zip(points, rows):
        out += [line(x, y_of(row['low']), x, y_of(row['high']), 'stroke="steelblue"'),
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="steelblue"/>',
                text(x, y_of(row['high']) - 7, f'{row["ns"]:,.0f}'),
                text(x, height - bottom + 18, f'{row["value"]:,}')]
    out += [text((left + width - right) / 2, height - 12, axis),
            text(18, (top + height - bottom) / 2, 'broker CPU, ns per record',
                 extra=f' transform="rotate(-90 18 {(top + height - bottom) / 2:.1f})"'), '</svg>']
    return '\n'.join(out) + '\n'


def title_of(axis, batch):
    if axis == 'partitions':
        return f'CPU time of the broker per record, batches of {batch}'
    return 'CPU time of the broker per record, one record per request'


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n', maxsplit=1)[0])
    parser.add_argument('--build', required=True, help='a release build')
    parser.add_argument('--axis', choices=('partitions', 'connections'), default='partitions')
    parser.add_argument('--values', type=lambda list_: {int(value) for value in list_.split(',')},
                        help='only these points of the axis')
    parser.add_argument('--batch', default='4KiB', help='partitions: size of a batch')
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--seconds', type=int, default=4)
    parser.add_argument('--folder', default='/var/tmp', help='where data is written')
    parser.add_argument('--plot', help='SVG file to write')
    arguments = parser.parse_args()
    brokers.clean_up_on_term()
    rows = sweep(arguments)
    if not rows:
        parser.error('the axis has none of these values')
    print('\n' + table(arguments.axis, rows))
    if arguments.plot:
        with open(arguments.plot, 'w', encoding='utf-8') as file:
            file.write(svg(title_of(arguments.axis, arguments.batch), arguments.axis, rows))


if __name__ == '__main__':
    main()
