#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Crossdock against the machine's limits: limit, ours, limit, ours ... in one run.

  run.py --build DIR --limits DIR [--rows NAME,...] [--runs N] [--seconds S] [--quick]
         [--wait-quiet S] [--work DIR] [--json FILE] [--update FILE]

--build is a release build; --limits holds the sources of the limit programs, which are compiled
into the work folder: each does one piece of the broker's work and nothing else. What is measured
and what it is held to stands in rows.py. Medians and ranges of the runs are printed as a table;
exit status 1 when a target is missed. The repository is written to only with --update, between
the markers of that file.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import broker
import figures
import restart
import rows

RUNS_MIN = 5
QUICK_RUNS, QUICK_SECONDS = 3, 1.0
# Others may use this much of the CPUs, looked at for this long.
QUIET_CORES, QUIET_SECONDS = 0.2, 1.0
LIBRARIES = ['-luring', '-lpthread', '-llz4']
FILL = ['produce', '--encoded', '-c', '4', '-w', '16', '--warmup', '0', '-d', '500ms']
RESTART_GIGABYTES = 10
READ_SECONDS = 60
SETTLE_SECONDS = 2.0


class Place:
    """Where a row is measured: its brokers, the limit programs, the work folder."""

    def __init__(self, args, row, programs, work):
        self.args, self.row, self.programs = args, row, programs
        self.seconds = args.seconds
        self.folder = tempfile.mkdtemp(prefix=row.name + '-', dir=work)
        self.limit_folder = os.path.join(work, 'limit')
        os.makedirs(os.path.join(self.limit_folder, 'd'), exist_ok=True)
        self.servers = []

    def start(self, settings, name='data'):
        """A broker on a folder of that name, which may be there already."""
        server = broker.Broker(self.args.build, os.path.join(self.folder, name), settings)
        self.servers.append(server)
        return server

    def end(self):
        for server in self.servers:
            server.end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def bench_arguments(self, arguments, server, seconds=None):
        seconds = self.seconds if seconds is None else seconds
        arguments = [*arguments, '-a', server.address, '--cpu', str(broker.CLIENT_CPU),
                     '--broker-pid', str(server.process.pid)]
        return arguments if '-d' in arguments else [*arguments, '-d', f'{int(seconds * 1000)}ms']

    def bench(self, arguments, server, seconds=None):
        return broker.run_bench(self.args.build, self.bench_arguments(arguments, server, seconds))

    def limit(self):
        """One run of the limit program; none has no figures."""
        row = self.row
        if not row.program:
            return {}
        arguments = [self.programs[row.program], *row.limit, '-t', str(self.seconds)]
        if row.program in ('mb3', 'st'):
            arguments += ['-d', os.path.join(self.limit_folder, 'd')]
        if row.program == 'st':
            arguments += ['-B', str(1 << 30)]
        if row.program in ('st', 'cold'):
            arguments = ['taskset', '-c', str(broker.BROKER_CPU), *arguments]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True,
                              cwd=self.limit_folder)
        return figures.parse_limit(row.program, done.stdout)


# ---- what our side of a row does: a generator that gives one result of a run after the other ----
# Each result is (figures of ours, figures that take the limit's place, result of crossdock-bench).

def fill(place, server):
    done = 0
    while done < place.row.fill_bytes:
        result = place.bench(FILL, server)
        done += int(result['bytes_per_second'] * result['seconds'])


def run_load(place):
    server = place.start(place.row.settings)
    fill(place, server)
    while True:
        result = place.bench(place.row.ours, server)
        yield figures.parse_ours(result), {}, result


def run_read(place):
    """Readers from the beginning to the end of what was produced before."""
    row = place.row
    server = place.start(row.settings)
    fill(place, server)
    while True:
        if row.cold:
            server.end()
            server = place.start(row.settings)
        result = place.bench(row.ours, server, READ_SECONDS)
        yield figures.parse_ours(result), {}, result


def run_both(place):
    """Readers and producers at once, in two processes on one CPU."""
    row = place.row
    server = place.start(row.settings)
    command = broker.bench_command(place.args.build, place.bench_arguments(
        row.more, server, place.seconds + 1))
    while True:
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              text=True) as producers:
            time.sleep(0.5)
            result = place.bench(row.ours, server)
            found = figures.parse_ours(result)
            produced = json.loads(producers.communicate(timeout=60)[0])
        found['produced'] = produced['bytes_per_second'] / 1e6
        yield found, {}, result


def run_disk(place):
    while True:
        folder = tempfile.mkdtemp(dir=place.folder)
        result = broker.run_bench(place.args.build, [
            *place.row.ours, '-f', os.path.join(folder, 'log'), '--cpu', str(broker.BROKER_CPU),
            '-d', f'{int(place.seconds * 1000)}ms'])
        shutil.rmtree(folder)
        yield figures.parse_ours(result), {}, result


def run_engine(place):
    """The same work on both engines; io_uring is the limit."""
    servers = [place.start([*place.row.settings, 'process.engine=' + name], name)
               for name in ('io_uring', 'epoll')]
    while True:
        uring, epoll = (place.bench(place.row.ours, server) for server in servers)
        yield figures.parse_ours(epoll), figures.parse_ours(uring), epoll


def run_idle(place):
    """A broker that has worked and rests now."""
    server = place.start(place.row.settings)
    result = place.bench(FILL, server)
    time.sleep(SETTLE_SECONDS)
    while True:
        before, begin = server.cpu_ns(), time.monotonic()
        time.sleep(2 * place.seconds)
        used = (server.cpu_ns() - before) / 1e9 / (time.monotonic() - begin)
        yield {'cores': used}, {}, result


def run_restart(place):
    settings = restart.settings_for(RESTART_GIGABYTES)
    server = place.start(settings)
    restart.fill(place.args.build, server.address, RESTART_GIGABYTES * 10**9)
    result = place.bench(FILL, server)
    while True:
        restart.kill_under_load(place.args.build, server)
        server = place.start(settings)
        yield {'seconds': server.ready_seconds}, {}, result


KINDS = {'load': run_load, 'read': run_read, 'both': run_both, 'disk': run_disk,
         'engine': run_engine, 'idle': run_idle, 'restart': run_restart}


# ---- runs --------------------------------------------------------------------------------------

def build_limits(folder, measured, work):
    """Compiles the limit programs that the rows name. Their warnings are not ours."""
    paths = {}
    for program in sorted({row.program for row in measured if row.program}):
        paths[program] = os.path.join(work, program)
        subprocess.run(['cc', '-O3', '-march=native', '-w', os.path.join(folder, program + '.c'),
                        '-o', paths[program], *LIBRARIES], check=True)
    return paths


def wait_quiet(seconds_max):
    """Waits until others leave the CPUs alone, at most that long. Returns the cores they use."""
    end = time.monotonic() + seconds_max
    while True:
        with open('/proc/stat', encoding='ascii') as file:
            before = file.read()
        time.sleep(QUIET_SECONDS)
        with open('/proc/stat', encoding='ascii') as file:
            busy = figures.busy_cores(before, file.read(), QUIET_SECONDS)
        if busy < QUIET_CORES or time.monotonic() >= end:
            return busy


def told(numbers, figure):
    return figures.shown(numbers[figure]) if figure in numbers else '-'


def measure(row, args, programs, work):
    """Limit and ours in turn: their figures, and what became of the targets."""
    limits, ours, busy = [], [], []
    place = Place(args, row, programs, work)
    try:
        side = KINDS[row.kind](place)
        for run in range(args.runs):
            busy.append(wait_quiet(args.wait_quiet))
            limits.append(place.limit())
            own, instead, result = next(side)
            limits[-1].update(instead)
            ours.append(own)
            print(f'{row.name} {run + 1}/{args.runs}: limit {told(limits[-1], row.figure)}, ours '
                  f'{told(own, row.figure)} {rows.UNITS[row.figure]}; others used {busy[-1]:.1f} '
                  'cores', file=sys.stderr)
    finally:
        place.end()
    own, limit = figures.summaries(ours), figures.summaries(limits)
    return {'name': row.name, 'text': row.text, 'figure': row.figure, 'ours': own, 'limit': limit,
            'targets': [figures.judged(target, own, limit) for target in row.targets],
            'others_cores': statistics.median(busy), 'command': command_of(row),
            'settings': list(row.settings), 'limit_command': ' '.join([row.program, *row.limit]),
            'commit': result['commit'], 'machine': result['machine']}


def command_of(row):
    if not row.ours:
        return f'run.py --rows {row.name}'
    return 'crossdock-bench ' + ' '.join(row.ours)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = {row.name: row for row in rows.ROWS}
    parser.add_argument('--build', required=True, help='release build of the project')
    parser.add_argument('--limits', required=True, help='folder of the limit programs')
    parser.add_argument('--rows', help='names by commas, default all: ' + ', '.join(known))
    parser.add_argument('--runs', type=int, default=RUNS_MIN, help=f'at least {RUNS_MIN}')
    parser.add_argument('--seconds', type=float, default=2.0, help='of one run, default 2')
    parser.add_argument('--quick', action='store_true',
                        help=f'{QUICK_RUNS} runs of {QUICK_SECONDS:g} s: a look, not for a page')
    parser.add_argument('--wait-quiet', type=float, default=0.0, metavar='S',
                        help='wait up to S seconds before each pair for an idle machine')
    parser.add_argument('--work', help='folder on the disk to measure')
    parser.add_argument('--json', help='write all figures there')
    parser.add_argument('--update', help='put the table between the markers of this file')
    args = parser.parse_args()
    if args.quick and args.update:
        parser.error('--quick: its figures are not for a page')
    if args.quick:
        args.runs, args.seconds = QUICK_RUNS, QUICK_SECONDS
    elif args.runs < RUNS_MIN:
        parser.error(f'--runs: medians want {RUNS_MIN} runs or more')
    names = args.rows.split(',') if args.rows else list(known)
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f'--rows: there is no {", ".join(unknown)}; known: {", ".join(known)}')
    return args, [known[name] for name in names]


def caption(results, args):
    machine = results[0]['machine']
    day = time.strftime('%Y-%m-%d', time.gmtime())
    return (f'Measured {day} at commit {results[0]["commit"]} on '
            f'{machine["cpu"]}, {machine["cpus"]} CPUs, {machine["memory_bytes"] >> 30} GiB, Linux '
            f'{machine["kernel"]}; {args.runs} runs of {args.seconds:g} s each. '
            f'Cores used by others before the runs, at worst: '
            f'{max(result["others_cores"] for result in results):.1f} (0: quiet).')


def main():
    args, measured = parse_arguments()
    broker.clean_up_on_term()
    if args.work:
        os.makedirs(args.work, exist_ok=True)
    work = tempfile.mkdtemp(prefix='crossdock-bench-', dir=args.work)
    try:
        programs = build_limits(args.limits, measured, work)
        results = [measure(row, args, programs, work) for row in measured]
    finally:
        shutil.rmtree(work, ignore_errors=True)
    text = caption(results, args) + '\n\n' + figures.table(results)
    print(text)
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump(results, file, indent=1)
    if args.update:
        with open(args.update, encoding='utf-8') as file:
            page = file.read()
        with open(args.update, 'w', encoding='utf-8') as file:
            file.write(figures.replace_marked(page, text))
    return 0 if all(target['met'] for result in results for target in result['targets']) else 1


if __name__ == '__main__':
    sys.exit(main())
