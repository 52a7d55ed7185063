# SPDX-License-Identifier: Apache-2.0
"""The wire protocol for tests that must send what no client library sends.

Numbers and names come from wire/status.def and wire/request.def; layouts are those of wire/frame.h,
wire/request.h and wire/batch.h. BATCH_TOOL names the program that makes records and checksums.
"""
import json
import os
import re
import socket
import struct
import subprocess
from collections import namedtuple

TOOL = os.environ['BATCH_TOOL']
WIRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'wire')
ANSWER_SECONDS = 20

FRAME = struct.Struct('<IHBBQ')
REPLY_HEAD = struct.Struct('<iIQQII')
HELLO = struct.Struct('<HHI')
HELLO_REPLY = struct.Struct('<HHHBBIIII16sqII')
OPEN = struct.Struct('<QQHBBI')
OPEN_REPLY = struct.Struct('<QIHHIIQ')
PRODUCE_HEAD = struct.Struct('<IB3xQ')
ACK_HEAD = struct.Struct('<IIQQ')
ACK = struct.Struct('<QIiQQQQQIIHB5x')
READ = struct.Struct('<IB3xQII')
CATALOG_REQUEST = struct.Struct('<IIII')
CATALOG_REPLY = struct.Struct('<QIIIIII')
CATALOG_TOPIC = struct.Struct('<IBBBB72s')
CATALOG_FACILITY = struct.Struct('<IB3x72s')
CATALOG_PLACEMENT = struct.Struct('<IIII')
BATCH = struct.Struct('<IIQQqIHHBBHIQIHHQQQqqIHHQ')
BATCH_FIELDS = ('magic batch_bytes batch_xxh3 base_offset append_time_us suppressed_count '
                'control_kind reserved format codec flags partition producer_id producer_epoch '
                'record_count channel_epoch first_sequence last_sequence previous_sequence '
                'first_event_time_us last_event_time_us raw_bytes atomic_part atomic_parts '
                'atomic_id')
BATCH_MAGIC = 0x31424458
HASHED_FROM = 40
REPLY, PUSH = 1, 2
SEEK_OFFSET, SEEK_BEGIN = 0, 1

Header = namedtuple('Header', BATCH_FIELDS)
Frame = namedtuple('Frame', 'op version flags correlation payload')
Answer = namedtuple('Answer', 'status name detail body')
Ack = namedtuple('Ack', 'status name detail resume base_offset retry_after_ms')
Channel = namedtuple('Channel', 'producer_id producer_epoch channel_epoch facility')
Place = namedtuple('Place', 'base width')


def table(name, pattern):
    with open(os.path.join(WIRE, name), encoding='utf-8') as file:
        return {row[0]: int(row[1], 0) for row in re.findall(pattern, file.read(), re.M)}


OPS = table('request.def', r'^X\((\w+),\s*(0x\w+),')
STATUSES = table('status.def', r'^X\((\w+),\s*(-?\d+),')
NAMES = {number: name for name, number in STATUSES.items()} | {0: 'OK'}


def tool(*words, data=b''):
    return subprocess.run([TOOL, *map(str, words)], input=data, stdout=subprocess.PIPE,
                          check=True).stdout


def xxh3(data, seed=0):
    return int(tool('hash', f'{seed:x}', data=data), 16)


def text(value):
    data = value.encode()
    return bytes([len(data)]) + data


# ---- batches ---------------------------------------------------------------------------------

def records(channel, sku, first, count=1, payload_bytes=20, strategy='sku'):
    """Body of a batch: `count` records of one SKU for the channel."""
    return tool('records', channel.producer_id, channel.channel_epoch, channel.facility, strategy,
                sku, first, count, payload_bytes)


def batch(channel, partition, body, first, count=1, previous=0, **fields):
    """A sealed batch. `fields` replace header fields before the checksum is taken."""
    header = Header(magic=BATCH_MAGIC, batch_bytes=BATCH.size + len(body), batch_xxh3=0,
                    base_offset=0, append_time_us=0, suppressed_count=0, control_kind=0,
                    reserved=0, format=0, codec=0, flags=0, partition=partition,
                    producer_id=channel.producer_id, producer_epoch=channel.producer_epoch,
                    record_count=count, channel_epoch=channel.channel_epoch, first_sequence=first,
                    last_sequence=first + count - 1, previous_sequence=previous,
                    first_event_time_us=1, last_event_time_us=2, raw_bytes=len(body),
                    atomic_part=0, atomic_parts=0, atomic_id=0)
    header = header._replace(**fields)
    data = BATCH.pack(*header) + body
    return BATCH.pack(*header._replace(batch_xxh3=xxh3(data[HASHED_FROM:]))) + body


def padded(data):
    return data + bytes(-len(data) % 8)


# ---- connections -----------------------------------------------------------------------------

def dial(address):
    host, port = address.rsplit(':', 1)
    made = socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def frame(op, payload=b'', correlation=1, version=1, flags=0, length=None):
    """Bytes of a frame; `op` is a name of request.def or a number."""
    number = OPS[op] if isinstance(op, str) else op
    return FRAME.pack(len(payload) if length is None else length, number, version, flags,
                      correlation) + payload


def hello_payload(version_min=1, version_max=1, name='test', release='1'):
    return HELLO.pack(version_min, version_max, 0) + text(name) + text(release)


class Connection:
    """One connection. `greet` says HELLO at once, as every good client does."""

    def __init__(self, address, greet=True):
        self.socket = dial(address)
        if greet:
            answer = self.request('HELLO', hello_payload())
            if answer is None or answer.status < 0:
                self.close()
                raise ConnectionError(f'HELLO was answered by {answer}')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Closes with a reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, count):
        """That many bytes, or None when the broker has closed the connection before."""
        data = b''
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except ConnectionResetError:
                piece = b''
            if not piece:
                return None
            data += piece
        return data

    def receive(self):
        """The next frame, or None at the end of the connection."""
        head = self.exactly(FRAME.size)
        if head is None:
            return None
        length, op, version, flags, correlation = FRAME.unpack(head)
        return Frame(op, version, flags, correlation, self.exactly(length))

    def is_closed(self, seconds=ANSWER_SECONDS):
        """Whether the broker ends this connection within the time; what it sends is dropped."""
        self.socket.settimeout(seconds)
        try:
            while self.receive() is not None:
                pass
        except TimeoutError:
            return False
        return True

    def request(self, op, payload=b'', **fields):
        """Sends a request and gives its answer, or None when the broker hung up instead."""
        self.send(frame(op, payload, **fields))
        while (reply := self.receive()) is not None:
            if reply.flags == REPLY:
                return answer_of(reply.payload)
        return None

    # -- what a good client does --

    def ping(self):
        return self.request('PING')

    def catalog(self):
        """Places of topics: {(topic, facility name or ''): Place}."""
        names, sites, places, has, totals = {}, {0: ''}, {}, (0, 0, 0), None
        while has != totals:
            body = self.request('CATALOG', CATALOG_REQUEST.pack(*has, 0)).body
            _, topics, facilities, placements, *totals = CATALOG_REPLY.unpack_from(body)
            totals, end, at = tuple(totals), has[2], CATALOG_REPLY.size
            for _ in range(topics):
                number, _, _, size, _, name = CATALOG_TOPIC.unpack_from(body, at)
                names[number] = name[:size].decode()
                at += CATALOG_TOPIC.size
            for _ in range(facilities):
                number, size, name = CATALOG_FACILITY.unpack_from(body, at)
                sites[number] = name[:size].decode()
                at += CATALOG_FACILITY.size
            for _ in range(placements):
                topic, site, base, width = CATALOG_PLACEMENT.unpack_from(body, at)
                places[names[topic], sites[site]] = Place(base, width)
                end = base + width
                at += CATALOG_PLACEMENT.size
            if (len(names), len(sites) - 1, end) == has != totals:
                raise AssertionError(f'no rows behind {has} of {totals}')
            has = len(names), len(sites) - 1, end
        return places

    def admin(self, verb, **arguments):
        """What a verb answers."""
        answer = self.request('ADMIN', text(verb) + json.dumps(arguments).encode())
        if answer.status < 0:
            raise AssertionError(f'{verb}: {answer.name}: {answer.detail}')
        return json.loads(answer.body)

    def open(self, source, facility, channel=''):
        """Opens a channel without memory of earlier sequences; Channel, or the refusing Answer."""
        answer = self.request('PRODUCER_OPEN', OPEN.pack(0, 0, 0, 1, 0, 0) + text(source) +
                              text(channel) + text(facility))
        if answer.status < 0:
            return answer
        producer, epoch, channel_epoch, _, site, _, _ = OPEN_REPLY.unpack_from(answer.body)
        return Channel(producer, epoch, channel_epoch, site)

    def produce(self, *batches, durability=0):
        """Sends one frame and gives the outcomes of its batches, or None at a hang-up."""
        payload = PRODUCE_HEAD.pack(len(batches), durability, 0)
        self.send(frame('PRODUCE', payload + b''.join(map(padded, batches))))
        return self.acks(len(batches))

    def acks(self, count):
        """Outcomes of `count` batches; a success may cover several."""
        outcomes = []
        while len(outcomes) < count:
            push = self.receive()
            if push is None:
                return None
            if push.op != OPS['ACK']:
                continue
            outcomes += acks_of(push.payload)
        return outcomes

    def read(self, partition, offset=0, seek=SEEK_OFFSET):
        return self.request('READ', READ.pack(partition, seek, offset, 1 << 20, 0))


def answer_of(payload):
    status, _, _, _, detail, _ = REPLY_HEAD.unpack_from(payload)
    at = REPLY_HEAD.size
    body = payload[at + (detail + 7 & ~7):]
    return Answer(status, NAMES.get(status, str(status)), payload[at:at + detail].decode(), body)


def acks_of(payload):
    count, _, _, _ = ACK_HEAD.unpack_from(payload)
    text_at = ACK_HEAD.size + count * ACK.size
    outcomes = []
    for i in range(count):
        (_, _, status, _, _, base, resume, _, _, wait, detail,
         _) = ACK.unpack_from(payload, ACK_HEAD.size + i * ACK.size)
        outcomes.append(Ack(status, NAMES.get(status, str(status)),
                            payload[text_at:text_at + detail].decode(), resume, base, wait))
        text_at += detail
    return outcomes
