// The top of the page: how the show stands in one line that can be read from afar, and whether that is still so.

import { useComputed } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { connected, heardAt, trouble as lastTrouble } from './connection';
import { signedOut } from './calls';
import { showTrouble } from './destinations';
import { Icon } from './icon';
import { counts, destinations, now, status, streams } from './show';
import type { State } from './told';
import { clock, plural, span } from './words';

interface Verdict {
  state: State;
  text: string;
}

function verdict(): Verdict {
  const of = (...states: State[]) => states.reduce((sum, state) => sum + (counts.value[state] ?? 0), 0);
  const all = destinations.keys.value.length - of('disabled');
  const lost = streams.all().filter((stream) => stream.state === 'lost').length;
  const [wrong, trying, live] = [of('rejected', 'blocked'), of('backing_off', 'degraded'), of('live')];
  if (destinations.keys.value.length === 0) {
    return {
      state: 'waiting',
      text: streams.keys.value.length ? 'Published, and sent nowhere' : 'Nothing is sent anywhere yet',
    };
  }
  if (wrong) return { state: 'rejected', text: `${live} of ${all} live, ${plural(wrong, 'needs', 'need')} you` };
  if (lost) return { state: 'degraded', text: `${plural(lost, 'encoder')} lost` };
  if (trying) return { state: 'backing_off', text: `${live} of ${all} live, ${trying} in trouble` };
  if (streams.keys.value.length === 0) return { state: 'waiting', text: 'Nothing is published' };
  if (all > 0 && live === all) return { state: 'live', text: all === 1 ? 'Live' : `All ${all} live` };
  return { state: live ? 'connecting' : 'waiting', text: `${live} of ${all} live` };
}

export function Top() {
  const now = useComputed(verdict);
  const { state, text } = now.value;
  const there = connected.value;
  const trouble = state === 'rejected' || state === 'backing_off';
  useEffect(() => {
    document.title = there ? `${text} · rtmp-relay` : 'Not connected · rtmp-relay';
  }, [text, there]);
  return (
    <header class="top">
      <p class="brand">
        <img src="/icon.svg" alt="" width="28" height="28" /> rtmp-relay
        {status.value && <span class="version">{status.value.version}</span>}
      </p>
      <p class={`verdict ${there ? state : 'stale'}`} id="verdict">
        <Icon state={state} />{' '}
        {trouble ? (
          <a href="#destinations" onClick={showTrouble}>
            {text}
          </a>
        ) : (
          text
        )}
      </p>
      <Link />
    </header>
  );
}

/** Whether we hear the relay. */
function Link() {
  if (connected.value) {
    return (
      <p class="link">
        <span class="dot" aria-hidden="true" /> Connected
        {status.value && <Uptime since={status.value.started_at} />}
      </p>
    );
  }
  return <p class="link gone">Not connected</p>;
}

function Uptime({ since }: { since: string }) {
  return <span class="quiet"> · up {span((now.value - Date.parse(since)) / 1000)}</span>;
}

/** Says that what is shown is old, and how old. */
export function Stale() {
  const shown = !connected.value && signedOut.value === null;
  return (
    <div role="status" class={shown ? 'stale-banner' : 'hidden'}>
      {shown && (
        <>
          <strong>Not connected to the relay{lastTrouble.value ? `: ${lastTrouble.value}` : ''}.</strong>{' '}
          {heardAt.value === null
            ? 'Nothing has been heard of it yet.'
            : `What you see is as of ${clock(heardAt.value)}.`}{' '}
          It is tried again all the time. If it is only this page that has lost the relay, the show goes on.
          {heardAt.value !== null && <Age since={heardAt.value} />}
        </>
      )}
    </div>
  );
}

/** Seconds are for the eye; nobody wants them read out. */
function Age({ since }: { since: number }) {
  void now.value;
  return <span aria-hidden="true"> ({span((Date.now() - since) / 1000)} old)</span>;
}
