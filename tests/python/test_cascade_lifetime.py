"""What of a cascade ends when: collection, exit, fork."""

from __future__ import annotations

import gc
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
import satchel
from quota import open_cascade
from test_lifetime import run_python

if TYPE_CHECKING:
    from pathlib import Path

PARTS = "from quota import *\nfrom pathlib import Path\nplace = Path(sys.argv[1])\n"


def run_cascade(code: str, place: Path) -> Any:
    return run_python(PARTS + textwrap.dedent(code), place)


def test_closing_releases_every_callback_once(tmp_path: Path) -> None:
    released: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self, *_: object) -> Any:
            return NotImplemented

        read = write = remove = __call__

        def __del__(self) -> None:
            released.append(self.name)

    names = [
        "clock", "credentials", "files", "http", "log", "monotonic", "transcripts"
    ]  # fmt: skip
    cascade = open_cascade(tmp_path, **{name: Part(name) for name in names})
    assert released == []
    cascade.close()
    assert sorted(released) == names
    for bad in ({"config": {"no": 1}}, {"log_level": "loud"}):
        released.clear()
        with pytest.raises(satchel.ConfigError):
            open_cascade(tmp_path, **{name: Part(name) for name in names}, **bad)
        gc.collect()
        assert sorted(released) == names


def test_a_cascade_that_is_dropped_unclosed_warns_and_closes(tmp_path: Path) -> None:
    released = []

    class Log:
        def __call__(self, *line: object) -> None:
            pass

        def __del__(self) -> None:
            released.append(True)

    cascade = open_cascade(tmp_path, log=Log())
    with pytest.warns(ResourceWarning, match=r"unclosed <satchel\.Cascade open"):
        del cascade
    assert released == [True]


def test_an_open_cascade_is_closed_at_exit(tmp_path: Path) -> None:
    done = run_cascade(
        """
        class Released:
            def __call__(self):
                return TOKEN

            def __del__(self):
                print("released")

        cascade = open_cascade(place, credentials=Released())
        print(cascade.resolve().source.name)
        sys.modules["kept to the very end"] = [cascade]
        at_the_very_end.append(lambda: print("closed:", cascade.closed))
        """,
        tmp_path,
    )
    expected = "ENDPOINT\nreleased\nclosed: True\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize("way", ["cascade.resolve()", "asyncio.run(cascade.aresolve())"])
def test_the_exit_does_not_wait_for_a_thread_that_is_stuck_in_a_callback(
    tmp_path: Path, way: str
) -> None:
    done = run_cascade(
        f"""
        import asyncio
        inside = threading.Event()

        def stuck(request):
            inside.set()
            threading.Event().wait()

        cascade = open_cascade(place, http=stuck)
        threading.Thread(target=lambda: {way}, daemon=True).start()
        inside.wait()
        print("leaving")
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_exit_survives_daemon_threads_at_work(tmp_path: Path) -> None:
    for number in range(3):
        done = run_cascade(
            """
            import asyncio
            cascade = open_cascade(place)
            working = threading.Barrier(4)

            async def ask():
                while True:
                    await asyncio.gather(*(cascade.aresolve() for _ in range(10)))

            def resolving():
                cascade.resolve()
                working.wait()
                try:
                    while True:
                        cascade.resolve()
                except satchel.ClosedError:
                    pass

            def awaiting():
                working.wait()
                try:
                    asyncio.run(ask())
                except (satchel.ClosedError, RuntimeError):
                    pass

            for target in (resolving, resolving, awaiting):
                threading.Thread(target=target, daemon=True).start()
            working.wait()
            """,
            tmp_path / str(number),
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_after_the_exit_has_begun_calls_raise(tmp_path: Path) -> None:
    done = run_cascade(
        """
        cascade = open_cascade(place)

        def late():
            for call in (cascade.resolve, lambda: open_cascade(place)):
                try:
                    call()
                except satchel.ClosedError as error:
                    print("the interpreter is exiting" in str(error))

        at_the_very_end.append(late)
        """,
        tmp_path,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nTrue\n", "")


def test_a_child_process_opens_its_own(tmp_path: Path) -> None:
    done = run_cascade(
        """
        cascade = open_cascade(place)
        print(cascade.resolve().source.name, flush=True)
        child = os.fork()
        if child == 0:
            try:
                cascade.resolve()
            except satchel.ClosedError as error:
                print(error.name)
            cascade.close()
            with open_cascade(place) as own:
                print(own.resolve().source.name)
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ENDPOINT", "ERR_FORKED", "CACHE", "7"]


def test_ctrl_c_in_a_callback_reaches_the_program(tmp_path: Path) -> None:
    done = run_cascade(
        """
        import signal
        signal.signal(signal.SIGINT, signal.default_int_handler)

        def credentials():
            signal.raise_signal(signal.SIGINT)

        cascade = open_cascade(place, credentials=credentials, log_level="off")
        try:
            cascade.resolve()
            print("not interrupted")
        except (KeyboardInterrupt, satchel.UsageUnavailable) as error:
            print(type(error).__name__)
            try:
                for _ in range(1000): pass
            except KeyboardInterrupt:
                print("KeyboardInterrupt")
        """,
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "KeyboardInterrupt"
