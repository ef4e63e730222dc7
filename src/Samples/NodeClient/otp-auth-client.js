// Calls OtpAuthService as protos/README.md asks for: mutual TLS with certificates that may be replaced while this runs, a deadline for every
// call, retries where they are safe, all replicas in turn, and the details of errors.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const protobuf = require('protobufjs');

// Retries included. The service itself answers within a second, also when its database is gone.
const DEADLINE_MS = 3000;

// How often the files are looked at.
const FILES_MS = 1000;

// How long a connection is used. grpc-js asks for the addresses of a name when it connects and when a connection is lost, not in between:
// this is also how soon a new replica gets its share of the calls.
const CONNECTION_MS = 5 * 60 * 1000;

const SERVICE_CONFIG = {
  loadBalancingConfig: [{ round_robin: {} }],
  // Only UNAVAILABLE: every other status is an answer. A second delivery carries the same request_id and gets the first answer again.
  methodConfig: [{
    name: [{}],
    retryPolicy: { maxAttempts: 4, initialBackoff: '0.1s', maxBackoff: '1s', backoffMultiplier: 3, retryableStatusCodes: ['UNAVAILABLE'] },
  }],
  // A service that is down is not asked four times as often.
  retryThrottling: { maxTokens: 100, tokenRatio: 0.1 },
};

const { otpauth } = grpc.loadPackageDefinition(protoLoader.loadSync(
  ['otpauth/v1/otp_auth.proto', 'otpauth/v1/otp_operations.proto'],
  { includeDirs: [path.join(__dirname, '../../../protos')], keepCase: true, enums: String, longs: Number, defaults: true, oneofs: true }));
const rpc = new protobuf.Root().loadSync(path.join(__dirname, '../rpc_status.proto'), { keepCase: true });

class OtpAuthClient {
  #target;
  #tls;
  #options;
  #stubs;
  #files;
  #lookAt;
  #renewAt;

  // target: dns:///host:port, where every address of the host is a replica. tls: { certificate, key, trust }, paths of PEM files; serverName in
  // it where the service's certificate bears another name than the host. Without tls plaintext, which the service takes over loopback only.
  constructor(target, tls) {
    this.#target = target;
    this.#tls = tls;
    this.#options = {
      'grpc.service_config': JSON.stringify(SERVICE_CONFIG),
      // The default, 30 s, is longer than a rolling update may take.
      'grpc.dns_min_time_between_resolutions_ms': 1000,
      ...(tls?.serverName && { 'grpc.ssl_target_name_override': tls.serverName, 'grpc.default_authority': tls.serverName }),
    };
  }

  // What front ends call: auth('Verify', { request_id: newRequestId(), … }).
  auth(method, request) {
    return this.#call('auth', method, request);
  }

  // What operators call.
  operations(method, request) {
    return this.#call('operations', method, request);
  }

  close() {
    close(this.#stubs);
  }

  #call(service, method, request) {
    const stub = this.#connected()[service];
    return new Promise((resolve, reject) => stub[method](
      request,
      { deadline: Date.now() + DEADLINE_MS },
      (error, response) => (error ? reject(error) : resolve(response))));
  }

  // A channel keeps the certificate that it was made with: there is another one after each change of the files.
  #connected() {
    const now = Date.now();
    if (!this.#stubs || now >= this.#lookAt) {
      this.#lookAt = now + FILES_MS;
      try {
        this.#renew(now);
      } catch (error) {
        // Between the writing of a certificate and of its key the two do not fit: what was there before goes on for now.
        if (!this.#stubs) throw error;
      }
    }
    return this.#stubs;
  }

  #renew(now) {
    const files = this.#tls ? [this.#tls.trust, this.#tls.key, this.#tls.certificate].map((file) => fs.readFileSync(file)) : [];
    if (this.#stubs && now < this.#renewAt && files.every((file, n) => file.equals(this.#files[n]))) return;
    const credentials = this.#tls ? grpc.credentials.createSsl(...files) : grpc.credentials.createInsecure();
    const auth = new otpauth.v1.OtpAuth(this.#target, credentials, this.#options);
    const operations = new otpauth.v1.OtpOperations(this.#target, credentials, { channelOverride: auth.getChannel() });
    // Calls that are under way end on the channel that they began on.
    const old = this.#stubs;
    setTimeout(() => close(old), DEADLINE_MS + 1000).unref();
    this.#stubs = { auth, operations };
    this.#files = files;
    this.#renewAt = now + CONNECTION_MS;
  }
}

function close(stubs) {
  // The other one has the same channel.
  stubs?.auth.close();
}

// Once per submission of a customer. A retry carries the same one; what the customer types next is another submission.
function newRequestId() {
  return crypto.randomBytes(16).toString('base64url');
}

// The google.rpc details of an error by the names of their messages: ErrorInfo, BadRequest, RetryInfo.
function detailsOf(error) {
  const [trailer] = error.metadata.get('grpc-status-details-bin');
  if (!trailer) return {};
  const status = rpc.lookupType('google.rpc.Status').decode(trailer);
  return Object.fromEntries(status.details.map(({ type_url: url, value }) => {
    const type = rpc.lookupType(url.slice(url.lastIndexOf('/') + 1));
    return [type.name, type.toObject(type.decode(value))];
  }));
}

module.exports = { OtpAuthClient, newRequestId, detailsOf, status: grpc.status };
