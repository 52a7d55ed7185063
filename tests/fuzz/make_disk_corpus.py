#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_segment from the golden bytes of docs/DISK_FORMAT.md.

The block and the three header pages, each filled with zeros to 4 KiB. The seeds are committed; run
this again after golden bytes changed. With --check nothing is written and a difference is exit
status 1.

  make_disk_corpus.py DISK_FORMAT_MD OUTPUT [--check]
"""
import os
import re
import sys

PAGE_BYTES = 4096
WORDS = ('block', 'checkpoint', 'meta', 'segment')


def read_dump(text, word):
    """Joins the lines `word offset hex ...`."""
    data = b''
    for offset, digits in re.findall(rf'^{word} (\d+) ([0-9a-f]+)', text, re.M):
        if int(offset) != len(data):
            sys.exit(f'{word}: line {offset} is out of place')
        data += bytes.fromhex(digits)
    return data + bytes(PAGE_BYTES - len(data))


def main(disk_format, output, check):
    with open(disk_format, encoding='utf-8') as file:
        text = file.read()
    different = 0
    os.makedirs(output, exist_ok=True)
    for word in WORDS:
        data = read_dump(text, word)
        path = os.path.join(output, word + '.bin')
        if check:
            with open(path, 'rb') as file:
                if file.read() != data:
                    different += 1
                    print(f'{path} differs; run tests/fuzz/make_disk_corpus.py')
        else:
            with open(path, 'wb') as file:
                file.write(data)
    return 1 if different else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2], '--check' in sys.argv[3:]))
