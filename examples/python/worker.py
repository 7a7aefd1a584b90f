"""Tasks that are shared by all workers: python worker.py work, as often as wanted, and python worker.py ask NUMBER."""

import asyncio
import sys

from corebar import App, Details, Last

app = App()


def work():
    @app.register("com.example.python.primes", invoke="roundrobin", concurrency=2)
    def primes(most, details: Details):
        found, step = 0, max(most // 4, 1)
        for number in range(2, most + 1):
            found += all(number % divisor for divisor in range(2, int(number**0.5) + 1))
            if number % step == 0:
                yield f"{100 * number // most} %"
        yield Last(found)

    @app.on_start
    async def start():
        print("at work", flush=True)

    app.run()


async def ask(most):
    async with app:
        async for result in app.stream("com.example.python.primes", most):
            print(result if isinstance(result, str) else f"{result} primes up to {most}", flush=True)


if sys.argv[1:] == ["work"]:
    work()
elif sys.argv[1:2] == ["ask"] and len(sys.argv) == 3:
    asyncio.run(ask(int(sys.argv[2])))
else:
    sys.exit(__doc__)
