#!/usr/bin/python3
"""A contractor's journey through the service, from Python: /usr/bin/python3 journey.py host:port [certificate.pem key.pem ca.pem]

Without files plaintext, with them mutual TLS.
Prints a line per step and ends with 1 at the first answer that is not as expected.
"""

import pathlib
import secrets
import sys

import grpc

from totp import Totp

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "src/Samples/PythonClient"))
from otp_auth_client import OtpAuthClient, Tls, details_of
from otp_auth_client import new_request_id as request_id
from stubs import auth as pb
from stubs import operations as ops

INSTITUTION = "demo"


def journey(client):
    auth = or_again(client.auth)
    operations = or_again(client.operations)
    contractor = {"institution_id": INSTITUTION, "contractor_id": f"python-{secrets.token_hex(8)}"}
    browser = {**contractor, "channel": pb.CHANNEL_PC_BROWSER}
    login = {**browser, "purpose": pb.PURPOSE_LOGIN}

    def issue():
        issued = operations("IssueCredential", ops.IssueCredentialRequest(request_id=request_id(), institution_id=INSTITUTION))
        return issued.credential_id, Totp(issued.otpauth_uri)

    def requirement():
        return auth("GetRequirement", pb.GetRequirementRequest(**browser)).requirement

    def register(credential_id, otp):
        return auth("Register", pb.RegisterRequest(**browser, request_id=request_id(), credential_id=credential_id, otp=otp))

    def verify(otp, **changes):
        return auth("Verify", pb.VerifyRequest(**{**login, "request_id": request_id(), "otp": otp, **changes}))

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

    stopped = auth("Suspend", pb.SuspendRequest(**browser, request_id=request_id(), otp=first.otp(now + 1)))
    expect(stopped, pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Suspend", "ACCEPTED")

    expect(verify(first.otp(now + 1)), pb.OUTCOME_SUSPENDED, pb.DECISION_ALLOW)
    say("Verify for a login", "SUSPENDED, ALLOW")

    expect(verify(first.otp(now + 1), purpose=pb.PURPOSE_TRANSFER), pb.OUTCOME_SUSPENDED, pb.DECISION_DENY)
    say("Verify for a transfer", "SUSPENDED, DENY")

    second_id, second = issue()
    expect(register(second_id, second.otp(second.step())), pb.OUTCOME_ACCEPTED, pb.DECISION_ALLOW)
    say("Register another credential", "ACCEPTED")


def or_again(call):
    """Delivers a request once more where its deadline passed: the machine that runs the tests may be busy. What is UNAVAILABLE the client
    delivers again by itself."""

    def deliver(method, request):
        try:
            return call(method, request)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            return call(method, request)

    return deliver


def expect(answer, outcome, decision):
    equal((pb.Outcome.Name(answer.outcome), pb.Decision.Name(answer.decision)), (pb.Outcome.Name(outcome), pb.Decision.Name(decision)))


def equal(actual, expected):
    assert actual == expected, f"{actual!r} where {expected!r} was expected"


def say(step, answer):
    print(f"{step}: {answer}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 5):
        sys.exit("usage: journey.py host:port [certificate.pem key.pem ca.pem]")
    opened = OtpAuthClient(f"dns:///{sys.argv[1]}", Tls(*sys.argv[2:]) if sys.argv[2:] else None)
    journey(opened)
    opened.close()
