#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the systemd unit: nothing in it is unknown, and it stays well confined.

  unit.py UNIT DAEMON

systemd-analyze looks for the program that the unit starts, so it reads a copy that names DAEMON.
Exits 77 (skipped) without systemd-analyze.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

import tree
from tree import Finding

EXPOSURE_MAX = 2.0  # of 10, as `systemd-analyze security` counts


def analyze(arguments):
    """What systemd-analyze prints, on either stream."""
    result = subprocess.run(['systemd-analyze', *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False)
    return result.stdout


def with_daemon(unit, daemon):
    """The unit's text with the path of the program replaced."""
    return re.sub(r'^(ExecStart=)\S+', lambda match: match.group(1) + daemon, unit, flags=re.M)


def verify_findings(path, output):
    """Complaints about the unit itself; other units of the machine are not ours."""
    return [Finding(path, int(line), text) for line, text in
            re.findall(rf'{re.escape(os.path.basename(path))}:(\d+): (.+)', output)] + \
           [Finding(path, 0, text) for text in
            re.findall(rf'^{re.escape(os.path.basename(path))}: (.+)', output, flags=re.M)]


def exposure_findings(path, output):
    match = re.search(r'Overall exposure level for \S+: ([0-9.]+)', output)
    if not match:
        return [Finding(path, 0, f'no exposure level: {output.strip()[:200]}')]
    if float(match.group(1)) > EXPOSURE_MAX:
        return [Finding(path, 0, f'exposure {match.group(1)}, at most {EXPOSURE_MAX}')]
    return []


def main(unit_path, daemon):
    if not shutil.which('systemd-analyze'):
        print('skipped: systemd-analyze is not installed')
        return 77
    with open(unit_path, encoding='utf-8') as file:
        unit = file.read()
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, os.path.basename(unit_path))
        with open(copy, 'w', encoding='utf-8') as file:
            file.write(with_daemon(unit, os.path.abspath(daemon)))
        findings = verify_findings(copy, analyze(['verify', '--man=no', copy]))
        findings += exposure_findings(copy, analyze(['security', '--offline=true', copy]))
    return tree.report(finding._replace(path=os.path.basename(unit_path)) for finding in findings)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
