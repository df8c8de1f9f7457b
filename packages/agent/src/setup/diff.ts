const CONTEXT_LINES = 3;

/** The difference of two texts as one hunk: what the changes here are, one place each. Undefined stands for no file. */
export function unifiedDiff(path: string, before: string | undefined, after: string | undefined): string {
  const old = linesOf(before);
  const young = linesOf(after);
  let head = 0;
  while (head < old.length && head < young.length && old[head] === young[head]) head += 1;
  let tail = 0;
  const tailMax = Math.min(old.length, young.length) - head;
  while (tail < tailMax && old[old.length - 1 - tail] === young[young.length - 1 - tail]) tail += 1;
  const from = Math.max(head - CONTEXT_LINES, 0);
  const behind = Math.min(tail, CONTEXT_LINES);
  const range = (lines: readonly string[]) => {
    const count = lines.length - tail + behind - from;
    return `${count === 0 ? from : from + 1},${count}`;
  };
  const shown = [
    ...old.slice(from, head).map((line) => ` ${line}`),
    ...old.slice(head, old.length - tail).map((line) => `-${line}`),
    ...young.slice(head, young.length - tail).map((line) => `+${line}`),
    ...old.slice(old.length - tail, old.length - tail + behind).map((line) => ` ${line}`),
  ];
  const name = (text: string | undefined) => (text === undefined ? '/dev/null' : path);
  const body = shown.map((line) => (line.endsWith('\n') ? line : `${line}\n\\ No newline at end of file\n`)).join('');
  return `--- ${name(before)}\n+++ ${name(after)}\n@@ -${range(old)} +${range(young)} @@\n${body}`;
}

function linesOf(text = ''): readonly string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}
