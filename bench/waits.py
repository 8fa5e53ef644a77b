"""Do the waits that a server tells come true? Stated against true waits: python3 bench/waits.py URL [traces] [senders].

Keeps some 12 to 24 traces waiting: examples of the world and typed texts by turns. A wait is true from the answer that accepts a
trace to the first event that is no place in the queue; the first 40 traces, by which the server learns, and waits below 0.2 s do
not count.
Needs nothing but Python; start the server with --queue 40 or more.
"""

import json
import random
import sys
import threading
import time
import urllib.request

LEARNT_FROM, LEAST_SECS = 40, 0.2
TASKS = ["visual-qa", "dialogue", "audio-qa", "speech", "video-qa", "mixed"]

url = sys.argv[1]
traces = int(sys.argv[2]) if len(sys.argv) > 2 else 160
senders = int(sys.argv[3]) if len(sys.argv) > 3 else 1
waits, watchers, lock, numbers = [], [], threading.Lock(), iter(range(traces))


def get(path):
    with urllib.request.urlopen(url + path, timeout=300) as answer:
        return json.load(answer)


def question(dice):
    if dice.random() < 0.5:
        return urllib.request.Request(f"{url}/api/examples/{dice.choice(TASKS)}", method="POST")
    text = "Anna: I bought a red car. Ben: I saw a blue bird.\n" * dice.randint(1, 30)
    body = {
        "prompt": "Summarize the conversation.\n",
        "question": [{"text": text}],
        "options": {"max_new_tokens": dice.choice([32, 64, 256])},
    }
    headers = {"Content-Type": "application/json"}
    return urllib.request.Request(f"{url}/api/traces", json.dumps(body).encode(), headers)


def watch(number, trace, sent, stated):
    with urllib.request.urlopen(f"{url}/api/traces/{trace}/events", timeout=300) as stream:
        for line in stream:
            if line.startswith(b"data:") and b'"type":"queued"' not in line:
                break
    with lock:
        waits.append((number, stated, time.time() - sent))


def send(dice):
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        while get("/api/limits")["queued"] >= dice.randint(12, 24):
            time.sleep(0.02)
        with urllib.request.urlopen(question(dice), timeout=300) as answer:
            accepted = json.load(answer)
        sent = time.time()
        watcher = threading.Thread(target=watch, args=(number, accepted["id"], sent, accepted["expected_wait_secs"]))
        watcher.start()
        with lock:
            watchers.append(watcher)


sending = [threading.Thread(target=send, args=(random.Random(seed),)) for seed in range(senders)]
for thread in sending:
    thread.start()
for thread in sending:
    thread.join()
for thread in watchers:
    thread.join()
late = [(stated, true) for number, stated, true in waits if number >= LEARNT_FROM and stated is not None and true > LEAST_SECS]
near = sum(abs(stated - true) <= 0.2 * true for stated, true in late)
ratios = sorted(stated / true for stated, true in late)
print(f"{len(late)} waits of {sum(true for _, true in late) / len(late):.2f} s in the mean: {near / len(late):.1%} within a fifth")
shares = (0.05, 0.25, 0.5, 0.75, 0.95)
print("stated / true: " + ", ".join(f"{ratios[int(len(ratios) * share)]:.2f} at {share:.0%}" for share in shares))
