'use strict';
// Everything is there without this, too; it only saves loading the page again.
// What services are called and write becomes text, never markup.
const $ = (id) => document.getElementById(id);
// Not what the address bar has: a name and password in there are refused.
const api = `${location.origin}/api/v1`;
const mayChange = document.body.dataset.role === 'full';

const make = (name, kind, ...inside) => {
  const it = document.createElement(name);
  if (kind) it.className = kind;
  it.append(...inside);
  return it;
};

// A sentence at the top, which goes away unless it is bad news.
let fading = null;
const note = (text, bad) => {
  const it = $('note');
  clearTimeout(fading);
  if (it.textContent !== text) it.textContent = text;
  it.className = bad ? 'bad' : '';
  if (text && !bad) fading = setTimeout(() => note(''), 6000);
};

// Whether what is shown is what there is.
let isLost = false;
const lost = (why) => {
  const link = $('link');
  link.hidden = false;
  link.className = why === null ? 'live' : 'gone';
  link.textContent = why === null ? 'live' : 'no connection';
  document.body.classList.toggle('lost', why !== null);
  if (why !== null) note(`No connection: ${why}. What is shown is old; trying again.`, true);
  else if (isLost) note('Connected again.');
  isLost = why !== null;
};

const post = async (path, body) => {
  try {
    const answer = await fetch(api + path, { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body || {}) });
    if (answer.ok) return true;
    const text = await answer.text();
    let why = text;
    try {
      const told = JSON.parse(text);
      why = told.error ? told.error.message
        : told.services.filter((it) => it.message).map((it) => `${it.service}: ${it.message}`).join('\n');
    } catch { /* it was no JSON */ }
    note(why || `HTTP ${answer.status}`, true);
  } catch { lost('going-web does not answer'); }
  return false;
};

const ask = async (path) => {
  let answer;
  try { answer = await fetch(api + path); } catch { throw new Error('going-web does not answer'); }
  if (answer.ok) return answer.json();
  const error = new Error(answer.status === 503 ? 'going does not answer' : `HTTP ${answer.status}`);
  error.status = answer.status;
  throw error;
};

// Follows what comes, and comes again when it ends. A page that nobody sees does
// not listen: a browser has few connections for all pages of a site.
const listen = (path, hear, begin) => {
  let source = null, again = null;
  const stop = () => { clearTimeout(again); if (source) source.close(); source = null; };
  const start = () => {
    stop();
    source = new EventSource(api + path());
    source.onopen = begin;
    source.onmessage = (event) => hear(JSON.parse(event.data));
    source.onerror = () => { stop(); again = setTimeout(start, 2000); };
  };
  document.addEventListener('visibilitychange', () => { if (document.hidden) stop(); else start(); });
  if (!document.hidden) start();
};

// Does it now and then, and soon when asked to, but never twice at once.
const regularly = (work, period) => {
  let due = null, isBusy = false, isOwed = false;
  const run = async () => {
    due = null;
    if (isBusy) { isOwed = true; return; }
    isBusy = true;
    await work();
    isBusy = false;
    if (isOwed) { isOwed = false; soon(); }
  };
  const soon = () => { if (due === null) due = setTimeout(run, 150); };
  setInterval(() => { if (!document.hidden) soon(); }, period);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) soon(); });
  run();
  return soon;
};

const span = (ms) => {
  if (ms === null || ms === undefined) return '';
  const s = Math.floor(ms / 1000), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  return d ? `${d}d ${h % 24}h` : h ? `${h}h ${m % 60}m` : m ? `${m}m ${s % 60}s` : `${s}s`;
};

const size = (bytes) => {
  if (bytes === null || bytes === undefined) return '';
  let value = bytes / 1024, unit = 0;
  while (value >= 1024 && unit < 3) { value /= 1024; unit += 1; }
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${['kB', 'MB', 'GB', 'TB'][unit]}`;
};

const ended = (it) => {
  if (it.fault) return it.fault;
  if (it.out_of_memory) return `killed by the kernel for memory after ${span(it.ran_ms)}`;
  if (it.signal) return `killed by SIG${it.signal}${it.core ? ' (core dumped)' : ''} after ${span(it.ran_ms)}`;
  if (typeof it.exit === 'number') return `exit status ${it.exit} after ${span(it.ran_ms)}`;
  return it.exit === 'unknown' ? 'ended while nobody looked' : '';
};

const last = (it) => ended({ fault: it.last_fault, out_of_memory: it.last_out_of_memory, signal: it.last_signal, exit: it.last_exit,
  core: it.last_core, ran_ms: it.last_ran_ms });

const coming = (it) => {
  if (it.next_ms === null) return '';
  const words = { start: 'next try', signal: 'next signal', 'give-up': 'gives up' };
  return `${words[it.next] || it.next} in ${span(it.next_ms)}`;
};

const story = (it) => {
  if (it.complaint.length) return it.complaint.join('\n');
  if (it.unmet) return `the condition ${it.unmet} is not met`;
  const isFine = it.state === 'up' || it.state === 'done';
  const parts = [isFine ? '' : last(it), coming(it)].filter(Boolean);
  return parts.length ? parts.join(', ') : it.description || '';
};

const orders = (it) => {
  if (it.pid !== null) return ['stop', 'restart'];
  if (it.refused) return [];
  if (it.state === 'quarantined') return ['retry', 'stop'];
  return it.state === 'waiting' || it.state === 'listening' ? ['start', 'stop'] : ['start'];
};

const act = async (word, name) => {
  if (await post(`/services/${encodeURIComponent(name)}/${word}`)) note(`${name}: ${word} asked for`);
};

// Buttons for a service, left alone as long as they are the right ones: one that
// is replaced under a finger is not clicked.
const buttons = (place, it, after) => {
  const words = mayChange ? orders(it) : [];
  if (place.dataset.words === words.join()) return;
  const hasFocus = place.contains(document.activeElement);
  place.dataset.words = words.join();
  place.replaceChildren(...words.map((word) => {
    const one = make('button', '', word);
    one.setAttribute('aria-label', `${word} ${it.service}`);
    let isBusy = false;
    one.onclick = async () => {
      if (isBusy) return;
      isBusy = true;
      await act(word, it.service);
      isBusy = false;
      after();
    };
    return one;
  }));
  // Not to another button, which a second press would push.
  const row = hasFocus && place.closest('tr');
  if (row) row.querySelector('a').focus();
};

const set = (place, text) => { if (place.textContent !== text) place.textContent = text; };

const dot = (state) => make('span', `state ${state}`, state);

const setDot = (place, state) => {
  const it = place.firstElementChild;
  if (it && it.textContent === state) return;
  place.replaceChildren(dot(state));
};

// The last minutes as a line. `least` is the height of the picture if nothing is
// larger, so that a flat line is no mountain range.
const spark = (place, samples, least) => {
  let path = place.querySelector('path');
  if (!path) {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    svg.setAttribute('class', 'spark');
    svg.setAttribute('viewBox', '0 0 60 18');
    svg.setAttribute('aria-hidden', 'true');
    path = document.createElementNS(svg.namespaceURI, 'path');
    svg.append(path);
    place.prepend(svg, make('span', ''));
  }
  const top = Math.max(least, ...samples), step = 60 / 29;
  const at = (value, index) => `${60 - (samples.length - 1 - index) * step},${17 - value / top * 16}`;
  path.setAttribute('d', samples.length > 1 ? `M${samples.map(at).join('L')}` : '');
  return path;
};

// What was used when, by name: CPU in per cent and memory.
const used = new Map();
const sample = (it, now) => {
  let old = used.get(it.service);
  if (!old || old.pid !== it.pid) old = { pid: it.pid, at: 0, cpu: 0, cpus: [], sizes: [] };
  used.set(it.service, old);
  if (it.cpu_ms === null || (old.at && now - old.at < 1500)) return old;
  if (old.at) {
    old.cpus = [...old.cpus, Math.max(0, (it.cpu_ms - old.cpu) / (now - old.at) * 100)].slice(-30);
    old.sizes = [...old.sizes, it.memory_bytes].slice(-30);
  }
  old.at = now;
  old.cpu = it.cpu_ms;
  return old;
};

const setUsed = (memory, cpu, it, old) => {
  const put = (place, samples, least, text) => {
    if (it.pid === null) { place.replaceChildren(); return; }
    spark(place, samples, least);
    set(place.querySelector('span'), text);
  };
  put(memory, old.sizes, 1, size(it.memory_bytes));
  const now = old.cpus[old.cpus.length - 1];
  put(cpu, old.cpus, 5, now === undefined ? '' : `${now.toFixed(now < 10 ? 1 : 0)} %`);
};

// What happened, the newest first: first what going still knows, then what comes.
const happenings = (name, hear) => {
  const list = $('events'), shown = name ? 20 : 50;
  let serial = null;
  const time = (it) => new Date(Date.now() - it.ago_ms).toLocaleTimeString();
  const tell = (it) => {
    if (it.serial) serial = it.serial;
    if (name && it.service !== name) return;
    const line = make('li', '', make('span', 'soft', time(it)), ' ');
    if (!name && it.service) {
      const link = make('a', '', it.service);
      link.href = `/services/${encodeURIComponent(it.service)}`;
      line.append(link, ' ');
    }
    const end = ended(it);
    if (it.state) line.append(`${it.was} → `, dot(it.state), end ? ` (${end}${it.ordered ? ', by order' : ''})` : '');
    else line.append(it.lost ? `${it.lost} events were lost` : it.message || it.event || '');
    list.prepend(line);
    while (list.childElementCount > shown) list.lastChild.remove();
  };
  const begin = async () => {
    try {
      const known = await ask('/events');
      if (known.serial === serial) return;
      list.replaceChildren();
      known.events.forEach(tell);
      serial = known.serial;
      hear();
    } catch { /* the services say so */ }
  };
  return { begin, tell, since: () => (serial === null ? '' : `?since=${serial}`) };
};
