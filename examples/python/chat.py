"""A chat: python chat.py NAME. What is typed is said to everybody; who comes hears the last line that was said."""

import sys
import threading

from corebar import App

name = sys.argv[1]
app = App()


@app.event("com.example.chat", retained=True)
async def said(who, text):
    print(f"{who}: {text}", flush=True)


def read():
    for line in sys.stdin:
        app.sync.publish("com.example.chat", name, line.rstrip("\n"), options={"retain": True})
    app.stop()


@app.on_start
async def start():
    print("joined", flush=True)
    threading.Thread(target=read, daemon=True).start()


app.run()
