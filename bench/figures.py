# SPDX-License-Identifier: Apache-2.0
"""From the output of programs to a table: figures in the units of rows.py, medians with their
range, targets met or not. Pure; shared by run.py and its test."""
import os
import re
import statistics

from rows import UNITS

# A range wider than this share of the median makes a figure noisy.
NOISE_MAX = 0.3
BEGIN, END = '<!-- bench: begin -->', '<!-- bench: end -->'
LINES = {
    'mb3': re.compile(r'F=(?P<frame>\d+) +M=(?P<record>\d+) .*?(?P<frames>\d+) frames/s +'
                      r'(?P<records>[\d.]+) Mmsg/s +(?P<bytes>[\d.]+) MB/s '
                      r'ack p50 +(?P<p50>\d+) p99 +(?P<p99>\d+)'),
    'st': re.compile(r'(?P<frames>\d+) batch/s +(?P<bytes>\d+) MB/s +p50 +(?P<p50>\d+) '
                     r'p99 +(?P<p99>\d+)'),
    'net': re.compile(r'(?P<bytes>[\d.]+) GB/s .*ns/KB +(?P<broker_kib>[\d.]+)'),
    'cold': re.compile(r'(?P<bytes>[\d.]+) GB/s .*p50 +(?P<p50>\d+) p99 +(?P<p99>\d+)'),
}
# What the mock broker says of itself, over all that it did, warm-up included.
MB3_CPU = re.compile(r'us/frame (?P<us>[\d.]+)')
MB3_SENT = re.compile(r'fanout (?P<bytes>[\d.]+) MB/s')


def parse_limit(program, output):
    """Figures of a limit program's result lines."""
    match = LINES[program].search(output)
    if not match:
        raise RuntimeError(f'{program} printed no result: {output[-500:]}')
    found = {name: float(text) for name, text in match.groupdict().items()}
    if program in ('net', 'cold'):
        found['bytes'] *= 1e3
    if 'frames' in found:
        found['frames'] /= 1e3
    if program == 'mb3':
        frame_records = found.pop('frame') // found.pop('record')
        cpu = MB3_CPU.search(output)
        if cpu:
            found['broker_ns'] = float(cpu['us']) * 1e3 / frame_records
        sent = MB3_SENT.search(output)
        if sent:
            found['produced'], found['bytes'] = found['bytes'], float(sent['bytes'])
    return found


def parse_ours(result):
    """The same figures of a result of crossdock-bench."""
    found = {'bytes': result['bytes_per_second'] / 1e6,
             'records': result['records_per_second'] / 1e6,
             'frames': result['records_per_second'] / 1e3}
    if 'latency_us' in result:
        found['p50'] = result['latency_us']['p50']
        found['p99'] = result['latency_us']['p99']
    if 'client_user_ns_per_unit' in result:
        found['client_ns'] = result['client_user_ns_per_unit']
    if 'broker_ns_per_unit' in result:
        found['broker_ns'] = result['broker_ns_per_unit']
    if result.get('broker_cores') and result['bytes_per_second']:
        found['broker_kib'] = (result['broker_cores'] * 1e9
                               / (result['bytes_per_second'] / 1024))
    return found


def summary(values):
    """Median and range, and whether the range is too wide to lean on."""
    middle = statistics.median(values)
    low, high = min(values), max(values)
    return {'median': middle, 'low': low, 'high': high, 'runs': len(values),
            'noisy': middle == 0 or (high - low) / middle > NOISE_MAX}


def summaries(runs):
    """Of every figure that all the runs have."""
    names = set(runs[0]).intersection(*runs) if runs else set()
    return {name: summary([run[name] for run in runs]) for name in sorted(names)}


def judged(target, ours, limit):
    """A target beside what came of it. A figure that is not there does not meet it."""
    value = ours[target.figure]['median'] if target.figure in ours else None
    if target.of_limit and value is not None:
        base = limit[target.figure]['median'] if target.figure in limit else 0
        value = value / base if base else None
    met = value is not None and (value >= target.bound if target.relation == '>='
                                 else value <= target.bound)
    return {'text': target.text, 'relation': target.relation, 'bound': target.bound,
            'of_limit': target.of_limit, 'value': value, 'met': met}


def shown(value):
    if value >= 100:
        return f'{value:.0f}'
    return f'{value:.2f}' if value >= 0.1 or value == 0 else f'{value:.4f}'


def cell(numbers):
    text = f'{shown(numbers["median"])} ({shown(numbers["low"])}-{shown(numbers["high"])})'
    return text + (' noisy' if numbers['noisy'] else '')


def target_cell(target):
    """"rate >= 0.7 of the limit: 0.75"."""
    value = 'not measured' if target['value'] is None else shown(target['value'])
    return (f'{target["text"]} {target["relation"]} {target["bound"]:g}'
            f'{" x limit" if target["of_limit"] else ""}: '
            + (value if target['met'] else f'**{value}, missed**'))


def table(results):
    """Markdown rows: work, ours, limit, targets, CPU, command."""
    lines = ['| work | unit | ours: median (range) | limit: median (range) | targets and results '
             '| broker ns per record: ours, limit | command |', '|---|---|---|---|---|---|---|']
    for result in results:
        figure, ours, limit = result['figure'], result['ours'], result['limit']
        cpu = [shown(side['broker_ns']['median']) if 'broker_ns' in side else '-'
               for side in (ours, limit)]
        lines.append(f'| {result["text"]} | {UNITS[figure]} | {cell(ours[figure])} '
                     f'| {cell(limit[figure]) if figure in limit else "-"} '
                     f'| {"; ".join(target_cell(target) for target in result["targets"])} '
                     f'| {", ".join(cpu)} | `{result["command"]}` |')
    return '\n'.join(lines)


def replace_marked(text, inside):
    """The text with what stands between the markers replaced."""
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise ValueError(f'the file has no markers {BEGIN} and {END}')
    return text[:begin + len(BEGIN)] + '\n' + inside + '\n' + text[end:]


def busy_cores(before, after, seconds):
    """Cores that were not idle between two texts of /proc/stat."""
    ticks = os.sysconf('SC_CLK_TCK')
    idle = [sum(int(word) for word in text.split()[4:6]) for text in (before, after)]
    cores = sum(line.startswith('cpu') for line in before.splitlines()) - 1
    return cores - (idle[1] - idle[0]) / ticks / seconds


def process_cpu_ns(texts):
    """CPU time of a process from the texts of its threads' schedstat."""
    return sum(int(text.split()[0]) for text in texts)
