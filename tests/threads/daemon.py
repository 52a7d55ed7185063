#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole daemon with several shards, under load and watched, from start to stop, once for each
engine. In a build with ThreadSanitizer a race makes it end with a status of its own; in any build a
broken promise, an error line or an unclean end fails the test. Prints TAP.

    daemon.py DAEMON BENCH SHARDS SECONDS
"""
import http.client
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

WAIT_SECONDS = 120
FACILITIES = 'A,B,C,D,E,F'
SETTINGS = ['log.segment_bytes=16MiB', 'log.retention_bytes=4GiB', 'log.tail_bytes=16MiB',
            'log.disk_low_bytes=1MiB', 'log.checkpoint_every_bytes=1MiB', 'metrics.listen=auto']
WAYS = [['--post', '-c', '2', '-k', '8', '--rate', '2000'], ['--send', '-c', '4']]


def ready_line(process, log):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with open(log, encoding='utf-8', errors='replace') as file:
            found = re.search(r' ready addresses=(\S+) metrics=(\S+) ', file.read())
        if found:
            return found.groups()
        time.sleep(0.05)
    raise AssertionError('it did not become ready')


def watch(address, done, failures):
    """Asks for all pages until `done`."""
    while not done.wait(0.02):
        for path in ('/metrics', '/readyz?verbose', '/livez'):
            connection = http.client.HTTPConnection(address, timeout=WAIT_SECONDS)
            connection.request('GET', path)
            answer = connection.getresponse()
            text = answer.read().decode()
            if answer.status != 200:
                failures.append(f'{path}: {answer.status} {text}')
            connection.close()


def bench(program, address, seconds):
    for way in WAYS:
        done = subprocess.run([program, 'produce', '-a', address, '--judge', '-d', f'{seconds}s',
                               '--warmup', '50ms', '-f', FACILITIES, *way], capture_output=True,
                              text=True, timeout=WAIT_SECONDS, check=False)
        assert done.returncode == 0, f'{way}: {done.stdout}{done.stderr}'


def live(folder, daemon, program, shards, seconds, engine):
    log = os.path.join(folder, 'log')
    words = [daemon, '--data', os.path.join(folder, 'data'), '--listen', '127.0.0.1:0']
    for setting in [*SETTINGS, f'process.shards={shards}', f'process.engine={engine}']:
        words += ['--set', setting]
    with open(log, 'wb') as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    done, failures = threading.Event(), []
    try:
        address, metrics = ready_line(process, log)
        watcher = threading.Thread(target=watch, args=(metrics, done, failures))
        watcher.start()
        try:
            bench(program, address, seconds)
            for number in (signal.SIGUSR1, signal.SIGHUP):
                process.send_signal(number)
        finally:
            done.set()
            watcher.join()
        process.send_signal(signal.SIGTERM)
        status = process.wait(WAIT_SECONDS)
        said = open(log, encoding='utf-8', errors='replace').read()
        assert status == 0 and ' error ' not in said and 'WARNING' not in said, f'{status}: {said}'
        assert not failures, failures
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    daemon, program, shards, seconds = sys.argv[1:]
    bad = 0
    print('1..2')
    for number, engine in enumerate(('auto', 'epoll'), 1):
        with tempfile.TemporaryDirectory(prefix='crossdock-threads-') as folder:
            try:
                live(folder, daemon, program, shards, seconds, engine)
                print(f'ok {number} - {engine}', flush=True)
            except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
                bad += 1
                print(f'not ok {number} - {engine}')
                print('\n'.join('# ' + line for line in str(error).splitlines()), flush=True)
    return bad > 0


if __name__ == '__main__':
    sys.exit(main())
