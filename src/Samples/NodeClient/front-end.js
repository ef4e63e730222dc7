// A front end that is a terminal: node front-end.js dns:///host:port certificate.pem key.pem ca.pem [server-name]
// Reads a submission of a customer per line and prints the answer to it:
//   register CONTRACTOR CREDENTIAL OTP
//   verify CONTRACTOR OTP
'use strict';

const readline = require('node:readline');
const { OtpAuthClient, newRequestId, detailsOf, status } = require('./otp-auth-client');

const INSTITUTION = process.env.OTP_INSTITUTION ?? 'demo';

const acts = {
  register: (client, contractor, credential, otp) => client.auth('Register', { ...submission(contractor), credential_id: credential, otp }),
  verify: (client, contractor, otp) => client.auth('Verify', { ...submission(contractor), purpose: 'PURPOSE_LOGIN', otp }),
};

function submission(contractor) {
  return { request_id: newRequestId(), institution_id: INSTITUTION, contractor_id: contractor, channel: 'CHANNEL_PC_BROWSER' };
}

async function answer(client, line) {
  const [name, ...words] = line.trim().split(/\s+/);
  const act = Object.hasOwn(acts, name) && acts[name];
  if (!act || words.length !== act.length - 1) return '? register CONTRACTOR CREDENTIAL OTP, verify CONTRACTOR OTP';
  try {
    const { decision, outcome, repeated } = await act(client, ...words);
    // The decision says what to do, whatever the outcome is: a later version may have outcomes that this program does not know.
    const allowed = decision === 'DECISION_ALLOW' ? 'ALLOW' : 'DENY';
    return `${allowed} ${String(outcome).replace('OUTCOME_', '')}${repeated ? ' repeated' : ''}`;
  } catch (error) {
    // Nobody is let in, and nobody is told that the OTP was wrong.
    const { ErrorInfo, BadRequest } = detailsOf(error);
    const fields = BadRequest?.field_violations.map((violation) => `${violation.field} ${violation.description}`) ?? [];
    return [`ERROR ${status[error.code]}`, ErrorInfo?.reason ?? error.details, ...fields].join(': ');
  }
}

async function main([target, certificate, key, trust, serverName]) {
  if (trust === undefined) {
    console.error('usage: node front-end.js dns:///host:port certificate.pem key.pem ca.pem [server-name]');
    process.exit(2);
  }
  const client = new OtpAuthClient(target, { certificate, key, trust, serverName });
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(await answer(client, line));
  client.close();
}

main(process.argv.slice(2));
