// Opens pages in a headless Chromium: no error on the console, no request to anywhere, every point of the data drawn, the
// controls and the address do what they say, and without JavaScript and on paper all is there.
//   node in_browser.mjs SAMPLE_PAGE_PROGRAM
import { readFileSync } from 'node:fs';
import { check, check_print, check_widths, open, printed, run, still as without_scripts } from './browser.mjs';

const program = process.argv[2];
const page = (name, cells, server) => printed(name, program, [String(cells), server]);

const figureOf = (dom, id) => dom.match(new RegExp(`<figure id="fig-${id}"[\\s\\S]*?</figure>`))[0];
const liveOf = (dom, id) => figureOf(dom, id).split('class="live"').slice(1).join('');
const countOf = (text, part) => text.split(part).length - 1;
const chartsOf = (file) => JSON.parse(readFileSync(file, 'utf8').match(/<script[^>]*id="charts"[^>]*>([\s\S]*?)<\/script>/)[1]);

await run(async () => {
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

  const still = await open(without_scripts(file));
  check('without JavaScript there are tables', countOf(still.dom, '<table') >= 2);
  check('and drawings', countOf(still.dom, '<svg') >= 2 && !still.dom.includes('class="marks"'));
  check('and none of them is hidden', !/class="static[^"]*gone/.test(still.dom));

  await check_print(file);

  const evil = page('evil.html', 4, `<img src=x onerror=console.error('run')>&"' שלום ${'長'.repeat(60)} </script><!--`);
  const names = await open(evil);
  check('names stay text', names.console.length === 0 && !names.dom.includes('<img src=x'), names.console.join('\n'));

  await check_widths(file, [380, 1000, 1600]);
});
