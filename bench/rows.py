# SPDX-License-Identifier: Apache-2.0
"""What is measured: one row a piece of work, with the limit program that does the same and nothing
else, and the targets that it is held to. Shared by run.py and its test; runs nothing.

A figure of a limit program and ours of the same name mean the same thing:

  bytes         MB/s of records, of readers MB/s sent    records    M records/s
  frames        k requests/s                             p50, p99   us
  broker_ns     broker CPU of a record, ns               broker_kib of a KiB sent, ns
  client_ns     client CPU of a record outside the kernel, ns
  seconds       to serving                               cores      CPU of an idle process
"""
from typing import NamedTuple

UNITS = {'bytes': 'MB/s', 'records': 'M records/s', 'frames': 'k requests/s', 'p50': 'us, p50',
         'p99': 'us, p99', 'seconds': 's', 'cores': 'cores'}


class Target(NamedTuple):
    figure: str       # see above
    relation: str     # ">=" or "<="
    bound: float      # a multiple of the limit's figure, or the figure itself
    of_limit: bool    # which of the two
    text: str         # what the table calls the figure


def least(figure, bound, text='rate'):
    return Target(figure, '>=', bound, True, text)


def most(figure, bound, text):
    return Target(figure, '<=', bound, True, text)


class Row(NamedTuple):
    name: str              # on the command line
    text: str              # what is done
    kind: str              # "load", "read", "both", "disk", "engine", "idle", "restart"
    ours: tuple            # arguments of crossdock-bench
    program: str           # limit program, "" = none
    limit: tuple           # its arguments
    figure: str            # the one that the table shows
    targets: tuple         # all must be met
    settings: tuple = ()   # options of the broker, "name=value"
    fill_bytes: int = 0    # produced before, so that segments are used again, or to be read
    cold: bool = False     # the broker is started again before each run: its memory is empty
    more: tuple = ()       # kind "both": arguments of the producers beside the readers


PAIR = ('-f', '65536', '-m', '256', '-D', 'fsync')
SINGLE = ('-w', '1', '-f', '256', '-m', '256', '-D', 'fsync')
SENT = ('-F', '1', '-f', '524288', '-b', '65536', '-N', '32768')
# Segments that were written before are used again, as the limit programs do it.
RECYCLED = ('log.retention_bytes=4GiB',)
RECYCLED_BYTES = 5 << 30
IN_MEMORY = ('log.tail_bytes=4GiB', 'log.retention_bytes=8GiB')
ON_DISK = ('log.retention_bytes=16GiB',)


def load(name, text, ours, limit, figure, targets):
    return Row(name, text, 'load', tuple(ours.split()), 'mb3', limit, figure, targets,
               settings=RECYCLED, fill_bytes=RECYCLED_BYTES)


def single(name, connections, figure, ours=None):
    """One record per request, through handles of the client library if `ours` says nothing else."""
    words = 'one connection' if connections == 1 else f'{connections:,} connections'
    return load(name, f'one 256 B record per request, {words}',
                ours or f'produce --send -c {connections}', ('-c', str(connections), *SINGLE),
                figure, (least('frames', 0.7, 'requests/s'), most('p50', 1.3, 'p50')))


def tail(readers):
    words = 'one reader' if readers == 1 else f'{readers} readers'
    return Row(f'tail{readers}', f'{words} of what memory holds', 'read',
               ('read', '--from', 'begin', '-c', str(readers)), 'net', ('-n', str(readers), *SENT),
               'bytes', (least('bytes', 0.7),), settings=IN_MEMORY, fill_bytes=3 << 30)


def beside(readers):
    words = 'one reader' if readers == 1 else f'{readers} readers'
    return Row(f'both{readers}', f'{words} while 64 KiB batches come over one connection', 'both',
               ('read', '--from', 'end', '-c', str(readers)), 'mb3',
               ('-c', '1', '-w', '4', '-K', str(readers), '-n', *PAIR), 'bytes',
               (least('bytes', 0.7, 'sent'),), settings=ON_DISK,
               more=('produce', '--encoded', '-c', '1', '-w', '4'))


ROWS = (
    load('batches', '64 KiB batches of 256 B, 8 connections x 16 in flight',
         'produce --encoded -c 8 -w 16', ('-c', '8', '-w', '16', *PAIR), 'bytes',
         (least('bytes', 0.7), most('broker_ns', 1.5, 'broker CPU'))),
    load('post', '256 B records posted one by one, one producer', 'produce --post -c 1 -w 16',
         ('-c', '1', '-w', '16', *PAIR), 'records',
         (Target('records', '>=', 3.0, False, 'M records/s'),
          Target('client_ns', '<=', 150.0, False, 'client ns'))),
    single('one', 1, 'p50'),
    single('one64', 64, 'frames'),
    single('one1024', 1024, 'frames', 'crowd -c 1024 -n 1024'),
    load('open', '300,000 records/s of 400 B on a schedule, one producer',
         'produce --post -c 1 --rate 300000 -r 400',
         ('-c', '1', '-w', '4096', '-f', '4000', '-m', '400', '-D', 'fsync', '-r', '30000'), 'p99',
         (most('p50', 1.5, 'p50'), most('p99', 1.5, 'p99'))),
    tail(1), tail(4), tail(16),
    Row('cold', 'one reader of what only the disk holds', 'read',
        ('read', '--from', 'begin'), 'cold', ('-m', 'scan', '-b', '1048576', '-q', '8', '-s',
                                              str(4 << 30)), 'bytes', (least('bytes', 0.7),),
        settings=ON_DISK, fill_bytes=8 << 30, cold=True),
    beside(1), beside(4), beside(16),
    Row('disk', 'append through the log alone, 64 KiB batches in blocks of up to 1 MiB, dsync',
        'disk', ('disk', '-w', '128', '--sync', 'dsync'), 'st',
        ('-m', 'direct', '-s', 'dsync', '-p', 'zero', '-b', '1048576', '-q', '8'), 'bytes',
        (least('bytes', 0.7),)),
    Row('epoll', 'engine epoll beside io_uring: one record per request, 64 connections', 'engine',
        ('produce', '--send', '-c', '64'), '', (), 'frames', (least('frames', 0.8),),
        settings=RECYCLED),
    Row('idle', 'a broker that nobody asks anything', 'idle', (), '', (), 'cores',
        (Target('cores', '<=', 0.01, False, 'cores'),)),
    Row('restart', 'ready after kill -9 under load, 10 GB retained', 'restart', (), '', (),
        'seconds', (Target('seconds', '<=', 2.0, False, 'seconds'),)),
)
