#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The broker's log: every line is `time level event key=value ...`, over starts, a kill, a reload,
bad clients and a stop; what comes in a flood is held back and counted."""
import re
import signal
import struct
import sys
import unittest

import bad
import wire
from broker import Broker

LINE = re.compile(r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z (info|warning|error) ([a-z][a-z_]*)'
                  r'((?: [a-z][a-z_]*=(?:"(?:\\.|[^"\\])*"|[^\s"=]+))*)$')
BURST = 20  # LINES_BURST of broker/lines.h
FLOOD = 50


class LogLinesTest(unittest.TestCase):
    def setUp(self):
        self.broker = Broker()
        self.addCleanup(self.broker.close)
        self.broker.start()

    def lines(self):
        """(level, event, values) of each line, which must be well formed."""
        found = []
        for line in self.broker.read_log().splitlines():
            match = LINE.match(line)
            self.assertTrue(match, line)
            found.append((match[2], match[3], match[4].strip()))
        return found

    def events(self):
        return [event for _, event, _ in self.lines()]

    def flood(self):
        """Connections that each end with an event of the same name."""
        for _ in range(FLOOD):
            connection = wire.Connection(self.broker.address)
            connection.send(wire.FRAME.pack(0xffffffff, wire.OPS['PING'], 1, 0, 1))
            self.assertTrue(connection.is_closed())
            connection.close()

    def test_every_line_of_a_life_has_the_form(self):
        self.broker.run('facility', 'add', 'DC1')
        self.broker.process.send_signal(signal.SIGHUP)
        self.broker.says('configuration_checked')
        for junk in (b'GET / HTTP/1.1\r\n\r\n', b'\0' * 16, struct.pack('<I', 9) + b'\xff' * 9):
            connection = wire.Connection(self.broker.address, greet=False)
            connection.send(junk)
            connection.is_closed()
            connection.close()
        self.broker.kill()
        first = self.events()
        for event in ('starting', 'engine', 'recovered', 'ready', 'connection_closed'):
            self.assertIn(event, first)
        self.broker.start()
        self.assertEqual(self.broker.stop(), 0)
        again = self.events()
        for event in ('starting', 'recovered', 'ready', 'stopping', 'stopped'):
            self.assertIn(event, again)
        self.assertNotIn('error', [level for level, _, _ in self.lines()])

    def test_a_flood_is_held_back_and_counted(self):
        self.flood()
        self.assertEqual(self.broker.stop(), 0)
        self.assertEqual(self.events().count('connection_closed'), BURST)
        held = [values for _, event, values in self.lines() if event == 'lines_suppressed']
        self.assertEqual(held, [f'of=connection_closed count={FLOOD - BURST}'])


if __name__ == '__main__':
    sys.exit(bad.main())
