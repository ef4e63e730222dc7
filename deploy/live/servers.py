"""The servers of a day: PostgreSQL, Redis, two replicas of the service, Prometheus, each a process on loopback in one temporary folder."""

import json
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
PROGRAM = REPOSITORY / "src/OtpAuthService/bin/Debug/net10.0/OtpAuthService.dll"
INSTITUTIONS = ("demo", "minato")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def get(url):
    """None where nobody answers well."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def wait_until(condition, what, limit=60):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"in vain waited {limit} s until {what}")
        time.sleep(0.1)


class Process:
    """What it starts belongs to its process group, and is ended with it."""

    # What is looked at is the service, not what else this machine does: before other work, where that is allowed.
    FIRST = ["nice", "-n", "-10"] if os.geteuid() == 0 else []

    def __init__(self, name, folder, command, **environment):
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [*self.FIRST, *command], stdout=output, stderr=output, stdin=subprocess.DEVNULL, start_new_session=True, cwd=folder, env={**os.environ, **environment}
            )

    def send(self, number):
        os.killpg(self.process.pid, number)

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.send(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.send(signal.SIGKILL)
                self.process.wait()


class Postgres:
    def __init__(self, folder):
        self.port = free_port()
        self.data = folder / "postgres"
        binaries = pathlib.Path(subprocess.run(["pg_config", "--bindir"], check=True, capture_output=True, text=True).stdout.strip())
        # It refuses to run as root.
        owner = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        self.data.mkdir()
        if owner:
            user = pwd.getpwnam("postgres")
            os.chown(self.data, user.pw_uid, user.pw_gid)
        subprocess.run([*owner, binaries / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"], check=True, capture_output=True)
        self.process = Process("postgres.server", folder, [*owner, binaries / "postgres", "-D", self.data, "-p", str(self.port), "-h", "127.0.0.1", "-k", ""])
        wait_until(lambda: self.run("SELECT 1", "postgres"), "PostgreSQL answers")
        self.run("CREATE DATABASE otp", "postgres")

    def run(self, statement, database="otp"):
        return subprocess.run(
            ["psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-c", statement], capture_output=True, check=False
        ).returncode == 0

    def signal_all(self, number):
        """Its processes have groups of their own."""
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.process.pid)], capture_output=True, text=True, check=False).stdout.split()
        for process in [self.process.process.pid, *map(int, children)]:
            os.kill(process, number)

    def end(self):
        self.signal_all(signal.SIGCONT)
        self.process.end(signal.SIGINT)


class Redis:
    def __init__(self, folder):
        self.folder = folder
        self.port = free_port()
        self.start()

    def start(self):
        self.process = Process("redis", self.folder, ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])

    def end(self):
        self.process.end(signal.SIGKILL)


class Replica:
    """Over mutual TLS; where it is asked for, by a clock that can be set. It looks at its file once a second: at each reading of the clock would cost a processor."""

    def __init__(self, name, folder, postgres, redis, settable_clock=False):
        self.name = name
        self.folder = folder
        self.grpc, self.management = free_port(), free_port()
        self.clock = folder / f"{name}.clock"
        self.set_clock(0)
        self.settings = {
            "DOTNET_ENVIRONMENT": "Development",
            "ConnectionStrings__Postgres": f"Host=127.0.0.1;Port={postgres.port};Username=postgres;Database=otp",
            "ConnectionStrings__Redis": f"127.0.0.1:{redis.port}",
            "Kestrel__Endpoints__Grpc__Url": f"https://127.0.0.1:{self.grpc}",
            "Kestrel__Endpoints__Management__Url": f"http://127.0.0.1:{self.management}",
            "OtpAuth__KekFile": str(folder / "kek"),
            "OtpAuth__MigrateOnStart": "true",
            "OtpAuth__KeyCacheEntries": "10000",
            "OtpAuth__AuditHeadInterval": "00:00:05",
            "OtpAuth__CallersFile": str(folder / "callers.json"),
            "OtpAuth__Tls__CertificateFile": str(folder / "certs/server.pem"),
            "OtpAuth__Tls__KeyFile": str(folder / "certs/server.key"),
            "OtpAuth__Tls__TrustFile": str(folder / "certs/ca.pem"),
            "OtpAuth__Tls__RevokedFile": str(folder / "certs/crl.pem"),
        }
        if settable_clock:
            self.settings |= {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.clock), "FAKETIME_CACHE_DURATION": "1", "DONT_FAKE_MONOTONIC": "1"}
        self.start()

    def start(self):
        self.process = Process(self.name, self.folder, ["dotnet", PROGRAM], **self.settings)

    def has_started(self):
        """On a machine that is so busy that the start was given up, it is tried again, as whoever runs it would have it."""
        if self.process.process.poll() is not None:
            self.start()
        return self.is_ready()

    @property
    def instance(self):
        return f"127.0.0.1:{self.management}"

    def is_ready(self):
        return get(f"http://{self.instance}/health/ready") is not None

    def set_clock(self, seconds):
        """Written beside it and renamed: a clock that is read half would be another one."""
        beside = self.clock.with_suffix(".new")
        beside.write_text(f"{seconds:+d}\n", encoding="utf-8")
        beside.replace(self.clock)

    def end(self):
        self.process.end()


class Prometheus:
    def __init__(self, folder, replicas, rules):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = folder / "prometheus.yml"
        # JSON is YAML.
        settings.write_text(json.dumps({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [f"{rules}/*.yaml"],
            "scrape_configs": [{"job_name": "otp-auth-service", "honor_timestamps": False, "static_configs": [{"targets": [replica.instance for replica in replicas]}]}],
        }), encoding="utf-8")
        self.process = Process("prometheus", folder, [
            "prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder}/prometheus", f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
        ])
        wait_until(lambda: get(f"{self.url}/-/ready"), "Prometheus is ready")

    def ask(self, path, **parameters):
        text = get(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        if text is None:
            raise ConnectionError(f"Prometheus does not answer {path} {parameters}")
        return json.loads(text)["data"]

    def firing(self):
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}

    def end(self):
        self.process.end()


def make_files(folder):
    """Certificates, the KEK, and who the callers are. ib-2 may be wrong only 40 times within ten minutes."""
    callers = {"ib-1": "ib-1", "ib-2": "ib-2", "mobile-1": "mobile-1", "desk-1": "desk-1"}
    named = [argument for name in callers for argument in ("--caller", f"spiffe://bank.example/caller/{name}={name}")]
    subprocess.run(["bash", REPOSITORY / "deploy/make-certificates.sh", folder / "certs", *named], check=True, capture_output=True)
    kek = folder / "kek"
    kek.touch(mode=0o600)
    kek.write_text(subprocess.run(["openssl", "rand", "-base64", "32"], check=True, capture_output=True, text=True).stdout, encoding="utf-8")
    now = datetime.now(timezone.utc).replace(microsecond=0)
    until = (now + timedelta(days=60)).isoformat()

    def caller(name, role, **more):
        return {"id": name, "name": f"spiffe://bank.example/caller/{name}", "roles": [role], "institutions": list(INSTITUTIONS), **more}

    grant = {
        "institution": "demo", "reason": "feature phones have no token program", "approver": "head of internet banking",
        "from": (now - timedelta(days=1)).isoformat(), "notAfter": until, "perMinute": 600, "perContractorPerHour": 50,
    }
    (folder / "callers.json").write_text(json.dumps({"callers": [
        caller("ib-1", "Frontend", notAfter=until),
        caller("ib-2", "Frontend", failureBudget={"signal": 12, "stop": 40}),
        caller("mobile-1", "MobileGateway", bypass=[grant]),
        caller("desk-1", "Operator"),
    ]}), encoding="utf-8")


def replace_server_certificate(folder, days):
    """By one of the same CA that ends so soon, as a renewal would: beside, and then renamed. Returns what puts the old one back."""
    certs = folder / "certs"
    before = (certs / "server.pem").read_bytes()
    extensions = folder / "extensions"
    extensions.write_text("extendedKeyUsage = serverAuth\nsubjectAltName = DNS:localhost,IP:127.0.0.1\n", encoding="utf-8")

    def openssl(*arguments, **more):
        return subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=certs, **more).stdout

    request = openssl("req", "-new", "-key", "server.key", "-subj", "/CN=localhost", "-config", "/dev/null")
    short = openssl("x509", "-req", "-days", str(days), "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "4711", "-extfile", str(extensions), input=request)

    def put(content):
        (certs / "server.new").write_bytes(content)
        (certs / "server.new").replace(certs / "server.pem")

    put(short)
    return lambda: put(before)
