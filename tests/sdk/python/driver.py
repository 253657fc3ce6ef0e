"""Drives the unmodified Harness Python server SDK.

Commands are JSON lines on stdin, answers JSON lines on stdout, everything else goes to stderr.
Environment: RELAY_URL, SDK_KEY, INIT_TIMEOUT_SECONDS.
"""

import json
import logging
import os
import sys
import threading

# The SDK prints tracebacks to stdout, which belongs to the answers here.
ANSWERS = sys.stdout
sys.stdout = sys.stderr

from featureflags.client import CfClient  # noqa: E402
from featureflags.config import Config  # noqa: E402
from featureflags.evaluations.auth_target import Target  # noqa: E402

HOUR_SECONDS = 3600


def answer(line):
    ANSWERS.write(json.dumps(line) + "\n")
    ANSWERS.flush()


def initialise():
    """The constructor authenticates and may take its time, so it runs beside a deadline."""
    relay = os.environ["RELAY_URL"]
    config = Config(
        base_url=relay,
        events_url=relay,
        enable_stream=True,
        pull_interval=HOUR_SECONDS,  # so that a change can only come through the stream
        events_sync_interval=60,  # the SDK's minimum
    )
    made = []

    def make():
        client = CfClient(os.environ["SDK_KEY"], config=config)
        client.wait_for_initialization()
        made.append(client)

    maker = threading.Thread(target=make, daemon=True)
    maker.start()
    seconds = float(os.environ.get("INIT_TIMEOUT_SECONDS", "30"))
    maker.join(seconds)
    if not made:
        return None, f"not initialised after {seconds} s"
    return made[0], None if made[0].is_initialized() else "the SDK says that it is not initialised"


def variation(client, command):
    if client is None:
        return command["default"]
    evaluate = {
        "boolean": client.bool_variation,
        "string": client.string_variation,
        "number": client.number_variation,
        "json": client.json_variation,
    }[command["kind"]]
    given = command["target"]
    target = Target(identifier=given["identifier"], name=given["name"], attributes=given.get("attributes", {}))
    return evaluate(command["flag"], target, command["default"])


def main():
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG, format="%(asctime)s %(levelname)s %(message)s")
    client, error = initialise()
    answer({"event": "failed", "error": error} if error else {"event": "ready"})
    for line in sys.stdin:
        command = json.loads(line)
        if command["command"] == "close":
            break
        if command["command"] == "variation":
            answer({"event": "value", "value": variation(client, command)})
    if client is not None and error is None:
        client.close()  # sends the metrics that are left
    # The SDK's threads wait for events for ever; nothing is left that they could do.
    sys.stderr.flush()
    os._exit(0)


main()
