#!/usr/bin/python3
"""Plays a day with logins, an attack and outages against a real service, and holds alerts and dashboards against what Prometheus saw of it: day.py [REPORT.html]

Hours are minutes: every duration in the rules is divided by SPEED, scraped and evaluated each second. What the service itself waits for is not quickened.
"""

import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import yaml

import quicken
import servers

sys.path.insert(0, str(servers.REPOSITORY / "deploy/grafana"))
import report  # noqa: E402

SPEED = 30
RULES = servers.REPOSITORY / "deploy/prometheus/rules"
# What is not quickened: the service finds out (2 s; a clock that was set is seen within a second), a scrape, two evaluations, and this program asks twice a second.
SLACK_S = 5
CALM_S = 30
# Of quiet between two faults: then they can be told from each other in the report.
BETWEEN_S = 8

failures = 0


def check(name, fault=None):
    global failures
    if fault:
        failures += 1
        print(f"FAILED  {name}\n        {fault}", flush=True)
    else:
        print(f"ok      {name}", flush=True)


def promises():
    """Seconds within which an alert fires here."""
    rules = [rule for group in yaml.safe_load((RULES / "alerts.yaml").read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    return {rule["alert"]: quicken.seconds(rule["annotations"]["fires_within"]) / SPEED for rule in rules}


class Day:
    def __init__(self, prometheus):
        self.prometheus = prometheus
        self.promised = promises()
        self.events = []

    def watch(self, span, seen, until=lambda firing: False):
        """Collects what fires. True where it came to what was waited for."""
        end = time.monotonic() + span
        while time.monotonic() < end:
            firing = self.prometheus.firing()
            seen |= firing
            if until(firing):
                return True
            time.sleep(0.4)
        return False

    def is_calm(self, name, span):
        seen = set()
        self.watch(span, seen)
        check(f"{name}: no alert", f"fired: {', '.join(sorted(seen))}" if seen else None)

    def fault(self, name, alert, begin, end, besides=()):
        """A fault fires its alert and no other, in time, and the alert ends with the fault. Where the fault stays, end is None."""
        seen, began = set(), time.time()
        begin()
        limit = self.promised[alert] + SLACK_S
        in_time = self.watch(limit, seen, lambda firing: alert in firing)
        took = time.time() - began
        if in_time:
            # Others would come later.
            self.watch(4, seen)
        if end:
            end()
        self.events.append((name, began, time.time()))
        if not in_time:
            check(f"{name}: {alert} fires", f"not within {limit:.0f} s; fired: {', '.join(sorted(seen)) or 'nothing'}")
        else:
            check(f"{name}: {alert} fires after {took:.1f} s, promised within {self.promised[alert]:.0f} s and {SLACK_S} s for what is not quickened")
        others = seen - {alert, *besides}
        check(f"{name}: no other alert", f"fired: {', '.join(sorted(others))}" if others else None)
        if end and not besides:
            check(f"{name}: over with its fault", None if self.watch(CALM_S, seen, lambda firing: not firing) else f"still firing: {self.prometheus.firing()}")
        time.sleep(BETWEEN_S)


def play(folder, started, out):
    # Imported here: it takes the stubs that are made of the .proto files at that moment.
    import customers

    servers.make_files(folder)
    postgres = servers.Postgres(folder)
    started.append(postgres)
    redis = servers.Redis(folder)
    started.append(redis)
    replicas = []
    for name, settable_clock in (("replica-1", False), ("replica-2", True)):
        replicas.append(servers.Replica(name, folder, postgres, redis, settable_clock))
        started.append(replicas[-1])
        # One after the other: the first brings the schema up to date.
        servers.wait_until(replicas[-1].has_started, f"{name} is ready", 120)
    bank = customers.Customers(folder, replicas)
    bank.set_up()
    bank.begin()
    # The first calls compile the service: no customer of a running one waits for that.
    time.sleep(8)

    quicken.copy(SPEED, RULES, folder / "rules")
    prometheus = servers.Prometheus(folder, replicas, folder / "rules")
    started.append(prometheus)
    day = Day(prometheus)
    began = time.time()

    day.watch(8, set())
    bank.be_locked(bank.contractors[1])
    bank.opt_out_of_bypasses(bank.contractors[2])
    bank.rotate_the_data_key()
    day.is_calm("an ordinary morning", 30)

    day.fault("Redis outage", "OtpRedisDegraded", redis.end, redis.start)
    day.fault("clock step of a replica", "OtpClockOff", lambda: replicas[1].set_clock(30), lambda: replicas[1].set_clock(0))
    put_back = []
    day.fault(
        "certificate that ends soon", "OtpCertificateExpiry", lambda: put_back.append(servers.replace_server_certificate(folder, 2)), lambda: put_back[0]())
    day.fault("spraying", "OtpSpraying", lambda: bank.spray(30), None)
    # The guesses stay in the window of ten minutes; an outage this long also spends the budget of unanswered calls.
    day.fault(
        "PostgreSQL hangs", "OtpStoreUnavailable", lambda: postgres.signal_all(signal.SIGSTOP), lambda: postgres.signal_all(signal.SIGCONT),
        besides=("OtpSpraying", "OtpAvailabilityBurn"))
    day.watch(12, set())
    ended = time.time()
    bank.stop()
    check("customers were served all day but for the hang of PostgreSQL", trouble_of(bank, day.events))

    source = report.Source(prometheus.url, began, ended, rate_interval=10)
    empty = [
        f"{dashboard['title']} / {panel['title']}: {target['expr']}"
        for dashboard, panel in report.panels() for target in panel["targets"] if not list(source.series(target))
    ]
    count = sum(len(panel["targets"]) for _, panel in report.panels())
    check(f"all {count} queries of {len(list(report.panels()))} panels return data", "\n        ".join(empty))
    if out:
        out.write_text(report.page(source, day.events), encoding="utf-8")
        drawn = out.read_text(encoding="utf-8").count("<section")
        check(f"the report draws every panel: {out}", None if drawn == len(list(report.panels())) else f"{drawn} are drawn")


def trouble_of(bank, events):
    """What failed outside of the last event; refusals that are not an outage's would be of this program."""
    _, begin, end = events[-1]
    outside = [f"{time.strftime('%H:%M:%S', time.gmtime(at))} {act}: {status}" for at, act, status in bank.trouble if not begin - 1 <= at <= end + 4]
    return "\n        ".join(outside[:10])


def main(out):
    # In memory, where there is some: what is looked at is the service, not this machine's disk.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="otp-day-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    # PostgreSQL's own user goes through to its folder.
    folder.chmod(0o711)
    started = []
    try:
        play(folder, started, out)
    except BaseException:
        for log in sorted(folder.glob("*.log")):
            print(f"--      {log.name}\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}", file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for one in reversed(started):
            one.end()
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    # Whoever ends this program ends the servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None))
