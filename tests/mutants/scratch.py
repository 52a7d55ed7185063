# SPDX-License-Identifier: Apache-2.0
"""A copy of the tree with a build of its own, in which one worker breaks things.

The copy is kept between runs: only files that differ are written again, so that a second run builds
what has changed. A run that was interrupted leaves a mutated file, which differs too.
"""
import os
import re
import shutil
import signal
import subprocess

from mutant import Broken, mutate, read_patch

# Assertions are on in every build. Little optimisation: compiling takes longer than running here.
OPTIONS = ('-Dbuildtype=plain', '-Doptimization=1', '-Ddebug=false', '-Dtests=enabled')
SKIPPED = re.compile(r'^(\.git|build.*|crossdock-data|__pycache__)$')
TAIL_LINES = 12


def git(root, *words):
    """Output of a git command in the tree; None when the tree is not a checkout of its own."""
    if not os.path.exists(os.path.join(root, '.git')):
        return None
    try:
        done = subprocess.run(['git', '-C', root, *words], capture_output=True, text=True,
                              check=False)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def tree_files(root):
    """Paths of the tree's files: what git knows or could add, else all but local results."""
    listed = git(root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard')
    if listed is not None:
        return sorted(path for path in set(listed.split('\0'))
                      if path and os.path.isfile(os.path.join(root, path)))
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not SKIPPED.match(name)]
        here = os.path.relpath(folder, root)
        found += [os.path.normpath(os.path.join(here, name)) for name in names]
    return sorted(found)


def is_criterion(command):
    """Whether a suite's program is one of Criterion's, which speaks TAP when asked to."""
    return os.path.basename(command[0]).startswith('test_')


def read(path):
    with open(path, 'rb') as file:
        return file.read()


def is_same(a, b):
    return os.path.isfile(b) and os.path.getsize(a) == os.path.getsize(b) and read(a) == read(b)


class Scratch:
    """The copy of one worker."""

    def __init__(self, root, folder, jobs):
        self.root = root
        self.source = os.path.join(folder, 'src')
        self.build_folder = os.path.join(folder, 'build')
        self.output = os.path.join(folder, 'output')
        self.jobs = jobs

    def sync(self):
        """Makes the copy equal to the tree."""
        wanted = tree_files(self.root)
        for path in wanted:
            original, copy = os.path.join(self.root, path), os.path.join(self.source, path)
            if not is_same(original, copy):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
                shutil.copy(original, copy)
        for folder, _, names in os.walk(self.source):
            for name in names:
                path = os.path.join(folder, name)
                if os.path.relpath(path, self.source) not in set(wanted):
                    os.remove(path)

    def configure(self):
        if os.path.exists(os.path.join(self.build_folder, 'build.ninja')):
            return
        shutil.rmtree(self.build_folder, ignore_errors=True)
        self.call(['meson', 'setup', self.build_folder, self.source, *OPTIONS], 'configuring')

    def call(self, words, what):
        """Runs a build step; its last lines are the reason when it fails."""
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors='replace', check=False)
        if done.returncode != 0:
            lines = done.stdout.splitlines()
            wrong = [line for line in lines if 'error:' in line or 'undefined reference' in line]
            raise Broken(f'{what} failed: ' + '\n'.join(wrong[:3] or lines[-TAIL_LINES:]))

    def build(self, program):
        self.call(['ninja', '-C', self.build_folder, f'-j{self.jobs}', program], 'building')

    def apply(self, patch_path):
        """Breaks the copy; the function that it returns mends it."""
        with open(patch_path, encoding='utf-8') as file:
            path, before, after = read_patch(file.read())
        full = os.path.join(self.source, path)
        try:
            with open(full, encoding='utf-8') as file:
                text = file.read()
        except OSError as error:
            raise Broken(f'{path}: {error.strerror}') from error
        self.write(full, mutate(text, before, after))
        return lambda: self.write(full, text)

    @staticmethod
    def write(path, text):
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)

    def run(self, command, budget_s):
        """(exit status, text) of a suite. A negative status is a signal, None: not over in time."""
        words = list(command)
        if is_criterion(command):
            words.append('--tap')
        words[0] = os.path.join(self.build_folder, words[0])
        with open(self.output, 'wb') as output:
            child = subprocess.Popen(words, cwd=self.build_folder, stdin=subprocess.DEVNULL,
                                     stdout=output, stderr=subprocess.STDOUT,
                                     start_new_session=True)
            try:
                status = child.wait(timeout=budget_s)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                status = None
        return status, read(self.output).decode(errors='replace')
