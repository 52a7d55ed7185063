# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tidy checks share: a small source tree per test, and TAP output."""
import os
import sys
import tempfile
import unittest


class TreeCase(unittest.TestCase):
    """A test with a small source tree of its own."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as file:
            file.write(text)

    def assert_finds(self, findings, *words):
        """Exactly one finding, which says all these words."""
        texts = [str(finding) for finding in findings]
        self.assertEqual(len(texts), 1, texts)
        for word in words:
            self.assertIn(word, texts[0])


def flatten(suite):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from flatten(entry)
        else:
            yield entry


def main():
    """Runs the tests of the program that was started; its exit status."""
    module = sys.modules['__main__']
    cases = list(flatten(unittest.defaultTestLoader.loadTestsFromModule(module)))
    print(f'1..{len(cases)}')
    failed = False
    for number, case in enumerate(cases, 1):
        result = unittest.TestResult()
        case.run(result)
        troubles = result.failures + result.errors
        skip = f' # SKIP {result.skipped[0][1]}' if result.skipped else ''
        print(f'{"not ok" if troubles else "ok"} {number} - {case.id().partition(".")[2]}{skip}')
        for _, text in troubles:
            print('\n'.join('# ' + line for line in text.splitlines()))
        failed = failed or bool(troubles)
    return 1 if failed else 0
