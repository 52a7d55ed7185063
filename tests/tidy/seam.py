#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks that libraries reach the operating system only through their seam.

Reads the undefined symbols of each static library and reports those that stand for clock,
randomness, memory, disk, network, threads or environment. Exceptions stand in an allow-list, one
a line: `LIBRARY OBJECT SYMBOL REASON`, where OBJECT or SYMBOL may be `*`. An exception of a
library at hand that excuses nothing is reported too.

  seam.py NM ALLOW_LIST LIBRARY.a...
"""
import os
import re
import subprocess
import sys
from typing import NamedTuple

import tree

FORBIDDEN = {
    'clock': 'clock clock_gettime clock_nanosleep ftime gettimeofday gmtime gmtime_r localtime '
             'localtime_r mktime nanosleep sleep strftime time timegm timer_create timer_settime '
             'timerfd_.* usleep',
    'randomness': '.?rand .?rand48 arc4random.* getentropy getrandom rand_r random random_r '
                  'srandom srand48',
    'memory': 'aligned_alloc asprintf brk calloc free getdelim getline malloc memalign mmap '
              'mremap munmap posix_memalign realloc reallocarray sbrk strdup strndup valloc '
              'vasprintf',
    'files': 'access chdir chmod close closedir creat dup dup2 dup3 f?chown f?statv?fs '
             'f?truncate fallocate fclose fcntl fdatasync fdopen fflush fgets flock fopen fread '
             'fscanf fstatat fsync fwrite getc getchar ioctl link mkdir mkdirat mkstemp open '
             'open_by_handle_at openat opendir pipe pipe2 posix_fadvise posix_fallocate pread '
             'preadv2? pwrite pwritev2? read readdir readlink readv remove rename renameat '
             'renameat2 rmdir .?stat statx sync sync_file_range syncfs tmpfile truncate unlink '
             'unlinkat write writev',
    'network': 'accept accept4 bind connect epoll_.* eventfd freeaddrinfo getaddrinfo '
               'gethostbyname getpeername getsockname getsockopt io_uring_.* listen poll ppoll '
               'pselect recv recvfrom recvm?msg select send sendfile sendm?msg sendto '
               'setsockopt shutdown socket socketpair',
    'output': 'fprintf fputc fputs perror printf putc putchar puts stderr stdout vfprintf vprintf',
    'process': 'at_quick_exit atexit execv.* exit fork getenv getpid kill popen pthread_.* '
               'putenv quick_exit raise secure_getenv setenv sigaction signal signalfd '
               'sigprocmask syscall system thrd_.* vfork waitpid',
}
FORBIDDEN_PATTERNS = {family: re.compile('|'.join(names.split()))
                      for family, names in FORBIDDEN.items()}


class Excuse(NamedTuple):
    line: int      # in the allow-list
    library: str   # "log"
    object: str    # "recover.c", or "*"
    symbol: str    # "read", or "*"


def parse_allow_list(text, path):
    """Exceptions, and findings for lines without a reason."""
    exceptions, findings = [], []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith('#'):
            continue
        if len(words) < 5:
            findings.append(tree.Finding(path, number, 'an exception needs library, object, '
                                                       'symbol and a reason of two words or more'))
        else:
            exceptions.append(Excuse(number, *words[:3]))
    return exceptions, findings


def undefined_symbols(nm_text):
    """(object, symbol) of every undefined symbol in the output of `nm -A -u LIBRARY`."""
    for line in nm_text.splitlines():
        match = re.match(r'(.*):\s+[Uw]\s+(\S+)$', line)
        if not match:
            continue
        # "libx.a:segment.c.o" or, for a thin archive, "libx.a:path/segment.c.o"
        member = re.split(r'[:/]', match.group(1))[-1]
        yield re.sub(r'\.o$', '', member), match.group(2).split('@')[0]


def plain_name(symbol):
    """The function that a symbol stands for: `__read_chk` is read, `fopen64` is fopen."""
    return re.sub(r'^__(?=\w+_chk$)|_chk$|^__isoc\d+_|64$', '', symbol)


def family_of(name):
    """The forbidden family of a function, or None."""
    return next((family for family, pattern in FORBIDDEN_PATTERNS.items()
                 if pattern.fullmatch(name)), None)


def library_name(path):
    """"log" of "broker/log/liblog.a"."""
    return re.sub(r'^lib|\.a$', '', os.path.basename(path))


def check_library(name, nm_text, exceptions, used):
    """Findings of one library; lines of exceptions that excused something go into `used`."""
    findings = []
    for member, full_symbol in undefined_symbols(nm_text):
        symbol = plain_name(full_symbol)
        family = family_of(symbol)
        if not family:
            continue
        excuse = next((entry for entry in exceptions if entry.library == name
                       and entry.object in ('*', member) and entry.symbol in ('*', symbol)), None)
        if excuse:
            used.add(excuse.line)
        else:
            findings.append(tree.Finding(f'{name}/{member}', 0,
                                         f'{symbol} ({family}) goes past the seam'))
    return findings


def main(nm, allow_path, libraries):
    with open(allow_path, encoding='utf-8') as file:
        exceptions, findings = parse_allow_list(file.read(), os.path.basename(allow_path))
    names, used = set(), set()
    for path in libraries:
        output = subprocess.run([nm, '-A', '-u', path], check=True, capture_output=True, text=True)
        names.add(library_name(path))
        findings += check_library(library_name(path), output.stdout, exceptions, used)
    for entry in exceptions:
        if entry.library in names and entry.line not in used:
            findings.append(tree.Finding(os.path.basename(allow_path), entry.line,
                                         f'{entry.library} needs no exception for {entry.symbol}'))
    return tree.report(findings)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
