#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every allocation, mapping and step of setting up an engine fails once while a broker starts: exit
status 1, one line that says what to do, nothing changed in the folder and nothing leaked (under
AddressSanitizer a leak is another exit status). And every close of the process fails: nobody
notices.

CROSSDOCKD is crossdockd with tests/crash/fail_call.c linked in.
"""
import errno
import os
import subprocess
import sys
import time
from collections import namedtuple

import bad
import folder
from broker import Broker

FAILED = 1
CALLS_MAX = 64
WAIT_SECONDS = 20

# Errors are what the function gives in practice; `hint` is what the line must say to do. A call
# that the broker can live without is answered by a start.
Row = namedtuple('Row', 'function errors hint needed least')
ANY_ROWS = [
    Row('calloc', [errno.ENOMEM], 'memory limit', True, 3),
    Row('mmap64', [errno.ENOMEM], 'memory limit', True, 3),
    Row('getrandom', [errno.ENOSYS], 'getrandom', True, 1),
]
RING_ROWS = [
    Row('io_uring_queue_init_params', [errno.ENOMEM], 'LimitMEMLOCK', True, 1),
    Row('io_uring_queue_init_params', [errno.EMFILE], 'LimitNOFILE', True, 1),
    Row('io_uring_queue_init_params', [errno.ENFILE], 'fs.file-max', True, 1),
    Row('io_uring_queue_init_params', [errno.EPERM, errno.EACCES], 'allow it', True, 1),
    Row('io_uring_queue_init_params', [errno.ENOSYS], 'Linux 6.0', True, 1),
    Row('io_uring_register_probe', [errno.ENOMEM], 'LimitMEMLOCK', True, 1),
    Row('io_uring_register_probe', [errno.EINVAL], 'Linux 6.0', True, 1),
    Row('io_uring_register_buf_ring', [errno.ENOMEM], 'LimitMEMLOCK', True, 1),
    Row('io_uring_register_buf_ring', [errno.EINVAL], 'Linux 6.0', True, 1),
    Row('io_uring_register', [errno.ENOMEM], 'LimitMEMLOCK', True, 2),
    Row('io_uring_register', [errno.EINVAL], 'Linux 6.0', True, 2),
    Row('io_uring_register_iowq_max_workers', [errno.EINVAL], '', False, 1),
    Row('io_uring_register_ring_fd', [errno.EINVAL], '', False, 1),
]
EPOLL_ROWS = [
    Row('epoll_create1', [errno.EMFILE], 'LimitNOFILE', True, 1),
    Row('epoll_create1', [errno.ENFILE], 'fs.file-max', True, 1),
    Row('eventfd', [errno.EMFILE], 'LimitNOFILE', True, 1),
    Row('eventfd', [errno.ENFILE], 'fs.file-max', True, 1),
    Row('epoll_ctl', [errno.ENOSPC], 'ENOSPC', True, 2),  # of the engine, and of the listener
    Row('epoll_ctl', [errno.ENOMEM], 'ENOMEM', True, 2),
    Row('pthread_create', [errno.EAGAIN], 'TasksMax', True, 2),
]


def begin(data, place, engine):
    """Runs a broker with one call failing until it has ended or serves; (exit status, lines). One
    that serves is stopped."""
    log = data + '.log'
    words = [bad.DAEMON, '--data', data, '--listen', '127.0.0.1:0']
    for setting in [*bad.SETTINGS, f'process.engine={engine}']:
        words += ['--set', setting]
    with open(log, 'w+', encoding='utf-8') as file:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                   env={**os.environ, 'FAIL_AT': place})
        deadline = time.monotonic() + WAIT_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            with open(log, encoding='utf-8') as lines:
                if ' ready ' in lines.read():
                    process.terminate()
                    break
            time.sleep(0.01)
        try:
            process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    with open(log, encoding='utf-8') as lines:
        return bad.Start(process.returncode, lines.read().splitlines())


class Sites(folder.FolderCase):
    rounds = 2

    def need_ring(self):
        result = begin(os.path.join(self.folder, 'probe'), 'nothing:1:1', 'io_uring')
        if result.status != 0:
            said = next((line for line in result.lines if ' start_failed ' in line), 'no reason')
            self.skipTest('io_uring is not available: ' + said)

    def one(self, data, engine, row, n, error):
        """One failing call: True when the start came to it."""
        before = bad.digest(data)
        result = begin(data, f'{row.function}:{n}:{error}', engine)
        came = f'failed at {row.function}:{n}' in result.lines
        if came and row.needed:
            error = self.refused(result, FAILED, row.hint)
            if ' step=listen ' not in error:  # that comes when the log is recovered, in a new epoch
                self.assertEqual(bad.digest(data), before)
        else:
            self.assertEqual(result.status, 0, result.lines)
            self.assertTrue([line for line in result.lines if ' ready ' in line], result.lines)
        return came

    def every(self, engine, row, error):
        """Each call of the function in turn, on a folder with a log and on none."""
        for n in range(1, CALLS_MAX):
            came = None
            with self.subTest(engine=engine, function=row.function, n=n,
                              error=errno.errorcode[error]):
                came = self.one(self.data, engine, row, n, error)
                new = os.path.join(self.folder, f'new-{engine}-{row.function}-{n}-{error}')
                self.assertEqual(self.one(new, engine, row, n, error), came)
            if came is None:
                return  # it failed, and was told
            if not came:
                self.assertGreater(n, row.least, 'the start did not come to the call')
                return
        self.fail(f'{row.function}: more than {CALLS_MAX} calls')

    def all_rows(self, engine, rows):
        for row in rows:
            for error in row.errors:
                self.every(engine, row, error)
        broker = self.serve()
        self.assertEqual(self.read_all(broker), self.whole)
        broker.stop()

    def test_a_start_without_memory_is_refused_and_changes_nothing(self):
        self.all_rows('epoll', ANY_ROWS)
        self.need_ring()
        self.all_rows('io_uring', ANY_ROWS)

    def test_a_start_without_what_epoll_needs_is_refused_and_changes_nothing(self):
        self.all_rows('epoll', EPOLL_ROWS)

    def test_a_start_without_the_ring_that_was_asked_for_is_refused_and_changes_nothing(self):
        self.need_ring()
        self.all_rows('io_uring', RING_ROWS)

    def test_a_kernel_that_refuses_every_kind_of_ring_is_told_from_one_that_refuses_the_best(self):
        self.need_ring()
        for place, status in ((1, 0), (0, FAILED)):
            result = begin(self.data, f'io_uring_queue_init_params:{place}:{errno.EINVAL}',
                           'io_uring')
            self.assertEqual(result.status, status, result.lines)
        self.refused(result, FAILED, 'Linux 6.0')

    def test_the_check_of_a_configuration_says_that_it_has_no_memory(self):
        result = subprocess.run([bad.DAEMON, '--check-config'], capture_output=True, text=True,
                                env={**os.environ, 'FAIL_AT': f'malloc:1:{errno.ENOMEM}'},
                                check=False)
        self.assertIn('failed at malloc:1', result.stderr.splitlines())
        self.refused(bad.Start(result.returncode, result.stderr.splitlines()), FAILED,
                     'memory limit')

    def test_no_close_that_fails_is_noticed(self):
        """Of files, of sockets, of the ring, also at the stop: nothing depends on it."""
        os.environ['FAIL_AT'] = f'close:0:{errno.EIO}'
        self.addCleanup(os.environ.pop, 'FAIL_AT', None)
        broker = Broker(self.settings)
        self.addCleanup(broker.close)
        broker.data = self.data
        broker.start()
        self.assertEqual(self.read_all(broker), self.whole)
        self.assertEqual(broker.run('facility', 'add', 'DC08').returncode, 0)
        self.assertEqual(self.read_all(broker), self.whole)
        self.assertEqual(broker.stop(), 0)
        self.assertGreater(broker.read_log().count('failed at close:'), 4)
        del os.environ['FAIL_AT']
        self.assertEqual(self.read_all(broker.start()), self.whole)
        self.assertNotIn('log_tail_cut', broker.read_log())


if __name__ == '__main__':
    sys.exit(bad.main())
