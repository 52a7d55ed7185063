# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of a fuzz target, or compares them with what is there. What the scripts
make_*_corpus.py share."""
import os
import re
import sys


def read_dump(text, word):
    """Joins the lines `word offset hex ...` of a document."""
    data = b''
    for offset, digits in re.findall(rf'^{word} (\d+) ([0-9a-f]+)', text, re.M):
        if int(offset) != len(data):
            sys.exit(f'{word}: line {offset} is out of place')
        data += bytes.fromhex(digits)
    return data


def read_file(path):
    """Its bytes, None when it is not there."""
    if not os.path.exists(path):
        return None
    with open(path, 'rb') as file:
        return file.read()


def put(output, seeds):
    """Writes seeds (bytes by path below `output`) that are not there as they should be. With
    --check on the command line nothing is written, and a difference is exit status 1."""
    different = 0
    for name, data in sorted(seeds.items()):
        path = os.path.join(output, name)
        if read_file(path) == data:
            continue
        if '--check' in sys.argv:
            different += 1
            print(f'{path} differs; run {os.path.basename(sys.argv[0])}')
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as file:
            file.write(data)
    return 1 if different else 0
