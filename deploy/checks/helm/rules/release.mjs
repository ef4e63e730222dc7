// What a value set renders to, and how to find one's way in it.
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export class Release {
  constructor(set, manifests) {
    this.set = set;
    this.manifests = manifests;
  }

  // As Kubernetes reads it: YAML 1.1, where 0440 is octal. A key that stands there twice is an error.
  static read(file) {
    const documents = parseAllDocuments(readFileSync(file, 'utf8'), { version: '1.1', uniqueKeys: true });
    const faults = documents.flatMap(document => [...document.errors, ...document.warnings]);
    if (faults.length > 0) {
      throw new Error(`${file}: ${faults[0].message}`);
    }

    return new Release(basename(file, '.yaml'), documents.map(document => document.toJSON()).filter(manifest => manifest !== null));
  }

  static readAll(folder) {
    return readdirSync(folder).filter(file => file.endsWith('.yaml')).sort().map(file => Release.read(join(folder, file)));
  }

  copy() {
    return new Release(this.set, structuredClone(this.manifests));
  }

  all(kind) {
    return this.manifests.filter(manifest => manifest.kind === kind);
  }

  // The one of its kind that belongs to a component.
  one(kind, component = 'service') {
    const found = this.all(kind).filter(manifest => manifest.metadata.labels['app.kubernetes.io/component'] === component);
    return found.length === 1 ? found[0] : undefined;
  }

  get deployment() {
    return this.one('Deployment');
  }

  get job() {
    return this.one('Job', 'migration');
  }

  get service() {
    return this.deployment.spec.template.spec.containers.find(container => container.name === 'otp-auth-service');
  }

  // Settings that are no secrets.
  get settings() {
    return this.all('ConfigMap').find(map => map.metadata.name === this.service.envFrom[0].configMapRef.name).data;
  }

  // Whatever makes pods, with their template.
  get workloads() {
    return [this.deployment, this.job].filter(workload => workload !== undefined);
  }
}

export const containersOf = workload => [...workload.spec.template.spec.initContainers ?? [], ...workload.spec.template.spec.containers];

export const selects = (selector, labels) => Object.entries(selector).every(([name, value]) => labels[name] === value);

// The service's pods, and not the migration's.
export const selectsService = (release, selector) =>
  selects(selector, labelsOf(release.deployment)) && !(release.job && selects(selector, labelsOf(release.job)));

export const labelsOf = workload => workload.spec.template.metadata.labels;

export const isHook = manifest => 'helm.sh/hook' in (manifest.metadata.annotations ?? {});

export const secondsOf = duration => duration.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);

// Every text in a manifest, with the path to it.
export function* texts(value, path = '') {
  if (typeof value === 'string') {
    yield [path, value];
  } else if (value !== null && typeof value === 'object') {
    for (const [key, inner] of Object.entries(value)) {
      yield* texts(inner, `${path}.${key}`);
    }
  }
}
