#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of style.py: a bad example of every rule is found, a good one passes. Prints TAP."""
import os
import sys

import style
from kit import TreeCase, main

C_HEAD = '/* SPDX-License-Identifier: Apache-2.0\n *\n * Example.\n */\n'


class Style(TreeCase):
    def findings(self, path, text):
        self.write(path, text)
        return style.check(self.root)

    def c_findings(self, body):
        return self.findings('wire/a.c', C_HEAD + body)

    def test_accepts_a_clean_source_and_header(self):
        header = '#ifndef CROSSDOCK_WIRE_A_H\n#define CROSSDOCK_WIRE_A_H\n\nint a(void);\n#endif\n'
        self.assertEqual(self.findings('wire/a.h', C_HEAD + header), [])
        self.assertEqual(self.c_findings('#include "wire/a.h"\n\n#include "wire/b.h"\n\n'
                                         '#include <string.h>\n\nstatic_assert(1, "x");\n'), [])
        self.assertEqual(self.findings('tools/x.sh', '#!/bin/sh\n# ' + style.LICENCE + '\n'), [])

    def test_finds_a_missing_licence(self):
        self.assert_finds(self.findings('wire/a.c', '/* Example. */\n'), 'licence')
        os.remove(os.path.join(self.root, 'wire/a.c'))
        self.assert_finds(self.findings('tools/x.sh', '#!/bin/sh\nset -e\n'), 'licence')

    def test_finds_bad_layout(self):
        self.assert_finds(self.c_findings('/* ' + 'x' * 98 + ' */\n'), 'columns')
        self.assert_finds(self.c_findings('\tint a;\n'), 'a tab')
        self.assert_finds(self.c_findings('int a; \n'), 'blanks at the end')
        self.assert_finds(self.c_findings('int a;'), 'no newline')
        self.assert_finds(self.c_findings('int a;\n\n'), 'empty lines at the end')

    def test_accepts_a_line_of_the_full_width(self):
        self.assertEqual(self.c_findings('/* ' + 'x' * 94 + ' */\n'), [])

    def test_finds_a_long_file_and_notes_a_longish_one(self):
        self.assert_finds(self.c_findings('int a;\n' * 800), 'lines, at most 800')
        self.write('wire/a.c', C_HEAD + 'int a;\n' * 600)
        self.assertEqual(style.check(self.root), [])
        self.assertIn('wire/a.c', ''.join(style.notes(self.root)))

    def test_finds_a_long_function(self):
        def function(lines, head='int f(int a,\n      int b)\n{\n'):
            return head + '    a++;\n' * (lines - 2) + '}\n'
        self.assertEqual(self.c_findings(function(70)), [])
        self.assert_finds(self.c_findings(function(71)), 'a function of 71 lines')
        self.assert_finds(self.c_findings(function(71, 'Test(a, b) {\n')), '71 lines')
        self.assertEqual(self.c_findings('static const int table[] =\n{\n' + '    1,\n' * 80 +
                                         '};\n'), [])

    def test_finds_a_long_python_function(self):
        head = '# ' + style.LICENCE + '\ndef f():\n'
        self.assert_finds(self.findings('tools/x.py', head + '    pass\n' * 70), '71 lines')

    def test_finds_a_wrong_guard(self):
        for guard in ('WIRE_A_H', 'CROSSDOCK_A_H'):
            self.assert_finds(self.findings('wire/a.h', C_HEAD + f'#ifndef {guard}\n#define {guard}'
                                            '\n#endif\n'), 'CROSSDOCK_WIRE_A_H')
        self.assert_finds(self.findings('wire/a.h', C_HEAD + '#ifndef CROSSDOCK_WIRE_A_H\n#define '
                                        'CROSSDOCK_WIRE_A_H\n#endif\nint b;\n'), 'whole header')

    def test_guards_follow_the_path(self):
        self.assertEqual(style.guards_of('client/include/crossdock/client.h'),
                         ['CROSSDOCK_CLIENT_H'])
        self.assertEqual(style.guards_of('client/link.h'), ['CROSSDOCK_CLIENT_LINK_H'])
        self.assertEqual(style.guards_of('broker/io/env.h'),
                         ['CROSSDOCK_IO_ENV_H', 'CROSSDOCK_BROKER_IO_ENV_H'])

    def test_finds_includes_out_of_sequence(self):
        self.write('wire/a.h', C_HEAD + '#ifndef CROSSDOCK_WIRE_A_H\n#define CROSSDOCK_WIRE_A_H\n'
                   '#endif\n')
        self.assert_finds(self.c_findings('#include "wire/b.h"\n#include "wire/a.h"\n'), 'first')
        self.assert_finds(self.c_findings('#include "wire/a.h"\n#include <string.h>\n'
                                          '#include "wire/b.h"\n'), 'before system headers')

    def test_finds_left_over_words(self):
        for word in ('TODO', 'FIXME', 'XXX', 'HACK', 'a stub', 'for now', 'For now', 'placeholder'):
            self.assert_finds(self.c_findings(f'/* {word} */\n'), 'left over')
        self.assertEqual(self.c_findings('/* XXH3, HACKING.md, XXXXXX, stubborn */\n'), [])

    def test_finds_left_over_words_in_documents(self):
        self.assert_finds(self.findings('docs/A.md', 'This is missing for now.\n'), 'docs/A.md:1')

    def test_finds_banned_calls(self):
        for call in ('strcpy', 'strcat', 'sprintf', 'gets', 'atoi', 'strtok', 'alloca', 'assert',
                     'rand', 'system', 'popen'):
            self.assert_finds(self.c_findings(f'void f(void)\n{{\n    {call}(x);\n}}\n'), call)

    def test_accepts_calls_that_only_resemble(self):
        self.assertEqual(self.c_findings('int f(void)\n{\n    snprintf(a, 1, "rand()");\n'
                                         '    x->exit(1);\n    XD_ASSERT(x);\n    my_rand(1);\n'
                                         '    /* system() is not called */\n}\n'), [])

    def test_library_calls_are_free_in_tools(self):
        self.assertEqual(self.findings('tools/x/main.c', C_HEAD + 'int f(void)\n{\n    exit(1);\n'
                                       '}\n'), [])

    def test_finds_dead_code(self):
        self.assert_finds(self.c_findings('#if 0\n#endif\n'), '#if 0')
        self.assert_finds(self.c_findings('/* count = 3; */\n'), 'inside a comment')
        self.assert_finds(self.c_findings('    /* f(a, b); */\n'), 'inside a comment')
        self.assert_finds(self.c_findings('// words\n'), 'comments are written')
        self.assertEqual(self.c_findings('/* Sets the count; see log.h. */\n'), [])


if __name__ == '__main__':
    sys.exit(main())
