// What Prometheus and Grafana get.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { Release, selects } from './release.mjs';

function* expectSame(files, manifests, isSame) {
  if (files.length === 0 || files.length !== manifests.length) {
    yield `${manifests.length} manifests of ${files.length} files`;
  }

  yield* files.filter(file => !manifests.some(manifest => isSame(file, manifest))).map(file => `${basename(file)} is in no manifest`);
}

const filesOf = (folder, ending) => existsSync(folder) ? readdirSync(folder).filter(file => file.endsWith(ending)).map(file => join(folder, file)) : [];

const isDashboard = manifest => manifest.metadata.labels.grafana_dashboard === '1';

export default {
  'Prometheus finds the pods by the service for management, under the job that the rules go by': {
    *wrong(release) {
      if (release.set === 'everything' && release.all('ServiceMonitor').length !== 1) {
        yield 'there is no ServiceMonitor';
      }

      for (const { spec } of release.all('ServiceMonitor')) {
        const found = release.all('Service').filter(service => selects(spec.selector.matchLabels, service.metadata.labels));
        const [endpoint] = spec.endpoints;
        const [port] = found[0]?.spec.ports ?? [];
        if (found.length !== 1 || port.name !== endpoint.port || port.port !== 5081 || found[0].spec.publishNotReadyAddresses !== true) {
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
    *wrong(release, { chart }) {
      const [rules, dashboards] = [release.all('PrometheusRule'), release.all('ConfigMap').filter(isDashboard)];
      if (!['everything', 'long'].includes(release.set)) {
        yield* [...rules, ...dashboards].map(({ metadata }) => `${metadata.name} though it is off`);
        return;
      }

      yield* expectSame(filesOf(`${chart}/files/rules`, '.yaml'), rules, (file, { spec }) => isDeepStrictEqual(Release.read(file).manifests[0], spec));
      yield* expectSame(
        filesOf(`${chart}/files/dashboards`, '.json'), dashboards, (file, { data }) => data[basename(file)]?.trimEnd() === readFileSync(file, 'utf8').trimEnd());
      if (release.set === 'everything' && !rules.every(({ metadata }) => metadata.labels.release === 'kube-prometheus-stack')) {
        yield 'a rule lacks the label that its Prometheus selects by';
      }
    },
    broken: [
      release => { release.all('PrometheusRule')[0].spec.groups[0].rules[0].expr += ' or vector(1)'; },
      release => { release.manifests = release.manifests.filter(manifest => manifest !== release.all('PrometheusRule')[0]); },
      release => { const { data } = release.all('ConfigMap').find(isDashboard); data[Object.keys(data)[0]] = '{}'; },
      release => { delete release.all('ConfigMap').find(isDashboard).metadata.labels.grafana_dashboard; },
    ],
  },
};
