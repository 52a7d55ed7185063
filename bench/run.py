#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Crossdock against the machine's limits: limit, ours, limit, ours ... in one run.

  run.py --build DIR --limits DIR [--rows NAME,...] [--runs N] [--seconds S]
         [--wait-quiet S] [--work DIR] [--json FILE] [--update FILE]

--build is a release build; --limits holds the sources of the limit programs, which are compiled
into the work folder. Each does one piece of the broker's work and nothing else: mb3 is an
end-to-end mock broker, st a raw append. Medians and ranges of the runs are printed as a table. The
repository is written to only with --update, between the markers of that file.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

import broker

RUNS_MIN = 5
# A range wider than this share of the median makes a figure noisy.
NOISE_MAX = 0.3
# Others may use this much of the CPUs, looked at for this long.
QUIET_CORES, QUIET_SECONDS = 0.2, 1.0
BEGIN, END = '<!-- bench: begin -->', '<!-- bench: end -->'
MB3_LINE = re.compile(r'(?P<frames>\d+) frames/s +(?P<records>[\d.]+) Mmsg/s +(?P<bytes>[\d.]+) '
                      r'MB/s ack p50 +(?P<p50>\d+) p99 +(?P<p99>\d+)')
ST_LINE = re.compile(r'(?P<frames>\d+) batch/s +(?P<bytes>\d+) MB/s +p50 +(?P<p50>\d+) '
                     r'p99 +(?P<p99>\d+)')


class Row(NamedTuple):
    name: str     # on the command line
    text: str     # what is done
    ours: list    # arguments of crossdock-bench
    program: str  # limit program
    limit: list   # its arguments
    figure: str   # "bytes" (MB/s), "records" (M/s), "frames" (k/s) or "p50" (us)


ROWS = [
    Row('batches', '64 KiB batches of 256 B, 8 connections x 16 in flight',
        ['produce', '--encoded', '-c', '8', '-w', '16'],
        'mb3', ['-c', '8', '-w', '16', '-f', '65536', '-m', '256', '-D', 'fsync'], 'bytes'),
    Row('post', '256 B records posted one by one, one producer',
        ['produce', '--post', '-c', '1', '-w', '16'],
        'mb3', ['-c', '1', '-w', '16', '-f', '65536', '-m', '256', '-D', 'fsync'], 'records'),
    Row('one', 'one 256 B record per request, one connection',
        ['produce', '--send', '-c', '1'],
        'mb3', ['-c', '1', '-w', '1', '-f', '256', '-m', '256', '-D', 'fsync'], 'p50'),
    Row('one64', 'one 256 B record per request, 64 connections',
        ['produce', '--send', '-c', '64'],
        'mb3', ['-c', '64', '-w', '1', '-f', '256', '-m', '256', '-D', 'fsync'], 'frames'),
    Row('disk', 'append through the log alone, 64 KiB batches in blocks of up to 1 MiB, dsync',
        ['disk', '-w', '128', '--sync', 'dsync'],
        'st', ['-m', 'direct', '-s', 'dsync', '-p', 'zero', '-b', '1048576', '-q', '8'], 'bytes'),
]
UNITS = {'bytes': 'MB/s', 'records': 'M records/s', 'frames': 'k requests/s', 'p50': 'us, p50'}
LIBRARIES = ['-luring', '-lpthread', '-llz4']


# ---- figures -----------------------------------------------------------------------------------

def parse_limit(program, output):
    """Figures of a limit program's result line, in the units of UNITS."""
    match = (ST_LINE if program == 'st' else MB3_LINE).search(output)
    if not match:
        raise RuntimeError(f'{program} printed no result: {output[-500:]}')
    found = {name: float(text) for name, text in match.groupdict().items()}
    found['frames'] /= 1e3
    return found


def parse_ours(result):
    """The same figures of a result of crossdock-bench."""
    return {'bytes': result['bytes_per_second'] / 1e6,
            'records': result['records_per_second'] / 1e6,
            'frames': result['records_per_second'] / 1e3,
            'p50': result['latency_us']['p50'], 'p99': result['latency_us']['p99']}


def summary(values):
    """Median and range, and whether the range is too wide to lean on."""
    middle = statistics.median(values)
    low, high = min(values), max(values)
    return {'median': middle, 'low': low, 'high': high, 'runs': len(values),
            'noisy': middle == 0 or (high - low) / middle > NOISE_MAX}


def shown(value):
    return f'{value:.0f}' if value >= 100 else f'{value:.2f}'


def cell(numbers):
    text = f'{shown(numbers["median"])} ({shown(numbers["low"])}-{shown(numbers["high"])})'
    return text + (' noisy' if numbers['noisy'] else '')


def table(results):
    """Markdown rows: work, ours, limit, ratio, CPU."""
    lines = ['| work | unit | ours: median (range) | limit: median (range) | ours / limit '
             '| broker ns per record | command |', '|---|---|---|---|---|---|---|']
    for result in results:
        cpu = result['broker_ns']
        lines.append(f'| {result["text"]} | {result["unit"]} | {cell(result["ours"])} '
                     f'| {cell(result["limit"])} | {result["ratio"]:.2f} '
                     f'| {"-" if cpu is None else f"{cpu:.0f}"} | `{result["command"]}` |')
    return '\n'.join(lines)


def replace_marked(text, inside):
    """The text with what stands between the markers replaced."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f'the file has no markers {BEGIN} and {END}')
    return text[:begin + len(BEGIN)] + '\n' + inside + '\n' + text[end:]


def busy_cores(before, after, seconds):
    """Cores that were not idle between two texts of /proc/stat."""
    ticks = os.sysconf('SC_CLK_TCK')
    idle = [sum(int(word) for word in text.split()[4:6]) for text in (before, after)]
    cores = sum(line.startswith('cpu') for line in before.splitlines()) - 1
    return cores - (idle[1] - idle[0]) / ticks / seconds


# ---- running -----------------------------------------------------------------------------------

def build_limits(folder, work):
    """Compiles the limit programs that the rows name. Their warnings are not ours."""
    paths = {}
    for program in sorted({row.program for row in ROWS}):
        paths[program] = os.path.join(work, program)
        subprocess.run(['cc', '-O3', '-march=native', '-w', os.path.join(folder, program + '.c'),
                        '-o', paths[program], *LIBRARIES], check=True)
    return paths


def run_limit(row, programs, work, seconds):
    folder = os.path.join(work, 'limit')
    arguments = [*row.limit, '-d', folder, '-t', str(seconds)]
    if row.program == 'st':
        arguments += ['-B', str(1 << 30)]
    pinned = ['taskset', '-c', str(broker.BROKER_CPU)] if row.program == 'st' else []
    done = subprocess.run([*pinned, programs[row.program], *arguments], capture_output=True,
                          text=True, timeout=300, check=True)
    return parse_limit(row.program, done.stdout)


def run_ours(row, build, server, work, seconds):
    if row.ours[0] == 'disk':
        folder = tempfile.mkdtemp(dir=work)
        arguments = [*row.ours, '-f', os.path.join(folder, 'log'), '--cpu', str(broker.BROKER_CPU)]
    else:
        folder = None
        arguments = [*row.ours, '-a', server.address, '--cpu', str(broker.CLIENT_CPU),
                     '--broker-pid', str(server.process.pid)]
    result = broker.run_bench(build, [*arguments, '-d', f'{int(seconds * 1000)}ms'])
    if folder:
        shutil.rmtree(folder)
    return result


def wait_quiet(seconds_max):
    """Waits until others leave the CPUs alone, at most that long. Returns the cores they use."""
    end = time.monotonic() + seconds_max
    while True:
        with open('/proc/stat', encoding='ascii') as file:
            before = file.read()
        time.sleep(QUIET_SECONDS)
        with open('/proc/stat', encoding='ascii') as file:
            busy = busy_cores(before, file.read(), QUIET_SECONDS)
        if busy < QUIET_CORES or time.monotonic() >= end:
            return busy


def measure(row, args, programs, server, work):
    """Limit and ours in turn. Both figures, their ratio, and what the broker's core did."""
    limits, ours, cpu, busy = [], [], [], []
    for run in range(args.runs):
        busy.append(wait_quiet(args.wait_quiet))
        limits.append(run_limit(row, programs, work, args.seconds))
        result = run_ours(row, args.build, server, work, args.seconds)
        ours.append(parse_ours(result))
        cpu.append(result.get('broker_ns_per_unit'))
        print(f'{row.name} {run + 1}/{args.runs}: limit {shown(limits[-1][row.figure])}, '
              f'ours {shown(ours[-1][row.figure])} {UNITS[row.figure]}; others used '
              f'{busy[-1]:.1f} cores', file=sys.stderr)
    limit = summary([figures[row.figure] for figures in limits])
    own = summary([figures[row.figure] for figures in ours])
    return {'name': row.name, 'text': row.text, 'unit': UNITS[row.figure], 'ours': own,
            'limit': limit, 'ratio': own['median'] / limit['median'] if limit['median'] else 0,
            'ours_p99_us': summary([figures['p99'] for figures in ours]),
            'limit_p99_us': summary([figures['p99'] for figures in limits]),
            'others_cores': statistics.median(busy),
            'broker_ns': statistics.median(cpu) if None not in cpu else None,
            'command': 'crossdock-bench ' + ' '.join(row.ours),
            'limit_command': ' '.join([row.program, *row.limit]),
            'commit': result['commit'], 'machine': result['machine']}


def run_rows(args, rows, work):
    programs = build_limits(args.limits, work)
    server = broker.Broker(args.build, os.path.join(work, 'data'), ['log.retention_bytes=4GiB'])
    try:
        return [measure(row, args, programs, server, work) for row in rows]
    finally:
        server.end()


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True, help='release build of the project')
    parser.add_argument('--limits', required=True, help='folder of the limit programs')
    parser.add_argument('--rows', help='names by commas, default all: '
                        + ', '.join(row.name for row in ROWS))
    parser.add_argument('--runs', type=int, default=RUNS_MIN, help=f'at least {RUNS_MIN}')
    parser.add_argument('--seconds', type=float, default=2.0, help='of one run, default 2')
    parser.add_argument('--wait-quiet', type=float, default=0.0, metavar='S',
                        help='wait up to S seconds before each pair for an idle machine')
    parser.add_argument('--work', help='folder on the disk to measure')
    parser.add_argument('--json', help='write all figures there')
    parser.add_argument('--update', help='put the table between the markers of this file')
    args = parser.parse_args()
    if args.runs < RUNS_MIN:
        parser.error(f'--runs: medians want {RUNS_MIN} runs or more')
    known = {row.name: row for row in ROWS}
    names = args.rows.split(',') if args.rows else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f'--rows: there is no {", ".join(unknown)}; known: {", ".join(known)}')
    return args, [known[name] for name in names]


def caption(results):
    machine = results[0]['machine']
    day = time.strftime('%Y-%m-%d', time.gmtime())
    return (f'Measured {day} at commit {results[0]["commit"]} on '
            f'{machine["cpu"]}, {machine["cpus"]} CPUs, {machine["memory_bytes"] >> 30} GiB, Linux '
            f'{machine["kernel"]}; {results[0]["ours"]["runs"]} runs each. '
            f'Cores used by others before the runs, at worst: '
            f'{max(result["others_cores"] for result in results):.1f} (0: quiet).')


def main():
    args, rows = parse_arguments()
    broker.clean_up_on_term()
    if args.work:
        os.makedirs(args.work, exist_ok=True)
    work = tempfile.mkdtemp(prefix='crossdock-bench-', dir=args.work)
    try:
        results = run_rows(args, rows, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = caption(results) + '\n\n' + table(results)
    print(text)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump(results, file, indent=1)
    if args.update:
        with open(args.update, encoding='utf-8') as file:
            page = file.read()
        with open(args.update, 'w', encoding='utf-8') as file:
            file.write(replace_marked(page, text))
    return 0


if __name__ == '__main__':
    sys.exit(main())
