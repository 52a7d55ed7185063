#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long a broker needs to be ready again after kill -9, with much log retained.

  restart.py --build DIR [--gigabytes 10] [--runs 3] [--work DIR] [--json FILE]

Fills a data folder through the client library, then, as often as asked: load, SIGKILL in the middle
of it, start, time to the ready line. Only processes started here are ended. The folder is removed.
"""
import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import broker

FILL = ['produce', '--encoded', '-c', '8', '-w', '16', '-b', '256KiB', '--warmup', '0',
        '--cpu', str(broker.CLIENT_CPU)]
FILL_ROUNDS_MAX = 1000
LOAD_SECONDS = 1.0


def settings_for(gigabytes):
    """Nothing may be dropped while the folder is filled and loaded again."""
    return [f'log.retention_bytes={2 * gigabytes + 8}GiB']


def fill(build, address, wanted_bytes):
    """Produces until that much has been acknowledged. Returns the bytes."""
    done = 0
    for _ in range(FILL_ROUNDS_MAX):
        if done >= wanted_bytes:
            return done
        result = broker.run_bench(build, [*FILL, '-a', address, '-d', '2s'])
        done += int(result['bytes_per_second'] * result['seconds'])
        print(f'filled {done / 1e9:.1f} of {wanted_bytes / 1e9:.1f} GB', file=sys.stderr)
    raise RuntimeError('the folder does not fill')


def kill_under_load(build, server):
    """SIGKILL while batches are on their way."""
    with subprocess.Popen(broker.bench_command(build, [*FILL, '-a', server.address, '-d', '60s']),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as load:
        time.sleep(LOAD_SECONDS)
        server.end(signal.SIGKILL)
        load.kill()


def log_bytes(build, server):
    """What the broker says it keeps: a measurement of nothing carries its status."""
    result = broker.run_bench(build, ['produce', '-a', server.address, '--rate', '1', '-d', '1ms',
                                      '--warmup', '0'])
    return result['broker']['log']['log_bytes']


def measure(args, work):
    data = os.path.join(work, 'data')
    settings = settings_for(args.gigabytes)
    server = broker.Broker(args.build, data, settings)
    rows = []
    try:
        fill(args.build, server.address, args.gigabytes * 10**9)
        for run in range(args.runs):
            kill_under_load(args.build, server)
            server = broker.Broker(args.build, data, settings)
            rows.append({'ready_seconds': server.ready_seconds,
                         'recovered_ms': server.recovered_ms(),
                         'log_bytes': log_bytes(args.build, server)})
            print(f'restart {run + 1}/{args.runs}: ready after {server.ready_seconds:.2f} s, '
                  f'{rows[-1]["log_bytes"] / 1e9:.1f} GB kept', file=sys.stderr)
    finally:
        server.end()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--build', required=True, help='release build of the project')
    parser.add_argument('--gigabytes', type=int, default=10, help='retained log, default 10')
    parser.add_argument('--runs', type=int, default=3, help='kills, default 3')
    parser.add_argument('--work', help='folder on the disk to measure')
    parser.add_argument('--json', help='write all figures there')
    args = parser.parse_args()
    broker.clean_up_on_term()
    work = tempfile.mkdtemp(prefix='crossdock-restart-', dir=args.work)
    try:
        rows = measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    times = [row['ready_seconds'] for row in rows]
    print(f'ready after {statistics.median(times):.2f} s ({min(times):.2f}-{max(times):.2f}), '
          f'{rows[-1]["log_bytes"] / 1e9:.1f} GB retained, {len(rows)} kills; the recovery alone '
          f'{statistics.median([row["recovered_ms"] or 0 for row in rows]):.0f} ms')
    if args.json:
        with open(args.json, 'w', encoding='utf-8') as file:
            json.dump(rows, file, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
