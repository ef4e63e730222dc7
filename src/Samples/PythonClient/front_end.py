#!/usr/bin/python3
"""A front end that is a terminal: /usr/bin/python3 front_end.py dns:///host:port certificate.pem key.pem ca.pem [server-name]

Reads a submission of a customer per line and prints the answer to it:
  register CONTRACTOR CREDENTIAL OTP
  verify CONTRACTOR OTP
"""

import os
import sys

import grpc

from otp_auth_client import OtpAuthClient, Tls, details_of, new_request_id
from stubs import auth

INSTITUTION = os.environ.get("OTP_INSTITUTION", "demo")


def submission(contractor):
    return {
        "request_id": new_request_id(),
        "institution_id": INSTITUTION,
        "contractor_id": contractor,
        "channel": auth.CHANNEL_PC_BROWSER,
    }


def register(client, contractor, credential, otp):
    return client.auth("Register", auth.RegisterRequest(**submission(contractor), credential_id=credential, otp=otp))


def verify(client, contractor, otp):
    return client.auth("Verify", auth.VerifyRequest(**submission(contractor), purpose=auth.PURPOSE_LOGIN, otp=otp))


ACTS = {"register": (register, 3), "verify": (verify, 2)}


def answer(client, line):
    name, *words = line.split() or [""]
    act, count = ACTS.get(name, (None, 0))
    if act is None or len(words) != count:
        return "? register CONTRACTOR CREDENTIAL OTP, verify CONTRACTOR OTP"
    try:
        given = act(client, *words)
        # The decision says what to do, whatever the outcome is: a later version may have outcomes that this program does not know.
        allowed = "ALLOW" if given.decision == auth.DECISION_ALLOW else "DENY"
        known = given.outcome in auth.Outcome.values()
        outcome = auth.Outcome.Name(given.outcome).replace("OUTCOME_", "") if known else str(given.outcome)
        return f"{allowed} {outcome}{' repeated' if given.repeated else ''}"
    except grpc.RpcError as error:
        # Nobody is let in, and nobody is told that the OTP was wrong.
        details = details_of(error)
        reason = details["ErrorInfo"].reason if "ErrorInfo" in details else error.details()
        fields = [f"{v.field} {v.description}" for v in details["BadRequest"].field_violations] if "BadRequest" in details else []
        return ": ".join([f"ERROR {error.code().name}", reason, *fields])


def main(target, certificate, key, trust, server_name=None):
    client = OtpAuthClient(target, Tls(certificate, key, trust, server_name))
    for line in sys.stdin:
        print(answer(client, line), flush=True)
    client.close()


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit("usage: front_end.py dns:///host:port certificate.pem key.pem ca.pem [server-name]")
    main(*sys.argv[1:])
