#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests of the other tidy checks: a bad example of every rule is found, a good one passes. Prints
TAP.
"""
import os
import sys

import exports
import headers
import links
import names
import ranks
import seam
import tree
from kit import TreeCase, main

TABLES = '''
| rank | module | may include | system headers |
|---|---|---|---|
| 0 | `wire` | | `C` |
| 1 | `client` | `wire` | `C` `POSIX` |
| 1 | `broker/base` | `wire` | `C` |
| 2 | `broker/io` | `broker/base` `wire` | `C` `POSIX` |
| 3 | `broker/log` | `broker/io` `broker/base` `wire` | `C` |
| 9 | `broker` | `broker/log` `wire` | `C` `POSIX` |
| - | `tools` | `client/include` | `C` `POSIX` |
| - | `tests` | everything | `C` `POSIX` |

| library | headers | only in |
|---|---|---|
| LZ4 | `lz4.h` | `wire/compress.c` |
| liburing | `liburing.h` | `broker/io` |
| Criterion | `criterion/` | `tests` |
'''


class Tree(TreeCase):
    def test_walks_sources_and_leaves_build_results_out(self):
        for path in ('wire/a.c', 'build-asan/b.c', '.git/c.c', 'tests/fuzz/corpus/x/d.c'):
            self.write(path, '')
        self.assertEqual(tree.files(self.root), ['wire/a.c'])

    def test_strips_comments_and_literals_but_keeps_lines(self):
        code = 'a /* x\ny */ b("system(1) /* no */"); // gone\nc\n'
        self.assertEqual(tree.strip_comments(code), 'a  \n b("");  \nc\n')

    def test_reads_the_rows_of_one_table_only(self):
        rows = tree.table_rows(TABLES, 'library')
        self.assertEqual([row[0] for row in rows], ['LZ4', 'liburing', 'Criterion'])
        self.assertEqual(len(tree.table_rows(TABLES, 'rank')), 8)


class Ranks(TreeCase):
    def setUp(self):
        super().setUp()
        self.write(ranks.TABLES, TABLES)
        for path in ('tools/x.h', 'tests/x.h', 'wire/batch.h', 'broker/base/list.h',
                     'broker/io/env.h', 'broker/log/log.h', 'broker/config.h', 'client/link.h',
                     'client/include/crossdock/client.h'):
            self.write(path, '')

    def findings(self, path, *includes):
        self.write(path, ''.join(f'#include {include}\n' for include in includes))
        return ranks.check(self.root)

    def test_accepts_lower_ranks_and_own_files(self):
        self.assertEqual(self.findings('broker/log/log.c', '"broker/log/log.h"', '<string.h>',
                                       '"broker/io/env.h"', '"wire/batch.h"'), [])
        self.assertEqual(self.findings('broker/main.c', '"broker/config.h"', '<unistd.h>',
                                       '"broker/log/log.h"'), [])
        self.assertEqual(self.findings('tests/unit/test_x.c', '<criterion/criterion.h>',
                                       '"broker/log/log.h"', '<crossdock/client.h>'), [])

    def test_finds_a_higher_rank(self):
        self.assert_finds(self.findings('broker/io/env.c', '"broker/log/log.h"'),
                          'broker/io/env.c:1', 'may not include')

    def test_finds_the_broker_in_the_client(self):
        self.assert_finds(self.findings('client/link.c', '"broker/base/list.h"'), 'client')

    def test_finds_start_up_code_below_the_top(self):
        self.assert_finds(self.findings('broker/log/log.c', '"broker/config.h"'), 'broker/log')

    def test_finds_a_path_that_is_not_from_the_root(self):
        self.assert_finds(self.findings('broker/log/log.c', '"log.h"'), 'root')

    def test_finds_a_library_outside_its_wrapper(self):
        self.assert_finds(self.findings('wire/batch.c', '<lz4.h>'), 'only in wire/compress.c')
        self.write('wire/batch.c', '')
        self.assertEqual(self.findings('wire/compress.c', '<lz4.h>'), [])

    def test_finds_liburing_outside_io(self):
        self.assert_finds(self.findings('broker/log/log.c', '<liburing.h>'), 'only in broker/io')

    def test_finds_a_library_without_a_row(self):
        self.assert_finds(self.findings('broker/log/log.c', '<zlib.h>'), 'no table')

    def test_finds_system_headers_in_the_core(self):
        self.assert_finds(self.findings('broker/log/log.c', '<unistd.h>'), 'only the C library')
        self.write('broker/log/log.c', '')
        self.assert_finds(self.findings('wire/batch.c', '<sys/socket.h>'), 'wire')

    def test_finds_internals_in_a_tool(self):
        self.assert_finds(self.findings('tools/crossdock/main.c', '"client/link.h"'), 'tools')
        self.assertEqual(self.findings('tools/crossdock/main.c', '<crossdock/client.h>'), [])

    def test_finds_a_folder_without_a_row(self):
        self.assert_finds(self.findings('broker/dlq/park.c'), 'belongs to no module')

    def test_finds_a_row_without_a_folder(self):
        os.remove(os.path.join(self.root, 'tools/x.h'))
        os.rmdir(os.path.join(self.root, 'tools'))
        self.assert_finds(ranks.check(self.root), 'tools does not exist')

    def test_finds_a_circle_in_the_table(self):
        self.write(ranks.TABLES, TABLES.replace('`broker/base` | `wire` |',
                                                '`broker/base` | `broker/log` |'))
        self.assert_finds(ranks.check(self.root), 'not of a lower rank')

    def test_finds_an_overview_that_shows_other_ranks(self):
        overview = TABLES.partition('| library')[0]
        self.write(ranks.OVERVIEW, overview)
        self.assertEqual(ranks.check(self.root), [])
        self.write(ranks.OVERVIEW, overview.replace('| 3 | `broker/log`', '| 4 | `broker/log`'))
        self.assertEqual(len(ranks.check(self.root)), 2)

    def test_finds_a_missing_table(self):
        self.write(ranks.TABLES, '# Nothing\n')
        self.assert_finds(ranks.check(self.root), 'missing')


class Seam(TreeCase):
    NM = ('liblog.a:liblog.a.p/log.c.o:                 U memcpy\n'
          'liblog.a:liblog.a.p/log.c.o:                 U env_clock\n'
          'liblog.a:liblog.a.p/log.c.o:                 U {symbol}\n')

    def findings(self, symbol, excuses=()):
        return seam.check_library('log', self.NM.format(symbol=symbol), excuses, set())

    def test_finds_each_forbidden_family(self):
        for symbol in ('read', 'pwritev2', 'openat', 'fdatasync', 'rename', 'unlink',
                       'clock_gettime', 'gettimeofday', 'time', 'rand', 'getrandom', 'sendmsg',
                       'recv', 'socket', 'malloc', 'free', 'getenv', 'pthread_mutex_lock',
                       'io_uring_submit'):
            self.assert_finds(self.findings(symbol), symbol, 'log/log.c')

    def test_finds_a_function_behind_its_hardened_name(self):
        for symbol in ('__read_chk', '__printf_chk', '__isoc99_fscanf', 'open64'):
            self.assertEqual(len(self.findings(symbol)), 1)

    def test_accepts_names_that_only_resemble(self):
        for symbol in ('reader_open', 'opened', 'timer_pop', 'randomise', 'free_slots', 'snprintf',
                       'abort', '__memcpy_chk', '__stack_chk_fail', '__asan_report_load8'):
            self.assertEqual(self.findings(symbol), [])

    def test_an_excuse_counts_for_its_object_and_symbol_only(self):
        excuses, wrong = seam.parse_allow_list('log log.c read because it must\n', 'allow')
        self.assertEqual(wrong, [])
        self.assertEqual(self.findings('read', excuses), [])
        self.assertEqual(self.findings('__read_chk', excuses), [])
        self.assert_finds(self.findings('write', excuses), 'write')

    def test_finds_an_excuse_without_a_reason(self):
        _, wrong = seam.parse_allow_list('# comment\nlog log.c read\n', 'allow')
        self.assert_finds(wrong, 'allow:2', 'reason')


class Names(TreeCase):
    BUILD = "files('a.c', 'segment.c')\ntests = {\n  'a': [],\n  'log_segment': [],\n}\n"

    def setUp(self):
        super().setUp()
        for folder in ('wire', 'broker/log', 'tests/wire', 'tests/unit'):
            self.write(f'{folder}/meson.build', self.BUILD)
        self.write('wire/a.c', '')
        self.write('tests/wire/test_a.c', '')
        self.write('broker/log/segment.c', '')
        self.write('tests/unit/test_log_segment.c', '')

    def test_accepts_a_mirrored_tree(self):
        self.assertEqual(names.check(self.root), [])

    def test_knows_the_mirror_of_each_folder(self):
        self.assertEqual(names.mirrors('broker/config.c'),
                         ['tests/unit/test_config.c', 'tests/sim/test_config.c'])
        self.assertEqual(names.mirrors('client/producer.c'),
                         ['tests/unit/test_client_producer.c', 'tests/api/test_producer.c'])

    def test_finds_a_source_without_a_test(self):
        os.remove(os.path.join(self.root, 'tests/unit/test_log_segment.c'))
        self.assert_finds(names.check(self.root), 'broker/log/segment.c', 'no test')
        self.write(names.UNTESTED, 'broker/log/segment.c covered by the simulation\n')
        self.assertEqual(names.check(self.root), [])

    def test_finds_stale_and_unreasoned_exceptions(self):
        self.write(names.UNTESTED, 'wire/a.c not needed any more\n')
        self.assert_finds(names.check(self.root), 'has a test by now')
        self.write(names.UNTESTED, 'wire/gone.c not there any more\n')
        self.assert_finds(names.check(self.root), 'does not exist')
        os.remove(os.path.join(self.root, 'tests/wire/test_a.c'))
        self.write(names.UNTESTED, 'wire/a.c\n')
        self.assert_finds(names.check(self.root), 'needs a reason')

    def test_finds_a_source_that_is_not_built_and_a_test_that_does_not_run(self):
        self.write('tests/unit/test_log_block.c', '')
        self.assert_finds(names.check(self.root), 'test_log_block.c', 'no build file')

    def test_counts_assertions_per_function(self):
        self.write('wire/a.c', 'int f(int a)\n{\n    XD_ASSERT(a);\n    XD_ASSERT(a > 1);\n}\n'
                   'int g(void)\n{\n    /* XD_ASSERT(0) */\n}\n')
        self.assertEqual(names.densities(self.root, ['wire/a.c']), [('wire', 2, 2)])


class Exports(TreeCase):
    MAP = 'CROSSDOCK_0 {\n  global: /* all */\n    xdock_a;\n    xdock_b;\n  local:\n    *;\n};\n'
    NM = ('0000 A CROSSDOCK_0\n0010 T xdock_a@@CROSSDOCK_0\n0020 T xdock_b@@CROSSDOCK_0\n')

    def findings(self, nm_text=NM, map_text=MAP):
        return exports.check(exports.exported_names(nm_text), exports.map_names(map_text), 'map')

    def test_accepts_a_library_that_equals_its_map(self):
        self.assertEqual(self.findings(), [])

    def test_finds_an_export_without_a_row(self):
        self.assert_finds(self.findings(self.NM + '0030 T xdock_c\n'), 'does not name xdock_c')

    def test_finds_a_row_without_an_export(self):
        self.assert_finds(self.findings('0010 T xdock_a\n'), 'map:4', 'xdock_b')

    def test_finds_a_foreign_prefix_and_a_pattern(self):
        foreign = self.MAP.replace('xdock_b', 'xd_b')
        self.assert_finds(self.findings(self.NM.replace('xdock_b', 'xd_b'), foreign), 'prefix')
        pattern = self.MAP.replace('xdock_b', 'xdock_*')
        found = self.findings('0010 T xdock_a\n', pattern)
        self.assert_finds(found, 'pattern')


class Links(TreeCase):
    def findings(self, text):
        self.write('docs/A.md', text)
        return links.check(self.root)

    def test_accepts_links_that_lead_somewhere(self):
        self.write('README.md', '# Crossdock\n\n## The `wire` folder\n')
        self.assertEqual(self.findings('# A b\n[x](../README.md#the-wire-folder) [y](#a-b)\n'
                                       '[z](https://example.org/x) `[n](no.md)`\n'
                                       '```\n[n](no.md)\n```\n'), [])

    def test_finds_a_missing_file(self):
        self.assert_finds(self.findings('# A\n\n[x](B.md)\n'), 'docs/A.md:3', 'leads nowhere')

    def test_finds_a_missing_heading(self):
        self.assert_finds(self.findings('# A\n[x](#b)\n'), 'no such heading')

    def test_finds_a_link_out_of_the_repository(self):
        self.assert_finds(self.findings('[x](../../etc/passwd)\n'), 'out of the repository')


class Headers(TreeCase):
    def wrong(self, path, text, which='internal', dialect='gnu11', compiler='cc'):
        self.write(path, text)
        return headers.compile_alone(self.root, path, which, dialect, [compiler])

    def test_accepts_a_header_that_stands_alone(self):
        text = '#ifndef A_H\n#define A_H\n#include <stdint.h>\ntypedef uint8_t a_t;\n#endif\n'
        self.assertIsNone(self.wrong('wire/a.h', text))
        public = 'client/include/crossdock/a.h'
        self.assertIsNone(self.wrong(public, text, 'public', 'c99'))
        self.assertIsNone(self.wrong(public, text, 'public', 'c++17', 'c++'))

    def test_finds_a_header_that_needs_another(self):
        self.assertIn('uint8_t', self.wrong('wire/a.h', 'extern uint8_t a;\n'))

    def test_finds_a_header_without_a_guard(self):
        self.assertIn('a_t', self.wrong('wire/a.h', 'typedef struct a { int b; } a_t;\n'))

    def test_finds_later_language_in_a_public_header(self):
        text = ('#ifndef A_H\n#define A_H\n'
                'typedef struct a { union { int b; int c; }; } a_t;\n#endif\n')
        self.assertIsNotNone(self.wrong('client/include/crossdock/a.h', text, 'public', 'c99'))
        self.assertIsNone(self.wrong('client/include/crossdock/a.h', text, 'public', 'c11'))

    def test_finds_c_that_is_not_cpp_in_a_public_header(self):
        text = '#ifndef A_H\n#define A_H\nextern int a(int class);\n#endif\n'
        self.assertIsNotNone(self.wrong('client/include/crossdock/a.h', text, 'public', 'c++17',
                                        'c++'))

    def test_separates_public_from_internal_headers(self):
        self.write('client/include/crossdock/a.h', '')
        self.write('client/link.h', '')
        self.assertEqual(headers.headers(self.root, 'public'), ['client/include/crossdock/a.h'])
        self.assertEqual(headers.headers(self.root, 'internal'), ['client/link.h'])


if __name__ == '__main__':
    sys.exit(main())
