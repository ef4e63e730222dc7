// A contractor's journey through the service, from Node.js: node journey.js host:port [certificate.pem key.pem ca.pem]
// Without files plaintext, with them mutual TLS.
// Prints a line per step and ends with 1 at the first answer that is not as expected.
'use strict';

const assert = require('node:assert/strict');
const crypto = require('node:crypto');
const { OtpAuthClient, newRequestId: requestId, detailsOf, status } = require('../../../src/Samples/NodeClient/otp-auth-client');
const { credentialOf } = require('./totp');

const INSTITUTION = 'demo';

async function journey(client) {
  const auth = orAgain((method, request) => client.auth(method, request));
  const operations = orAgain((method, request) => client.operations(method, request));
  const contractor = { institution_id: INSTITUTION, contractor_id: `node-${crypto.randomBytes(8).toString('hex')}` };
  const browser = { ...contractor, channel: 'CHANNEL_PC_BROWSER' };
  const login = { ...browser, purpose: 'PURPOSE_LOGIN' };

  const issue = async () => {
    const issued = await operations('IssueCredential', { request_id: requestId(), institution_id: INSTITUTION });
    return { id: issued.credential_id, ...credentialOf(issued.otpauth_uri) };
  };
  const register = (credential, otp) =>
    auth('Register', { ...browser, request_id: requestId(), credential_id: credential.id, otp });
  const verify = (otp, changes = {}) => auth('Verify', { ...login, request_id: requestId(), otp, ...changes });

  const first = await issue();
  assert.match(first.id, /^[A-Z]{4}[0-9]{8}$/);
  say('IssueCredential', first.id);

  expect(await auth('GetRequirement', browser), { requirement: 'REQUIREMENT_NOT_REGISTERED' });
  say('GetRequirement', 'NOT_REGISTERED');

  // OTPs of one credential must be of growing time steps, and the window is one step back to one ahead: that makes three acts
  // without waiting, if they are begun early enough in a step.
  const now = await first.earlyInStep();

  expect(await register(first, first.otp(now - 1)), { outcome: 'OUTCOME_ACCEPTED', decision: 'DECISION_ALLOW' });
  say('Register', 'ACCEPTED');

  expect(await auth('GetRequirement', browser), { requirement: 'REQUIREMENT_REQUIRED' });
  say('GetRequirement', 'REQUIRED');

  const submission = { request_id: requestId() };
  expect(await verify(first.otp(now), submission), { outcome: 'OUTCOME_ACCEPTED', decision: 'DECISION_ALLOW' });
  say('Verify', 'ACCEPTED');

  expect(await verify(first.otp(now)), { outcome: 'OUTCOME_ALREADY_USED', decision: 'DECISION_DENY', repeated: false });
  say('Verify, same OTP in a new submission', 'ALREADY_USED');

  expect(await verify(first.otp(now), submission), { outcome: 'OUTCOME_ACCEPTED', decision: 'DECISION_ALLOW', repeated: true });
  say('Verify, same submission delivered again', 'ACCEPTED, repeated');

  expect(await verify(first.otp(now - 1)), { outcome: 'OUTCOME_ALREADY_USED', decision: 'DECISION_DENY' });
  say('Verify, OTP of the registration', 'ALREADY_USED');

  const mismatch = await verify(first.otpOfNoStepNear(now));
  expect(mismatch, { outcome: 'OUTCOME_MISMATCH', decision: 'DECISION_DENY', attempts_left: 4 });
  say('Verify, wrong OTP', `MISMATCH, ${mismatch.attempts_left} attempts left`);

  expect(await verify('', { channel: 'CHANNEL_FEATURE_PHONE' }), { outcome: 'OUTCOME_BYPASSED', decision: 'DECISION_ALLOW' });
  say('Verify on a feature phone, no OTP', 'BYPASSED');

  const error = await verify('12 456').then(() => assert.fail('a malformed OTP was answered'), (e) => e);
  assert.equal(error.code, status.INVALID_ARGUMENT, error.message);
  const details = detailsOf(error);
  expect(details.ErrorInfo, { reason: 'INVALID_REQUEST', domain: 'otpauth.v1' });
  assert.deepEqual(details.BadRequest.field_violations.map((violation) => violation.field), ['otp']);
  say('Verify, malformed OTP', `INVALID_ARGUMENT: otp ${details.BadRequest.field_violations[0].description}`);

  expect(await auth('Suspend', { ...browser, request_id: requestId(), otp: first.otp(now + 1) }),
    { outcome: 'OUTCOME_ACCEPTED', decision: 'DECISION_ALLOW' });
  say('Suspend', 'ACCEPTED');

  expect(await verify(first.otp(now + 1)), { outcome: 'OUTCOME_SUSPENDED', decision: 'DECISION_ALLOW' });
  say('Verify for a login', 'SUSPENDED, ALLOW');

  expect(await verify(first.otp(now + 1), { purpose: 'PURPOSE_TRANSFER' }), { outcome: 'OUTCOME_SUSPENDED', decision: 'DECISION_DENY' });
  say('Verify for a transfer', 'SUSPENDED, DENY');

  const second = await issue();
  expect(await register(second, second.otp(second.step())), { outcome: 'OUTCOME_ACCEPTED', decision: 'DECISION_ALLOW' });
  say('Register another credential', 'ACCEPTED');
}

// Delivers a request once more where its deadline passed: the machine that runs the tests may be busy. What is UNAVAILABLE the client
// delivers again by itself.
function orAgain(call) {
  return (method, request) => call(method, request).catch((error) => {
    if (error.code !== status.DEADLINE_EXCEEDED) throw error;
    return call(method, request);
  });
}

function expect(answer, expected) {
  assert.deepEqual(Object.fromEntries(Object.keys(expected).map((field) => [field, answer[field]])), expected);
}

function say(step, answer) {
  console.log(`${step}: ${answer}`);
}

const [address, ...files] = process.argv.slice(2);
if (address === undefined || ![0, 3].includes(files.length)) {
  console.error('usage: node journey.js host:port [certificate.pem key.pem ca.pem]');
  process.exit(2);
}

const [certificate, key, trust] = files;
const client = new OtpAuthClient(`dns:///${address}`, files.length > 0 ? { certificate, key, trust } : undefined);
journey(client).then(() => client.close(), (error) => {
  console.error(error);
  process.exit(1);
});
