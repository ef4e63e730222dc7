#!/usr/bin/python3
"""A contractor's journey through the service, from Python: /usr/bin/python3 journey.py host:port [certificate.pem key.pem ca.pem]

Without files plaintext, with them mutual TLS.
Prints a line per step and ends with 1 at the first answer that is not as expected. The stubs are generated into a temporary folder.
"""

import pathlib
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import grpc

from totp import Totp

CLIENTS = pathlib.Path(__file__).resolve().parent.parent
PROTOS = CLIENTS.parent.parent / "protos"
INSTITUTION = "demo"
DEADLINE_S = 3
DELIVERIES = 3
RETRYABLE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def generate_stubs(folder):
    subprocess.run(
        [
            "protoc",
            f"--proto_path={PROTOS}",
            f"--proto_path={CLIENTS}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            f"--plugin=protoc-gen-grpc_python={shutil.which('grpc_python_plugin')}",
            "otpauth/v1/otp_auth.proto",
            "otpauth/v1/otp_operations.proto",
            "rpc_status.proto",
        ],
        check=True,
    )
    sys.path.insert(0, folder)


with tempfile.TemporaryDirectory() as stubs:
    generate_stubs(stubs)
    import rpc_status_pb2 as rpc
    from otpauth.v1 import otp_auth_pb2 as pb
    from otpauth.v1 import otp_auth_pb2_grpc, otp_operations_pb2_grpc
    from otpauth.v1 import otp_operations_pb2 as ops


def journey(channel):
    auth = otp_auth_pb2_grpc.OtpAuthStub(channel)
    operations = otp_operations_pb2_grpc.OtpOperationsStub(channel)
    contractor = {"institution_id": INSTITUTION, "contractor_id": f"python-{secrets.token_hex(8)}"}
    browser = {**contractor, "channel": pb.CHANNEL_PC_BROWSER}
    login = {**browser, "purpose": pb.PURPOSE_LOGIN}

    def issue():
        issued = call(operations.IssueCredential, ops.IssueCredentialRequest(request_id=request_id(), institution_id=INSTITUTION))
        return issued.credential_id, Totp(issued.otpauth_uri)

    def requirement():
        return call(auth.GetRequirement, pb.GetRequirementRequest(**browser)).requirement

    def register(credential_id, otp):
        return call(auth.Register, pb.RegisterRequest(**browser, request_id=request_id(), credential_id=credential_id, otp=otp))

    def verify(otp, **changes):
        return call(auth.Verify, pb.VerifyRequest(**{**login, "request_id": request_id(), "otp": otp, **changes}))

    first_id, first = issue()
    assert len(first_id) == 12 and first_id[:4].isalpha() and first_id[4:].isdigit(), first_id
    say("IssueCredential", first_id)

    equal(requirement(), pb.REQUIREMENT_NOT_REGISTERED)
    say("GetRequirement", "NOT_REGISTERED")

    # OTPs of one credential must be of growing time steps, and the window is one step back to one ahead: that makes three acts
    # without waiting, if they are begun early enough in a step.
    now = first.early_in_step()

    expect(register(first_id, first.otp(now - 1)), pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Register", "ACCEPTED")

    equal(requirement(), pb.REQUIREMENT_REQUIRED)
    say("GetRequirement", "REQUIRED")

    submission = request_id()
    expect(verify(first.otp(now), request_id=submission), pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Verify", "ACCEPTED")

    reused = verify(first.otp(now))
    expect(reused, pb.OUTCOME_ALREADY_USED, pb.DECISION_DENY)
    equal(reused.repeated, False)
    say("Verify, same OTP in a new submission", "ALREADY_USED")

    again = verify(first.otp(now), request_id=submission)
    expect(again, pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    equal(again.repeated, True)
    say("Verify, same submission delivered again", "ACCEPTED, repeated")

    expect(verify(first.otp(now - 1)), pb.OUTCOME_ALREADY_USED, pb.DECISION_DENY)
    say("Verify, OTP of the registration", "ALREADY_USED")

    mismatch = verify(first.otp_of_no_step_near(now))
    expect(mismatch, pb.OUTCOME_MISMATCH, pb.DECISION_DENY)
    equal(mismatch.attempts_left, 4)
    say("Verify, wrong OTP", f"MISMATCH, {mismatch.attempts_left} attempts left")

    expect(verify("", channel=pb.CHANNEL_FEATURE_PHONE), pb.OUTCOME_BYPASSED, pb.DECISION_ALLOW)
    say("Verify on a feature phone, no OTP", "BYPASSED")

    try:
        verify("12 456")
        raise AssertionError("a malformed OTP was answered")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT)
        details = details_of(error)
    equal((details["ErrorInfo"].reason, details["ErrorInfo"].domain), ("INVALID_REQUEST", "otpauth.v1"))
    violations = details["BadRequest"].field_violations
    equal([violation.field for violation in violations], ["otp"])
    say("Verify, malformed OTP", f"INVALID_ARGUMENT: otp {violations[0].description}")

    stopped = call(auth.Suspend, pb.SuspendRequest(**browser, request_id=request_id(), otp=first.otp(now + 1)))
    expect(stopped, pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Suspend", "ACCEPTED")

    expect(verify(first.otp(now + 1)), pb.OUTCOME_SUSPENDED, pb.DECISION_ALLOW)
    say("Verify for a login", "SUSPENDED, ALLOW")

    expect(verify(first.otp(now + 1), purpose=pb.PURPOSE_TRANSFER), pb.OUTCOME_SUSPENDED, pb.DECISION_DENY)
    say("Verify for a transfer", "SUSPENDED, DENY")

    second_id, second = issue()
    expect(register(second_id, second.otp(second.step())), pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Register another credential", "ACCEPTED")


def open_channel(address, *files):
    if not files:
        return grpc.insecure_channel(address)
    certificate, key, ca = (pathlib.Path(file).read_bytes() for file in files)
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, certificate))


def call(method, request):
    """As protos/README.md asks for: with a deadline, and delivering the same request again, with the same request_id, where it is
    not known whether it arrived."""
    for delivery in range(1, DELIVERIES + 1):
        try:
            return method(request, timeout=DEADLINE_S)
        except grpc.RpcError as error:
            if delivery == DELIVERIES or error.code() not in RETRYABLE:
                raise
            time.sleep(0.25 * delivery)


def request_id():
    """Once per submission of a customer."""
    return secrets.token_urlsafe(16)


def details_of(error):
    """The google.rpc details of an error by the names of their messages."""
    trailers = dict(error.trailing_metadata())
    status = rpc.Status.FromString(trailers["grpc-status-details-bin"])
    details = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        details[name] = getattr(rpc, name)()
        packed.Unpack(details[name])
    return details


def expect(answer, outcome, decision):
    equal((pb.Outcome.Name(answer.outcome), pb.Decision.Name(answer.decision)), (pb.Outcome.Name(outcome), pb.Decision.Name(decision)))


def equal(actual, expected):
    assert actual == expected, f"{actual!r} where {expected!r} was expected"


def say(step, answer):
    print(f"{step}: {answer}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 5):
        sys.exit("usage: journey.py host:port [certificate.pem key.pem ca.pem]")
    with open_channel(*sys.argv[1:]) as to_server:
        journey(to_server)
