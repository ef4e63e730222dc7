// What has to hold for every value set: node rules.mjs FOLDER-OF-RENDERED-SETS CHART
// A rule says what is wrong, a sentence each. And it has breakages, each done to a release that it must then find wrong: a rule that cannot fail is none.
import availability from './rules/availability.mjs';
import migration from './rules/migration.mjs';
import monitoring from './rules/monitoring.mjs';
import names from './rules/names.mjs';
import network from './rules/network.mjs';
import pods from './rules/pods.mjs';
import secrets from './rules/secrets.mjs';
import { Release } from './rules/release.mjs';

const rules = Object.entries({ ...secrets, ...pods, ...availability, ...network, ...migration, ...names, ...monitoring });
const [folder, chart] = process.argv.slice(2);
const releases = Release.readAll(folder);
const context = { releases, chart };

function complaintsOf(rule, release) {
  try {
    return [...rule.wrong(release, context)];
  } catch (missing) {
    return [`what it looks at is not there: ${missing.message}`];
  }
}

// Unless it says otherwise, a rule is tried on the set that has everything.
function isSeen(breakage, rule) {
  const release = releases.find(({ set }) => set === (rule.on ?? 'everything')).copy();
  breakage(release, context);
  return complaintsOf(rule, release).length > 0;
}

let failed = false;
function report(name, complaints) {
  console.log(`${complaints.length === 0 ? 'ok     ' : 'FAILED '} chart: ${name}`);
  complaints.forEach(complaint => console.log(`        ${complaint}`));
  failed ||= complaints.length > 0;
}

for (const [name, rule] of rules) {
  report(name, releases.flatMap(release => complaintsOf(rule, release).map(complaint => `${release.set}: ${complaint}`)));
}

const unseen = rules.flatMap(([name, rule]) => rule.broken.filter(breakage => !isSeen(breakage, rule)).map(breakage => `"${name}" does not see ${breakage}`));
report(`each rule finds what it is for, ${rules.flatMap(([, rule]) => rule.broken).length} breakages`, unseen);
process.exit(failed ? 1 : 0);
