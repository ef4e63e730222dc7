// Every manifest as a constant of its type, for tsc --strict, which refuses unknown fields and wrong types: node types.mjs FOLDER-OF-RENDERED-SETS FOLDER
// Some are broken on purpose: where tsc finds nothing wrong with them, it fails.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Release } from './rules/release.mjs';

const [from, to] = process.argv.slice(2);
const modules = {
  v1: 'kubernetes-types/core/v1',
  'apps/v1': 'kubernetes-types/apps/v1',
  'autoscaling/v2': 'kubernetes-types/autoscaling/v2',
  'batch/v1': 'kubernetes-types/batch/v1',
  'networking.k8s.io/v1': 'kubernetes-types/networking/v1',
  'policy/v1': 'kubernetes-types/policy/v1',
};

function typeOf({ apiVersion, kind }) {
  if (apiVersion === 'monitoring.coreos.com/v1') {
    return { module: `@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/${kind}`, type: `I${kind}` };
  }

  if (!(apiVersion in modules)) {
    throw new Error(`${kind} is of ${apiVersion}, whose types are not known here`);
  }

  return { module: modules[apiVersion], type: kind };
}

// Unused, a @ts-expect-error is an error itself.
function broken(text, [right, wrong]) {
  const lines = text.split('\n');
  const index = lines.findIndex(line => line.includes(right));
  if (index < 0) {
    throw new Error(`${right} is not there to be broken`);
  }

  lines.splice(index, 1, '// @ts-expect-error', lines[index].replace(right, wrong));
  return lines.join('\n');
}

const breakages = {
  Deployment: [['"terminationGracePeriodSeconds"', '"terminationGracePeriodSecs"'], ['"maxSurge": 1', '"maxSurge": true'], ['"grpc": {', '"grcp": {']],
  Service: [['"port": 5080', '"port": "5080"'], ['"selector"', '"selectors"']],
  HorizontalPodAutoscaler: [['"minReplicas": 3', '"minReplicas": "3"']],
  NetworkPolicy: [['"podSelector"', '"podSelectors"']],
  PodDisruptionBudget: [['"unhealthyPodEvictionPolicy"', '"unhealthyPodsEvictionPolicy"']],
  Job: [['"backoffLimit": 2', '"backoffLimit": "2"']],
  ConfigMap: [['"data"', '"datum"']],
  ServiceMonitor: [['"scrapeTimeout"', '"timeout"']],
  PrometheusRule: [['"expr"', '"query"']],
};

mkdirSync(to, { recursive: true });
let number = 0;
const write = (release, manifest, breakage) => {
  const { module, type } = typeOf(manifest);
  const name = `${release.set}-${manifest.kind}-${manifest.metadata.name}${breakage ? `-broken-${++number}` : ''}.ts`;
  const text = JSON.stringify(manifest, null, 2);
  writeFileSync(join(to, name), `import type { ${type} } from '${module}';\nexport const manifest: ${type} = ${breakage ? broken(text, breakage) : text};\n`);
};

for (const release of Release.readAll(from)) {
  release.manifests.forEach(manifest => write(release, manifest));
  if (release.set === 'everything') {
    Object.entries(breakages).forEach(([kind, each]) => each.forEach(breakage => write(release, release.all(kind)[0], breakage)));
  }
}

writeFileSync(join(to, 'tsconfig.json'), JSON.stringify({
  compilerOptions: { strict: true, noEmit: true, skipLibCheck: true, module: 'nodenext', target: 'es2022', types: [] },
  include: ['*.ts'],
}));
