// The player: a line that moves over all pictures, and what each lane does at that moment.
(() => {
  'use strict';
  const data = JSON.parse(document.getElementById('timelines').textContent);
  const find = (id) => document.getElementById(id);
  const player = find('player'), play = find('play'), at = find('at'), speed = find('speed'), clock = find('clock');
  const svgSpace = 'http://www.w3.org/2000/svg';

  const pictures = [...document.querySelectorAll('[data-server]')].map((box) => {
    const svg = box.querySelector('svg');
    const line = document.createElementNS(svgSpace, 'path');
    line.setAttribute('class', 'cursor');
    svg.append(line);
    const now = box.parentElement.querySelector('.now');
    now.hidden = false;
    return {
      line, now, server: data.servers[Number(box.dataset.server)], left: Number(box.dataset.left),
      right: Number(box.dataset.right), height: svg.viewBox.baseVal.height, places: [],
    };
  });

  // Where anything changes, in microseconds.
  const moments = new Set([0, data.length]);
  for (const server of data.servers) {
    for (const lane of server.lanes) for (const [begin, end] of lane.slices) moments.add(begin).add(end);
    for (const [begin, end] of server.still) moments.add(begin).add(end);
  }
  const events = [...moments].sort((a, b) => a - b);

  // The slice of a lane at a moment, by bisection.
  const sliceAt = (slices, time) => {
    let low = 0, high = slices.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (slices[middle][1] <= time) low = middle + 1; else high = middle;
    }
    const slice = slices[low];
    return slice && slice[0] <= time ? slice : null;
  };

  let time = 0, playing = false, last = 0;

  const words = (server) => {
    const parts = [];
    for (const lane of server.lanes) {
      const slice = sliceAt(lane.slices, time);
      if (!slice) continue;
      const whom = slice[3] > 0 ? ` for client ${slice[3]}` : '';
      parts.push(`${lane.name}: ${lane.arm ? 'serving a read' : data.states[slice[2]]}${whom}`);
    }
    const still = new Set(server.still.filter(([begin, end]) => begin <= time && time < end).map((s) => s[2]));
    if (still.size > 0) parts.push(`standing still: ${[...still].sort().map((c) => `client ${c}`).join(', ')}`);
    return parts.join(' · ') || 'nothing';
  };

  const show = () => {
    at.value = String(Math.round(time));
    clock.textContent = `${(time / 1000).toFixed(3)} ms`;
    for (const picture of pictures) {
      const x = picture.left + (picture.right - picture.left) * time / data.length;
      picture.line.setAttribute('d', `M${x.toFixed(2)} 0V${picture.height}`);
      picture.now.textContent = words(picture.server);
    }
  };
  const stop = () => {
    playing = false;
    play.textContent = 'play';
  };
  const go = (to) => {
    time = Math.min(Math.max(to, 0), data.length);
    show();
  };
  const frame = (now) => {
    if (!playing) return;
    go(time + (now - last) * 1000 * Number(speed.value));
    last = now;
    if (time >= data.length) return stop();
    requestAnimationFrame(frame);
  };

  play.addEventListener('click', () => {
    if (playing) return stop();
    if (time >= data.length) time = 0;
    playing = true;
    play.textContent = 'stop';
    last = performance.now();
    requestAnimationFrame(frame);
  });
  find('on').addEventListener('click', () => {
    stop();
    go(events.find((moment) => moment > time + 1e-6) ?? data.length);
  });
  find('back').addEventListener('click', () => {
    stop();
    let before = 0;
    for (const moment of events) if (moment < time - 1e-6) before = moment; else break;
    go(before);
  });
  at.addEventListener('input', () => {
    stop();
    go(Number(at.value));
  });
  player.addEventListener('submit', (event) => event.preventDefault());
  at.max = String(Math.ceil(data.length));
  player.hidden = false;
  show();
  window.bakeoffTimeline = { events, go, moment: () => time, playing: () => playing };
})();
