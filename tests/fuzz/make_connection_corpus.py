#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_connection from the steps and faults of its scripts.

Of every step: clients that have opened a channel, and the step with some of its arguments. Of every
fault: a batch that is right, one with the fault, and one that is right again. Of every way to
mangle a frame: a batch among others. And a few scenarios of several clients. The seeds are
committed; run this again after an enum changed. With --check nothing is written and a difference is
exit status 1.

  make_connection_corpus.py SIM_CONNECTION_H OUTPUT [--check]
"""
import re
import sys

import corpus_files

STOP = 0x01     # option of a script: the shard is stopped at the end
LATER = 0x0c    # of `who`: the longest time behind the step
MANGLE = 4      # of `who`: shift of the way to mangle
AGAIN = 0x80    # of `who`: the frame is sent twice
ARGUMENTS = [(0, 0), (3, 4), (15, 7), (131, 9), (77, 10), (40, 15)]


def read_enum(text, name):
    """Values by name, without the prefix that all share."""
    body = re.search(r'enum ' + name + r' \{(.*?)\};', text, re.S).group(1)
    body = re.sub(r'/\*.*?\*/', '', body, flags=re.S)
    values, value = {}, 0
    for row in filter(None, (part.strip() for part in body.split(','))):
        key, _, given = row.partition('=')
        value = int(given) if given else value
        values[key.strip().split('_', 1)[1]] = value
        value += 1
    return values


def script(steps, options=0):
    """Bytes of a script: options, then (step, who, a, b[, further bytes])."""
    return bytes([options]) + b''.join(bytes(step[:4]) + bytes(step[4:]) for step in steps)


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        text = file.read()
    step, fault = read_enum(text, 'script_step'), read_enum(text, 'script_fault')
    mangle = read_enum(text, 'script_mangle')

    def ready(*clients):
        return [part for i in clients
                for part in ((step['HELLO'], i, 0, 0), (step['OPEN'], i | LATER, i, 0))]

    def right(client):
        return step['PRODUCE'], client | LATER, client, 0

    seeds = {'empty': b'', 'silent': script([(step['CONNECT'], 0, 0, 0), (step['TIME'], 0, 23, 0)])}
    for name, number in step.items():
        if name == 'COUNT':
            continue
        steps = [(number, LATER, a, b) for a, b in ARGUMENTS]
        if name == 'RAW':
            steps = [(number, LATER, 3, 0, 1, 2, 3)]
        seeds[f'step-{name.lower()}'] = script(ready(0) + steps + [right(0)], STOP)
        seeds[f'early-{name.lower()}'] = script([steps[0], (step['PING'], LATER, 0, 0)])
    for name, number in fault.items():
        if name != 'COUNT':
            steps = [right(0), (step['PRODUCE'], LATER, 0, number), right(0)]
            seeds[f'fault-{name.lower()}'] = script(ready(0) + steps)
    for name, number in mangle.items():
        for at in ([] if name == 'NOT' else [5, 40]):
            who = number << MANGLE
            steps = [right(0), (step['PRODUCE'], who | LATER, 0, 0, 0, at), right(0)]
            seeds[f'mangle-{name.lower()}-{at}'] = script(ready(0) + steps)
    seeds['fenced'] = script(ready(0, 1) + [right(0), (step['OPEN'], 1 | LATER, 0, 0), right(0),
                                            (step['PRODUCE'], 1 | LATER, 0, 0), right(0)])
    seeds['pipelined'] = script([(step['HELLO'], 0, 0, 0), (step['OPEN'], LATER, 0, 0)] +
                                [(step['PRODUCE'], AGAIN, 0, 0)] * 6 +
                                [(step['READ'], 0, 0, 0), (step['PING'], LATER, 0, 0)])
    seeds['deaf'] = script(ready(0, 1) + [(step['DEAF'], 1, 0, 0)] +
                           [(step['READ'], 1, 2, 0)] * 12 + [right(0)] * 3 +
                           [(step['TIME'], 0, 25, 0), (step['DEAF'], 1, 1, 0)])
    seeds['full'] = script(ready(0) + [(step['SPACE'], LATER, 1, 0)] +
                           [(step['PRODUCE'], LATER, 0, fault['LARGE'])] * 16 +
                           [(step['TIME'], 0, 21, 0), right(0), (step['ADMIN'], LATER, 7, 0),
                            (step['OPEN'], LATER, 0, 0)])
    seeds['polls'] = script(ready(0, 1) + [(step['READ'], 1, 0, 5)] * 6 + [right(0), right(0)])
    return corpus_files.put(sys.argv[2],
                            {f'{name}.bin': data for name, data in seeds.items()})


if __name__ == '__main__':
    sys.exit(main())
