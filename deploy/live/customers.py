"""The bank's customers and their front ends for a day: logins through a balancer that asks each replica whether it is ready, and what goes wrong on an ordinary day."""

import itertools
import random
import secrets
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc

import servers

sys.path[:0] = [str(servers.REPOSITORY / folder) for folder in ("src/Samples/PythonClient", "tests/clients/python")]
from stubs import auth as pb  # noqa: E402
from stubs import auth_grpc, operations_grpc  # noqa: E402
from stubs import operations as ops  # noqa: E402
from totp import Totp  # noqa: E402

RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
DELIVERIES = 4
DEADLINE_S = 3
CONTRACTORS = 180
LOGINS_PER_SECOND = 6


class Caller:
    """A client certificate, with a channel to each replica."""

    def __init__(self, name, folder, balancer):
        self.balancer = balancer
        # Patient until the day begins: the first calls have the service compile itself.
        self.deliveries = 20
        files = [(folder / "certs" / file).read_bytes() for file in ("ca.pem", f"{name}.key", f"{name}.pem")]
        channels = [grpc.secure_channel(f"127.0.0.1:{replica.grpc}", grpc.ssl_channel_credentials(*files)) for replica in balancer.replicas]
        self.auth = [auth_grpc.OtpAuthStub(channel) for channel in channels]
        self.operations = [operations_grpc.OtpOperationsStub(channel) for channel in channels]

    def call(self, method, request):
        """Each delivery goes to a replica that is ready."""
        stubs = self.auth if hasattr(self.auth[0], method) else self.operations
        for delivery in range(1, self.deliveries + 1):
            try:
                return getattr(stubs[self.balancer.choose()], method)(request, timeout=DEADLINE_S)
            except grpc.RpcError as error:
                if delivery == self.deliveries or error.code() not in RETRYABLE:
                    raise
                time.sleep(min(1, 0.25 * delivery))


class Balancer:
    def __init__(self, replicas):
        self.replicas = replicas
        self.ready = list(range(len(replicas)))
        self.turn = itertools.count()
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while True:
            self.ready = [i for i, replica in enumerate(self.replicas) if replica.is_ready()]
            time.sleep(0.1)

    def choose(self):
        ready = self.ready or range(len(self.replicas))
        return ready[next(self.turn) % len(ready)]


class Contractor:
    def __init__(self, number, institution):
        self.of = {"institution_id": institution, "contractor_id": f"C-{number:04}"}
        self.last = 0
        self.totp = None
        self.busy = threading.Lock()

    @property
    def here(self):
        return {**self.of, "request_id": secrets.token_urlsafe(16), "channel": random.choice((pb.CHANNEL_PC_BROWSER, pb.CHANNEL_SMARTPHONE))}

    def fresh_otp(self, step):
        """Each step once, as a person who waits for the next OTP."""
        if step <= self.last:
            return None
        self.last = step
        return self.totp.otp(step)

    def wrong_otp(self):
        return self.totp.otp_of_no_step_near(self.totp.step())


class Customers:
    def __init__(self, folder, replicas):
        balancer = Balancer(replicas)
        self.front, self.front2, self.mobile, self.desk = (Caller(name, folder, balancer) for name in ("ib-1", "ib-2", "mobile-1", "desk-1"))
        self.contractors = [Contractor(number, servers.INSTITUTIONS[number % 3 == 0]) for number in range(CONTRACTORS)]
        self.pool = ThreadPoolExecutor(8)
        self.stopped = threading.Event()
        self.trouble = []

    def set_up(self):
        for institution in servers.INSTITUTIONS:
            try:
                self.desk.call("SetInstitutionPolicy", ops.SetInstitutionPolicyRequest(
                    request_id=secrets.token_urlsafe(16), institution_id=institution, display_name=institution, policy=ops.InstitutionPolicy(), reason="a day begins"))
            except grpc.RpcError as error:
                # It is there already.
                if error.code() != grpc.StatusCode.ABORTED:
                    raise
        # Some first, for the same reason.
        for contractor in self.contractors[:8]:
            self.register(contractor)
        list(self.pool.map(self.register, self.contractors[8:]))
        for caller in (self.front, self.front2, self.mobile, self.desk):
            caller.deliveries = DELIVERIES

    def register(self, contractor):
        issued = self.desk.call("IssueCredential", ops.IssueCredentialRequest(request_id=secrets.token_urlsafe(16), institution_id=contractor.of["institution_id"]))
        contractor.totp, contractor.last = Totp(issued.otpauth_uri), 0
        # On a machine that is busy enough, the OTP is too old when it arrives; a customer would take the next one.
        for _ in range(3):
            contractor.last = max(contractor.last + 1, contractor.totp.step() - 1)
            answer = self.front.call("Register", pb.RegisterRequest(**contractor.here, credential_id=issued.credential_id, otp=contractor.totp.otp(contractor.last)))
            if answer.outcome == pb.OUTCOME_ACCEPTED:
                return
        raise AssertionError(f"not registered: {answer}")

    def verify(self, caller, contractor, otp, purpose=pb.PURPOSE_LOGIN, **changes):
        return caller.call("Verify", pb.VerifyRequest(**{**contractor.here, "purpose": purpose, "otp": otp, **changes}))

    # What happens on an ordinary day.

    def log_in(self, contractor):
        """Some are slow to type, a few tokens are ahead."""
        with contractor.busy:
            now = contractor.totp.step()
            otp = contractor.fresh_otp(now + random.choices((0, -1, 1), (80, 15, 5))[0]) or contractor.fresh_otp(now)
            if otp:
                self.verify(self.front, contractor, otp, random.choices((pb.PURPOSE_LOGIN, pb.PURPOSE_TRANSFER, pb.PURPOSE_SETTINGS_CHANGE), (80, 15, 5))[0])

    def mistype_then_log_in(self, contractor):
        with contractor.busy:
            self.verify(self.front, contractor, contractor.wrong_otp())
            otp = contractor.fresh_otp(contractor.totp.step())
            if otp:
                self.verify(self.front, contractor, otp)

    def use_twice(self, contractor):
        with contractor.busy:
            step = contractor.totp.step()
            otp = contractor.fresh_otp(step)
            if otp:
                self.verify(self.front, contractor, otp)
                self.verify(self.front, contractor, otp)

    def deliver_again(self, contractor):
        with contractor.busy:
            otp = contractor.fresh_otp(contractor.totp.step())
            if otp:
                request = pb.VerifyRequest(**contractor.here, purpose=pb.PURPOSE_LOGIN, otp=otp)
                self.front.call("Verify", request)
                self.front.call("Verify", request)

    def change_device(self, contractor):
        with contractor.busy:
            otp = contractor.fresh_otp(contractor.totp.step() + 1) if contractor.last <= contractor.totp.step() else None
            if otp and self.front.call("Suspend", pb.SuspendRequest(**contractor.here, otp=otp)).outcome == pb.OUTCOME_ACCEPTED:
                self.register(contractor)

    def come_by_feature_phone(self, contractor):
        self.verify(self.mobile, contractor, "", institution_id="demo", channel=pb.CHANNEL_FEATURE_PHONE)

    def come_without_grant(self, contractor):
        refused(self.verify, self.mobile, contractor, "", institution_id="minato", channel=pb.CHANNEL_FEATURE_PHONE)

    def ask_for_what_is_not_its_own(self, contractor):
        refused(self.mobile.call, "Register", pb.RegisterRequest(**contractor.here, credential_id="ABCD12345678", otp="123456"))

    def come_without_certificate(self, _):
        port = self.mobile.balancer.replicas[0].grpc
        certificate = (self.mobile.balancer.replicas[0].folder / "certs/ca.pem").read_bytes()
        with grpc.secure_channel(f"127.0.0.1:{port}", grpc.ssl_channel_credentials(certificate)) as channel:
            refused(auth_grpc.OtpAuthStub(channel).GetRequirement, pb.GetRequirementRequest(), timeout=1)

    # Single events.

    def be_locked(self, contractor):
        with contractor.busy:
            for _ in range(5):
                self.verify(self.front, contractor, contractor.wrong_otp())

    def opt_out_of_bypasses(self, contractor):
        act = {**contractor.of, "request_id": secrets.token_urlsafe(16), "reason": "asked at the counter"}
        self.desk.call("SetBypassOptOut", ops.SetBypassOptOutRequest(**act, never_bypass=True))
        self.come_by_feature_phone(contractor)

    def rotate_the_data_key(self):
        self.desk.call("RotateKeys", ops.RotateKeysRequest(
            request_id=secrets.token_urlsafe(16), institution_id="demo", kind=ops.KEY_KIND_DATA_KEY, reason="yearly"))

    # An attack.

    def spray(self, guesses):
        """One guess at each of many contractors, through one front end."""
        victims = random.sample([c for c in self.contractors if c.of["institution_id"] == "minato"], guesses)
        list(self.pool.map(lambda victim: self.verify(self.front2, victim, victim.wrong_otp()), victims))

    # The day's traffic.

    def begin(self):
        self.thread = threading.Thread(target=self.go_on, daemon=True)
        self.thread.start()

    def go_on(self):
        """What is rare comes in turn, so that no day lacks any of it."""
        rare = itertools.cycle((
            self.mistype_then_log_in, self.use_twice, self.come_by_feature_phone, self.deliver_again, self.come_by_feature_phone, self.change_device,
        ))
        everybody = itertools.cycle(self.contractors)
        began = time.monotonic()
        for number in itertools.count():
            if self.stopped.wait(max(0, began + number / LOGINS_PER_SECOND - time.monotonic())):
                return
            act = next(rare) if number % 6 == 5 else self.log_in
            self.pool.submit(self.try_to, act, next(everybody))
            if number % 90 == 45:
                for seldom in (self.come_without_grant, self.ask_for_what_is_not_its_own, self.come_without_certificate):
                    self.pool.submit(self.try_to, seldom, random.choice(self.contractors))

    def try_to(self, act, contractor):
        try:
            act(contractor)
        except Exception as failure:  # Whatever it is, it is told at the end, and the day goes on.
            status = failure.code().name if isinstance(failure, grpc.RpcError) else repr(failure)
            self.trouble.append((time.time(), act.__name__, status))

    def stop(self):
        self.stopped.set()
        self.thread.join()
        self.pool.shutdown()


def refused(call, *arguments, **more):
    """What has to be refused."""
    try:
        call(*arguments, **more)
    except grpc.RpcError:
        return
    raise AssertionError("it was not refused")
