#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Frames that no client sends, over real sockets: the connection that sent them is answered or
ended as the protocol says, and every other client is served as before."""
import random
import struct
import sys
import threading
import time
import unittest

import bad
import wire
from broker import Broker

FRAME_TIMEOUT_MS = 700
HELLO_TIMEOUT_MS = 1000
FRAME_BYTES_PREAUTH_MAX = 4096
SEED = 20261124


class FramesTest(unittest.TestCase):
    """Tests that share one broker; a good client asks it something before and after each."""

    @classmethod
    def setUpClass(cls):
        cls.broker = Broker([f'net.frame_timeout_ms={FRAME_TIMEOUT_MS}',
                             f'net.hello_timeout_ms={HELLO_TIMEOUT_MS}'])
        cls.addClassCleanup(cls.broker.close)
        cls.broker.start()

    def setUp(self):
        self.good = self.connect()
        self.good.ping()

    def tearDown(self):
        """Whatever the test did: the client that was there, and a new one, are served."""
        self.assertEqual(self.good.ping().status, 0)
        self.assertEqual(self.connect().ping().status, 0)
        self.assertIsNone(self.broker.process.poll(), self.broker.read_log())

    def connect(self, greet=True):
        connection = wire.Connection(self.broker.address, greet)
        self.addCleanup(connection.close)
        return connection

    def ended(self, data, greet=True, answer=None):
        """These bytes end the connection; `answer` is the status that is told before."""
        connection = self.connect(greet)
        connection.send(data)
        told = connection.receive()
        if answer is None:
            self.assertIsNone(told)
            return None
        self.assertEqual(told.flags, wire.REPLY)
        result = wire.answer_of(told.payload)
        self.assertEqual(result.name, answer)
        self.assertTrue(connection.is_closed())
        return result


class Headers(FramesTest):
    def test_op_0_ends_the_connection(self):
        self.ended(wire.frame(0))

    def test_version_0_ends_the_connection(self):
        self.ended(wire.frame('PING', version=0))

    def test_unknown_flags_end_the_connection(self):
        for flags in (4, 8, 0x80, 0xff):
            with self.subTest(flags=flags):
                self.ended(wire.frame('PING', flags=flags))

    def test_replies_and_pushes_from_a_client_end_the_connection(self):
        for flags in (wire.REPLY, wire.PUSH, wire.REPLY | wire.PUSH):
            with self.subTest(flags=flags):
                self.ended(wire.frame('PING', flags=flags))
        for op in ('ACK', 'GOAWAY'):
            with self.subTest(op=op):
                self.ended(wire.frame(op))

    def test_a_version_of_a_request_from_the_future_is_refused_and_nothing_more(self):
        connection = self.connect()
        answer = connection.request('PING', version=99)
        self.assertEqual(answer.name, 'FORMAT_UNKNOWN')
        self.assertIn('version', answer.detail)
        self.assertEqual(connection.ping().status, 0)

    def test_an_unknown_op_is_refused_and_nothing_more(self):
        connection = self.connect()
        for op in (0x0002, 0x0777, 0xffff):
            with self.subTest(op=op):
                answer = connection.request(op, bytes(100))
                self.assertEqual(answer.name, 'OP_UNKNOWN')
                self.assertIn('op', answer.detail)
        self.assertEqual(connection.ping().status, 0)

    def test_a_length_beyond_the_limit_ends_the_connection(self):
        for length in (0xffffffff, 0x7fffffff, (1 << 20) + 1):
            with self.subTest(length=length):
                self.ended(wire.frame('PING', length=length))

    def test_the_payload_of_a_request_without_one_ends_the_connection(self):
        self.ended(wire.frame('CATALOG', b'x'))

    def test_a_broken_payload_is_refused_by_the_name_of_its_field(self):
        connection = self.connect()
        answer = connection.request('PRODUCER_OPEN', bytes(7))
        self.assertEqual(answer.name, 'FRAME_MALFORMED')
        self.assertIn('field', answer.detail)


class Greeting(FramesTest):
    def test_a_frame_before_hello_is_told_to_greet_first(self):
        for op in ('PING', 'CATALOG', 'PRODUCE', 'READ', 'ADMIN', 0x0777):
            with self.subTest(op=op):
                answer = self.ended(wire.frame(op, bytes(32)), greet=False,
                                    answer='HELLO_REQUIRED')
                self.assertIn('HELLO', answer.detail)

    def test_a_long_frame_before_hello_ends_the_connection(self):
        data = wire.frame('HELLO', bytes(FRAME_BYTES_PREAUTH_MAX + 1))
        self.ended(data[:wire.FRAME.size], greet=False)

    def test_no_version_in_common_tells_the_supported_range(self):
        answer = self.ended(wire.frame('HELLO', wire.hello_payload(7, 9)), greet=False,
                            answer='VERSION_UNSUPPORTED')
        self.assertIn('1 to 1', answer.detail)
        self.assertIn('7 to 9', answer.detail)
        self.assertEqual(wire.HELLO_REPLY.unpack_from(answer.body)[:3], (0, 1, 1))

    def test_a_version_range_upside_down_is_refused(self):
        answer = self.connect(greet=False).request('HELLO', wire.hello_payload(2, 1))
        self.assertLess(answer.status, 0)

    def test_a_second_hello_changes_nothing(self):
        connection = self.connect()
        self.assertEqual(connection.request('HELLO', wire.hello_payload()).status, 0)
        self.assertEqual(connection.ping().status, 0)

    def test_a_thousand_huge_lengths_before_hello_cost_no_memory(self):
        def claim():
            connection = wire.Connection(self.broker.address, greet=False)
            connection.send(wire.frame('HELLO', length=0xfffffff0))
            self.assertTrue(connection.is_closed())
            connection.close()
        claim()
        before = bad.resident_bytes(self.broker.process.pid)
        for _ in range(1000):
            claim()
        grown = bad.resident_bytes(self.broker.process.pid) - before
        self.assertLess(grown, 1 << 20)


class Pieces(FramesTest):
    def test_a_frame_cut_anywhere_and_closed_is_dropped(self):
        data = wire.frame('HELLO', wire.hello_payload())
        for length in range(len(data)):
            connection = wire.Connection(self.broker.address, greet=False)
            connection.send(data[:length])
            connection.close()

    def test_a_reset_inside_a_frame_is_dropped(self):
        data = wire.frame('PRODUCE', bytes(100_000))
        for length in (1, 15, 16, 17, 40, 4096, 70_000, len(data) - 1):
            connection = wire.Connection(self.broker.address)
            connection.send(data[:length])
            connection.reset()

    def test_a_frame_in_single_bytes_is_understood(self):
        connection = self.connect()
        for byte in wire.frame('PING', correlation=77):
            connection.send(bytes([byte]))
        self.assertEqual(connection.receive().correlation, 77)

    def test_a_slow_loris_is_ended_by_the_time_limit_of_a_frame(self):
        """One byte each 100 ms never lets the connection look idle."""
        connection = self.connect()
        data = wire.frame('CATALOG', bytes(900))
        begun = time.monotonic()
        stop = threading.Event()

        def drip():
            for byte in data:
                if stop.wait(0.1):
                    return
                try:
                    connection.send(bytes([byte]))
                except OSError:
                    return
        dripper = threading.Thread(target=drip)
        dripper.start()
        closed = connection.is_closed(10)
        seconds = time.monotonic() - begun
        stop.set()
        dripper.join()
        self.assertTrue(closed)
        self.assertGreater(seconds, FRAME_TIMEOUT_MS / 1000)
        self.broker.says('reason=frame_slow')

    def test_a_connection_that_never_greets_is_ended(self):
        begun = time.monotonic()
        self.assertTrue(self.connect(greet=False).is_closed(10))
        self.assertGreater(time.monotonic() - begun, HELLO_TIMEOUT_MS / 1000 - 0.1)

    def test_a_greeted_connection_may_stay_silent(self):
        self.assertFalse(self.connect().is_closed(2 * HELLO_TIMEOUT_MS / 1000))


class Random(FramesTest):
    def test_random_bytes_end_their_connection_at_most(self):
        chance = random.Random(SEED)
        for round_number in range(200):
            connection = wire.Connection(self.broker.address, greet=round_number % 2 == 0)
            try:
                connection.send(chance.randbytes(chance.randrange(1, 5000)))
            except ConnectionError:
                pass
            if round_number % 3 == 0:
                connection.reset()
            else:
                connection.close()

    def test_random_payloads_under_good_headers_are_answered_or_end_their_connection(self):
        chance = random.Random(SEED + 1)
        ops = ['HELLO', 'PING', 'CATALOG', 'PRODUCER_OPEN', 'PRODUCE', 'PRODUCER_CLOSE', 'READ',
               'ADMIN']
        for round_number in range(300):
            op = ops[round_number % len(ops)]
            payload = chance.randbytes(chance.choice([0, 1, 8, 16, 24, 32, 140, 3000]))
            if op == 'PRODUCE' and len(payload) >= 16:
                payload = struct.pack('<IBBBBQ', chance.choice([0, 1, 2, 1024]), 0, 0, 0, 0,
                                      0) + payload[16:]
            connection = wire.Connection(self.broker.address)
            connection.send(wire.frame(op, payload) + wire.frame('PING', correlation=9))
            answers = []
            while (reply := connection.receive()) is not None:
                answers.append(reply.correlation)
                if reply.correlation == 9:
                    break
            # In the sequence of the requests: never the second alone, but for a one-way request.
            if op != 'PRODUCE':
                self.assertIn(answers, ([1, 9], [1], []), f'{op} {payload.hex()}')
            connection.close()


if __name__ == '__main__':
    sys.exit(bad.main())
