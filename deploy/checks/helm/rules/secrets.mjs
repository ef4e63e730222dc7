// Where secrets are, and where they must not be.
import { basename, dirname } from 'node:path';
import { containersOf, texts } from './release.mjs';

const mounted = '/run/secrets/otp';

// Settings that hold a secret, unless they name a file.
const secretSetting = /^(ConnectionStrings__\w+|OtpAuth__Pkcs11__Pin|OtpAuth__Transit__Token|OTEL_EXPORTER_OTLP_HEADERS)$/;
// And texts that look like one.
const secretText = /password\s*=|pwd\s*=|-----BEGIN|:\/\/[^/\s]*:[^/\s]*@|\bhv[sb]\.[A-Za-z0-9]/i;

const isPlainSecret = name => secretSetting.test(name) && !name.endsWith('_FILE');

export default {
  'no secret is made, and none stands in a manifest': {
    *wrong(release) {
      yield* release.all('Secret').map(secret => `Secret ${secret.metadata.name}`);
      for (const manifest of release.manifests) {
        for (const [path, text] of texts(manifest)) {
          if (secretText.test(text)) {
            yield `${manifest.kind} ${manifest.metadata.name}${path} looks like one`;
          }
        }
      }

      const entries = release.workloads.flatMap(containersOf).flatMap(container => container.env ?? []).filter(entry => entry.value !== undefined);
      yield* [...Object.keys(release.settings), ...entries.map(entry => entry.name)].filter(isPlainSecret).map(name => `${name} is a plain setting`);
    },
    broken: [
      release => { release.settings.ConnectionStrings__Redis = 'redis:6379'; },
      release => { release.job.spec.template.spec.containers[0].env[0] = { name: 'ConnectionStrings__Postgres', value: 'Host=db' }; },
      release => { release.settings.Other = 'Host=db;Password=a'; },
      release => { release.manifests.push({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 'otp', labels: {} } }); },
    ],
  },

  'every file that a setting names is mounted': {
    *wrong(release) {
      const ofJob = release.job ? containersOf(release.job)[0].env.map(({ name, value }) => [name, value]) : [];
      for (const [workload, settings] of [[release.deployment, Object.entries(release.settings)], [release.job, ofJob]]) {
        for (const [name, path] of settings.filter(([name, value]) => /(_FILE|File)$/.test(name) && value.startsWith(mounted))) {
          const mount = containersOf(workload).at(-1).volumeMounts.find(mount => mount.mountPath === dirname(path));
          const volume = workload.spec.template.spec.volumes.find(volume => volume.name === mount?.name);
          const items = (volume?.secret ?? volume?.configMap)?.items;
          if (!volume || items && !items.some(item => item.path === basename(path))) {
            yield `${name} of ${workload.kind}: nothing is mounted at ${path}`;
          }
        }
      }

      if (!Object.keys(release.settings).includes('ConnectionStrings__Postgres_FILE')) {
        yield 'PostgreSQL is not set';
      }
    },
    broken: [
      release => { release.settings.OtpAuth__KekFile += '2'; },
      release => { release.settings.OtpAuth__Tls__KeyFile = `${mounted}/other/tls.key`; },
      release => { containersOf(release.job)[0].env.find(entry => entry.name.endsWith('_FILE')).value += '2'; },
      release => { delete release.settings.ConnectionStrings__Postgres_FILE; },
    ],
  },

  'mounted files are closed to others, read-only, and follow what they are mounted from': {
    *wrong(release) {
      for (const workload of release.workloads) {
        for (const mount of containersOf(workload).flatMap(container => container.volumeMounts)) {
          const volume = workload.spec.template.spec.volumes.find(volume => volume.name === mount.name);
          const source = volume?.secret ?? volume?.configMap;
          if (!volume) {
            yield `${workload.kind}: ${mount.name} is no volume`;
          } else if ('subPath' in mount || 'subPathExpr' in mount) {
            yield `${workload.kind}: ${mount.name} is mounted by subPath, so it never changes`;
          } else if (source && (source.defaultMode !== 0o440 || mount.readOnly !== true)) {
            yield `${workload.kind}: ${mount.name} is not of mode 0440 and read-only`;
          }
        }

        const used = containersOf(workload).flatMap(container => container.volumeMounts).map(mount => mount.name);
        const { volumes } = workload.spec.template.spec;
        yield* volumes.filter(volume => !used.includes(volume.name)).map(volume => `${workload.kind}: ${volume.name} is mounted nowhere`);
      }
    },
    broken: [
      release => { release.service.volumeMounts[0].subPath = 'kek'; },
      release => { release.deployment.spec.template.spec.volumes.find(volume => volume.name === 'kek').secret.defaultMode = 0o444; },
      release => { release.service.volumeMounts[0].readOnly = false; },
      release => { release.deployment.spec.template.spec.volumes.shift(); },
      release => { release.service.volumeMounts.shift(); },
    ],
  },

  'the KEK is in one place': {
    *wrong({ settings }) {
      const places = ['OtpAuth__KekFile', 'OtpAuth__Pkcs11__ModuleFile', 'OtpAuth__Transit__Address'].filter(name => name in settings);
      if (places.length !== 1) {
        yield `it is in ${places.length}`;
      }
    },
    broken: [
      release => { release.settings.OtpAuth__Transit__Address = 'https://vault.example'; },
      release => { delete release.settings.OtpAuth__KekFile; },
    ],
  },
};
