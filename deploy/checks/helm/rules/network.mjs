// Who reaches whom.
import { labelsOf, selects, selectsService } from './release.mjs';

// Ports that are let out to only where a setting asks for it.
const askedFor = {
  6379: 'ConnectionStrings__Redis_FILE', 4317: 'OTEL_EXPORTER_OTLP_ENDPOINT', 8200: 'OtpAuth__Transit__Address', 1792: 'OtpAuth__Pkcs11__ModuleFile', any: 'nothing',
};

const portsOf = rules => rules.flatMap(rule => rule.ports ?? [{ port: 'any' }]).map(({ port }) => port).sort();

export default {
  'services lead to the service\'s pods and to no others; gRPC is headless': {
    *wrong(release) {
      const grpc = release.all('Service').find(service => service.metadata.name === release.deployment.metadata.name);
      if (grpc?.spec.clusterIP !== 'None' || grpc.spec.publishNotReadyAddresses || grpc.spec.ports[0].port !== 5080) {
        yield 'there is no headless service of gRPC by the release\'s name';
      }

      for (const { metadata, spec } of release.all('Service')) {
        if (!selectsService(release, spec.selector)) {
          yield `${metadata.name} leads to other pods`;
        }

        const isOfContainer = port => release.service.ports.some(({ name, containerPort }) => name === port.targetPort && containerPort === port.port);
        yield* spec.ports.filter(port => !isOfContainer(port)).map(port => `${metadata.name}: ${port.targetPort} is no port of the container`);
        if (spec.ports.length !== 1 || !['ClusterIP', undefined].includes(spec.type)) {
          yield `${metadata.name} opens more than it has to`;
        }
      }
    },
    broken: [
      release => { delete release.all('Service').find(({ metadata }) => metadata.name === release.deployment.metadata.name).spec.clusterIP; },
      release => { delete release.all('Service')[0].spec.selector['app.kubernetes.io/component']; },
      release => { release.all('Service')[0].spec.ports[0].targetPort = 'grcp'; },
      release => { release.all('Service')[0].spec.type = 'LoadBalancer'; },
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
        if (String(portsOf(into)) !== (workload === release.job ? '' : '5080,5081') || into.some(rule => !(rule.from?.length > 0) || rule.ports.length !== 1)) {
          yield `${workload.kind}: lets in ${JSON.stringify(into)}`;
        }

        const out = portsOf(policy.spec.egress);
        yield* [53, 5432].filter(port => !out.includes(port)).map(port => `${workload.kind}: does not let out to ${port}`);
        for (const [port, setting] of Object.entries(askedFor)) {
          const isAskedFor = workload === release.deployment && setting in release.settings;
          if (out.some(other => String(other) === port) !== isAskedFor) {
            yield `${workload.kind}: ${isAskedFor ? 'does not let' : 'lets'} out to ${port}`;
          }
        }
      }
    },
    broken: [
      release => { release.one('NetworkPolicy').spec.podSelector.matchLabels['app.kubernetes.io/name'] = 'other'; },
      release => { release.one('NetworkPolicy').spec.policyTypes.pop(); },
      release => { delete release.one('NetworkPolicy').spec.ingress[0].from; },
      release => { delete release.one('NetworkPolicy').spec.ingress[1].ports; },
      release => { release.one('NetworkPolicy').spec.egress.splice(1, 1); },
      release => { release.one('NetworkPolicy').spec.egress.splice(2, 1); },
      release => { release.one('NetworkPolicy', 'migration').spec.egress.push({}); },
      release => { release.manifests = release.manifests.filter(manifest => manifest !== release.one('NetworkPolicy', 'migration')); },
    ],
  },
};
