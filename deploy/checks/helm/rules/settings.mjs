// What settings the service has, by its own source, and what their defaults are, by its README.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

// Names such as OtpAuth__Tls__KeyFile: the properties of OtpAuthOptions, and of the classes of options that they are of.
export function readSettings(source) {
  const classes = new Map();
  const files = readdirSync(source, { recursive: true }).filter(file => /(^|\/)\w*Options\.cs$/.test(file));
  for (const text of files.map(file => readFileSync(join(source, file), 'utf8'))) {
    let members;
    for (const line of text.split('\n')) {
      const [, type] = /^internal sealed class (\w+)/.exec(line) ?? [];
      const [, of, name] = /^    public (\S+) (\w+) \{ get; (?:set|init); \}/.exec(line) ?? [];
      if (type) {
        classes.set(type, members = new Map());
      } else if (name) {
        members.set(name, of.replace('?', ''));
      }
    }
  }

  const names = new Set();
  const add = (type, prefix) => classes.get(type).forEach((of, name) => classes.has(of) ? add(of, `${prefix}__${name}`) : names.add(`${prefix}__${name}`));
  add('OtpAuthOptions', 'OtpAuth');
  return names;
}

// Of the table of settings: a row may be of several, with as many defaults. "…Name" goes on from the setting before it.
export function readDefaults(readme) {
  const defaults = new Map();
  for (const line of readFileSync(readme, 'utf8').split('\n').filter(line => line.startsWith('| `OtpAuth__'))) {
    const [names, values] = line.split('|').slice(1, 3).map(cell => cell.split(', ').map(part => part.trim().replaceAll('`', '')));
    names.forEach((name, index) => defaults.set(name.replace('…', 'OtpAuth__'), values[index] ?? values[0]));
  }

  return defaults;
}
