"""Signals as something that a parent waits for, beside the pipes of its
children; and whether what is being timed is void."""

import contextlib
import os
import signal
import time


class Paused(Exception):
    """Someone stopped and continued a process, or the machine slept: what was
    being timed is void."""


class Watch:
    """Signals as something to wait for: a child has ended; this program, a
    child or the machine was stopped and goes on."""

    def __enter__(self):
        self.came, self.children, self._slept = set(), [], _slept()
        self.pipe, self._end = os.pipe()
        for end in (self.pipe, self._end):
            os.set_blocking(end, False)
        self._before = signal.set_wakeup_fd(self._end,
                                            warn_on_full_buffer=False)
        self._handlers = {
            number: signal.signal(number, lambda one, _: self.came.add(one))
            for number in (signal.SIGCHLD, signal.SIGTSTP, signal.SIGCONT)}
        return self

    def __exit__(self, *_):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before)
        os.close(self.pipe)
        os.close(self._end)
        # Ctrl-Z: the children have ended, now this one stops.
        if signal.SIGTSTP in self.came:
            os.kill(os.getpid(), signal.SIGSTOP)

    def check(self):
        """Raise Paused where timing is void."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.pipe, 4096)
        if (self.came - {signal.SIGCHLD} or _slept() - self._slept > 1
                or any(child.was_paused() for child in self.children)):
            raise Paused


def _slept():
    """Seconds that this machine has been suspended since it was started."""
    if not hasattr(time, "CLOCK_BOOTTIME"):  # macOS
        return 0.0
    return (time.clock_gettime(time.CLOCK_BOOTTIME)
            - time.clock_gettime(time.CLOCK_MONOTONIC))
