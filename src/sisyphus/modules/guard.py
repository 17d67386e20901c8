"""The guard of one tool: starts it, and leaves nothing of it behind.

A program of its own that imports nothing of Sisyphus, so that it starts fast and cannot
be taken down by a module. ``run_tool`` starts it in a session of its own, with::

    LIFE REPORT DEADLINE OFFSET GRACE_MS STOP_SIGNAL LIMITS ARGV...

- LIFE: a pipe from the worker. Its end means that the worker is gone: kill all. Bytes
  are orders: ``T`` stop politely, ``K`` kill all, ``P`` pause, ``C`` continue.
- REPORT: a pipe to the worker; gets one line of JSON when nothing of the tool is left.
- DEADLINE, OFFSET: a file (or -1) that holds there a moment of CLOCK_BOOTTIME in ms, 0
  for none. Others move it forward; once it has passed, all is killed. So a worker that
  hangs or is cut off cannot keep a tool running.
- LIMITS: ``NICE IO MEMORY FILE_SIZE GROUP``, one word for the shell; 0 for none. GROUP is
  a control group to be made for the tool, or nothing.

On Linux every descendant is found, whatever session it moved to, because orphans
become the guard's children. Elsewhere the tool's process group is all there is.
"""

# Importing pathlib would cost as much as everything else together.
# ruff: noqa: PTH102, PTH106, PTH110, PTH123, PTH208

from __future__ import annotations

import ctypes
import errno
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_IGNORED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
_RESTORED = (*_IGNORED, signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ)
_LOOK_AGAIN_MS = 1000
"""How long at most to trust a deadline that was read: it is also moved backward."""
_IOPRIO_SET = {
    "x86_64": 251,
    "aarch64": 30,
    "riscv64": 30,
    "armv7l": 314,
    "ppc64le": 273,
    "s390x": 282,
}
"""The number of the system call, for which Python has no name."""
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now_ms() -> int:
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000


def _prctl(option: int, value: int) -> None:
    if _LINUX:
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


class Limits:
    """What the tool may take; ``bind`` is for the process that becomes the tool."""

    def __init__(self, word: str) -> None:
        *numbers, self.group = word.split(" ", 4)
        self.nice, self.io, self.memory, self.file_size = map(int, numbers)

    def make_group(self) -> None:
        """Make the tool's control group; without one, each process is limited."""
        if not self.group:
            return
        with suppress(OSError):
            os.mkdir(self.group)
        if not _wrote(self.group + "/memory.max", self.memory):
            self.remove_group()
            return
        # One process alone must not be killed: the rest would go on to a false end.
        _wrote(self.group + "/memory.oom.group", 1)
        # Or the tool would be slowed down without end instead of stopped.
        _wrote(self.group + "/memory.swap.max", 0)

    def bind(self) -> None:
        """Put the limits on this process; none is put above one that is there."""
        _be_nice(self.nice)
        if self.io and (number := _IOPRIO_SET.get(os.uname().machine)) and _LINUX:
            ctypes.CDLL(None).syscall(number, 1, 0, self.io)
        _limit(resource.RLIMIT_CORE, 0)
        if self.file_size:
            _limit(resource.RLIMIT_FSIZE, self.file_size)
        in_group = self.group and _wrote(self.group + "/cgroup.procs", 0)
        if self.memory and _LINUX and not in_group:
            # Not the address space: encoders reserve far more of it than they use.
            _limit(resource.RLIMIT_DATA, self.memory)

    def memory_was_short(self) -> bool | None:
        """Tell whether the kernel has killed for the control group's limit.

        ``None``: there is no such group, so the kernel cannot tell.
        """
        if not self.group:
            return None
        with suppress(OSError), open(self.group + "/memory.events") as file:
            found = [line.split() for line in file]
            return any(int(n) for name, n in found if name == "oom_kill")
        return False

    def remove_group(self) -> None:
        """End what is left in the control group, and remove it."""
        if self.group:
            _wrote(self.group + "/cgroup.kill", 1)
            with suppress(OSError):
                os.rmdir(self.group)
        self.group = ""


def _wrote(file: str, value: int) -> bool:
    with suppress(OSError), open(file, "r+b", buffering=0) as opened:
        return opened.write(str(value).encode()) > 0
    return False


def _be_nice(value: int) -> None:
    now = os.getpriority(os.PRIO_PROCESS, 0)
    if value > now:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    # Where the kernel groups processes by their sessions, it shares the processor among
    # groups: niceness counts within one only, and each tool has a session of its own.
    if max(now, value) > 0:
        _wrote("/proc/self/autogroup", max(now, value))


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


class Guard:
    """The state of the one guard in this process."""

    def __init__(
        self,
        life: int,
        deadline: tuple[int, int],
        grace_ms: int,
        stop_signal: int,
        limits: Limits,
    ) -> None:
        self.life = life
        self.limits = limits
        self.deadline_fd, self.deadline_at = deadline
        self.grace_ms = grace_ms
        self.stop_signal = stop_signal
        self.tool = 0
        self.exit_code: int | None = None
        self.reason = "exit"
        self.kill_at_ms: int | None = None
        self.wake, self.wake_writer = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(self.wake_writer, False)

    def start(self, argv: list[str]) -> int:
        """Start the tool; give the error number if it cannot be run, else 0."""
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        # Only to be woken from the poll: who ended is asked of the kernel.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.wake_writer, warn_on_full_buffer=False)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        said, says = os.pipe()
        me = os.getpid()
        self.limits.make_group()
        self.tool = os.fork()
        if self.tool == 0:
            _become_tool(argv, me, says, self.limits)
        with suppress(OSError):  # the child does the same; the first one wins
            os.setpgid(self.tool, self.tool)
        os.close(says)
        failed = os.read(said, 16)
        os.close(said)
        os.dup2(0, 1)  # the guard must not keep the tool's pipe open
        return int(failed or b"0")

    def watch(self) -> None:
        """Wait until the tool has ended, or has to; then kill what is left."""
        waiting = select.poll()
        waiting.register(self.life, select.POLLIN)
        waiting.register(self.wake, select.POLLIN)
        # What was asked to stop has its grace, also below a wrapper that ended first.
        while self._reap() and (self.exit_code is None or self.kill_at_ms is not None):
            why = self._overdue()
            if why:
                self.reason = why
                break
            ready = {number for number, _ in waiting.poll(self._poll_ms())}
            self._drain_wake()
            if self.life in ready and self._hear(os.read(self.life, 64)):
                break
        self.kill_all()

    def _overdue(self) -> str | None:
        now = _now_ms()
        if self.kill_at_ms is not None and now >= self.kill_at_ms:
            return self.reason
        deadline = self._deadline_ms()
        return "deadline" if deadline and now >= deadline else None

    def _poll_ms(self) -> int | None:
        now, ends = _now_ms(), []
        if self.kill_at_ms is not None:
            ends.append(self.kill_at_ms - now)
        if self.deadline_fd >= 0:
            ends.append(_LOOK_AGAIN_MS)
        if deadline := self._deadline_ms():
            ends.append(deadline - now)
        return max(0, min(ends)) if ends else None

    def _deadline_ms(self) -> int:
        if self.deadline_fd < 0:
            return 0
        return int.from_bytes(os.pread(self.deadline_fd, 8, self.deadline_at), "little")

    def _hear(self, orders: bytes) -> bool:
        """Obey the worker; tell whether everything is to be killed now."""
        if not orders:
            self.reason = "orphan"
            return True
        for order in orders.decode("ascii", "replace"):
            if order == "K":
                self.reason = "kill"
                return True
            if order == "T" and self.kill_at_ms is None:
                self.reason = "stop"
                self.kill_at_ms = _now_ms() + self.grace_ms
                self._send_all(self.stop_signal)
                # A stopped process hears nothing until it goes on.
                self._send_all(signal.SIGCONT)
            elif order == "P" and self.kill_at_ms is None:
                self._halt_all()
            elif order == "C":
                self._send_all(signal.SIGCONT)
        return False

    def kill_all(self) -> None:
        """Kill every descendant; return when none is left."""
        waiting = select.poll()
        waiting.register(self.wake, select.POLLIN)
        pause_ms = 2
        while True:
            # Halted first, so that none of them can start another one meanwhile.
            self._halt_all()
            self._send_all(signal.SIGKILL)
            if not self._reap():
                return
            waiting.poll(pause_ms)
            self._drain_wake()
            pause_ms = min(2 * pause_ms, 500)

    def _halt_all(self) -> None:
        seen: set[int] = set()
        while found := set(self._family(seen)) - seen:
            seen |= found

    def _send_all(self, number: int) -> None:
        for pid in self._family():
            _send(pid, number)

    def _family(self, halted: set[int] | None = None) -> list[int]:
        """List all descendants, parents first.

        With ``halted`` each is stopped before its children are listed, but for those.
        """
        if not _LINUX:
            return self._group(halted)
        family = [os.getpid()]
        for parent in family:
            for child in _children(parent):
                if halted is not None and child not in halted:
                    _send(child, signal.SIGSTOP)
                family.append(child)
        return family[1:]

    def _group(self, halted: set[int] | None) -> list[int]:
        """Stand in for the family by the process group, which kill takes as -pid."""
        if self.exit_code is not None and not _group_lives(self.tool):
            return []
        if halted is not None and -self.tool not in halted:
            _send(-self.tool, signal.SIGSTOP)
        return [-self.tool]

    def _reap(self) -> bool:
        """Bury the dead; tell whether a child still lives."""
        while True:
            try:
                pid, ended = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.tool:
                self.exit_code = os.waitstatus_to_exitcode(ended)

    def _drain_wake(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self.wake, 512):
                pass


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _become_tool(argv: list[str], guard: int, says: int, limits: Limits) -> None:
    try:
        os.setpgid(0, 0)
        # Should the guard be killed, the kernel at least kills the tool itself.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == guard:
            for number in _RESTORED:
                signal.signal(number, signal.SIG_DFL)
            limits.bind()
            os.execv(argv[0], argv)
    except OSError as error:
        os.write(says, str(error.errno or errno.ENOEXEC).encode())
    finally:
        os._exit(127)


def _children(pid: int) -> list[int]:
    """List a process's children; each of its threads may have some of its own."""
    if not _KERNEL_LISTS_CHILDREN:
        return _children_by_scan(pid)
    found: list[int] = []
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
                found += map(int, file.read().split())
    return found


_KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


def _children_by_scan(parent: int) -> list[int]:
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The name, in brackets, may itself hold brackets and blanks.
            if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                found.append(int(name))
    return found


def main(argv: list[str]) -> None:
    """Guard the tool that the arguments name, then report."""
    life, report, deadline, offset, grace_ms, stop_signal = map(int, argv[:6])
    for inherited in (life, report, deadline):
        if inherited >= 0:
            os.set_inheritable(inherited, False)
    started = time.monotonic()
    limits = Limits(argv[6])
    guard = Guard(life, (deadline, offset), grace_ms, stop_signal, limits)
    failed = guard.start(argv[7:])
    guard.watch()
    short = {True: "true", False: "false", None: "null"}[limits.memory_was_short()]
    limits.remove_group()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    facts = (
        f'{{"exit": {guard.exit_code or 0}, "reason": "{guard.reason}",'
        f' "errno": {failed}, "cpu": {used.ru_utime + used.ru_stime:.3f},'
        f' "peak": {used.ru_maxrss * (1024 if _LINUX else 1)},'
        f' "wall": {time.monotonic() - started:.3f},'
        f' "out_of_memory": {short}}}\n'
    )
    with suppress(BrokenPipeError):  # nobody is left to be told
        os.write(report, facts.encode())
    os._exit(0)  # there is nothing to clear up, and tearing down takes milliseconds


if __name__ == "__main__":
    main(sys.argv[1:])
