// The start: what to do before anything is live, and what to paste into OBS.

import { useEffect, useState } from 'preact/hooks';
import { Copy } from './bits';
import { call } from './calls';
import { dialog } from './dialog';
import { usePlatforms, Write } from './form';
import { destinations, status, streams } from './show';
import type { Config, Status } from './told';

/** From nothing to the first live destination; gone once something is published and sent. */
export function Start() {
  const [sent, published] = [destinations.keys.value.length > 0, streams.keys.value.length > 0];
  if (!status.value || (sent && published)) return null;
  return (
    <section class="start" aria-labelledby="start">
      <h2 id="start">{sent ? 'Waiting for your encoder' : 'Go live in three steps'}</h2>
      <ol>
        <li class={sent ? 'done' : ''}>
          <h3>Say where your stream goes</h3>
          {sent ? <p class="quiet">Done. More can be added at any time, in mid-show too.</p> : <Where />}
        </li>
        <li class={published ? 'done' : ''}>
          <h3>Paste this into OBS</h3>
          {published ? <p class="quiet">Done: a stream is coming in.</p> : <Paste />}
        </li>
        <li>
          <h3>Press Start Streaming in OBS</h3>
          <p class="quiet">
            Within seconds every destination turns live here. One that does not says why, and what to do.
          </p>
        </li>
      </ol>
    </section>
  );
}

/** A button for each platform. */
function Where() {
  const platforms = usePlatforms();
  return (
    <div class="platforms">
      {platforms.map((platform) => (
        <button key={platform.id} type="button" onClick={() => (dialog.value = <Write preset={platform.id} />)}>
          {platform.name}
        </button>
      ))}
      <button type="button" onClick={() => (dialog.value = <Write />)}>
        Another server
      </button>
    </div>
  );
}

/** What an encoder wants to be told, always at hand. */
export function Encoder() {
  if (!status.value || destinations.keys.value.length === 0 || streams.keys.value.length === 0) return null;
  return (
    <details class="block">
      <summary>
        <h2>What to paste into OBS</h2>
      </summary>
      <Paste />
    </details>
  );
}

/** Server and stream key. */
function Paste() {
  const [name, setName] = useState('show');
  const [keyed, setKeyed] = useState(false);
  useEffect(() => {
    call<Config>('GET', 'config').then(
      (config) => setKeyed(config.access.some((rule) => rule.publish.includes('key'))),
      () => {},
    );
  }, []);
  const told = status.value;
  if (!told) return null;
  const key = `${name || 'show'}${keyed ? '?key=YOUR-PUBLISH-KEY' : ''}`;
  return (
    <div class="paste">
      <p class="quiet">Settings → Stream, Service “Custom…”. Platforms want Output → Keyframe Interval at 2 s.</p>
      <Copy id="paste-server" what="Server" text={`${server(told)}/live`} />
      <Copy id="paste-key" what="Stream key" text={key} />
      <div class="field">
        <label for="paste-name">Name of the stream</label>
        <input
          id="paste-name"
          value={name}
          spellcheck={false}
          autocapitalize="off"
          onInput={(event) => setName(event.currentTarget.value.trim())}
        />
        <p class="hint">
          {keyed
            ? 'Who publishes here needs a key of this relay: put it in the place of YOUR-PUBLISH-KEY.'
            : 'Any name will do; it is no secret.'}
        </p>
      </div>
    </div>
  );
}

/** Where an encoder reaches the relay. */
function server(told: Status): string {
  const [, host = '', port = '1935'] = /^(.*):(\d+)$/.exec(told.rtmp.listen) ?? [];
  // One that listens everywhere is reached where this page has been.
  const everywhere = host === '0.0.0.0' || host === '[::]';
  return `rtmp://${everywhere ? location.hostname : host}${port === '1935' ? '' : `:${port}`}`;
}
