#!/usr/bin/env python3
"""Shared runs on this machine, end to end: a throw-away PostgreSQL, a server that answers from recordings, a trainer and workers.

    scripts/shared.py [rates] [takeover] [tail]        (all three where none is named)

Labels must be those of a run by itself, byte for byte. Measured, by the release build (or what stands in the folder CANDIST_BIN):

rates     how many answers a second are settled, by one machine alone and by a trainer and so many workers, and the processor time
          that an answer takes of each program; with --stored N also when the database has N answers of other texts already
takeover  how long after a trainer was killed the next one has its first new label: on the same machine, and where that cannot tell
          a trainer that was killed from one that is far away (needs root)
tail      how long after a label was written it is seen by `candist tail -f` through the database
"""

import argparse
import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CANDIST_BIN", ROOT / "target" / "release"))
CANDIST = str(BIN / "candist")
SMALL = "[student]\ndimension = 8\nbuckets = 4096\n[distill]\nfolds = 2\nmax_passes = 1\n"


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ticks(pid):
    """Processor seconds of a process and of its children that ended, as far as it is there."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def children(pid):
    with contextlib.suppress(OSError):
        return [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


class Place:
    """A folder with a corpus, a database, a server that answers, and who was started."""

    def __init__(self, copies, latency, stack):
        self.folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self.folder.chmod(0o755)
        self.copies, self.latency, self.started = copies, latency, []
        stack.callback(self.end)
        postgres = subprocess.run([ROOT / "scripts" / "postgres.sh", "start", self.folder / "postgres"], stdout=subprocess.PIPE, text=True, check=True)
        self.url = postgres.stdout.strip()
        self.postmaster = int((self.folder / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
        self.texts = self.write_texts()
        self.port = free_port()
        self.server = self.start([BIN / "examples" / "replay_server", "--corpus", "pool.jsonl", "answers.jsonl", "--port", self.port, "--latency-ms", latency])
        for _ in range(200):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                break
            time.sleep(0.1)

    def write_texts(self):
        corpus = [json.loads(line) for line in (ROOT / "examples/banking77/pool.jsonl").open()]
        answers = [json.loads(line) for line in (ROOT / "examples/banking77/teacher_gpt-4.jsonl").open()]
        with (self.folder / "pool.jsonl").open("w") as pool, (self.folder / "answers.jsonl").open("w") as recording:
            for copy in range(self.copies):
                for row in corpus:
                    pool.write(json.dumps({"id": f"{copy}-{row['id']}", "text": f"{row['text']} ({copy})"}) + "\n")
                for row in answers:
                    recording.write(json.dumps({**row, "id": f"{copy}-{row['id']}", "teacher": "gpt-4"}) + "\n")
        return self.copies * len(corpus)

    def configure(self, name, shared=True, settings=SMALL):
        text = (ROOT / "configs" / "quickstart.toml").read_text()
        task = text[text.index("[task]") : text.index("[corpus]")]
        teacher = f'[[teachers]]\nkind = "openai"\nbase_url = "http://127.0.0.1:{self.port}/v1"\nmodel = "gpt-4"\nmax_in_flight = 64\n'
        run = f'[run]\ndir = "{name}"\n' + (f'shared = "{self.url}"\nshared_name = "{name}"\nwindow = 8192\n' if shared else "")
        (self.folder / f"{name}.toml").write_text(f'{task}[corpus]\npath = "pool.jsonl"\n{teacher}{settings}{run}')
        return f"{name}.toml"

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        child = subprocess.Popen([str(part) for part in command], cwd=self.folder, **options)
        self.started.append(child)
        return child

    def candist(self, *arguments, **options):
        return self.start([CANDIST, "-q", *arguments], **options)

    def finish(self, child):
        if child.wait():
            raise SystemExit(f"{child.args} ended with {child.returncode}")

    def end_all(self, ended):
        for child in ended:
            child.terminate()
        for child in ended:
            child.wait()

    def end(self):
        self.end_all([child for child in self.started if child.poll() is None])
        with contextlib.suppress(Exception):
            subprocess.run([ROOT / "scripts" / "postgres.sh", "stop", self.folder / "postgres"], check=False)

    def database_seconds(self):
        return ticks(self.postmaster) + sum(map(ticks, children(self.postmaster)))

    def ask(self, sql):
        asked = subprocess.run(["psql", "-XAtq", self.url, "-c", sql], stdout=subprocess.PIPE, text=True, check=True)
        return asked.stdout.strip()


class Reaped:
    """A process whose processor time is known when it ended."""

    def __init__(self, child):
        self.child = child

    def wait(self):
        _, status, usage = os.wait4(self.child.pid, 0)
        self.child.returncode = os.waitstatus_to_exitcode(status)
        # 130: it was told to end.
        if self.child.returncode not in (0, 130):
            raise SystemExit(f"{self.child.args} ended with {self.child.returncode}")
        return usage.ru_utime + usage.ru_stime


def rates(args):
    with contextlib.ExitStack() as stack:
        place = Place(args.copies, args.latency, stack)

        def told(name, seconds, spent):
            each = ", ".join(f"{who} {1e3 * seconds / place.texts:.3f}" for who, seconds in spent.items())
            total = 1e3 * sum(spent.values()) / place.texts
            print(f"{name}: {place.texts / seconds:,.0f} texts/s ({seconds:.1f} s); processor ms a text: {each}; in all {total:.3f}", flush=True)

        config = place.configure("alone", shared=False)
        server, began = ticks(place.server.pid), time.monotonic()
        alone = Reaped(place.candist("run", config)).wait()
        told("alone", time.monotonic() - began, {"candist": alone, "server": ticks(place.server.pid) - server})
        if args.stored:
            store(place, args.stored)
            print(f"{args.stored:,} answers of other texts are in the database", flush=True)
        for count in args.workers:
            config = place.configure(f"team-{count}")
            workers = [Reaped(place.candist("work", place.url)) for _ in range(count)]
            # All are there when it begins.
            time.sleep(1)
            server, database, began = ticks(place.server.pid), place.database_seconds(), time.monotonic()
            before = sum(ticks(worker.child.pid) for worker in workers)
            trainer = Reaped(place.candist("run", config, "--train-only")).wait()
            seconds = time.monotonic() - began
            database = place.database_seconds() - database
            for worker in workers:
                worker.child.terminate()
            spent = sum(worker.wait() for worker in workers) - before
            told(f"{count} workers", seconds, {"trainer": trainer, "workers": spent, "PostgreSQL": database, "server": ticks(place.server.pid) - server})
            settled = place.ask("SELECT count(*) / extract(epoch FROM max(at) - min(at)) FROM candist.answers WHERE run IS NOT NULL")
            print(f"  from the first answer to the last: {float(settled):,.0f} answers/s", flush=True)
            if (place.folder / f"team-{count}" / "labels.jsonl").read_bytes() != (place.folder / "alone" / "labels.jsonl").read_bytes():
                raise SystemExit("the labels are others than of the run by itself")
            place.ask("DELETE FROM candist.answers WHERE run IS NOT NULL")
        print("the same labels, byte for byte")


def store(place, count):
    """Answers of texts that are nobody's, in place of those that make the tables."""
    place.finish(place.candist("import-answers", place.url, "alone"))
    place.ask("TRUNCATE candist.answers")
    place.ask(f"INSERT INTO candist.answers (key, attempt, line) SELECT decode(md5(n::text), 'hex'), 1, repeat('x', 300) FROM generate_series(1, {count}) AS n")
    place.ask("VACUUM ANALYZE candist.answers")


def labels_in(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def takeover(args):
    for far in (False, True) if os.geteuid() == 0 else (False,):
        with contextlib.ExitStack() as stack:
            place = Place(args.copies, 20, stack)
            config = place.configure("team", settings="")
            worker = place.candist("work", place.url)
            apart = ["unshare", "--pid", "--fork", "--kill-child=KILL"] if far else []
            first = place.start([*apart, CANDIST, "-q", "run", config, "--train-only"])
            labels, others = place.folder / "team" / "labels.jsonl", place.folder / "next" / "labels.jsonl"
            while labels_in(labels) < place.texts // 2:
                time.sleep(0.05)
            standby = place.candist("run", config, "--train-only", "--run-dir", "next")
            time.sleep(3)
            first.send_signal(signal.SIGKILL)
            killed, had = time.monotonic(), labels_in(labels)
            taken = None
            while not taken:
                taken = place.ask("SELECT epoch > 1 FROM candist.trainers") == "t" and time.monotonic()
                time.sleep(0.02)
            while labels_in(others) <= had:
                if standby.poll() is not None:
                    raise SystemExit("the next trainer ended")
                time.sleep(0.005)
            new = time.monotonic()
            where = "from afar" if far else "on the same machine"
            print(f"takeover {where}, with {had:,} labels: the lease after {taken - killed:.1f} s, a new label {new - taken:.1f} s after that", flush=True)
            place.finish(standby)
            place.end_all([worker])


def tail(args):
    with contextlib.ExitStack() as stack:
        place = Place(1, 1000, stack)
        config = place.configure("team", settings="")
        place.candist("work", place.url)
        trainer = place.candist("run", config, "--train-only")
        path = place.folder / "team" / "labels.jsonl"
        while labels_in(path) == 0:
            time.sleep(0.05)
        environment = {**os.environ, "XDG_CACHE_HOME": str(place.folder / "cache")}
        seen, written = [], []
        follower = place.candist("tail", "-f", place.url, stdout=subprocess.PIPE, env=environment)

        def read():
            for _ in follower.stdout:
                seen.append(time.monotonic())

        reader = threading.Thread(target=read)
        reader.start()
        with path.open("rb") as log:
            while True:
                data = log.read(1 << 20)
                written += [time.monotonic()] * data.count(b"\n")
                if not data and trainer.poll() is not None:
                    break
                time.sleep(0.001)
        reader.join()
        # Those that were there when it began to follow are none.
        late = sorted(there - here for here, there in zip(written[500:], seen[500:]))
        at = lambda share: late[min(int(share * len(late)), len(late) - 1)]
        print(f"tail through the database, {len(late):,} labels: median {at(0.5):.2f} s, 99% {at(0.99):.2f} s, at most {late[-1]:.2f} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help="(default: all)")
    parser.add_argument("--workers", type=lambda text: [int(count) for count in text.split(",")], default=[2, 4], help="how many, as 1,2,4 (default: 2,4)")
    parser.add_argument("--copies", type=int, default=6, help="of the 3,080 texts (default: %(default)s)")
    parser.add_argument("--latency", type=int, default=0, metavar="MS", help="of the server, for rates (default: %(default)s)")
    parser.add_argument("--stored", type=int, default=0, metavar="N", help="answers in the database beforehand, for rates")
    args = parser.parse_args()
    known = {"rates": rates, "takeover": takeover, "tail": tail}
    if unknown := set(args.what) - set(known):
        parser.error(f"{', '.join(unknown)}: measured are {', '.join(known)}")
    for what in args.what or known:
        known[what](args)


if __name__ == "__main__":
    main()
