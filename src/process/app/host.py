"""Serves an application on a Unix socket, for the router in front of it. What kind of application that is, and how it is
served, stands in the program that follows: a function `load` and a function `serve`."""

import importlib
import os
import sys
import traceback

USELESS = 78


def attribute(module, name):
    return getattr(importlib.import_module(module), name)


def vacate(path):
    """The process before this one may have left its socket, which nobody else may use."""
    os.umask(0o177)
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def ready():
    print("application ready", flush=True)


def main(told):
    sys.path[:0] = [told["directory"]] + told["pythonpath"]
    try:
        application = load(told)  # noqa: F821
    except Exception as error:
        traceback.print_exc()
        print("cannot load the application: {}: {}".format(type(error).__name__, error), file=sys.stderr)
        sys.exit(USELESS)
    vacate(told["socket"])
    serve(told, application)  # noqa: F821
