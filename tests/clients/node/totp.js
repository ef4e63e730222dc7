// One-time passwords as a token program computes them (RFC 6238), from the otpauth URI that its QR code holds.
'use strict';

const crypto = require('node:crypto');
const { setTimeout: sleep } = require('node:timers/promises');

const MIN_SECONDS_LEFT = 8;

function credentialOf(otpauthUri) {
  const uri = new URL(otpauthUri);
  const parameter = (name, otherwise) => uri.searchParams.get(name) ?? otherwise;
  const key = base32(parameter('secret'));
  const algorithm = parameter('algorithm', 'SHA1').toLowerCase();
  const digits = Number(parameter('digits', 6));
  const period = Number(parameter('period', 30));

  const seconds = () => Date.now() / 1000;
  const step = () => Math.floor(seconds() / period);
  const otp = (timeStep) => hotp(key, algorithm, digits, timeStep);

  return {
    step,
    otp,

    // The current step, once enough of it is left.
    async earlyInStep() {
      const left = period - (seconds() % period);
      if (left < MIN_SECONDS_LEFT) await sleep(left * 1000 + 50);
      return step();
    },

    // Far outside every window in which the service looks for an OTP.
    otpOfNoStepNear(timeStep) {
      const near = new Set(Array.from({ length: 401 }, (_, i) => otp(timeStep - 200 + i)));
      for (let guess = 0; ; guess++) {
        const wrong = String(guess).padStart(digits, '0');
        if (!near.has(wrong)) return wrong;
      }
    },
  };
}

// RFC 4226 section 5.3.
function hotp(key, algorithm, digits, counter) {
  const message = Buffer.alloc(8);
  message.writeBigUInt64BE(BigInt(counter));
  const hash = crypto.createHmac(algorithm, key).update(message).digest();
  const offset = hash[hash.length - 1] & 0xf;
  const truncated = hash.readUInt32BE(offset) & 0x7fffffff;
  return String(truncated % 10 ** digits).padStart(digits, '0');
}

// RFC 4648 section 6; the padding may be missing.
function base32(text) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...text.replace(/=+$/, '')].map((character) => alphabet.indexOf(character).toString(2).padStart(5, '0')).join('');
  return Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
}

module.exports = { credentialOf };
