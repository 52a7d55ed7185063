#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Data folders that a broker must refuse: exit status, one line that names the file and the next
step, and not a byte of the folder changed."""
import os
import shutil
import struct
import subprocess
import sys

import bad
import folder
import wire
from broker import Broker

FAILED, USAGE = 1, 2
AT_UUID_CHECKPOINT, AT_CHECKPOINT_GENERATION, AT_CHECKPOINT_XXH3 = 24, 128, 136


class Places(bad.BadCase):
    """Folders that cannot be one."""

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def test_a_missing_folder_is_made(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.data = self.path('new')
        broker.start()
        self.assertIn('log_created', broker.read_log())
        self.assertEqual(os.stat(broker.data).st_mode & 0o777, 0o700)

    def test_a_missing_parent_is_named(self):
        data = self.path('no', 'such', 'parent')
        self.refused(bad.start(data), FAILED, data, 'ENOENT', 'make the folder it lies in')
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_file_in_the_place_of_the_folder_is_named_and_kept(self):
        data = self.path('data')
        with open(data, 'w', encoding='utf-8') as file:
            file.write('mine')
        self.refused(bad.start(data), FAILED, data, 'ENOTDIR', '--data')
        with open(data, encoding='utf-8') as file:
            self.assertEqual(file.read(), 'mine')

    def test_a_folder_that_may_not_be_entered_is_named(self):
        data = self.path('data')
        os.mkdir(data, 0o500)
        os.chmod(self.folder, 0o755)
        before = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
        if os.geteuid() != 0:
            before = []
        elif subprocess.run([*before, bad.DAEMON, '--version'], capture_output=True,
                            check=False).returncode != 0:
            self.skipTest('the program is not readable for another user')
        self.refused(bad.start(data, before=before), FAILED, data, 'EACCES', 'permissions')
        self.assertEqual(os.listdir(data), [])

    def test_a_listen_address_that_is_taken_is_named(self):
        broker = Broker()
        self.addCleanup(broker.close)
        broker.start()
        result = bad.start(self.path('data'), listen=broker.address)
        self.refused(result, FAILED, broker.address)


class Owned(folder.FolderCase):
    """A good folder under bad circumstances."""
    rounds = 8

    def unchanged(self, result, status, *words):
        error = self.refused(result, status, *words)
        self.assertEqual(bad.digest(self.data), bad.digest(self.made.data))
        return error

    def test_a_folder_of_a_running_broker_is_refused_by_its_process(self):
        broker = self.serve()
        self.refused(self.start(), FAILED, 'DATA_LOCKED', str(broker.process.pid), 'stop it')
        self.assertEqual(self.read_all(broker), self.whole)

    def test_a_folder_on_a_read_only_file_system_is_refused(self):
        self.addCleanup(bad.own_mounts(self.folder))
        bad.mount('--bind', self.data, self.data)
        self.addCleanup(bad.unmount, self.data)
        bad.mount('-o', 'remount,bind,ro', self.data)
        self.unchanged(self.start(), FAILED, self.data, 'EROFS', 'read-only')

    def test_another_segment_size_is_refused_by_the_name_of_the_option(self):
        self.unchanged(self.start('log.segment_bytes=8MiB'), USAGE, 'meta', 'segment_bytes',
                       '4194304', 'set it back')

    def test_a_missing_meta_is_refused(self):
        os.remove(os.path.join(self.data, 'meta'))
        self.refused(self.start(), FAILED, 'meta', 'missing', 'copy of the folder')
        self.assertNotIn('meta', os.listdir(self.data))

    def test_a_missing_segment_is_refused(self):
        os.remove(os.path.join(self.data, 'wal.00'))
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'segment 1 is missing', 'put the file back')
        self.assertEqual(bad.digest(self.data), before)

    def test_a_segment_that_was_cut_short_is_refused(self):
        os.truncate(os.path.join(self.data, 'wal.00'), 64 << 10)
        self.refused(self.start(), FAILED, 'wal.00', 'copy')

    def test_an_empty_file_that_is_not_of_the_log_is_left_alone(self):
        with open(os.path.join(self.data, 'notes.txt'), 'w', encoding='utf-8') as file:
            file.write('mine')
        self.assertEqual(self.read_all(self.serve()), self.whole)
        self.assertIn('notes.txt', os.listdir(self.data))


class Killed(folder.FolderCase):
    """A folder whose broker was killed: nothing says where the log ended."""
    rounds = 8

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.made.start()
        assert cls.made.run('facility', 'add', 'DC08').returncode == 0
        cls.made.kill()

    def remove(self, *names):
        """The start is refused for want of segment 1 and changes nothing that is left."""
        for name in names:
            os.remove(os.path.join(self.data, name))
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'segment 1 is missing', 'put the file back')
        self.assertEqual(bad.digest(self.data), before)

    def test_the_first_segment_is_missed(self):
        self.remove('wal.00')

    def test_a_log_without_any_segment_is_no_new_one(self):
        self.remove(*(name for name in os.listdir(self.data) if name.startswith('wal.')))

    def test_a_damaged_slot_of_meta_costs_nothing_and_is_told_once(self):
        for slot in range(2):
            with self.subTest(slot=slot):
                shutil.rmtree(self.data)
                shutil.copytree(self.made.data, self.data)
                self.flip('meta', slot * folder.META_SLOT_BYTES + 100)
                broker = self.serve()
                self.assertEqual(broker.read_log().count(' log_meta_slot_damaged '), 1)
                self.assertEqual(self.read_all(broker), self.whole)
                self.assertEqual(broker.stop(), 0)
                broker.start()
                self.assertNotIn('log_meta_slot_damaged', broker.read_log())
                broker.stop()


class Foreign(folder.FolderCase):
    """Files of one log in the folder of another."""
    settings = ('log.checkpoint_every_bytes=1MiB',)
    rounds = 20

    def test_a_segment_of_another_log_is_refused(self):
        self.foreign('wal.01')

    def test_a_checkpoint_of_another_log_is_refused(self):
        self.foreign(self.current())

    def current(self):
        return next(row['file'] for row in self.rows('checkpoint') if row['state'] == 'current')

    def foreign(self, name):
        """The file says that it belongs to another log, under a checksum that is right."""
        at_uuid = AT_UUID_CHECKPOINT if name.startswith('checkpoint') else 48
        page = bytearray(self.bytes(name, 0, folder.PAGE_BYTES))
        page[at_uuid] ^= 1
        struct.pack_into('<Q', page, 0, wire.xxh3(bytes(page[8:])))
        self.put(name, 0, page)
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'LOG_FOREIGN', name)
        self.assertEqual(bad.digest(self.data), before)


class Newer(folder.FolderCase):
    """Files that a later release has written: never read, never changed."""
    settings = ('log.checkpoint_every_bytes=1GiB',)
    rounds = 20

    def stopped(self, *words):
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'FORMAT_UNKNOWN', 'newer',
                     'start the release that wrote it', *words)
        self.assertEqual(bad.digest(self.data), before)

    def test_a_newer_meta_stops_the_start(self):
        for slot in range(2):
            self.newer_page('meta', slot * folder.META_SLOT_BYTES)
        self.stopped('meta')

    def test_a_newer_meta_in_the_newest_slot_alone_stops_the_start(self):
        newest = next(row['slot'] for row in self.rows('meta') if row['state'] == 'current')
        self.newer_page('meta', newest * folder.META_SLOT_BYTES)
        self.stopped('meta')

    def test_a_newer_segment_stops_the_start(self):
        self.newer_page('wal.00')
        self.stopped('wal.00')

    def test_a_newer_block_stops_the_start(self):
        block = self.blocks()[3]
        meta = self.bytes('meta', 0, folder.PAGE_BYTES)
        seed = wire.xxh3(meta[24:40] + struct.pack('<QQ', block['segment'], block['epoch']))
        header = bytearray(self.bytes(block['file'], block['at'], folder.BLOCK_HEADER_BYTES))
        struct.pack_into('<H', header, folder.AT_VERSION, 2)
        struct.pack_into('<Q', header, 0, wire.xxh3(bytes(header[8:]), seed))
        self.put(block['file'], block['at'], header)
        position = block['segment'] * folder.SEGMENT_BYTES + block['at']
        self.stopped(f'segment {block["segment"]}', f'position {position}')


class NewerCheckpoint(folder.FolderCase):
    settings = ('log.checkpoint_every_bytes=1MiB',)
    rounds = 20

    def test_a_newer_checkpoint_stops_the_start(self):
        """Meta names it by its checksum, so meta is sealed anew as the later release would."""
        row = next(row for row in self.rows('checkpoint') if row['state'] == 'current')
        self.newer_page(row['file'])
        xxh3 = self.bytes(row['file'], 0, 8)
        for slot in range(2):
            at = slot * folder.META_SLOT_BYTES
            page = bytearray(self.bytes('meta', at, folder.PAGE_BYTES))
            if struct.unpack_from('<Q', page, AT_CHECKPOINT_GENERATION)[0] == row['generation']:
                page[AT_CHECKPOINT_XXH3:AT_CHECKPOINT_XXH3 + 8] = xxh3
                struct.pack_into('<Q', page, 0, wire.xxh3(bytes(page[8:])))
                self.put('meta', at, page)
        before = bad.digest(self.data)
        self.refused(self.start(), FAILED, 'FORMAT_UNKNOWN', row['file'],
                     'start the release that wrote it')
        self.assertEqual(bad.digest(self.data), before)


if __name__ == '__main__':
    sys.exit(bad.main())
