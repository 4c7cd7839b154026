"""A peer in a process that stays: requests and answers are lines of JSON. Both sides; nothing but the standard library.

The peer's side calls :func:`serve`; the benchmark keeps a :class:`Worker`. Threads of the peer are limited to one.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Worker:
    """A script of this folder in a process of its own, run by the interpreter ``python``."""

    def __init__(self, script, *, python=sys.executable, environment=None):
        self.process = subprocess.Popen(
            [python, Path(__file__).with_name(script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | ONE_THREAD | (environment or {}),
        )

    def ask(self, **request):
        """The answer to a request, a dictionary; its "seconds" are CPU seconds of the process."""
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()


def serve(prepare):
    """Answer requests: ``prepare`` (request) returns the function to time; what it raises goes back as "error".

    If the function returns one, that is called when the time is taken.
    """
    for line in sys.stdin:
        try:
            run = prepare(**json.loads(line))
            start = time.process_time()
            after = run()
            answer = {"seconds": time.process_time() - start}
            if after:
                after()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        print(json.dumps(answer), flush=True)
