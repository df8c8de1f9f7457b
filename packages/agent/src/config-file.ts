import { readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { describe } from '@drayage/core';
import { fields, type OriginConfig, type Place, readOrigins } from './origin-config.ts';

const CONFIG_BYTES_MAX = 1024 * 1024;
const FAULTS_SHOWN_MAX = 20;

/** A configuration file as text values by option name, with its origins read. */
export interface ConfigFile {
  readonly path: string;
  readonly folder: string;
  readonly values: ReadonlyMap<string, readonly string[]>;
  readonly origins: readonly OriginConfig[];
  readonly faults: readonly string[];
}

/** Reads a YAML file whose keys are these option names, or `origins`. Everything wrong with it is in `faults`. */
export async function readConfigFile(file: string, optionNames: readonly string[]): Promise<ConfigFile> {
  const path = resolve(file);
  const faults: string[] = [];
  const place: Place = {
    path: '',
    folder: dirname(path),
    fault: (where, why) => faults.push(`${file}: ${where.replace(/^\./, '') || 'the file'}: ${why}`),
  };
  const content = await load(path, place);
  const { origins, ...rest } = content ?? {};
  fields(rest, place, [...optionNames, 'origins']);
  const values = new Map<string, readonly string[]>();
  for (const name of optionNames.filter((key) => rest[key] !== undefined)) {
    const texts = scalars(rest[name]);
    if (texts) values.set(name, texts);
    else place.fault(`.${name}`, 'must be a word, a number, or a list of them');
  }
  const read = origins === undefined ? [] : readOrigins(origins, { ...place, path: 'origins' });
  return { path, folder: place.folder, values, origins: read, faults };
}

async function load(path: string, place: Place): Promise<Readonly<Record<string, unknown>> | undefined> {
  try {
    if (statSync(path).size > CONFIG_BYTES_MAX) throw new Error(`is larger than ${CONFIG_BYTES_MAX} bytes`);
    const { parseDocument } = await import('yaml');
    const document = parseDocument(readFileSync(path, 'utf8'), { prettyErrors: true, stringKeys: true });
    for (const error of document.errors.slice(0, FAULTS_SHOWN_MAX)) {
      // The message quotes the lines around the fault after a blank line; the first line says all.
      place.fault('', error.message.split('\n', 1)[0]?.replace(/:$/, '') ?? 'is no YAML');
    }
    if (document.errors.length > 0 || document.contents === null) return undefined;
    // Aliases are refused: with them a small file can unfold into a huge one.
    return fields(document.toJS({ maxAliasCount: 0 }), place, undefined);
  } catch (error) {
    place.fault('', describe(error));
    return undefined;
  }
}

function scalars(value: unknown): readonly string[] | undefined {
  const items: readonly unknown[] = Array.isArray(value) ? value : [value];
  const areScalars = items.every((item) => typeof item === 'string' || typeof item === 'number');
  return areScalars && items.length > 0 ? items.map(String) : undefined;
}
