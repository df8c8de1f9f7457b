import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

/** Everything below a folder, a line each: kind, owner, mode, and of files the time, the number and the bytes. */
export function treeOf(folder: string): readonly string[] {
  const lines: string[] = [];
  const visit = (path: string, name: string) => {
    const found = lstatSync(path, { bigint: true });
    const owner = `${found.uid}:${found.gid} ${(found.mode & 0o7777n).toString(8)}`;
    if (found.isSymbolicLink()) lines.push(`${name} link ${readlinkSync(path)} ${found.ino}`);
    else if (found.isDirectory()) {
      lines.push(`${name} folder ${owner}`);
      for (const entry of readdirSync(path).sort()) visit(join(path, entry), `${name}/${entry}`);
    } else {
      const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
      lines.push(`${name} file ${owner} ${found.mtimeNs} ${found.ino} ${found.nlink} ${hash}`);
    }
  };
  visit(folder, '');
  return lines;
}
