"""Work for a heap: dicts, strings, json, regular expressions, big numbers, threads; prints sums."""
import hashlib
import json
import re
import threading


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def numbers(count, state=1):
    for _ in range(count):
        state = (state * 1103515245 + 12345) % (1 << 31)
        yield state >> 8


def words():
    table = {}
    for value in numbers(40000):
        table.setdefault(f'word-{value % 9000}', []).append(str(value))
    for key in sorted(table)[::3]:
        del table[key]
    return digest(''.join(key + '.'.join(table[key]) for key in sorted(table)))


def documents():
    rows = [{'id': value, 'name': f'n{value % 1000}', 'tags': ['x' * (value % 40)] * (value % 4),
             'nested': {'half': value / 2, 'none': None}} for value in numbers(8000)]
    for _ in range(2):
        rows = json.loads(json.dumps(rows, sort_keys=True))
    return digest(json.dumps(rows))


def patterns():
    text = ' '.join(f'{value:x}-{value % 77}@{value % 13}.example' for value in numbers(20000))
    found = re.findall(r'\b([0-9a-f]+)-(\d+)@(\d)\.', text)
    text = re.sub(r'(\d)(\d)', r'\2<\1>', text)
    return len(found), digest(text)


def large():
    product = 1
    for value in numbers(1500):
        product *= value | 1
    return digest(hex(product)), len(bytearray(7000000)), digest('ab' * 1500000)


def in_threads():
    sums = [None] * 4

    def run(index):
        kept = {}
        for value in numbers(8000, index):
            kept[value % 500] = 'y' * (value % 300)
        sums[index] = sum(map(len, kept.values()))

    threads = [threading.Thread(target=run, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sums


for work in words, documents, patterns, large, in_threads:
    print(work.__name__, work())
