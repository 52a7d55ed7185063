# SPDX-License-Identifier: Apache-2.0
"""A broker and its command line for tests of real processes.

CROSSDOCKD and CROSSDOCK name the programs. Each Broker has a data folder of its own, listens on a
free port, keeps that port over restarts, and is only ever ended by its own process.

CROSSDOCK_PROCESS__ENGINE, which the broker reads itself, runs a whole test on the engine that it
names; a test that sets process.engine has the last word. Either way the broker must say that it
runs on that one.
"""
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

DAEMON = os.environ['CROSSDOCKD']
CLI = os.environ['CROSSDOCK']
ENGINE = os.environ.get('CROSSDOCK_PROCESS__ENGINE', 'auto')
READY_SECONDS = 60
RUN_SECONDS = 120
SETTINGS = ['log.segment_bytes=4MiB', 'log.retention_bytes=64MiB', 'log.tail_bytes=16MiB',
            'log.checkpoint_every_bytes=1MiB', 'log.disk_low_bytes=1MiB',
            'metrics.listen=127.0.0.1:0']


def run(*words, stdin=None, env=None, cwd=None):
    """Runs the command line; the result has returncode, stdout and stderr as texts."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith('CROSSDOCK_') and name != 'NO_COLOR'}
    environment['CROSSDOCK_CLIENT_CONFIG'] = '/dev/null'
    environment.update(env or {})
    return subprocess.run([CLI, *words], input=stdin, env=environment, cwd=cwd, text=True,
                          capture_output=True, timeout=RUN_SECONDS, check=False)


def free_port():
    """A port that nobody has and that the kernel gives to no outgoing connection, so that a broker
    which starts again finds it free."""
    while True:
        port = random.randrange(10000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
        return port


class Broker:
    def __init__(self, settings=()):
        self.folder = tempfile.mkdtemp(prefix='crossdock-e2e-')
        self.data = os.path.join(self.folder, 'data')
        self.log = os.path.join(self.folder, 'log')
        self.address = f'127.0.0.1:{free_port()}'
        self.settings = [*SETTINGS, *settings]
        self.process = None

    def start(self, before=()):
        """Waits until it serves. `before` are words in front of the program, as of prlimit(1)."""
        words = [*before, DAEMON, '--data', self.data, '--listen', self.address]
        for setting in self.settings:
            words += ['--set', setting]
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            ready = re.search(r' ready addresses=(\S+?)[,\s]', self.read_log())
            if ready:
                self.address = ready.group(1)
                self.check_engine()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError('the broker did not become ready:\n' + self.read_log())

    def check_engine(self):
        """Every shard says that it runs on the engine that was asked for."""
        asked = [setting.partition('=')[2] for setting in self.settings
                 if setting.startswith('process.engine=')]
        engine = asked[-1] if asked else ENGINE
        said = re.findall(r' engine (?:shard=\d+ )?name=(\S+)', self.read_log())
        if not said or engine != 'auto' and set(said) != {engine}:
            raise AssertionError(f'asked for engine {engine}, got {said}:\n' + self.read_log())

    def read_log(self):
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return log.read()

    def says(self, text):
        """Waits until the log has the text: a line may come after what a client has seen."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.read_log():
            if time.monotonic() > deadline:
                raise AssertionError(f'{text!r} is not in the log:\n{self.read_log()}')
            time.sleep(0.02)

    def end(self, how):
        """Sends a signal to this broker's process and waits for its end."""
        self.process.send_signal(how)
        self.process.wait(timeout=READY_SECONDS)
        return self.process.returncode

    def stop(self):
        return self.end(signal.SIGTERM)

    def kill(self):
        return self.end(signal.SIGKILL)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder)

    def run(self, *words, stdin=None):
        return run('-s', self.address, *words, stdin=stdin)


class BrokerTest(unittest.TestCase):
    """Tests that share one broker; `self.folder` is empty for each."""
    settings = ()

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker(cls.settings)
        try:
            cls.broker.start()
        except BaseException:
            cls.broker.close()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.broker.close()

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='files-', dir=self.broker.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8', newline='') as file:
            file.write(text)
        return path

    def ok(self, *words, stdin=None):
        """Standard output of a run that must go well."""
        result = self.broker.run(*words, stdin=stdin)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)
        return result.stdout

    def data(self, *words, stdin=None):
        """Data of the envelope of a run that must go well."""
        envelope = json.loads(self.ok('-o', 'json', *words, stdin=stdin))
        self.assertIs(envelope['ok'], True)
        self.assertNotIn('error', envelope)
        return envelope['data']

    def fails(self, exit_status, name, *words, stdin=None):
        """Envelope of a run that must fail; what it says to people is on standard error."""
        result = self.broker.run('-o', 'json', *words, stdin=stdin)
        self.assertEqual(result.returncode, exit_status, result.stderr + result.stdout)
        envelope = json.loads(result.stdout.splitlines()[-1] if result.stdout.count('\n{') else
                              result.stdout)
        self.assertIs(envelope['ok'], False)
        self.assertEqual(envelope['error']['name'], name)
        self.assertEqual(set(envelope['error']), {'code', 'name', 'class', 'text', 'hint'})
        self.assertIn(envelope['error']['text'], result.stderr)
        return envelope
