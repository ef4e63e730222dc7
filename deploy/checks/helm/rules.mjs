// What has to hold for every value set: node rules.mjs FOLDER-OF-RENDERED-SETS CHART
// A rule says what is wrong, a sentence each. And it breaks a release in the way that it is there to find: a rule that finds nothing then is none.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { containersOf, isHook, labelsOf, Release, secondsOf, selects, texts } from './release.mjs';
import { readDefaults, readSettings } from './settings.mjs';

const [folder, chart] = process.argv.slice(2);
const mounted = '/run/secrets/otp';
const zone = 'topology.kubernetes.io/zone';
const node = 'kubernetes.io/hostname';

// Settings that hold a secret, unless they name a file.
const secretSetting = /^(ConnectionStrings__\w+|OtpAuth__Pkcs11__Pin|OtpAuth__Transit__Token|OTEL_EXPORTER_OTLP_HEADERS)$/;
// And texts that look like one.
const secretText = /password\s*=|pwd\s*=|-----BEGIN|:\/\/[^/\s]*:[^/\s]*@|\bhv[sb]\.[A-Za-z0-9]/i;

const releases = Release.readAll(folder);
const known = readSettings('src/OtpAuthService');
const defaults = readDefaults('README.md');

const rules = {
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

      yield* Object.keys(release.settings).filter(name => secretSetting.test(name) && !name.endsWith('_FILE')).map(name => `${name} is a plain setting`);
      for (const container of release.workloads.flatMap(containersOf)) {
        yield* (container.env ?? []).filter(entry => secretSetting.test(entry.name) && !entry.name.endsWith('_FILE') && entry.value !== undefined)
          .map(entry => `${entry.name} is a plain setting`);
      }
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
      for (const [workload, settings] of [[release.deployment, Object.entries(release.settings)],
        ...release.job ? [[release.job, containersOf(release.job)[0].env.map(({ name, value }) => [name, value])]] : []]) {
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

        yield* workload.spec.template.spec.volumes.filter(volume => !containersOf(workload).some(container => container.volumeMounts.some(mount => mount.name === volume.name)))
          .map(volume => `${workload.kind}: ${volume.name} is mounted nowhere`);
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

  'pods are what Pod Security calls restricted, with a read-only root file system and no token': {
    *wrong(release) {
      for (const workload of release.workloads) {
        const pod = workload.spec.template.spec;
        const say = text => `${workload.kind}: ${text}`;
        const user = pod.securityContext;
        if (user.runAsNonRoot !== true || user.runAsUser === 0 || user.seccompProfile?.type !== 'RuntimeDefault') {
          yield say('the pod may run as root, or without seccomp');
        }

        if (release.set !== 'openshift' && (user.runAsUser !== 1654 || user.runAsGroup !== 1654 || user.fsGroup !== 1654)) {
          yield say('the pod does not run as the image\'s user');
        }

        if (pod.hostNetwork || pod.hostPID || pod.hostIPC || pod.volumes.some(volume => 'hostPath' in volume)) {
          yield say('the pod is in the node');
        }

        if (pod.automountServiceAccountToken !== false || pod.enableServiceLinks !== false) {
          yield say('a token or the names of other services are in the pod');
        }

        for (const container of containersOf(workload)) {
          const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities, ...more } = container.securityContext ?? {};
          if (allowPrivilegeEscalation !== false || readOnlyRootFilesystem !== true || String(capabilities?.drop) !== 'ALL' || capabilities.add || Object.keys(more).length > 0) {
            yield say(`${container.name} may do more than it has to`);
          }
        }
      }

      yield* release.all('ServiceAccount').filter(account => account.automountServiceAccountToken !== false).map(account => `${account.metadata.name} has its token mounted`);
    },
    broken: [
      release => { release.deployment.spec.template.spec.securityContext.runAsNonRoot = false; },
      release => { delete release.job.spec.template.spec.securityContext.seccompProfile; },
      release => { release.deployment.spec.template.spec.securityContext.runAsUser = 1000; },
      release => { release.deployment.spec.template.spec.hostNetwork = true; },
      release => { delete release.job.spec.template.spec.automountServiceAccountToken; },
      release => { release.service.securityContext.readOnlyRootFilesystem = false; },
      release => { release.service.securityContext.privileged = true; },
      release => { containersOf(release.job)[0].securityContext.capabilities.add = ['NET_ADMIN']; },
      release => { delete release.one('ServiceAccount').automountServiceAccountToken; },
    ],
  },

  'resources are asked for, memory is bounded and not overcommitted': {
    *wrong(release) {
      for (const { name, resources } of release.workloads.flatMap(workload => workload.spec.template.spec.containers)) {
        if (!resources?.requests?.cpu || !resources.requests.memory || resources.limits?.memory !== resources.requests.memory || resources.limits.cpu) {
          yield `${name}: ${JSON.stringify(resources)}`;
        }
      }
    },
    broken: [
      release => { delete release.service.resources.limits.memory; },
      release => { release.service.resources.limits.cpu = '1'; },
      release => { delete containersOf(release.job)[0].resources; },
    ],
  },

  'gRPC probes on the port for probes: ready by the service, alive by itself alone': {
    *wrong({ service }) {
      const asked = { startupProbe: 'live', readinessProbe: 'otpauth.v1.OtpAuth', livenessProbe: 'live' };
      for (const [probe, name] of Object.entries(asked)) {
        if (service[probe]?.grpc?.port !== 5082 || service[probe].grpc.service !== name) {
          yield `${probe} does not ask for ${name} on 5082`;
          return;
        }
      }

      const budget = ({ periodSeconds, failureThreshold }) => periodSeconds * failureThreshold;
      if (budget(service.startupProbe) < 60 || budget(service.startupProbe) > 300) {
        yield 'startupProbe: a start may take one minute, and not five';
      }

      if (budget(service.readinessProbe) > 15) {
        yield 'readinessProbe: a pod that is not ready gets calls for too long';
      }

      if (budget(service.livenessProbe) < 30) {
        yield 'livenessProbe: a pod that is merely slow is restarted';
      }

      yield* Object.keys(asked).filter(probe => !(service[probe].timeoutSeconds >= 2)).map(probe => `${probe}: timeoutSeconds`);
    },
    broken: [
      release => { release.service.livenessProbe.grpc.service = 'otpauth.v1.OtpAuth'; },
      release => { release.service.readinessProbe = { httpGet: { path: '/health/ready', port: 5081 } }; },
      release => { release.service.readinessProbe.failureThreshold = 10; },
      release => { release.service.livenessProbe.failureThreshold = 1; },
      release => { release.service.startupProbe.failureThreshold = 3; },
      release => { delete release.service.startupProbe.timeoutSeconds; },
    ],
  },

  'endpoints: calls by TLS only, and every port is the container\'s': {
    *wrong({ settings, service }) {
      const expected = { Grpc: 'https://*:5080', Management: 'http://*:5081', Probes: 'http://*:5082' };
      for (const [name, url] of Object.entries(expected)) {
        const port = Number(url.split(':').pop());
        if (settings[`Kestrel__Endpoints__${name}__Url`] !== url || !service.ports.some(({ containerPort }) => containerPort === port)) {
          yield `${name} is not ${url}, or no port of the container`;
        }
      }
    },
    broken: [
      release => { release.settings.Kestrel__Endpoints__Grpc__Url = 'http://*:5080'; },
      release => { release.service.ports.pop(); },
    ],
  },

  'a rollout takes no pod away before another is ready, and a pod has the time to end its calls': {
    *wrong(release) {
      const { strategy, minReadySeconds, replicas, template } = release.deployment.spec;
      if (strategy.type !== 'RollingUpdate' || strategy.rollingUpdate.maxUnavailable !== 0 || strategy.rollingUpdate.maxSurge !== 1 || !(minReadySeconds > 0)) {
        yield 'the rollout leaves fewer pods than there were';
      }

      if (release.all('HorizontalPodAutoscaler').length === 0 ? !(replicas >= 2) : replicas !== undefined) {
        yield 'fewer than two replicas, or a number that the autoscaler would be overruled by';
      }

      const drain = secondsOf(release.settings.OtpAuth__DrainDelay);
      if (!(drain >= 5) || template.spec.terminationGracePeriodSeconds < drain + 20) {
        yield 'a pod that goes is killed before its calls have ended';
      }

      if (Object.keys(release.service.lifecycle ?? {}).length > 0) {
        yield 'the service drains by itself: a preStop would only take of its time';
      }
    },
    broken: [
      release => { release.deployment.spec.strategy.rollingUpdate.maxUnavailable = 1; },
      release => { release.deployment.spec.minReadySeconds = 0; },
      release => { release.deployment.spec.replicas = 1; },
      release => { release.deployment.spec.template.spec.terminationGracePeriodSeconds = 15; },
      release => { release.settings.OtpAuth__DrainDelay = '00:00:00'; },
      release => { release.service.lifecycle = { preStop: { exec: { command: ['sleep', '5'] } } }; },
    ],
  },

  'a drain of nodes takes one pod at a time': {
    *wrong(release) {
      const budget = release.one('PodDisruptionBudget');
      if (budget?.spec.maxUnavailable !== 1 || budget.spec.minAvailable !== undefined || budget.spec.unhealthyPodEvictionPolicy !== 'AlwaysAllow') {
        yield 'there is no budget of one pod';
      } else if (!selects(budget.spec.selector.matchLabels, labelsOf(release.deployment)) || release.job && selects(budget.spec.selector.matchLabels, labelsOf(release.job))) {
        yield 'the budget is not for the service\'s pods';
      }
    },
    broken: [
      release => { release.one('PodDisruptionBudget').spec.maxUnavailable = 0; },
      release => { release.one('PodDisruptionBudget').spec.selector.matchLabels['app.kubernetes.io/component'] = 'management'; },
      release => { release.manifests = release.manifests.filter(manifest => manifest.kind !== 'PodDisruptionBudget'); },
    ],
  },

  'pods are spread over zones and nodes': {
    *wrong(release) {
      for (const key of [zone, node]) {
        const spread = release.deployment.spec.template.spec.topologySpreadConstraints.find(constraint => constraint.topologyKey === key);
        if (spread?.maxSkew !== 1 || spread.nodeTaintsPolicy !== 'Honor' || !selects(spread.labelSelector.matchLabels, labelsOf(release.deployment))) {
          yield `not over ${key}`;
        }
      }

      if (!release.deployment.spec.template.spec.topologySpreadConstraints.some(({ topologyKey, whenUnsatisfiable }) => topologyKey === node && whenUnsatisfiable === 'DoNotSchedule')) {
        yield 'two pods may share a node';
      }
    },
    broken: [
      release => { release.deployment.spec.template.spec.topologySpreadConstraints.pop(); },
      release => { release.deployment.spec.template.spec.topologySpreadConstraints[0].labelSelector.matchLabels.other = 'a'; },
      release => { release.deployment.spec.template.spec.topologySpreadConstraints.forEach(constraint => { constraint.whenUnsatisfiable = 'ScheduleAnyway'; }); },
    ],
  },

  'services lead to the service\'s pods and to no others; gRPC is headless': {
    *wrong(release) {
      const grpc = release.all('Service').find(service => service.metadata.name === release.deployment.metadata.name);
      if (grpc?.spec.clusterIP !== 'None' || grpc.spec.publishNotReadyAddresses || grpc.spec.ports[0].port !== 5080) {
        yield 'there is no headless service of gRPC by the release\'s name';
      }

      for (const { metadata, spec } of release.all('Service')) {
        if (!selects(spec.selector, labelsOf(release.deployment)) || release.job && selects(spec.selector, labelsOf(release.job))) {
          yield `${metadata.name} leads to other pods`;
        }

        yield* spec.ports.filter(port => !release.service.ports.some(({ name, containerPort }) => name === port.targetPort && containerPort === port.port))
          .map(port => `${metadata.name}: ${port.targetPort} is no port of the container`);
        if (spec.ports.length !== 1 || !['ClusterIP', undefined].includes(spec.type)) {
          yield `${metadata.name} opens more than it has to`;
        }
      }
    },
    broken: [
      release => { delete release.all('Service').find(service => service.metadata.name === release.deployment.metadata.name).spec.clusterIP; },
      release => { delete release.all('Service')[0].spec.selector['app.kubernetes.io/component']; },
      release => { release.all('Service')[0].spec.ports[0].targetPort = 'grcp'; },
      release => { release.all('Service')[0].spec.type = 'LoadBalancer'; },
    ],
  },

  'autoscaling is of the Deployment, and of two pods at least': {
    *wrong(release) {
      for (const { apiVersion, spec } of release.all('HorizontalPodAutoscaler')) {
        const { kind, name } = spec.scaleTargetRef;
        if (apiVersion !== 'autoscaling/v2' || kind !== 'Deployment' || name !== release.deployment.metadata.name || !(spec.minReplicas >= 2) || !(spec.maxReplicas >= spec.minReplicas)) {
          yield JSON.stringify(spec);
        }

        if (!spec.metrics.some(metric => metric.resource?.name === 'cpu')) {
          yield 'it does not go by the CPU';
        }
      }

      if (release.set === 'everything' && !release.all('HorizontalPodAutoscaler')[0]?.spec.metrics.some(metric => metric.type === 'Pods')) {
        yield 'there is none, or none with a measure of its own';
      }
    },
    broken: [
      release => { release.one('HorizontalPodAutoscaler').spec.scaleTargetRef.name = 'other'; },
      release => { release.one('HorizontalPodAutoscaler').spec.minReplicas = 1; },
      release => { release.one('HorizontalPodAutoscaler').spec.metrics.shift(); },
      release => { release.one('HorizontalPodAutoscaler').spec.metrics.pop(); },
    ],
  },

  'network policies close every pod, and let in and out what they name': {
    *wrong(release) {
      const policies = release.all('NetworkPolicy');
      if (release.set === 'minimal') {
        yield* policies.map(policy => `${policy.metadata.name} though networkPolicy.enabled is false`);
        return;
      }

      for (const workload of release.workloads) {
        const [policy, second] = policies.filter(({ spec }) => selects(spec.podSelector.matchLabels, labelsOf(workload)));
        if (!policy || second || String(policy.spec.policyTypes) !== 'Ingress,Egress') {
          yield `${workload.kind}: not exactly one policy for both directions`;
          continue;
        }

        const into = policy.spec.ingress ?? [];
        const portsInto = into.flatMap(rule => rule.ports ?? [{ port: 'any' }]).map(({ port }) => port).sort();
        if (String(portsInto) !== (workload.kind === 'Job' ? '' : '5080,5081') || into.some(rule => !(rule.from?.length > 0) || rule.ports.length !== 1)) {
          yield `${workload.kind}: lets in ${JSON.stringify(into)}`;
        }

        const portsOut = policy.spec.egress.flatMap(rule => rule.ports ?? [{ port: 'any' }]).map(({ port }) => port);
        const needed = [53, 5432];
        if (workload.kind === 'Deployment') {
          needed.push(...'ConnectionStrings__Redis_FILE' in release.settings ? [6379] : []);
          needed.push(...'OTEL_EXPORTER_OTLP_ENDPOINT' in release.settings ? [4317] : []);
          needed.push(...'OtpAuth__Transit__Address' in release.settings ? [8200] : []);
          needed.push(...'OtpAuth__Pkcs11__ModuleFile' in release.settings ? [1792] : []);
        }

        yield* needed.filter(port => !portsOut.includes(port)).map(port => `${workload.kind}: does not let out to ${port}`);
        const known = { 6379: 'ConnectionStrings__Redis_FILE', 4317: 'OTEL_EXPORTER_OTLP_ENDPOINT', 8200: 'OtpAuth__Transit__Address', any: 'nothing' };
        yield* portsOut.filter(port => port in known && !(workload.kind === 'Deployment' && known[port] in release.settings))
          .map(port => `${workload.kind}: lets out to ${port} without need`);
      }
    },
    broken: [
      release => { release.one('NetworkPolicy').spec.podSelector.matchLabels['app.kubernetes.io/name'] = 'other'; },
      release => { release.one('NetworkPolicy').spec.policyTypes.pop(); },
      release => { delete release.one('NetworkPolicy').spec.ingress[0].from; },
      release => { delete release.one('NetworkPolicy').spec.ingress[1].ports; },
      release => { release.one('NetworkPolicy').spec.egress.splice(1, 1); },
      release => { release.one('NetworkPolicy', 'migration').spec.egress.push({}); },
      release => { release.manifests = release.manifests.filter(manifest => manifest !== release.one('NetworkPolicy', 'migration')); },
    ],
  },

  'the migration is a job before installs and upgrades, with a role of its own and nothing of the service\'s': {
    *wrong(release) {
      const { job } = release;
      if (release.set === 'minimal') {
        yield* job ? ['a job though migration.enabled is false'] : [];
        return;
      }

      for (const hook of release.manifests.filter(isHook)) {
        const annotations = hook.metadata.annotations;
        if (annotations['helm.sh/hook'] !== 'pre-install,pre-upgrade' || annotations['helm.sh/hook-delete-policy'] !== 'before-hook-creation,hook-succeeded') {
          yield `${hook.kind} ${hook.metadata.name}: ${JSON.stringify(annotations)}`;
        }

        if (hook.kind !== 'Job' && !(Number(annotations['helm.sh/hook-weight']) < Number(job?.metadata.annotations['helm.sh/hook-weight']))) {
          yield `${hook.kind} ${hook.metadata.name} is made after the job`;
        }
      }

      if (!job || !isHook(job) || !(job.spec.backoffLimit >= 0) || !(job.spec.activeDeadlineSeconds > 0) || job.spec.template.spec.restartPolicy !== 'Never'
        || !job.spec.podFailurePolicy.rules.some(({ action, onExitCodes }) => action === 'FailJob' && String(onExitCodes?.values) === '2,3')) {
        yield 'the job is no hook, or has no end';
        return;
      }

      const [container] = job.spec.template.spec.containers;
      if (String([...container.command, ...container.args]) !== '/app/otpctl,migrate,--apply' || container.image !== release.service.image) {
        yield 'the job does not run otpctl migrate --apply of the same image';
      }

      // Roots of certificates may be the same.
      const secrets = workload => workload.spec.template.spec.volumes.filter(volume => volume.secret && volume.name !== 'postgres-tls').flatMap(volume => (volume.secret.items ?? [{ key: '*' }]).map(item => `${volume.secret.secretName}/${item.key}`));
      yield* secrets(job).filter(secret => secrets(release.deployment).includes(secret)).map(secret => `the job and the service both have ${secret}`);
      yield* job.spec.template.spec.volumes.filter(volume => !['postgres', 'postgres-tls', 'tmp'].includes(volume.name)).map(volume => `the job has ${volume.name}`);
      // What the chart makes is not there yet.
      if (release.all('ServiceAccount').some(account => account.metadata.name === job.spec.template.spec.serviceAccountName) || container.envFrom) {
        yield 'the job needs what is made after it';
      }

      if (release.settings.OtpAuth__MigrateOnStart !== 'false') {
        yield 'the service migrates as well';
      }
    },
    broken: [
      release => { release.job.metadata.annotations['helm.sh/hook'] = 'pre-install,pre-upgrade,pre-rollback'; },
      release => { release.job.metadata.annotations['helm.sh/hook-delete-policy'] = 'hook-failed'; },
      release => { release.one('NetworkPolicy', 'migration').metadata.annotations['helm.sh/hook-weight'] = '1'; },
      release => { delete release.job.spec.activeDeadlineSeconds; },
      release => { release.job.spec.template.spec.restartPolicy = 'OnFailure'; },
      release => { release.job.spec.podFailurePolicy.rules.shift(); },
      release => { release.job.spec.template.spec.containers[0].args.pop(); },
      release => { release.job.spec.template.spec.volumes[0] = release.deployment.spec.template.spec.volumes.find(volume => volume.name === 'postgres'); },
      release => { release.job.spec.template.spec.volumes.push({ name: 'kek', secret: { secretName: 'otp-kek' } }); },
      release => { release.job.spec.template.spec.serviceAccountName = release.one('ServiceAccount').metadata.name; },
      release => { release.settings.OtpAuth__MigrateOnStart = 'true'; },
    ],
  },

  'every setting is one that the service knows': {
    *wrong(release) {
      const names = [...Object.keys(release.settings), ...release.workloads.flatMap(containersOf).flatMap(container => container.env ?? []).map(entry => entry.name)];
      yield* names.filter(name => name.startsWith('OtpAuth__') && !known.has(name.replace(/_FILE$/, ''))).map(name => `${name} is no property of the service's options`);
      yield* names.filter(name => !/^(OtpAuth__|ConnectionStrings__(Postgres|Redis)_FILE$|Kestrel__Endpoints__(Grpc|Management|Probes)__(Url|Protocols)$|DOTNET_EnableDiagnostics$|HOME$|OTEL_|POD_|Logging__)/.test(name))
        .map(name => `${name} is not known here`);
      yield* Object.entries(release.settings).filter(([, value]) => typeof value !== 'string').map(([name]) => `${name} is no text`);
      yield* Object.entries(release.settings).filter(([, value]) => /^[0-9.]+e[+-]?[0-9]+$/.test(value)).map(([name, value]) => `${name} is ${value}`);
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

      for (const [name, value] of Object.entries(release.settings).filter(([name]) => /^OtpAuth__[A-Za-z]+$/.test(name) && !/File$|MigrateOnStart$|DrainDelay$/.test(name))) {
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

  'a change of settings rolls the pods, and nothing else does': {
    *wrong(release, releases) {
      const sum = name => releases.find(({ set }) => set === name).deployment.spec.template.metadata.annotations['checksum/settings'];
      const own = release.deployment.spec.template.metadata.annotations['checksum/settings'];
      if (release.set === 'changed' && own === sum('default')) {
        yield 'another setting, and the same checksum';
      }

      if (release.set === 'long' && own !== sum('default')) {
        yield 'the same settings, and another checksum';
      }
    },
    on: 'changed',
    broken: [
      release => { release.deployment.spec.template.metadata.annotations['checksum/settings'] = releases.find(({ set }) => set === 'default').deployment.spec.template.metadata.annotations['checksum/settings']; },
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
        yield* Object.entries(labels).filter(([, value]) => !/^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/.test(value)).map(([label, value]) => `${name}: ${label} is ${value}`);
        yield* ['name', 'instance', 'component', 'version', 'managed-by'].filter(label => !(`app.kubernetes.io/${label}` in labels)).map(label => `${name} lacks the label ${label}`);
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
      release => { release.manifests[0].metadata.labels.bad = '-'; },
      release => { delete release.manifests[1].metadata.labels['app.kubernetes.io/instance']; },
      release => { delete release.all('Job')[0].spec.template.metadata.labels.team; delete release.all('Job')[0].metadata.labels.team; },
    ],
  },

  'Prometheus finds the pods by the service for management, under the job that the rules go by': {
    *wrong(release) {
      if (release.set === 'everything' && release.all('ServiceMonitor').length !== 1) {
        yield 'there is no ServiceMonitor';
      }

      for (const { spec } of release.all('ServiceMonitor')) {
        const found = release.all('Service').filter(service => selects(spec.selector.matchLabels, service.metadata.labels));
        const [endpoint] = spec.endpoints;
        if (found.length !== 1 || found[0].spec.ports[0].name !== endpoint.port || found[0].spec.ports[0].port !== 5081 || found[0].spec.publishNotReadyAddresses !== true) {
          yield 'it does not lead to the service for management, with all pods';
        }

        if (!endpoint.relabelings.some(({ targetLabel, replacement }) => targetLabel === 'job' && replacement === 'otp-auth-service')) {
          yield 'the job is not otp-auth-service';
        }

        if (endpoint.path !== '/metrics' || parseInt(endpoint.scrapeTimeout) > parseInt(endpoint.interval)) {
          yield JSON.stringify(endpoint);
        }
      }
    },
    broken: [
      release => { release.all('ServiceMonitor')[0].spec.selector.matchLabels['app.kubernetes.io/component'] = 'service'; },
      release => { release.all('ServiceMonitor')[0].spec.endpoints[0].relabelings[0].replacement = 'otp'; },
      release => { release.all('ServiceMonitor')[0].spec.endpoints[0].scrapeTimeout = '30s'; },
      release => { release.manifests = release.manifests.filter(manifest => manifest.kind !== 'ServiceMonitor'); },
    ],
  },

  'alerts and dashboards are the files of the chart, unchanged': {
    *wrong(release) {
      if (!['everything', 'long'].includes(release.set)) {
        yield* [...release.all('PrometheusRule'), ...release.all('ConfigMap').filter(map => map.metadata.labels.grafana_dashboard)].map(({ metadata }) => `${metadata.name} though it is off`);
        return;
      }

      const rules = release.all('PrometheusRule');
      yield* expectSame(files('files/rules', '.yaml'), rules, (file, rule) => JSON.stringify(Release.read(file).manifests[0]) === JSON.stringify(rule.spec));
      yield* rules.filter(rule => release.set === 'everything' && rule.metadata.labels.release !== 'kube-prometheus-stack').map(rule => `${rule.metadata.name} lacks the label of its Prometheus`);
      const dashboards = release.all('ConfigMap').filter(map => map.metadata.labels.grafana_dashboard === '1');
      yield* expectSame(files('files/dashboards', '.json'), dashboards, (file, map) => map.data[basename(file)]?.trimEnd() === readFileSync(file, 'utf8').trimEnd());
    },
    broken: [
      release => { release.all('PrometheusRule')[0].spec.groups[0].rules[0].expr += ' or vector(1)'; },
      release => { release.manifests = release.manifests.filter(manifest => manifest !== release.all('PrometheusRule')[0]); },
      release => { const { data } = release.all('ConfigMap').find(map => map.metadata.labels.grafana_dashboard); data[Object.keys(data)[0]] = '{}'; },
      release => { delete release.all('ConfigMap').find(map => map.metadata.labels.grafana_dashboard).metadata.labels.grafana_dashboard; },
    ],
  },
};


function* expectSame(files, manifests, isSame) {
  if (files.length === 0 || files.length !== manifests.length) {
    yield `${manifests.length} manifests of ${files.length} files`;
  }

  yield* files.filter(file => !manifests.some(manifest => isSame(file, manifest))).map(file => `${basename(file)} is in no manifest`);
}

function files(folder, ending) {
  const path = join(chart, folder);
  return existsSync(path) ? readdirSync(path).filter(file => file.endsWith(ending)).map(file => join(path, file)) : [];
}

function complaintsOf(rule, release) {
  try {
    return [...rule.wrong(release, releases)];
  } catch (missing) {
    return [`what it looks at is not there: ${missing.message}`];
  }
}

let failed = false;
const say = (name, complaints) => {
  console.log(`${complaints.length === 0 ? 'ok     ' : 'FAILED '} chart: ${name}`);
  complaints.forEach(complaint => console.log(`        ${complaint}`));
  failed ||= complaints.length > 0;
};

for (const [name, rule] of Object.entries(rules)) {
  say(name, releases.flatMap(release => complaintsOf(rule, release).map(complaint => `${release.set}: ${complaint}`)));
}

const blind = Object.entries(rules).flatMap(([name, rule]) => rule.broken.filter(breaks => {
  const release = releases.find(({ set }) => set === (rule.on ?? 'everything')).copy();
  breaks(release);
  return complaintsOf(rule, release).length === 0;
}).map(breaks => `"${name}" does not see ${breaks}`));
say(`each rule finds what it is for, ${Object.values(rules).flatMap(rule => rule.broken).length} breakages`, blind);
process.exit(failed ? 1 : 0);
