// The page of all services.
if ($('services')) {
  const body = $('services'), filter = $('filter'), rows = new Map();
  let services = [], chosen = null;

  // Also in table.rs.
  const isLike = (it, wanted) => !wanted || it.service.toLowerCase().includes(wanted) || it.state === wanted ||
    it.tag.some((tag) => `@${tag}`.toLowerCase() === wanted);
  const wanted = () => filter.value.trim().toLowerCase();
  const shown = () => services.filter((it) => isLike(it, wanted()));

  const row = (it) => {
    const old = rows.get(it.service);
    if (old) return old;
    const link = make('a', '', it.service);
    link.href = `/services/${encodeURIComponent(it.service)}`;
    const cells = { state: 'state-of', uptime: 'number', restarts: 'number restarts', memory: 'number', cpu: 'number', why: 'wide', acts: 'acts' };
    for (const [name, kind] of Object.entries(cells)) cells[name] = make('td', kind);
    const one = make('tr', '', make('td', '', link), ...Object.values(cells));
    one.dataset.name = it.service;
    rows.set(it.service, { one, cells });
    return rows.get(it.service);
  };

  const fill = (it) => {
    const { one, cells } = row(it);
    one.classList.toggle('chosen', it.service === chosen);
    setDot(cells.state, it.state);
    set(cells.uptime, span(it.uptime_ms));
    set(cells.restarts, String(Math.max(0, it.starts - 1)));
    setUsed(cells.memory, cells.cpu, it, used.get(it.service));
    set(cells.why, story(it));
    buttons(cells.acts, it, soon);
    return one;
  };

  const draw = () => {
    const all = shown().map(fill), old = [...body.children];
    // Only what moved is moved.
    if (all.length !== old.length || all.some((one, index) => one !== old[index])) {
      const focus = document.activeElement;
      body.replaceChildren(...all);
      if (focus && body.contains(focus)) focus.focus();
    }
    $('empty').hidden = all.length > 0;
    set($('empty'), services.length ? 'No service is like that.'
      : 'No services yet. Drop a file into going\'s directory, and it appears here.');
    const up = services.filter((it) => it.state === 'up').length, bad = services.filter((it) => it.state === 'failed' || it.state === 'quarantined').length;
    set($('count'), `${up} of ${services.length} up${bad ? `, ${bad} in trouble` : ''}`);
    document.title = `${bad ? `${bad} in trouble · ` : ''}${up}/${services.length} up · going`;
    for (const it of document.querySelectorAll('[data-all]')) {
      const count = targets().length;
      it.hidden = false;
      it.disabled = !count;
      set(it, wanted() ? `${it.dataset.all} these ${count}` : `${it.dataset.all} all`);
    }
    kinds();
  };

  // States and tags there are, as links that search for them.
  const kinds = () => {
    const counts = new Map();
    const add = (kind) => counts.set(kind, (counts.get(kind) || 0) + 1);
    services.forEach((it) => add(it.state));
    services.forEach((it) => it.tag.forEach((tag) => add(`@${tag}`)));
    const states = [...counts].sort(([a], [b]) => (a.startsWith('@') - b.startsWith('@')) || (a < b ? -1 : 1));
    const now = wanted(), place = $('kinds'), mark = `${now}|${states}`;
    if (place.dataset.mark === mark) return;
    const focus = document.activeElement && document.activeElement.dataset.kind;
    place.dataset.mark = mark;
    place.replaceChildren(...states.map(([kind, count]) => {
      const it = make('a', `kind ${kind}`, `${kind} `, make('b', '', String(count)));
      const isNow = kind.toLowerCase() === now;
      it.href = isNow ? '/' : `/?show=${encodeURIComponent(kind)}`;
      it.dataset.kind = kind;
      if (isNow) it.setAttribute('aria-current', 'true');
      it.onclick = (event) => { event.preventDefault(); search(isNow ? '' : kind); };
      return it;
    }));
    const again = focus && place.querySelector(`[data-kind="${CSS.escape(focus)}"]`);
    if (again) again.focus();
  };

  const search = (text) => {
    filter.value = text;
    history.replaceState(null, '', text ? `/?show=${encodeURIComponent(text)}` : '/');
    draw();
  };

  const refresh = async () => {
    try {
      services = (await ask('/services')).services;
      const now = performance.now();
      services.forEach((it) => sample(it, now));
      for (const name of [...rows.keys()]) {
        if (!services.some((it) => it.service === name)) { rows.delete(name); used.delete(name); }
      }
      lost(null);
      draw();
    } catch (error) {
      lost(error.message);
    }
  };

  // To all that are shown. The one that writes the logs of the others is not meant.
  const targets = () => shown().map((it) => it.service).filter((name) => name !== 'going-log');
  const confirmed = (word, names) => new Promise((done) => {
    const yes = make('button', 'yes', `${word} ${names.length === 1 ? names[0] : names.length}`);
    yes.value = 'yes';
    const form = make('form', '', make('p', '', `Really ${word} ${names.length === 1 ? 'this service' : `these ${names.length} services`}?`),
      make('p', 'soft names', names.join(', ')), make('div', 'tools', make('span', 'grow'), make('button', '', 'cancel'), yes));
    form.method = 'dialog';
    const box = make('dialog', '', form);
    box.onclose = () => { box.remove(); done(box.returnValue === 'yes'); };
    document.body.append(box);
    box.showModal();
  });
  for (const it of document.querySelectorAll('[data-all]')) {
    it.onclick = async () => {
      const names = targets(), word = it.dataset.all;
      if (!await confirmed(word, names)) return;
      if (await post(`/${word}`, { names })) note(`${names.length} services: ${word} asked for`);
      soon();
    };
  }

  $('search').onsubmit = (event) => { event.preventDefault(); filter.blur(); };
  filter.oninput = () => search(filter.value);

  const choose = (to) => {
    const all = shown();
    chosen = all.length ? all[Math.max(0, Math.min(all.length - 1, to))].service : null;
    draw();
    const one = body.querySelector('.chosen');
    if (one) one.scrollIntoView({ block: 'nearest' });
  };
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog')) return;
    if (event.key === 'Escape') { filter.blur(); search(''); return; }
    if (event.target.tagName === 'INPUT') return;
    const all = shown(), index = all.findIndex((it) => it.service === chosen), words = { s: 'start', t: 'stop', r: 'restart' };
    if (event.key === '/') { event.preventDefault(); filter.focus(); }
    else if (event.key === 'j') choose(index + 1);
    else if (event.key === 'k') choose(index - 1);
    else if (event.key === 'Enter' && index >= 0 && event.target === document.body) location.href = `/services/${encodeURIComponent(chosen)}`;
    else if (words[event.key] && index >= 0 && mayChange) act(words[event.key], chosen).then(() => soon());
  });
  const keys = [['/', 'search'], ['j', ''], ['k', 'choose'], ['Enter', 'open'],
    ...(mayChange ? [['s', 'start'], ['t', 'stop'], ['r', 'restart']] : []), ['Esc', 'all']];
  document.querySelector('footer').append(make('span', 'keys', ...keys.flatMap(([key, what]) => [make('kbd', '', key), ` ${what} `])));

  const soon = regularly(refresh, 3000);
  const events = happenings(null, soon);
  listen(() => `/events/stream${events.since()}`, (event) => { events.tell(event); soon(); }, events.begin);
}
