// Opens the page of timelines in a headless Chromium: no error on the console, no request to anywhere, the player goes
// where it is told, and without JavaScript and on paper all is there.
//   node timeline_in_browser.mjs SAMPLE_TIMELINE_PROGRAM
import { readFileSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { check, check_print, check_widths, open, printed, run, still } from './browser.mjs';

const program = process.argv[2];
const countOf = (text, part) => text.split(part).length - 1;

// The page with one more program, which its policy then allows: it plays as a person would, and writes what it saw.
function played(file) {
  const script = `
    const player = window.bakeoffTimeline, seen = [];
    const press = (id) => document.getElementById(id).click();
    const now = () => [...document.querySelectorAll('.now')].map((one) => one.textContent);
    seen.push(player.moment());
    press('on'); seen.push(player.moment());
    press('on'); seen.push(player.moment());
    press('back'); seen.push(player.moment());
    player.go(8000); seen.push(now());
    const at = document.getElementById('at');
    at.value = '5000'; at.dispatchEvent(new Event('input')); seen.push(player.moment());
    press('back'); press('on'); press('on');
    player.go(1e9); seen.push(player.moment());
    document.getElementById('speed').value = '0.001';
    press('play'); seen.push(player.playing());
    // The browser's clock leaps here, and may reach any moment before the first frame is drawn.
    let looks = 0;
    const look = () => {
      if ((player.moment() === 0 || player.moment() > 5000) && ++looks < 80) return setTimeout(look, 50);
      seen.push(player.moment());
      press('play'); seen.push(player.playing());
      const lines = [...document.querySelectorAll('.cursor')].map((line) => line.getAttribute('d'));
      const note = document.createElement('pre');
      note.id = 'seen';
      note.textContent = JSON.stringify({ seen, lines, events: player.events.length });
      document.body.append(note);
    };
    setTimeout(look, 50);`;
  const hash = createHash('sha256').update(script).digest('base64');
  const text = readFileSync(file, 'utf8')
    .replace(/script-src ([^;"]*)/, (all, hashes) => `script-src ${hashes} 'sha256-${hash}'`)
    .replace('</body>', () => `<script>${script}</script></body>`);
  writeFileSync(`${file}.played.html`, text);
  return `${file}.played.html`;
}

await run(async () => {
  const file = printed('timeline.html', program, ['made']);
  const plain = await open(file);
  check('nothing on the console', plain.console.length === 0, plain.console.join('\n'));
  check('no request', plain.asked.length === 0, plain.asked.join(' '));
  check('the player is there', !/<form id="player" hidden/.test(plain.dom));
  check('a line in each picture', countOf(plain.dom, 'class="cursor"') === 2);

  const game = await open(played(file));
  check('nothing on the console while it is played', game.console.length === 0, game.console.join('\n'));
  const note = game.dom.match(/<pre id="seen">([\s\S]*?)<\/pre>/);
  check('it was played', note !== null);
  if (note !== null) {
    const { seen, lines, events } = JSON.parse(note[1].replaceAll('&gt;', '>').replaceAll('&lt;', '<').replaceAll('&amp;', '&'));
    const [begin, first, second, back, words, dragged, end, playing, later, still_playing] = seen;
    check('it has events', events > 10);
    check('it begins at the beginning', begin === 0);
    check('an event on, and another', 0 < first && first < second, JSON.stringify(seen));
    check('and one back', back === first);
    check('it says what is at that moment', /loop: waiting for the disk for client 3/.test(words[0]) &&
      /standing still: client 1, client 2/.test(words[0]) && /helper 1: waiting for the disk/.test(words[1]), words.join(' | '));
    check('the slider leads', dragged === 5000);
    check('there is nothing beyond the end', end > 11_000 && end < 100_000);
    check('it plays, from the beginning, slowly', playing === true && later > 0 && later < 5000, String(later));
    check('and stops', still_playing === false);
    check('the line moves', lines.length === 2 && lines.every((line) => !line.startsWith('M168 0')), lines.join(' '));
  }

  const bare = await open(still(file));
  check('without JavaScript there are sentences', /The loop waits 10\.1 ms for the disk for client 3\./.test(bare.dom));
  check('and tables', countOf(bare.dom, '<table') >= 4);
  check('and pictures', countOf(bare.dom, 'role="img"') === 2);
  check('and no player that does nothing', /<form id="player" hidden/.test(bare.dom));

  await check_print(file);

  const evil = await open(printed('evil.html', program, [`<img src=x onerror=console.error('run')>&"' שלום </script><!--`]));
  check('names stay text', evil.console.length === 0 && !evil.dom.includes('<img src=x'), evil.console.join('\n'));
  await check_widths(file, [380, 1000, 1600]);
});
