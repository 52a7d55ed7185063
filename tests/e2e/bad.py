# SPDX-License-Identifier: Apache-2.0
"""What the tests of bad days share: failed starts, folders before and after, mounts of their own,
and results as TAP, so that what a machine cannot do is counted as skipped and says why.
"""
import ctypes
import hashlib
import os
import subprocess
import sys
import tempfile
import unittest
from collections import namedtuple

from broker import DAEMON, SETTINGS

START_SECONDS = 20
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000

Start = namedtuple('Start', 'status lines')


def start(data, *settings, before=(), listen='127.0.0.1:0'):
    """Runs a broker that is expected to end by itself: exit status and log lines."""
    words = [*before, DAEMON, '--data', data, '--listen', listen]
    for setting in [*SETTINGS, *settings]:
        words += ['--set', setting]
    result = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                            timeout=START_SECONDS, check=False)
    return Start(result.returncode, (result.stdout + result.stderr).splitlines())


def digest(folder):
    """Hash of every file below the folder; the lock, which every start writes, left out."""
    sums = {}
    for path, _, names in os.walk(folder):
        for name in names:
            full = os.path.join(path, name)
            if os.path.relpath(full, folder) == 'lock':
                continue
            with open(full, 'rb') as file:
                sums[os.path.relpath(full, folder)] = hashlib.sha256(file.read()).hexdigest()
    return sums


def resident_bytes(pid):
    with open(f'/proc/{pid}/statm', encoding='ascii') as file:
        return int(file.read().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class BadCase(unittest.TestCase):
    """`self.folder` is empty for each test."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='crossdock-bad-')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def refused(self, result, status, *words):
        """The start failed with that exit status, and one line of error says all the words."""
        errors = [line for line in result.lines
                  if ' error ' in line or line.startswith('crossdockd: ')]
        self.assertEqual((result.status, len(errors)), (status, 1), result.lines)
        for word in words:
            self.assertIn(word, errors[0])
        self.assertFalse([line for line in result.lines if ' ready ' in line], result.lines)
        return errors[0]


# ---- mounts ------------------------------------------------------------------------------------

def own_mounts(folder):
    """Gives this process a mount namespace of its own: what it mounts below the folder, nobody else
    sees, and all of it is gone with the process. In a chroot "/" is no mount point; there the
    folder is bound to itself, and the bind made private. Returns what undoes that; to be called
    when all below is unmounted. Skips where it is not permitted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise unittest.SkipTest('a mount namespace needs root: '
                                + os.strerror(ctypes.get_errno()))
    if libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None) == 0:
        return lambda: None
    mount('--bind', folder, folder)
    try:
        mount('--make-private', folder)
    except unittest.SkipTest:
        unmount(folder)
        raise
    return lambda: unmount(folder)


def mount(*words):
    result = subprocess.run(['mount', *words], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        said = ' '.join(result.stderr.split())
        raise unittest.SkipTest('mount ' + ' '.join(words) + ': ' + said)


def unmount(folder):
    subprocess.run(['umount', folder], check=True)


# ---- results -----------------------------------------------------------------------------------

class TapResult(unittest.TestResult):
    """One line of TAP for each test; a class that cannot be set up skips or fails as one."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def tell(self, good, test, more=''):
        self.count += 1
        name = test.id().replace('__main__.', '')
        print(f'{"ok" if good else "not ok"} {self.count} - {name}{more}', flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.tell(True, test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(True, test, f' # SKIP {reason}')

    def bad(self, test, err):
        self.tell(False, test)
        text = self._exc_info_to_string(err, test)
        print('\n'.join('# ' + line for line in text.splitlines()), flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.bad(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.bad(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad(subtest, err)


def main():
    """Runs the tests of the program that was started, or those named on its command line."""
    loader = unittest.defaultTestLoader
    module = sys.modules['__main__']
    suite = (loader.loadTestsFromNames(sys.argv[1:], module) if len(sys.argv) > 1
             else loader.loadTestsFromModule(module))
    result = TapResult()
    suite.run(result)
    print(f'1..{result.count}')
    return 0 if result.wasSuccessful() else 1
