// Settings that the service knows, and names that Kubernetes takes.
import { containersOf } from './release.mjs';
import { readDefaults, readSettings } from './settings.mjs';

const known = readSettings('src/OtpAuthService');
const defaults = readDefaults('README.md');

const elsewhere = new RegExp(`^(${[
  'OtpAuth__.*', 'ConnectionStrings__(Postgres|Redis)_FILE', 'Kestrel__Endpoints__(Grpc|Management|Probes)__(Url|Protocols)',
  'DOTNET_EnableDiagnostics', 'HOME', 'OTEL_.*', 'POD_.*', 'Logging__.*',
].join('|')})$`);
const needed = ['name', 'instance', 'component', 'version', 'managed-by'].map(key => `app.kubernetes.io/${key}`);
const label = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;

export default {
  'every setting is one that the service knows': {
    *wrong(release) {
      const entries = release.workloads.flatMap(containersOf).flatMap(container => container.env ?? []);
      const names = [...Object.keys(release.settings), ...entries.map(entry => entry.name)];
      yield* names.filter(name => name.startsWith('OtpAuth__') && !known.has(name.replace(/_FILE$/, ''))).map(name => `${name} is none of the service's options`);
      yield* names.filter(name => !elsewhere.test(name)).map(name => `${name} is not known here`);
      for (const [name, value] of Object.entries(release.settings)) {
        // A number that YAML or Helm wrote in its own way.
        if (typeof value !== 'string' || /^[0-9.]+e[+-]?[0-9]+$/.test(value)) {
          yield `${name} is ${value}`;
        }
      }
    },
    broken: [
      release => { release.settings.OtpAuth__DrainDelays = '00:00:05'; },
      release => { release.settings.OtpAuth__Tls__CertificatFile = 'a'; },
      release => { release.settings.ConnectionString__Postgres_FILE = 'a'; },
      release => { release.settings.OtpAuth__KeyCacheEntries = '1e+06'; },
    ],
  },

  'defaults are those of the service, as its README has them': {
    // The one that is meant to differ: behind a balancer a pod drains.
    *wrong(release) {
      if (release.set !== 'default') {
        return;
      }

      const common = Object.entries(release.settings).filter(([name]) => /^OtpAuth__[A-Za-z]+$/.test(name) && !/(File|MigrateOnStart|DrainDelay)$/.test(name));
      for (const [name, value] of common) {
        if (defaults.get(name) !== value) {
          yield `${name} is ${value} here and ${defaults.get(name)} in README.md`;
        }
      }
    },
    on: 'default',
    broken: [
      release => { release.settings.OtpAuth__KeyCacheEntries = '100000'; },
    ],
  },

  'names and labels are such as Kubernetes takes, also under a long name of the release': {
    *wrong(release) {
      const seen = new Set();
      for (const { kind, metadata, spec } of release.manifests) {
        const name = `${kind} ${metadata.name}`;
        // Names of hosts, and those that become labels.
        const longest = ['Service', 'Deployment', 'Job'].includes(kind) ? 63 : 253;
        if (!/^[a-z]([a-z0-9-]*[a-z0-9])?$/.test(metadata.name) || metadata.name.length > longest || seen.has(name)) {
          yield `${name} is too long, wrong, or there twice`;
        }

        seen.add(name);
        const labels = { ...metadata.labels, ...spec?.template?.metadata.labels };
        yield* Object.entries(labels).filter(([, value]) => !label.test(value)).map(([key, value]) => `${name}: ${key} is ${value}`);
        yield* needed.filter(key => !(key in labels)).map(key => `${name} lacks the label ${key}`);
        if (kind === 'Deployment' && release.set === 'everything' && labels.part !== 'service') {
          yield 'a pod\'s label does not win over a common one';
        }

        if (release.set === 'everything' && labels.team !== 'internet-banking') {
          yield `${name} lacks a common label`;
        }

        if (metadata.namespace !== undefined) {
          yield `${name} names a namespace, which is the release's`;
        }
      }
    },
    broken: [
      release => { release.all('Service')[0].metadata.name = 'a'.repeat(64); },
      release => { release.manifests[0].metadata.name = 'a_b'; },
      release => { release.manifests.push(release.manifests[0]); },
      release => { release.deployment.spec.template.metadata.labels.part = 'otp'; },
      release => { release.manifests[0].metadata.labels.bad = '-'; },
      release => { delete release.manifests[1].metadata.labels['app.kubernetes.io/instance']; },
      release => { delete release.all('Job')[0].spec.template.metadata.labels.team; delete release.all('Job')[0].metadata.labels.team; },
    ],
  },
};
