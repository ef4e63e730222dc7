// The table of values in the chart's README, made of values.yaml and its comments: node readme.mjs CHART [--write]
// Without --write: says whether the README is as it would be made, and ends with 1 where it is not.
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, parseDocument } from 'yaml';

const [chart, option] = process.argv.slice(2);
const document = parseDocument(readFileSync(`${chart}/values.yaml`, 'utf8'), { version: '1.1' });
const schema = JSON.parse(readFileSync(`${chart}/values.schema.json`, 'utf8'));
const readme = `${chart}/README.md`;
const [begin, end] = ['<!-- values: made by deploy/checks/helm.sh --write -->', '<!-- end of values -->'];

const complaints = [];
const rows = ['| Value | Default | What it is |', '|---|---|---|'];

// The first pair's comment is, to the parser, that of the map.
const commentOf = (pair, map, index) => {
  const comment = pair.key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
  return comment?.split('\n').map(line => line.trim()).join(' ');
};
const cell = text => text.replaceAll('|', '\\|');
const shown = value => {
  const json = JSON.stringify(value);
  return json === '""' ? '–' : `\`${typeof value === 'string' ? value : cell(json)}\``;
};

// A map is told of part by part where its parts are commented on, and as a whole where they are not.
function tell(map, path, definition) {
  const names = map.items.map(pair => pair.key.value);
  for (const name of Object.keys(definition.properties).filter(name => !names.includes(name) && !optional.has([...path, name].join('.')))) {
    complaints.push(`values.schema.json has ${[...path, name].join('.')}, values.yaml has not`);
  }

  map.items.forEach((pair, index) => {
    const here = [...path, pair.key.value];
    const comment = commentOf(pair, map, index);
    const known = follow(definition.properties?.[pair.key.value]);
    if (!known) {
      complaints.push(`values.schema.json does not know ${here.join('.')}`);
      return;
    }

    const inParts = isMap(pair.value) && pair.value.items.some((part, i) => commentOf(part, pair.value, i) || isMap(part.value) && isInParts(part.value));
    if (inParts) {
      if (comment) {
        rows.push(`| **\`${here.join('.')}\`** | | ${cell(comment)} |`);
      }

      tell(pair.value, here, known);
    } else if (comment) {
      rows.push(`| \`${here.join('.')}\` | ${shown(pair.value.toJSON())} | ${cell(comment)} |`);
    } else {
      complaints.push(`values.yaml does not say what ${here.join('.')} is`);
    }
  });
}

const isInParts = map => map.items.some((part, i) => commentOf(part, map, i));
const follow = definition => definition?.$ref ? schema.definitions[definition.$ref.split('/').pop()] : definition;
// Helm's own.
const optional = new Set(['global']);

tell(document.contents, [], schema);
const text = readFileSync(readme, 'utf8');
const [from, to] = [text.indexOf(begin), text.indexOf(end)];
if (from < 0 || to < from) {
  complaints.push(`${readme} lacks the lines "${begin}" and "${end}"`);
}

const made = text.slice(0, from + begin.length) + '\n' + rows.join('\n') + '\n' + text.slice(to);
if (complaints.length === 0 && made !== text) {
  if (option === '--write') {
    writeFileSync(readme, made);
  } else {
    complaints.push(`${readme} is not what values.yaml says: bash deploy/checks/helm.sh --write`);
  }
}

complaints.forEach(complaint => console.log(complaint));
process.exit(complaints.length === 0 ? 0 : 1);
