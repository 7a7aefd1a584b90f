"""Clients side by side: calls and events of one connection, against one router, in turns.

    cargo build --release --bin corebar --example throughput
    python3 benches/clients/run.py [--router PATH] [--throughput PATH] [--rounds 3] [--seconds 2] [--only NAME …]

The clients of others are those that the tests install into target/clients (`cargo test --test interop --test applications`).
Prints a table: the median of the rounds.
"""

import argparse
import os
import re
import statistics
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLIENTS = ROOT / "target" / "clients"
FIGURES = ["call", "calls", "publish", "receive"]


def started(command, pattern):
    """Starts a program; gives it, and what the pattern finds in what it says."""
    program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in program.stdout:
        found = re.search(pattern, line)
        if found:
            return program, found
    raise SystemExit(f"{command[0]} has ended with {program.wait()}")


def measured(command, folder):
    """Runs a client; gives its figures."""
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True, timeout=120).stdout
    found = dict(re.findall(r"^(\w+) ([0-9.e+]+)$", output, re.M))
    return {name: float(found[name]) for name in FIGURES}


def main():
    release = ROOT / "target" / "release"
    parser = argparse.ArgumentParser()
    parser.add_argument("--router", default=str(release / "corebar"))
    parser.add_argument("--throughput", default=str(release / "examples" / "throughput"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", default="2")
    parser.add_argument("--only", nargs="*")
    wanted = parser.parse_args()
    rust = lambda *more: ([wanted.throughput, "measure", "URL", wanted.seconds, *more], ROOT)
    script = lambda name: (["node", str(HERE / "measure.mjs"), name, "URL", wanted.seconds], CLIENTS / "js")
    python = lambda folder, name: (
        [str(CLIENTS / folder / "bin" / "python"), str(HERE / "measure.py"), name, "URL", wanted.seconds],
        CLIENTS / folder,
    )
    clients = {
        "corebar, Rust, JSON": rust("json"),
        "corebar, Rust, CBOR": rust("cbor"),
        "corebar, JavaScript": script("corebar"),
        "autobahn-js": script("autobahn"),
        "wampy": script("wampy"),
        "corebar, Python": python("apps", "corebar"),
        "autobahn-python": python("python", "autobahn"),
    }
    clients = {name: client for name, client in clients.items() if not wanted.only or name in wanted.only}
    flags = ["--listen", "127.0.0.1:0", "--shards", "1", "--no-pin", "--log", "error"]
    router, found = started([wanted.router, *flags], r"listening on (ws://\S+)")
    url = found[1]
    peer, _ = started([wanted.throughput, "serve", url], "ready")
    figures = {name: {figure: [] for figure in FIGURES} for name in clients}
    try:
        for _ in range(wanted.rounds):
            for name, (command, folder) in clients.items():
                command = [url if word == "URL" else word for word in command]
                for figure, number in measured(command, folder).items():
                    figures[name][figure].append(number)
                print(os.times().elapsed, name, {f: round(n[-1]) for f, n in figures[name].items()}, flush=True)
    finally:
        peer.kill()
        router.kill()
    print("\n| client | call after call | 64 at a time | published | received |\n|---|---|---|---|---|")
    for name, numbers in figures.items():
        print(f"| {name} | " + " | ".join(f"{statistics.median(numbers[figure]):,.0f}" for figure in FIGURES) + " |")


main()
