"""Processes that work at the same time: joblib's, but that none outlives this one and that only this one is told of an
interruption.
"""

import gc
import os
import queue
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function of a module, and its arguments."""
EVERY = 1.0
"""Seconds between looks at whether the parent is alive."""


class LostError(RuntimeError):
    """A process was killed by others."""


@contextmanager
def working(tasks: Iterable[Task], jobs: int, most: int, *, ordered: bool = False) -> Iterator[Iterator[Any]]:
    """The tasks' results as they come in. What is still running when the context is left ends there.

    Args:
        tasks: what is to be done.
        jobs: processes; -1 for as many as there are cores. With 1 it is done in this one.
        most: no more processes than this: the number of tasks.
        ordered: the results come in the order of the tasks.

    Raises:
        LostError: one of the processes was killed.
    """
    from joblib import Parallel, delayed, effective_n_jobs
    from joblib.externals.loky.process_executor import TerminatedWorkerError

    count = max(1, min(effective_n_jobs(jobs), most))
    order = "generator" if ordered else "generator_unordered"
    pool: Any = Parallel(n_jobs=count, return_as=order, initializer=end_with, initargs=(os.getpid(),))
    over, results = False, None
    try:
        with _deaf_children():
            ours = (task if count == 1 else (_settled, task) for task in tasks)
            results = pool(delayed(function)(*arguments) for function, arguments in ours)
        yield results
        over = True
    except TerminatedWorkerError as error:
        raise LostError("a worker process was killed, perhaps for want of memory") from error
    finally:
        if not over and count > 1:
            from joblib.externals.loky import get_reusable_executor

            pool_of_all: Any = get_reusable_executor(reuse=True)  # pyright: ignore[reportArgumentType]  # as documented
            # loky would look up numbers that still wait among the tasks that it has forgotten by then, and fail
            with suppress(queue.Empty):
                while True:
                    pool_of_all._work_ids.get_nowait()
            pool_of_all.shutdown(wait=True, kill_workers=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # that tasks are cancelled; our own line says it
                if results is not None:
                    results.close()


def _settled(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """Do a task, in a process whose modules are settled."""
    settle()
    return function(*arguments)


@cache
def settle() -> None:
    """Set apart, once in a process, all that its modules have made: it stays, and the garbage collector would look
    through it again and again. (To ask the collector whether that is done is to count it all, 17 ms long.) What comes
    is looked through less often than every 700 objects: an example has as many.
    """
    gc.freeze()
    gc.set_threshold(20_000)


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes that are started meanwhile ignore Ctrl-C, which a terminal sends to them too, from their first moment:
    what is ignored here stays so there. SIGTERM waits until they are started: a pool that is half begun can neither
    go on nor be shut down. Only the main thread can see to either.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, _: waiting.append(number)),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if waiting:
            signal.raise_signal(waiting[0])


def end_with(parent: int) -> None:
    """See to it that this process ends when its parent has ended, however that did."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
