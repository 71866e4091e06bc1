// The destinations: where each stands, since when, what is wrong and what to do, and the buttons to do it.

import { signal, useComputed, type ReadonlySignal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { Act, Chip, Figure, note, Since, Theirs, Until } from './bits';
import { call } from './calls';
import { Chart } from './chart';
import { dialog } from './dialog';
import { Remove, Write } from './form';
import { destinations, streams, urgency, worst } from './show';
import type { Destination, Standing } from './told';
import { count, lag, rate, sentence, size, span } from './words';

/** From this many on, they can be searched. */
const MANY = 8;

type Choice = 'all' | 'trouble' | 'live' | 'off';
const CHOICES: Record<Choice, string> = { all: 'All', trouble: 'Trouble', live: 'Live', off: 'Off' };

const words = signal('');
const choice = signal<Choice>('all');

/** Shows those that need somebody, and no others, if there are many. */
export function showTrouble() {
  words.value = '';
  choice.value = 'trouble';
}

function isOf(choice: Choice, destination: Destination): boolean {
  const standing = worst(destination);
  switch (choice) {
    case 'all':
      return true;
    case 'trouble':
      return standing !== undefined && urgency(standing.state) >= 2;
    case 'live':
      return standing?.state === 'live';
    case 'off':
      return !destination.enabled;
  }
}

export function Destinations() {
  const keys = destinations.keys.value;
  if (keys.length === 0 && streams.keys.value.length === 0) return null;
  return (
    <section aria-labelledby="destinations">
      <div class="head">
        <h2 id="destinations">
          Destinations <span class="quiet">{keys.length}</span>
        </h2>
        <button type="button" class="main" onClick={() => (dialog.value = <Write />)}>
          Add a destination
        </button>
      </div>
      {keys.length >= MANY && <Choose />}
      <ul class="destinations">
        {keys.map((key) => (
          <Row key={key} destination={destinations.row(key)} />
        ))}
      </ul>
    </section>
  );
}

/** Which of many are shown. */
function Choose() {
  const all = destinations.all();
  return (
    <div class="choose" role="group" aria-label="Which destinations are shown">
      {(Object.keys(CHOICES) as Choice[]).map((which) => (
        <button key={which} type="button" aria-pressed={choice.value === which} onClick={() => (choice.value = which)}>
          {CHOICES[which]} {all.filter((destination) => isOf(which, destination)).length}
        </button>
      ))}
      <input
        type="search"
        aria-label="Search destinations"
        placeholder="Search"
        value={words.value}
        onInput={(event) => (words.value = event.currentTarget.value)}
      />
    </div>
  );
}

function Row({ destination: row }: { destination: ReadonlySignal<Destination> }) {
  const shown = useComputed(() => {
    const search = words.value.trim().toLowerCase();
    const { name, server, streams } = row.value;
    const text = [name, server, ...streams.map((standing) => standing.stream ?? '')].join(' ').toLowerCase();
    // What has been chosen among many does not hide anything once there are few.
    return destinations.keys.value.length < MANY || (isOf(choice.value, row.value) && text.includes(search));
  });
  const [open, setOpen] = useState(false);
  if (!shown.value) return null;
  const destination = row.value;
  const { name, enabled, server, platform } = destination;
  const standings = destination.streams;
  const state = worst(destination)?.state ?? (enabled ? 'waiting' : 'disabled');
  const path = `destinations/${encodeURIComponent(name)}`;
  const retry = async () => {
    await call('POST', `${path}/retry`);
    note(`${name} is tried now`);
  };
  return (
    <li data-name={name} data-state={state}>
      <div class={`card destination ${state}`}>
        <div class="who">
          <h3>
            <Theirs clip>{name}</Theirs>
          </h3>
          <p class="quiet where">
            {platform && platform !== name && <bdi class="tag theirs clip">{platform}</bdi>}
            <Theirs clip>{server}</Theirs>
          </p>
        </div>
        <div class="stands">
          {standings.map((standing) => (
            <Stands key={standing.stream ?? ''} standing={standing} of={destination} open={open} />
          ))}
        </div>
        <div class="actions">
          {standings.some((standing) => standing.retry_at) && (
            <Act act={retry} label={`Try now: ${name}`} class="main">
              Try now
            </Act>
          )}
          {standings.some((standing) => standing.attempts > 0) && (
            <button type="button" aria-label={`Details of ${name}`} aria-expanded={open} onClick={() => setOpen(!open)}>
              Details
            </button>
          )}
          <Act
            act={() => call('POST', `${path}/${enabled ? 'disable' : 'enable'}`)}
            label={`${enabled ? 'Disable' : 'Enable'} ${name}`}
          >
            {enabled ? 'Disable' : 'Enable'}
          </Act>
          <button
            type="button"
            aria-label={`Edit ${name}`}
            onClick={() => (dialog.value = <Write before={row.peek()} />)}
          >
            Edit
          </button>
          <button
            type="button"
            aria-label={`Remove ${name}`}
            onClick={() => (dialog.value = <Remove destination={row.peek()} />)}
          >
            Remove
          </button>
        </div>
      </div>
    </li>
  );
}

/** How it stands with one stream. */
function Stands({ standing, of, open }: { standing: Standing; of: Destination; open: boolean }) {
  const { state, stream, error, retry_at: retry, reason } = standing;
  const wrong = urgency(state) >= 2;
  const drops = Object.values(standing.dropped_frames).reduce((sum, dropped) => sum + dropped, 0);
  const tried = standing.attempts > 0;
  return (
    <div class="standing">
      <div class="state">
        <Chip state={state} />
        <span class="since">
          for <Since at={standing.since_at} />
        </span>
        {standing.at === 'backup' && <span class="tag">at the backup server</span>}
        {stream !== null && (
          <span class="quiet">
            <Theirs clip>{stream}</Theirs>
          </span>
        )}
      </div>
      {tried && (
        <dl class="figures">
          <Figure what="Bitrate" wrong={state === 'degraded'}>
            {rate(standing.bitrate)}
          </Figure>
          <Figure what="Lag" wrong={standing.lag_seconds >= 2}>
            {lag(standing.lag_seconds)}
          </Figure>
          <Figure what="Drops">{count(drops)}</Figure>
          <Figure what="Reconnects">{count(standing.reconnects)}</Figure>
        </dl>
      )}
      {wrong && (error || reason) && <Trouble error={error} reason={reason} />}
      {retry && (
        <p class="retry">
          Next try <Until at={retry} />
          {standing.attempts > 1 && <span class="quiet">, after {count(standing.attempts)} so far</span>}
        </p>
      )}
      {standing.advice?.map((advice) => (
        <p key={advice.matter} class="advice">
          {advice.refused && <strong>Not sent: </strong>}
          <Theirs>{sentence(advice.text)}</Theirs>
        </p>
      ))}
      {tried && open && <More standing={standing} of={of} />}
    </div>
  );
}

/** What is wrong, and what to do about it. */
function Trouble({ error, reason }: Pick<Standing, 'error' | 'reason'>) {
  const text = error?.text ?? reason ?? '';
  const also = error && reason && !reason.includes(error.text) && !error.text.includes(reason) ? reason : null;
  return (
    <p class="problem">
      <Theirs>{sentence(text)}</Theirs>
      {also && (
        <span class="quiet">
          {' '}
          (<Theirs>{also}</Theirs>)
        </span>
      )}
      {error && (
        <span class="advice">
          What to do: <Theirs>{error.advice}</Theirs>.
        </span>
      )}
    </p>
  );
}

/** How old what the server has acknowledged is; servers do so now and then only. */
function acknowledged({ acknowledged_lag_seconds: behind }: Standing): string {
  return behind === null || behind === undefined ? '–' : `up to ${lag(behind)} ago`;
}

/** What is of interest now and then. */
function More({ standing, of }: { standing: Standing; of: Destination }) {
  const { error } = standing;
  const drops = Object.entries(standing.dropped_frames);
  return (
    <div class="more">
      <dl class="figures">
        <Figure what="Sent">{size(standing.bytes_sent)}</Figure>
        <Figure what="Connected">{span(standing.connected_seconds)}</Figure>
        <Figure what="Tries">{count(standing.attempts)}</Figure>
        <Figure what="Acknowledged">{acknowledged(standing)}</Figure>
        <Figure what="Round trip">{lag(standing.round_trip_seconds)}</Figure>
        <Figure what="Left out">
          <Theirs>{drops.map(([why, number]) => `${count(number)} for ${why}`).join(', ') || 'nothing'}</Theirs>
        </Figure>
      </dl>
      {error && urgency(standing.state) < 2 && (
        <p>
          Last error: <Theirs>{error.text}</Theirs>
          <span class="quiet">
            , <Since at={error.failed_at} /> ago
          </span>
          . If it comes again: <Theirs>{error.advice}</Theirs>.
        </p>
      )}
      {standing.unannounced.length > 0 && (
        <p>
          The server did not announce <Theirs>{standing.unannounced.join(', ')}</Theirs>; it is sent all the same.
        </p>
      )}
      {of.streams.length === 1 && <Chart kind="destination" of={of.name} what={`Bitrate sent to ${of.name}`} />}
    </div>
  );
}
