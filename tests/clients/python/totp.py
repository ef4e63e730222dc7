"""One-time passwords as a token program computes them (RFC 6238), from the otpauth URI that its QR code holds."""

import base64
import hashlib
import hmac
import struct
import time
from urllib.parse import parse_qs, urlsplit

MIN_SECONDS_LEFT = 8


class Totp:
    def __init__(self, otpauth_uri):
        parameters = {name: values[0] for name, values in parse_qs(urlsplit(otpauth_uri).query).items()}
        secret = parameters["secret"]
        self._key = base64.b32decode(secret + "=" * (-len(secret) % 8))
        self._hash = getattr(hashlib, parameters.get("algorithm", "SHA1").lower())
        self._digits = int(parameters.get("digits", 6))
        self._period = int(parameters.get("period", 30))

    def step(self):
        return int(time.time()) // self._period

    def early_in_step(self):
        """The current step, once enough of it is left."""
        left = self._period - time.time() % self._period
        if left < MIN_SECONDS_LEFT:
            time.sleep(left + 0.05)
        return self.step()

    def otp(self, step):
        """RFC 4226 section 5.3."""
        digest = hmac.new(self._key, struct.pack(">q", step), self._hash).digest()
        offset = digest[-1] & 0xF
        truncated = struct.unpack_from(">I", digest, offset)[0] & 0x7FFFFFFF
        return str(truncated % 10**self._digits).zfill(self._digits)

    def otp_of_no_step_near(self, step):
        """Far outside every window in which the service looks for an OTP."""
        near = {self.otp(other) for other in range(step - 200, step + 201)}
        guesses = (str(guess).zfill(self._digits) for guess in range(10**self._digits))
        return next(guess for guess in guesses if guess not in near)
