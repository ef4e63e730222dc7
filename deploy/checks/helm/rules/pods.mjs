// What a pod is, asks for, and answers.
import { containersOf } from './release.mjs';

const checksum = release => release.deployment.spec.template.metadata.annotations['checksum/settings'];

export default {
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
          const isBound = allowPrivilegeEscalation === false && readOnlyRootFilesystem === true && String(capabilities?.drop) === 'ALL' && !capabilities.add;
          if (!isBound || Object.keys(more).length > 0) {
            yield say(`${container.name} may do more than it has to`);
          }
        }
      }

      yield* release.all('ServiceAccount').filter(account => account.automountServiceAccountToken !== false)
        .map(account => `${account.metadata.name} has its token mounted`);
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
        const { requests, limits } = { requests: {}, limits: {}, ...resources };
        if (!requests.cpu || !requests.memory || limits.memory !== requests.memory || limits.cpu) {
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

  'a change of settings rolls the pods, and nothing else does': {
    *wrong(release, { releases }) {
      const before = checksum(releases.find(({ set }) => set === 'default'));
      if (release.set === 'changed' && checksum(release) === before) {
        yield 'another setting, and the same checksum';
      }

      if (release.set === 'long' && checksum(release) !== before) {
        yield 'the same settings, and another checksum';
      }
    },
    on: 'changed',
    broken: [
      (release, { releases }) => { release.deployment.spec.template = releases.find(({ set }) => set === 'default').deployment.spec.template; },
    ],
  },
};
