// Opens pages in a headless Chromium: no error on the console, no request to anywhere, every point of the data drawn, the
// controls and the address do what they say, and without JavaScript and on paper all is there.
//   node in_browser.mjs SAMPLE_PAGE_PROGRAM
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';

const program = process.argv[2];
const dir = mkdtempSync(join(tmpdir(), 'bakeoff-page-'));
let failures = 0;
function check(what, holds, more = '') {
  if (holds) return;
  ++failures;
  console.error(`FAILED: ${what} ${more}`);
}

function page(name, cells, server) {
  const file = join(dir, name);
  writeFileSync(file, execFileSync(program, [String(cells), server], { maxBuffer: 1 << 28 }));
  return file;
}

// What the browser made of the page, what it said on its console, and which addresses it asked for.
async function open(file, { fragment = '', flags = [], output = '--dump-dom' } = {}) {
  const log = join(dir, 'net.json');
  const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
    '--disable-component-update', '--no-first-run', '--enable-logging=stderr', '--virtual-time-budget=20000',
    `--user-data-dir=${join(dir, 'profile')}`, `--log-net-log=${log}`, ...flags, output, `file://${file}${fragment}`];
  const { dom, said } = await new Promise((done, fail) => execFile('chromium', args,
    { maxBuffer: 1 << 28, timeout: 120_000 },
    (error, stdout, stderr) => (error ? fail(error) : done({ dom: stdout, said: stderr }))));
  // What the page asks for belongs to the site of the page; the browser's own questions do not.
  const asked = [...readFileSync(log, 'utf8').matchAll(/site=file:[^"]*","url":"((?:https?|wss?|ftp):[^"]*)"/g)]
    .map((match) => match[1]);
  return { dom, console: said.split('\n').filter((line) => line.includes(':CONSOLE')), asked };
}

const figureOf = (dom, id) => dom.match(new RegExp(`<figure id="fig-${id}"[\\s\\S]*?</figure>`))[0];
const liveOf = (dom, id) => figureOf(dom, id).split('class="live"').slice(1).join('');
const countOf = (text, part) => text.split(part).length - 1;
const chartsOf = (file) => JSON.parse(readFileSync(file, 'utf8').match(/<script[^>]*id="charts"[^>]*>([\s\S]*?)<\/script>/)[1]);

try {
  const file = page('plain.html', 4, 'sped');
  const has_vega = readFileSync(file, 'utf8').includes('vegaEmbed');
  if (!has_vega) console.error('without Vega: only the static page is looked at');

  const plain = await open(file);
  check('nothing on the console', plain.console.length === 0, plain.console.join('\n'));
  check('no request', plain.asked.length === 0, plain.asked.join(' '));
  if (has_vega) {
    check('all is drawn', /data-drawn="\d+"/.test(plain.dom));
    const charts = chartsOf(file);
    check('there are charts', charts.length >= 2);
    for (const { id, spec } of charts) {
      const marked = spec.data.values.filter((row) => row.marked && !row.range).length;
      const drawn = countOf(liveOf(plain.dom, id), 'aria-roledescription="point"');
      check(`${id}: a mark for each point`, marked > 0 ? drawn >= marked : true, `${drawn} of ${marked}`);
    }
    const points = (dom) => countOf(liveOf(dom, 'throughput'), 'aria-roledescription="point"');
    const hidden = await open(file, { fragment: '#hide=sped' });
    check('a hidden server is not drawn', points(hidden.dom) > 0 && points(hidden.dom) === points(plain.dom) / 2,
      `${points(hidden.dom)} of ${points(plain.dom)}`);
    const relative = await open(file, { fragment: '#unit=server%3Asped&scale=log' });
    check('the address chooses the unit', liveOf(relative.dom, 'throughput').includes('Relative to sped'));
    check('and nothing is wrong then', relative.console.length === 0, relative.console.join('\n'));
    const odd = await open(file, { fragment: '#unit=%00&scale=nothing&hide=%3Cimg%3E&open=charts' });
    check('an odd address is no error', odd.console.length === 0 && points(odd.dom) === points(plain.dom));
  }

  // The page's own policy forbids its scripts there: dumping what is shown needs the browser's.
  const still_file = join(dir, 'still.html');
  writeFileSync(still_file, readFileSync(file, 'utf8').replace(/script-src [^;"]*/, "script-src 'none'"));
  const still = await open(still_file);
  check('without JavaScript there are tables', countOf(still.dom, '<table') >= 2);
  check('and drawings', countOf(still.dom, '<svg') >= 2 && !still.dom.includes('class="marks"'));
  check('and none of them is hidden', !/class="static[^"]*gone/.test(still.dom));

  const pdf = join(dir, 'page.pdf');
  await open(file, { output: `--print-to-pdf=${pdf}` });
  const bytes = readFileSync(pdf, 'latin1');
  const contents = [...bytes.matchAll(/\/Type\s*\/Page\b[^s][\s\S]*?\/Contents\s+(\d+) 0 R/g)].map((match) => match[1]);
  check('it prints', contents.length >= 1);
  for (const [index, number] of contents.entries()) {
    const at = bytes.search(new RegExp(`(^|\\n)${number} 0 obj`));
    const from = bytes.indexOf('stream', at) + 'stream'.length;
    const begin = bytes[from] === '\r' ? from + 2 : from + 1;
    const drawn = inflateSync(Buffer.from(bytes.slice(begin, bytes.indexOf('endstream', begin)), 'latin1')).toString('latin1');
    check(`page ${index + 1} on paper has text`, /T[jJ]/.test(drawn));
  }

  const evil = page('evil.html', 4, `<img src=x onerror=console.error('run')>&"' שלום ${'長'.repeat(60)} </script><!--`);
  const names = await open(evil);
  check('names stay text', names.console.length === 0 && !names.dom.includes('<img src=x'), names.console.join('\n'));

  for (const width of [380, 1000, 1600]) {
    const shot = join(dir, 'shot.png');
    await open(file, { output: `--screenshot=${shot}`, flags: [`--window-size=${width},1200`] });
    check(`a picture at ${width} px`, readFileSync(shot).length > 10_000);
  }
} finally {
  rmSync(dir, { recursive: true, force: true });
}
process.exit(failures ? 1 : 0);
