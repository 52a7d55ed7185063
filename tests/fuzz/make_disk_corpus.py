#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the seeds of fuzz_segment from the golden bytes of docs/DISK_FORMAT.md.

The block and the three header pages, each filled with zeros to 4 KiB. The seeds are committed; run
this again after golden bytes changed. With --check nothing is written and a difference is exit
status 1.

  make_disk_corpus.py DISK_FORMAT_MD OUTPUT [--check]
"""
import sys

import corpus_files

PAGE_BYTES = 4096
WORDS = ('block', 'checkpoint', 'meta', 'segment')


def main(disk_format, output):
    with open(disk_format, encoding='utf-8') as file:
        text = file.read()
    dumps = {word: corpus_files.read_dump(text, word) for word in WORDS}
    return corpus_files.put(output, {word + '.bin': data + bytes(PAGE_BYTES - len(data))
                                     for word, data in dumps.items()})


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
