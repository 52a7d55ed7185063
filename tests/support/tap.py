# SPDX-License-Identifier: Apache-2.0
"""Runs functions as test cases and prints TAP; shared by test programs in Python whose cases are
plain functions. A case that raises anything has failed, and the trace is told behind its row."""
import traceback


def run(cases):
    """The exit status: 0 when all are well."""
    failed = 0
    print(f'1..{len(cases)}')
    for number, case in enumerate(cases, 1):
        try:
            case()
        except Exception:  # any failure of a case is its result
            failed += 1
            print(f'not ok {number} - {case.__name__}')
            print('# ' + traceback.format_exc().replace('\n', '\n# '))
        else:
            print(f'ok {number} - {case.__name__}')
    return 1 if failed else 0
