"""A block: the runs of one batch size, one seed and one repeat, alive together
and taking turns.

Each starts and compiles alone, then waits; where compile caches are full and
nothing of the start counts, two start at a time. In every round each has one
turn, one epoch, in an order that is shuffled anew: all meet the same noise of
the machine and have the same chance of a quiet moment. A child says `ready`,
`epoch N SECONDS` right after its fence and `done N` after its evaluation; the
parent's own clock looks at both.
"""

import contextlib
import time

from bench.kit import files
from bench.run.launch import Child, clock, lost
from bench.run.watch import Paused, Watch

# What the parent sees of a run, an entry an epoch: its place in the order of
# the round, seconds of the parent's clock, processor seconds while it waited,
# and in its epoch those of all its threads and of the busiest.
SEEN = ("position", "go_to_epoch_s", "epoch_to_done_s", "waiting_cpu_s",
        "cpu_s", "busiest_cpu_s")
EVERY = 5    # rounds between two lines for people
REST = 0.02  # seconds, of which there are at least as many between two turns


class Player:
    """A child that takes turns."""

    def __init__(self, child):
        self.child, self.alive, self.rested = child, True, None
        self.seen, self.began = {name: [] for name in SEEN}, clock()

    def ready(self, watch):
        """Sleep until it has compiled, or has ended."""
        heard = self.child.expect(["ready"], watch)
        self.alive = heard is not None
        if heard:
            self.seen["ready_s"] = heard[1] - self.began

    def turn(self, number, position, watch, last):
        """Its epoch of this number, or its end."""
        child, waited = self.child, None
        if None not in (self.rested, now := child.busy()):
            waited = max(0.0, now - self.rested)
        before, begin = child.threads(), clock()
        child.go()
        trained = child.expect(["epoch", str(number)], watch)
        worked = [seconds - before.get(thread, 0.0)
                  for thread, seconds in child.threads().items()]
        told = trained and child.expect(["done", str(number)], watch)
        if told:
            for name, value in zip(SEEN, (
                    position, trained[1] - begin, told[1] - trained[1],
                    waited, sum(worked) if worked else None,
                    max(worked, default=None))):
                self.seen[name].append(value)
        self.rested, self.alive = child.busy(), bool(told) and not last
        if last or not told:  # it writes its record, or has failed
            while child.hear(watch):
                pass
            child.end()
        else:
            self._settle()

    def _settle(self):
        """Wait until it sleeps. Threads spin for a while after their work
        (seen: OpenMP's 7 ms, OpenBLAS's 90), and who is next would pay."""
        for _ in range(10):
            before = self.child.busy()
            time.sleep(REST)
            now = self.child.busy()
            if None in (before, now) or now - before < REST / 10:
                break


def play(out, starts, epochs, shuffle, told):
    """Have children take turns, all over again when someone stopped and
    continued one of the processes.

    out: the folder of the comparison; starts() -> {job: arguments of Child
    but for its place}, how many start at a time; epochs: of each;
    shuffle(list); told(words, job or None): what goes on, for people -> {job:
    (status, how it ended, what was seen of it and, as "turns", of its turns)}.
    """
    while True:
        # Each time: what was compiled is to be cold again.
        begin, abreast = starts()
        try:
            with contextlib.ExitStack() as stack, Watch() as watch:
                places = {job: stack.enter_context(files.temporary(out))
                          for job in begin}
                return _play(out, begin, abreast, places, epochs, shuffle,
                             told, watch)
        except Paused:
            told("a process was stopped and goes on: this block starts again")


def _play(out, starts, abreast, places, epochs, shuffle, told, watch):
    players, outcomes, jobs = {}, {}, list(starts)
    shuffle(jobs)

    def start(some):
        for job in some:
            try:
                players[job] = Player(Child(
                    *starts[job], places[job], turns=True))
                watch.children.append(players[job].child)
            except OSError as error:
                outcomes[job] = lost(error, out)
    try:
        start(jobs[:abreast - 1])
        for last, job in enumerate(jobs, abreast - 1):
            start(jobs[last:last + 1])
            if job in players:
                players[job].ready(watch)
                if players[job].alive:
                    told("is ready", job)
        for number in range(1, epochs + 1):
            alive = [job for job, player in players.items() if player.alive]
            shuffle(alive)
            for position, job in enumerate(alive):
                players[job].turn(number, position, watch, number == epochs)
            if alive and number % EVERY == 0:
                told(f"round {number} of {epochs}")
    finally:
        for player in players.values():
            player.child.end()
    for job, player in players.items():
        status, ending, seen = player.child.outcome()
        outcomes[job] = status, ending, {**seen, "turns": player.seen}
    return outcomes
