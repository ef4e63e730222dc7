"""Sums up the .trx files of a folder: a line "passed failed", then each failure with its message."""

import pathlib
import sys
import xml.etree.ElementTree as xml

TRX = "{http://microsoft.com/schemas/VisualStudio/TeamTest/2010}"
MESSAGE_LINES = 12


def main(folder):
    passed, failures = 0, []
    for file in sorted(pathlib.Path(folder).glob("**/*.trx")):
        run = xml.parse(file)
        # A result names the method and its arguments only; the class stands with the definition.
        classes = {test.get("id"): test.find(f"{TRX}TestMethod").get("className") for test in run.iter(f"{TRX}UnitTest")}
        for result in run.iter(f"{TRX}UnitTestResult"):
            outcome = result.get("outcome")
            if outcome == "Passed":
                passed += 1
            elif outcome != "NotExecuted":  # which is how a test looks that was skipped on purpose
                failures.append((f"{classes[result.get('testId')]}.{result.get('testName')}", message_of(result)))

    print(passed, len(failures))
    for name, message in failures:
        print(f"FAILED  {name}")
        for line in message[:MESSAGE_LINES]:
            print(f"        {line}")


def message_of(result):
    error = result.find(f"{TRX}Output/{TRX}ErrorInfo")
    if error is None:
        return [result.get("outcome")]
    message = error.findtext(f"{TRX}Message", "").strip().splitlines()
    frames = error.findtext(f"{TRX}StackTrace", "").strip().splitlines()
    # A failure in a SetUp has its stack in the message. The first frame is where the test failed.
    return [line for line in message if not is_frame(line)] + [frame.strip() for frame in frames if is_frame(frame)][:1]


def is_frame(line):
    return line.strip().startswith("at ")


main(sys.argv[1])
