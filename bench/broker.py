# SPDX-License-Identifier: Apache-2.0
"""A broker of our own for measurements: started on a free port, pinned, ended by its process id.

Shared by run.py and restart.py. Everything it writes lies in the folder it is given.
"""
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

import figures

BROKER_CPU = 0
CLIENT_CPU = 1
START_SECONDS_MAX = 120
READY = re.compile(r' ready addresses=([^ ,]+)')


def clean_up_on_term():
    """SIGTERM ends a measurement as an exception does: brokers are stopped, folders removed."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))


class Broker:
    """A running crossdockd. `ready_seconds` is from its start to its ready line."""

    def __init__(self, build, data, settings=()):
        self.log_path = data + '.log'
        command = [os.path.join(build, 'broker', 'crossdockd'), '--data', data,
                   '--listen', '127.0.0.1:0', '--set', f'process.cpu={BROKER_CPU}']
        for setting in settings:
            command += ['--set', setting]
        with open(self.log_path, 'wb') as log:
            begin = time.monotonic()
            self.process = subprocess.Popen(command, stderr=log, stdin=subprocess.DEVNULL)
        self.address = self._wait_ready(begin)
        self.ready_seconds = time.monotonic() - begin

    def _wait_ready(self, begin):
        while time.monotonic() < begin + START_SECONDS_MAX and self.process.poll() is None:
            with open(self.log_path, encoding='utf-8', errors='replace') as log:
                match = READY.search(log.read())
            if match:
                return match.group(1)
            time.sleep(0.002)
        self.end(signal.SIGKILL)
        with open(self.log_path, encoding='utf-8', errors='replace') as log:
            raise RuntimeError('the broker did not become ready:\n' + log.read()[-2000:])

    def recovered_ms(self):
        """What the broker itself says of its recovery, in ms; None when it does not."""
        with open(self.log_path, encoding='utf-8', errors='replace') as log:
            match = re.search(r' recovered ms=(\d+)', log.read())
        return int(match.group(1)) if match else None

    def cpu_ns(self):
        """CPU time of all its threads so far."""
        texts = []
        for path in glob.glob(f'/proc/{self.process.pid}/task/*/schedstat'):
            with open(path, encoding='ascii') as file:
                texts.append(file.read())
        return figures.process_cpu_ns(texts)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(timeout=60)


def bench_command(build, arguments):
    return [os.path.join(build, 'bench', 'crossdock-bench'), *arguments, '-o', 'json']


def run_bench(build, arguments):
    """One measurement: the JSON object that crossdock-bench prints."""
    done = subprocess.run(bench_command(build, arguments), capture_output=True, text=True,
                          timeout=600, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'crossdock-bench {" ".join(arguments)}: {done.stderr.strip()[-1000:]}')
    return json.loads(done.stdout)
