// Opens pages in a headless Chromium, for the tests of pages.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';

export const dir = mkdtempSync(join(tmpdir(), 'bakeoff-page-'));
let failures = 0;
export function check(what, holds, more = '') {
  if (holds) return;
  ++failures;
  console.error(`FAILED: ${what} ${more}`);
}

// Runs the checks and ends the process: 1 when one of them failed.
export async function run(checks) {
  try {
    await checks();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  process.exit(failures ? 1 : 0);
}

// What a program prints, as a file.
export function printed(name, program, words) {
  const file = join(dir, name);
  writeFileSync(file, execFileSync(program, words, { maxBuffer: 1 << 28 }));
  return file;
}

// What the browser made of the page, what it said on its console, and which addresses it asked for.
export async function open(file, { fragment = '', flags = [], output = '--dump-dom' } = {}) {
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

// No page on paper is empty.
export async function check_print(file) {
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
}

// The page as JavaScript never touched it. Its own policy forbids its scripts there: dumping what is shown needs the
// browser's.
export function still(file) {
  const copy = join(dir, 'still.html');
  writeFileSync(copy, readFileSync(file, 'utf8').replace(/script-src [^;"]*/, "script-src 'none'"));
  return copy;
}

export async function check_widths(file, widths) {
  for (const width of widths) {
    const shot = join(dir, 'shot.png');
    await open(file, { output: `--screenshot=${shot}`, flags: [`--window-size=${width},1200`] });
    check(`a picture at ${width} px`, readFileSync(shot).length > 10_000);
  }
}
