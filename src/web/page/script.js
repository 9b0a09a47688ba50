'use strict';
// Everything is there without this, too; it only saves loading the page again.
(() => {
  const $ = (id) => document.getElementById(id);
  const note = (text, bad) => { const it = $('note'); it.textContent = text; it.className = bad ? 'bad' : ''; };
  const mayChange = document.body.dataset.role === 'full';

  const post = async (path, body) => {
    const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body || {}) });
    if (answer.ok) return true;
    const text = await answer.text();
    let why = text;
    try { why = JSON.parse(text).error.message; } catch { /* it was no JSON */ }
    note(why, true);
    return false;
  };

  const listen = (path, hear, state) => {
    const source = new EventSource(path);
    source.onopen = () => state(true);
    source.onerror = () => state(false);
    source.onmessage = hear;
    return source;
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
    if (it.last_fault) return it.last_fault;
    if (it.last_exit === 'unknown') return 'ended while nobody looked';
    if (it.last_exit !== null) return `exited ${it.last_exit}`;
    if (it.last_signal) return `killed by ${it.last_signal}`;
    return '';
  };
  const story = (it) => {
    if (it.complaint.length) return it.complaint.join('\n');
    const parts = [];
    if (it.state !== 'up' && ended(it)) parts.push(`${ended(it)} after ${span(it.last_ran_ms)}`);
    if (it.next_ms !== null && it.state === 'quarantined') parts.push(`next try in ${span(it.next_ms)}`);
    if (!parts.length && it.description) parts.push(it.description);
    return parts.join(', ');
  };

  // The table.
  const body = $('services');
  if (body) {
    const history = new Map();
    let services = [], chosen = null, due = null;
    const make = (name, text, kind) => {
      const it = document.createElement(name);
      if (text) it.textContent = text;
      if (kind) it.className = kind;
      return it;
    };
    const spark = (samples) => {
      const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
      svg.setAttribute('class', 'spark'); svg.setAttribute('viewBox', '0 0 60 18');
      svg.setAttribute('role', 'img'); svg.setAttribute('aria-label', 'CPU over the last minutes');
      const top = Math.max(5, ...samples), path = document.createElementNS(svg.namespaceURI, 'path');
      path.setAttribute('d', samples.map((v, i) => `${i ? 'L' : 'M'}${60 - (samples.length - i) * 2} ${17 - v / top * 16}`).join(''));
      svg.append(path);
      return svg;
    };
    const button = (service, word, able) => {
      const it = make('button', word);
      it.disabled = !able; it.dataset.act = word; it.setAttribute('aria-label', `${word} ${service.service}`);
      it.onclick = () => act(word, service.service);
      return it;
    };
    const act = async (word, name) => {
      if (await post(`/api/v1/services/${encodeURIComponent(name)}/${word}`)) note(`${name}: ${word} asked for`);
      refresh();
    };
    const wanted = () => {
      const text = $('filter').value.trim().toLowerCase();
      return services.filter((it) => !text || it.service.toLowerCase().includes(text) ||
        it.state.includes(text) || it.tag.some((tag) => `@${tag}`.toLowerCase() === text));
    };
    const draw = () => {
      const focus = document.activeElement && document.activeElement.getAttribute('aria-label');
      const rows = wanted().map((it) => {
        const row = make('tr'), now = it.state;
        row.dataset.name = it.service;
        if (it.service === chosen) row.className = 'chosen';
        const name = make('td'), link = make('a', it.service);
        link.href = `/services/${encodeURIComponent(it.service)}`;
        name.append(link);
        const state = make('td'); state.append(make('span', now, `state ${now}`));
        const cpu = make('td', '', 'number'), samples = (history.get(it.service) || {}).samples || [];
        if (samples.length > 1) cpu.append(spark(samples), ` ${samples[samples.length - 1].toFixed(0)} %`);
        const why = make('td', '', 'wide'); why.append(make('span', story(it), 'why'));
        const acts = make('td', '', 'acts');
        if (mayChange) {
          const alive = it.pid !== null;
          acts.append(button(it, 'start', !alive && !it.refused), ' ',
            button(it, 'stop', alive || it.want === 'up'), ' ', button(it, 'restart', !it.refused));
        }
        row.append(name, state, make('td', span(it.uptime_ms), 'number'), make('td', String(Math.max(0, it.starts - 1)), 'number'),
          make('td', size(it.memory_bytes), 'number'), cpu, why, acts);
        return row;
      });
      body.replaceChildren(...rows);
      $('empty').hidden = rows.length > 0;
      if (services.length) $('empty').textContent = 'No service is like that.';
      const up = services.filter((it) => it.state === 'up').length;
      $('count').textContent = `${up} of ${services.length} up`;
      document.title = `${up}/${services.length} up · going`;
      if (focus) { const again = body.querySelector(`[aria-label="${CSS.escape(focus)}"]`); if (again) again.focus(); }
    };
    const sample = (now) => {
      for (const it of services) {
        const old = history.get(it.service) || { samples: [] };
        if (it.cpu_ms !== null && old.pid === it.pid && now - old.at > 2000) {
          old.samples.push(Math.max(0, (it.cpu_ms - old.cpu) / (now - old.at) * 100));
          old.samples = old.samples.slice(-30);
        } else if (old.pid === it.pid && old.at) continue;
        else if (old.pid !== it.pid) old.samples = [];
        history.set(it.service, { samples: old.samples, pid: it.pid, cpu: it.cpu_ms, at: now });
      }
    };
    const refresh = async () => {
      due = null;
      try {
        const answer = await fetch('/api/v1/services');
        if (!answer.ok) throw new Error(answer.status === 503 ? 'going does not answer' : `HTTP ${answer.status}`);
        services = (await answer.json()).services;
        sample(performance.now());
        lost(null);
        draw();
      } catch (error) { lost(error.message); }
    };
    let wasLost = false;
    const lost = (why) => {
      document.body.classList.toggle('lost', why !== null);
      if (why !== null) note(`No connection: ${why}. What is shown may be old; trying again.`, true);
      else if (wasLost) note('Connected again.');
      wasLost = why !== null;
    };
    const soon = () => { if (due === null) due = setTimeout(refresh, 150); };
    $('filter').oninput = draw;
    for (const it of document.querySelectorAll('[data-all]')) {
      it.onclick = async () => {
        const names = wanted().map((one) => one.service).filter((name) => name !== 'going-log'), word = it.dataset.all;
        if (!names.length || !confirm(`${word} ${names.length} services?`)) return;
        if (await post(`/api/v1/${word}`, { names })) note(`${names.length} services: ${word} asked for`);
        refresh();
      };
    }
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const typing = event.target.tagName === 'INPUT';
      if (event.key === 'Escape') { $('filter').value = ''; $('filter').blur(); draw(); return; }
      if (typing) return;
      const shown = wanted(), index = shown.findIndex((it) => it.service === chosen);
      const move = (to) => { chosen = shown.length ? shown[Math.max(0, Math.min(shown.length - 1, to))].service : null; draw();
        const row = body.querySelector('.chosen'); if (row) row.scrollIntoView({ block: 'nearest' }); };
      const words = { s: 'start', t: 'stop', r: 'restart' };
      if (event.key === '/') { event.preventDefault(); $('filter').focus(); }
      else if (event.key === 'j') move(index + 1);
      else if (event.key === 'k') move(index < 0 ? 0 : index - 1);
      else if (event.key === 'Enter' && chosen && event.target === document.body) location.href = `/services/${encodeURIComponent(chosen)}`;
      else if (words[event.key] && chosen && mayChange) act(words[event.key], chosen);
    });
    listen('/api/v1/events/stream', soon, (there) => { if (there) soon(); else refresh(); });
    setInterval(() => { if (!document.hidden) soon(); }, 4000);
    refresh();
  }

  // One service.
  const log = $('log');
  if (log) {
    const name = document.body.dataset.service, lines = [];
    const path = `/api/v1/services/${encodeURIComponent(name)}`;
    let paused = false, begun = false, due = null;
    const draw = () => {
      due = null;
      const text = $('search').value.toLowerCase(), atEnd = log.scrollTop + log.clientHeight > log.scrollHeight - 40;
      const shown = text ? lines.filter((line) => line.toLowerCase().includes(text)) : lines;
      if (text) {
        log.replaceChildren(...shown.map((line) => { const it = document.createElement('span'); it.className = 'hit'; it.textContent = `${line}\n`; return it; }));
      } else log.textContent = shown.join('\n');
      $('hits').textContent = text ? `${shown.length} of ${lines.length} lines` : '';
      if (atEnd || !begun) log.scrollTop = log.scrollHeight;
      begun = true;
    };
    const soon = () => { if (due === null) due = setTimeout(draw, 100); };
    listen(`${path}/log/stream`, (event) => {
      lines.push(JSON.parse(event.data));
      if (lines.length > 5000) lines.splice(0, lines.length - 5000);
      if (!paused) soon();
    }, (there) => { if (there) { lines.length = 0; note(''); } else note('The log is not followed at the moment; trying again.', true); });
    $('search').oninput = draw;
    $('pause').onclick = () => { paused = !paused; $('pause').textContent = paused ? 'go on' : 'pause'; if (!paused) draw(); };
    for (const it of document.querySelectorAll('form.act')) {
      it.onsubmit = async (event) => {
        event.preventDefault();
        const word = it.elements.action.value;
        if (await post(`${path}/${word}`)) note(`${word} asked for`);
      };
    }
    const facts = async () => {
      const answer = await fetch(path);
      if (answer.status === 404) { note('This service is gone.', true); return; }
      if (!answer.ok) return;
      const it = await answer.json();
      $('state').textContent = it.state; $('state').className = `state ${it.state}`;
      $('facts').textContent = [it.pid ? `pid ${it.pid}` : '', span(it.uptime_ms), size(it.memory_bytes), story(it)].filter(Boolean).join(', ');
    };
    listen('/api/v1/events/stream', facts, (there) => { if (there) facts(); });
    setInterval(() => { if (!document.hidden) facts(); }, 4000);
  }
})();
