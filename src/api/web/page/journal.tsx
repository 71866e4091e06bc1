// The journal: what has happened, the newest first, as much of it as somebody wants to see.

import { signal, useComputed } from '@preact/signals';
import { Theirs } from './bits';
import { entries, missed } from './show';
import type { Entry } from './told';
import { clock, happening, moment, plural } from './words';

/** More than this is not shown at once. */
const SHOWN = 150;

type Least = Entry['severity'];
const LEAST: Record<Least, string> = { info: 'Everything', warning: 'Warnings and errors', error: 'Errors' };
const RANK: Record<Least, number> = { info: 0, warning: 1, error: 2 };

const words = signal('');
const least = signal<Least>('info');

export function Journal() {
  const found = useComputed(() => {
    const search = words.value.trim().toLowerCase();
    const rank = RANK[least.value];
    return entries.value.filter((entry) => RANK[entry.severity] >= rank && said(entry).toLowerCase().includes(search));
  });
  return (
    <section aria-labelledby="events">
      <div class="head">
        <h2 id="events">What has happened</h2>
        <div class="choose">
          <select
            aria-label="How bad at least"
            value={least.value}
            onChange={(event) => (least.value = event.currentTarget.value as Least)}
          >
            {(Object.keys(LEAST) as Least[]).map((which) => (
              <option key={which} value={which}>
                {LEAST[which]}
              </option>
            ))}
          </select>
          <input
            type="search"
            aria-label="Search in what has happened"
            placeholder="Search"
            value={words.value}
            onInput={(event) => (words.value = event.currentTarget.value)}
          />
        </div>
      </div>
      {found.value.length === 0 ? (
        <p class="quiet">{entries.value.length ? 'Nothing like that has happened.' : 'Nothing has happened yet.'}</p>
      ) : (
        <ol class="journal" tabIndex={0} aria-labelledby="events">
          {found.value.slice(0, SHOWN).map((entry) => (
            <Line key={entry.id} entry={entry} />
          ))}
        </ol>
      )}
      {found.value.length > SHOWN && <p class="quiet">And {found.value.length - SHOWN} older ones: search for them.</p>}
      {missed.value > 0 && (
        <p class="quiet">{plural(missed.value, 'entry', 'entries')} more, which the relay no longer has.</p>
      )}
    </section>
  );
}

const SEVERITY: Record<Least, string> = { info: '', warning: 'Warning: ', error: 'Error: ' };

function Line({ entry }: { entry: Entry }) {
  const who = entry.destination ?? entry.recording ?? entry.stream;
  const also = entry.destination || entry.recording ? entry.stream : undefined;
  return (
    <li class={`entry ${entry.severity}`}>
      <time dateTime={entry.at} title={moment(entry.at)}>
        {clock(entry.at)}
      </time>
      <p>
        {entry.severity !== 'info' && <span class="mark">{SEVERITY[entry.severity]}</span>}
        {who !== undefined && (
          <strong>
            <Theirs>{who}</Theirs>
          </strong>
        )}{' '}
        {happening(entry)}
        {also !== undefined && (
          <>
            {' '}
            with <Theirs>{also}</Theirs>
          </>
        )}
        {entry.count !== undefined && ` (${entry.count})`}
        {entry.file !== undefined && (
          <>
            : <Theirs>{entry.file}</Theirs>
          </>
        )}
        {entry.text !== undefined && (
          <>
            : <Theirs>{entry.text}</Theirs>
          </>
        )}
        {entry.peer !== undefined && (
          <span class="quiet">
            {' '}
            <Theirs>{entry.peer}</Theirs>
          </span>
        )}
      </p>
    </li>
  );
}

/** All of its text, for a search. */
function said(entry: Entry): string {
  return [
    entry.destination,
    entry.recording,
    entry.stream,
    happening(entry),
    entry.code,
    entry.class,
    entry.file,
    entry.text,
    entry.peer,
  ].join(' ');
}
