"""Calls OtpAuthService as protos/README.md asks for: mutual TLS with certificates that may be replaced while this runs, a deadline for every
call, retries where they are safe, all replicas in turn, and the details of errors.
"""

import collections
import json
import pathlib
import secrets
import ssl
import threading
import time

import grpc

from stubs import auth_grpc, operations_grpc, rpc

# Retries included. The service itself answers within a second, also when its database is gone.
DEADLINE_S = 3

# How often the files are looked at.
FILES_S = 1

# How long a connection is used. gRPC asks for the addresses of a name when it connects and when a connection is lost, not in between: this is
# also how soon a new replica gets its share of the calls.
CONNECTION_S = 5 * 60

SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    # Only UNAVAILABLE: every other status is an answer. A second delivery carries the same request_id and gets the first answer again.
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 3,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # A service that is down is not asked four times as often.
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}

# Paths of PEM files; server_name where the service's certificate bears another name than the host of the target.
Tls = collections.namedtuple("Tls", "certificate key trust server_name", defaults=(None,))


class OtpAuthClient:
    """Thread-safe; make one and keep it."""

    def __init__(self, target, tls=None):
        """target: dns:///host:port, where every address of the host is a replica. Without tls plaintext, which the service takes over
        loopback only."""
        self._target = target
        self._tls = tls
        self._options = [
            ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
            # The default, 30 s, is longer than a rolling update may take.
            ("grpc.dns_min_time_between_resolutions_ms", 1000),
            # A new channel makes connections of its own, with the new certificate.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if tls and tls.server_name:
            self._options.append(("grpc.ssl_target_name_override", tls.server_name))
        self._gate = threading.Lock()
        self._channel = None
        self._files = None
        self._look_at = self._renew_at = 0

    def auth(self, method, request):
        """What front ends call: auth("Verify", VerifyRequest(request_id=new_request_id(), …))."""
        return getattr(auth_grpc.OtpAuthStub(self._connected()), method)(request, timeout=DEADLINE_S)

    def operations(self, method, request):
        """What operators call."""
        return getattr(operations_grpc.OtpOperationsStub(self._connected()), method)(request, timeout=DEADLINE_S)

    def close(self):
        if self._channel:
            self._channel.close()

    def _connected(self):
        """A channel keeps the certificate that it was made with: there is another one after each change of the files."""
        with self._gate:
            now = time.monotonic()
            if self._channel is None or now >= self._look_at:
                self._look_at = now + FILES_S
                try:
                    self._renew(now)
                except OSError:
                    # Between the writing of a certificate and of its key the two do not fit: what was there before goes on for now.
                    if self._channel is None:
                        raise
            return self._channel

    def _renew(self, now):
        files = [pathlib.Path(file).read_bytes() for file in (self._tls.trust, self._tls.key, self._tls.certificate)] if self._tls else []
        if self._channel and now < self._renew_at and files == self._files:
            return
        if self._tls:
            # gRPC itself would take a key that does not belong to the certificate, and connect no more. An SSLError is an OSError.
            ssl.create_default_context().load_cert_chain(self._tls.certificate, self._tls.key)
            channel = grpc.secure_channel(self._target, grpc.ssl_channel_credentials(*files), self._options)
        else:
            channel = grpc.insecure_channel(self._target, self._options)
        if self._channel:
            # Calls that are under way end on the channel that they began on.
            closing = threading.Timer(DEADLINE_S + 1, self._channel.close)
            closing.daemon = True
            closing.start()
        self._channel, self._files, self._renew_at = channel, files, now + CONNECTION_S


def new_request_id():
    """Once per submission of a customer. A retry carries the same one; what the customer types next is another submission."""
    return secrets.token_urlsafe(16)


def details_of(error):
    """The google.rpc details of an error by the names of their messages: ErrorInfo, BadRequest, RetryInfo."""
    trailer = dict(error.trailing_metadata() or ()).get("grpc-status-details-bin")
    details = {}
    for packed in rpc.Status.FromString(trailer).details if trailer else ():
        name = packed.TypeName().rpartition(".")[2]
        details[name] = getattr(rpc, name)()
        packed.Unpack(details[name])
    return details
