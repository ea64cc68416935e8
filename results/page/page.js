// Draws the figures anew by Vega, as the controls say, and keeps what they say in the address, so that a link shows
// the same.
(() => {
  'use strict';
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const charts = read('charts');
  const looks = new Map(read('looks'));
  const controls = document.getElementById('controls');
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const boxes = () => [...controls.querySelectorAll('input[name=server]')];
  let printing = false;
  let turn = 0;

  // --- the view, in the controls and in the address ---

  function view() {
    return {
      hidden: new Set(boxes().filter((box) => !box.checked).map((box) => box.value)),
      unit: controls.elements.unit.value,
      scale: controls.elements.scale.value,
      invalid: controls.elements.invalid.checked,
    };
  }

  let at = '';
  function writeAddress() {
    const { hidden, unit, scale, invalid } = view();
    const words = new URLSearchParams();
    for (const name of hidden) words.append('hide', name);
    if (unit) words.set('unit', unit);
    if (scale) words.set('scale', scale);
    if (!invalid) words.set('invalid', 'no');
    for (const open of document.querySelectorAll('details[id][open]')) words.append('open', open.id);
    if (at) words.set('at', at);
    const text = words.toString();
    try {
      history.replaceState(null, '', text ? '#' + text : location.pathname + location.search);
    } catch {
      if (text) location.replace('#' + text);  // a page in a file has no path to go back to in some browsers
    }
  }

  function readAddress() {
    const text = location.hash.slice(1);
    if (text && !text.includes('=')) {  // a plain anchor
      at = text;
      return;
    }
    const words = new URLSearchParams(text);
    const hidden = new Set(words.getAll('hide'));
    for (const box of boxes()) box.checked = !hidden.has(box.value);
    const choose = (select, value) => {
      select.value = value;
      if (select.selectedIndex < 0) select.selectedIndex = 0;
    };
    choose(controls.elements.unit, words.get('unit') || '');
    choose(controls.elements.scale, words.get('scale') || '');
    controls.elements.invalid.checked = words.get('invalid') !== 'no';
    for (const id of words.getAll('open')) {
      const details = document.getElementById(id);
      if (details && details.tagName === 'DETAILS') details.open = true;
    }
    at = words.get('at') || '';
  }

  // --- data as the view asks for them ---

  const by = (chart, row) => (chart.id === 'workers' ? row.panel : row.series);
  const limits = (row, value, lower, upper) => {
    const changed = { ...row, value };
    delete changed.lower;
    delete changed.upper;
    if (lower !== undefined) Object.assign(changed, { lower, upper });
    return changed;
  };

  // The rows of a panel, and the title of their axis where it changes.
  function rowsOf(chart, panel, { hidden, unit, invalid }) {
    const values = chart.spec.data.values;
    const all = chart.panels.length > 1 ? values.filter((row) => row.panel === panel.title) : values;
    let rows = all.filter((row) => row.published || (!hidden.has(by(chart, row)) && (invalid || row.valid)));
    let title;
    if (unit === 'ceiling' && rows.some((row) => row.of_ceiling !== undefined)) {
      rows = rows.filter((row) => row.of_ceiling !== undefined)
        .map((row) => limits({ ...row, range: false }, row.of_ceiling, row.of_ceiling_lower, row.of_ceiling_upper));
      title = 'Relative to the ceiling';
    } else if (unit.startsWith('server:') && !['workers', 'reference'].includes(chart.id)) {
      const name = unit.slice(7);
      const key = (row) => (chart.dots ? '' : row.place) + '|' + row.marked;
      const bases = new Map();
      for (const row of all) {
        if (row.series !== name || row.published) continue;
        bases.set(key(row), bases.has(key(row)) ? undefined : row.value);  // of several none is the base
      }
      if ([...bases.values()].some((base) => base > 0)) {
        rows = rows.filter((row) => !row.published && bases.get(key(row)) > 0).map((row) => {
          const base = bases.get(key(row));
          const has = row.lower !== undefined;
          return limits(row, row.value / base, has ? row.lower / base : undefined, has ? row.upper / base : undefined);
        });
        title = 'Relative to ' + name;
      }
    }
    return { rows, title };
  }

  // --- drawing ---

  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  function config() {
    const ink = style('--ink'), soft = style('--soft'), grid = style('--grid');
    return {
      background: null,
      font: getComputedStyle(document.body).fontFamily,
      view: { stroke: null },
      axis: {
        labelColor: soft, titleColor: soft, gridColor: grid, domainColor: soft, tickColor: soft,
        labelFontSize: 12, titleFontSize: 12,
        titleFontWeight: 'normal', labelLimit: 190, titleLimit: 400,
      },
      axisY: {
        domain: false, ticks: false,
        titleAngle: 0, titleAlign: 'left', titleAnchor: 'end', titleY: -12, titleX: 0, titleBaseline: 'bottom',
      },
      axisYQuantitative: { labelPadding: 6 },
      axisYDiscrete: { labelColor: ink, labelFontSize: 13, labelPadding: 10 },
    };
  }

  // Colours as they are on this background; what is hollow has the background's.
  function recolour(value) {
    if (Array.isArray(value)) return value.map(recolour);
    if (value && typeof value === 'object') {
      return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, recolour(one)]));
    }
    if (value === 'white') return style('--paper');
    if (value === '#eef4f9') return style('--band');
    return dark.matches && !printing && looks.has(value) ? looks.get(value) : value;
  }

  function specOf(chart, panel, rows, title, scale, width) {
    const across = chart.dots ? 'x' : 'y';
    const layers = structuredClone(chart.spec.spec ? chart.spec.spec.layer : chart.spec.layer);
    for (const layer of layers) {
      const channel = layer.encoding[across];
      if (!channel) continue;  // a band reaches from end to end
      channel.axis = { ...channel.axis, title: title || panel.axis };
      if (title && channel.scale) delete channel.scale.domain;
      if (scale) channel.scale = { ...channel.scale, type: scale };
      if (channel.scale.type === 'log') {
        delete channel.scale.zero;
        channel.scale.nice = true;
      }
      for (const one of Object.values(layer.encoding)) if (one && 'legend' in one) one.legend = null;
      if (layer.encoding.fill && layer.encoding.fill.condition) layer.encoding.fill.condition.legend = null;
    }
    const valued = layers.find((layer) => layer.encoding[across]);
    const log = valued.encoding[across].scale.type === 'log';
    const fitted = (row) => (row.lower <= 0 ? { ...row, lower: row.value } : row);
    const shown = log ? rows.filter((row) => row.value > 0).map(fitted) : rows;
    if (log) {
      // Marks at powers of ten, or at 1, 2 and 5 of each where there are few.
      const all = shown.flatMap((row) => [row.value, row.lower, row.upper]).filter((value) => value > 0);
      const low = Math.min(...all), high = Math.max(...all);
      const factors = high / low > 80 ? [1] : high / low > 4 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9];
      const marks = [];
      for (let power = Math.floor(Math.log10(low)) - 1; power <= Math.ceil(Math.log10(high)); ++power)
        for (const factor of factors) marks.push(Number((factor * 10 ** power).toPrecision(6)));
      const from = Math.max(...marks.filter((mark) => mark <= low), low / 2);
      const to = Math.min(...marks.filter((mark) => mark >= high), high * 2);
      for (const layer of layers) {
        const channel = layer.encoding[across];
        if (!channel) continue;
        channel.scale = { ...channel.scale, domain: [from, to], nice: false };
        channel.axis = { ...channel.axis, values: marks.filter((mark) => mark >= from && mark <= to), format: '~r' };
      }
    }
    const kept = new Set(shown.map((row) => row.row));
    if (chart.dots) {
      for (const layer of layers) layer.encoding.y.sort = layer.encoding.y.sort.filter((row) => kept.has(row));
    }
    const spec = {
      $schema: chart.spec.$schema,
      description: chart.spec.description,
      width,
      autosize: { type: 'fit-x', contains: 'padding' },
      padding: { left: 2, right: 8, top: chart.dots ? 4 : 8, bottom: 4 },
      data: { values: shown },
      layer: recolour(layers),
      config: config(),
    };
    spec.height = chart.dots ? 27 * kept.size : Math.round(Math.min(300, Math.max(190, width * 0.5)));
    return spec;
  }

  const options = {
    actions: false, renderer: 'svg', ast: true, hover: false,
    tooltip: { disableDefaultStyle: false },
  };

  async function draw() {
    const mine = ++turn;
    const chosen = view();
    let failed = false;
    for (const chart of charts) {
      const figure = document.getElementById('fig-' + chart.id);
      if (!figure) continue;
      let note = '';
      for (const [index, panel] of chart.panels.entries()) {
        const place = figure.querySelectorAll('.panel')[index];
        const live = place.querySelector('.live'), drawing = place.querySelector('.static');
        const { rows, title } = rowsOf(chart, panel, chosen);
        if (title) note = title + '.';
        if (chosen.unit && !title) {
          note = chosen.unit === 'ceiling' ? 'the ceiling program has no such figure.' : 'there is no single base.';
          note = 'As measured: ' + note;
        }
        place.classList.toggle('gone', rows.length === 0);
        if (rows.length === 0) {
          if (live.view) live.view.finalize();
          live.view = null;
          live.replaceChildren();
          continue;
        }
        const wide = printing ? 330 : Math.floor(place.clientWidth);
        live.hidden = false;
        try {
          const host = document.createElement('div');
          const heading = document.createElement('h4');
          heading.textContent = panel.title;
          const result = await vegaEmbed(host, specOf(chart, panel, rows, title, chosen.scale, wide), options);
          if (mine !== turn) {
            result.finalize();
            return;
          }
          if (live.view) live.view.finalize();
          live.view = result;
          live.replaceChildren(...(panel.title ? [heading, host] : [host]));
          drawing.hidden = true;
          drawing.classList.add('gone');
        } catch (error) {
          failed = true;
          live.hidden = true;
          drawing.classList.remove('gone');
          console.error(chart.id + ': ' + error.message);
        }
      }
      figure.querySelector('.unit-note').textContent = note;
      for (const item of figure.querySelectorAll('.legend li'))
        item.classList.toggle('gone', chosen.hidden.has(item.dataset.series) && chart.id !== 'workers');
    }
    document.documentElement.dataset.drawn = failed ? 'failed' : String(mine);
  }

  // --- what makes it draw again ---

  let waiting;
  const soon = (milliseconds) => {
    clearTimeout(waiting);
    waiting = setTimeout(draw, milliseconds);
  };
  controls.addEventListener('change', () => { writeAddress(); draw(); });
  controls.addEventListener('reset', () => setTimeout(() => { writeAddress(); draw(); }));
  for (const [id, checked] of [['all', true], ['none', false]]) {
    document.getElementById(id).addEventListener('click', () => {
      for (const box of boxes()) box.checked = checked;
      writeAddress();
      draw();
    });
  }
  for (const details of document.querySelectorAll('details[id]')) details.addEventListener('toggle', writeAddress);
  let width = window.innerWidth;
  window.addEventListener('resize', () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    soon(150);
  });
  dark.addEventListener('change', () => soon(0));
  window.addEventListener('hashchange', () => { readAddress(); draw(); });
  let moving;
  window.addEventListener('scroll', () => {
    clearTimeout(moving);
    moving = setTimeout(() => {
      let top = '';
      for (const section of document.querySelectorAll('main section')) {
        if (section.getBoundingClientRect().top < window.innerHeight / 2) top = section.id;
      }
      if (window.scrollY < 80) top = '';
      if (top === at) return;
      at = top;
      writeAddress();
    }, 200);
  }, { passive: true });

  window.bakeoffPage = { draw, view };
  controls.hidden = false;
  readAddress();
  draw().then(() => {
    const target = at && document.getElementById(at);
    if (target) target.scrollIntoView({ behavior: 'instant' });
  });
})();
