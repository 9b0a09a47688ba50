// The page of one service.
if (document.body.dataset.service) {
  const name = document.body.dataset.service, path = `/services/${encodeURIComponent(name)}`;
  const log = $('log'), find = $('find'), pause = $('pause');
  // More is a matter for goingctl.
  const LINES = 3000;

  const facts = (it) => {
    const old = sample(it, performance.now());
    const memory = make('dd', ''), cpu = make('dd', '');
    setUsed(memory, cpu, it, old);
    const all = [['process', it.pid], ['uptime', span(it.uptime_ms)],
      ['restarts', String(Math.max(0, it.starts - 1))], ['memory', memory], ['CPU', it.pid === null ? '' : cpu], ['next', coming(it)],
      ['command', it.cmd], ['listens', it.listen.join(' ')], ['tags', it.tag.join(' ')], ['file', it.file], ['log', it.log]];
    const full = all.filter(([, value]) => value && (value.nodeType ? value.firstChild : true));
    $('facts').replaceChildren(...full.flatMap(([key, value]) => [make('dt', '', key), value.nodeType ? value : make('dd', '', String(value))]));
  };

  const refresh = async () => {
    try {
      const answer = (await ask(`${path}/why`)).services[0];
      lost(null);
      setDot($('state'), answer.state);
      set($('story'), story(answer));
      buttons($('acts'), answer, soon);
      facts(answer);
      $('deaths').replaceChildren(...answer.deaths.flatMap((it) => [make('dt', '', `${span(it.ago_ms)} ago`),
        make('dd', '', ended(it) + (it.ordered ? ', by order' : ''))]));
      $('alive').hidden = answer.deaths.length > 0;
    } catch (error) {
      if (error.status === 404) note('This service is gone.', true);
      else lost(error.message);
    }
  };

  // The log, as it is written; or, with a search, those lines of all of it.
  let lines = [], fresh = [], found = null, isPaused = false, due = null;
  const isAtEnd = () => log.scrollTop + log.clientHeight > log.scrollHeight - 40;
  const text = () => find.value.toLowerCase();
  const line = (all) => {
    // Colours are for terminals.
    const plain = all.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '');
    const parts = plain.match(/^(\d{4}-\d\d-\d\dT[0-9:.]+(?:Z|[+-]\d\d:\d\d) )?(.*)$/s);
    const it = make('span', parts[2].startsWith('--- ') ? 'ours' : ''), what = text();
    if (parts[1]) it.append(make('span', 'time', parts[1]));
    let rest = parts[2];
    for (let at = what ? rest.toLowerCase().indexOf(what) : -1; at >= 0; at = rest.toLowerCase().indexOf(what)) {
      it.append(rest.slice(0, at), make('mark', '', rest.slice(at, at + what.length)));
      rest = rest.slice(at + what.length);
    }
    it.append(`${rest}\n`);
    return it;
  };
  const draw = () => {
    due = null;
    const wasAtEnd = isAtEnd(), what = text();
    let more = fresh;
    if (what) more = fresh.filter((it) => it.toLowerCase().includes(what));
    fresh = [];
    log.append(...more.slice(-LINES).map(line));
    while (log.childElementCount > LINES) log.firstChild.remove();
    if (wasAtEnd) log.scrollTop = log.scrollHeight;
    set($('hits'), what ? `${log.childElementCount} lines` : '');
  };
  const again = (all) => {
    log.replaceChildren();
    fresh = all.slice(-LINES);
    draw();
    log.scrollTop = log.scrollHeight;
  };
  const search = async () => {
    const what = text();
    if (!what) { again(lines); return; }
    try {
      const literally = what.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const all = (await ask(`${path}/log?lines=${LINES}&grep=${encodeURIComponent(literally)}`)).lines;
      if (text() === what) again(all);
    } catch (error) { note(error.message, true); }
  };
  if (log.dataset.none === undefined) {
    let waiting = null, isNew = true;
    find.hidden = false;
    pause.hidden = false;
    listen(() => `${path}/log/stream`, (it) => {
      if (isNew) { isNew = false; if (!text()) log.replaceChildren(); }
      lines.push(it);
      if (lines.length > LINES) lines = lines.slice(-LINES);
      fresh.push(it);
      if (fresh.length > LINES) fresh = fresh.slice(-LINES);
      if (!isPaused && due === null) due = setTimeout(draw, 100);
    }, () => {
      isNew = true;
      lines = [];
      fresh = [];
      // What comes now was found already.
      if (text()) { clearTimeout(waiting); waiting = setTimeout(search, 500); }
    });
    find.oninput = () => { clearTimeout(waiting); waiting = setTimeout(search, 200); };
    pause.onclick = () => { isPaused = !isPaused; set(pause, isPaused ? 'go on' : 'pause'); if (!isPaused) draw(); };
    log.scrollTop = log.scrollHeight;
  }

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Escape' && find.value) { find.value = ''; find.blur(); search(); }
    else if (event.key === 'Escape') find.blur();
    else if (event.key === '/' && event.target.tagName !== 'INPUT') { event.preventDefault(); find.focus(); }
  });

  const soon = regularly(refresh, 2000);
  // One connection is enough: what happened is asked for along with the rest.
  const events = happenings(name, () => {});
  regularly(events.begin, 3000);
}
