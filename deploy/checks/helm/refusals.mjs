// Every value set of refused.yaml is refused, with its sentence: node refusals.mjs HELM CHART
// Its first act is to render what they lie on top of: where that fails, their refusal means nothing.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

const [helm, chart] = process.argv.slice(2);
const render = values => {
  const options = ['--kube-version', '1.30.0', '--values', `${chart}/ci/default-values.yaml`, '--values', '-'];
  const { status, stdout, stderr } = spawnSync(helm, ['template', 'otp', chart, ...options], { input: JSON.stringify(values), encoding: 'utf8' });
  return { refused: status !== 0, said: stdout + stderr };
};

const complaints = [];
const basis = render({});
if (basis.refused) {
  complaints.push(`the value set below them is refused itself: ${basis.said}`);
}

const sets = parse(readFileSync(new URL('refused.yaml', import.meta.url), 'utf8'));
for (const { values, told } of sets) {
  const { refused, said } = render(values);
  if (!refused) {
    complaints.push(`rendered: ${JSON.stringify(values)}`);
  } else if (!said.includes(told)) {
    complaints.push(`${JSON.stringify(values)} is refused, but not with "${told}": ${said}`);
  }
}

console.log(`${sets.length} value sets`);
complaints.forEach(complaint => console.log(complaint));
process.exit(complaints.length === 0 && sets.length > 0 ? 0 : 1);
