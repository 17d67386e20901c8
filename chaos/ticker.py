"""The tool of the chaos jobs: writes down when it runs, and a file that must be whole.

    WITNESS TOKEN SECONDS OUTPUT|- GRANDCHILD

With GRANDCHILD it does its work in a process that has left its session and its parent.
"""

import os
import sys
import time

witness, token, seconds, output, grandchild = sys.argv[1:]

if grandchild == "1":
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        sys.exit(os.read(reader, 1) != b"!")  # when the grandchild has ended, and how
    os.setsid()
    if os.fork():
        os._exit(0)

ends = time.clock_gettime(time.CLOCK_BOOTTIME) + float(seconds)
log = os.open(witness, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
file = None if output == "-" else open(output, "w")  # noqa: SIM115, PTH123
count = 0
while True:
    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    os.write(log, f"T {token} {now} {os.getpid()}\n".encode())
    if file:
        count += 1
        file.write(f"{token} {count}\n")
        file.flush()
    if now / 1e6 >= ends:
        break
    time.sleep(0.02)
if file:
    file.write(f"{token} whole {count}\n")
    file.close()
if grandchild == "1":
    os.write(writer, b"!")
