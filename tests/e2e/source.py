# SPDX-License-Identifier: Apache-2.0
"""A source that sends to one facility and remembers what was acknowledged."""
import wire

BATCH_RECORDS = 20


def shard_of(channel):
    """Number of the shard that a channel lives on."""
    return channel.producer_id >> 24 & 0xff


class Source:
    """Sends batches of one SKU to one facility over a connection of its own, from the start."""

    def __init__(self, address, facility, name='SRC', payload_bytes=400):
        self.facility, self.sku, self.acked = facility, f'SKU-{facility}', 0
        self.payload_bytes = payload_bytes
        self.connection = wire.Connection(address)
        self.channel = self.connection.open(name, facility, self.sku)
        self.place = self.connection.catalog()['stock', facility]

    def send(self):
        """One batch, acknowledged or not; whether it was."""
        first = self.acked + 1
        body = wire.records(self.channel, self.sku, first, BATCH_RECORDS, self.payload_bytes)
        route_key = int.from_bytes(body[48:52], 'little')
        partition = self.place.base + (route_key * self.place.width >> 32)
        try:
            acks = self.connection.produce(wire.batch(self.channel, partition, body, first,
                                                      BATCH_RECORDS, self.acked))
        except OSError:
            return False
        if not acks or acks[0].status < 0:
            return False
        self.acked += BATCH_RECORDS
        return True

    def close(self):
        self.connection.close()
