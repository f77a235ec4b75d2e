"""What stays is not searched for garbage, and what is garbage later is still found."""

import subprocess
import sys

SCRIPT = """
import gc, time, weakref
import numpy
from engine.memory import freeze_what_stays

def took():
    began = time.perf_counter(); gc.collect(); return time.perf_counter() - began

many = [[[]] for _ in range(100_000)]
before = min(took() for _ in range(3))
freeze_what_stays()
after = min(took() for _ in range(3))
assert len(gc.get_objects()) < 1_000 < 200_000 <= gc.get_freeze_count()
assert after < before / 10, (before, after)

class Node: pass
node = Node(); node.itself = node; seen = weakref.ref(node); del node
gc.collect()
assert seen() is None
"""


def test_only_what_came_later_is_searched() -> None:
    # In a process of its own: this one still has to let go of what other tests made.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
