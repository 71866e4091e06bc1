// The streams: what is published here, how well, where it goes, and a look at it.

import type { ReadonlySignal } from '@preact/signals';
import { useState } from 'preact/hooks';
import { Act, Chip, Figure, note, Since, Theirs } from './bits';
import { call } from './calls';
import { Chart } from './chart';
import { Preview } from './preview';
import { destinations, now, recordings, sessions, status, streams, urgency } from './show';
import type { Recording, State, Stream } from './told';
import { lag, plural, rate, size, span, STATES } from './words';

/** More than this many are told in brief. */
const MANY = 6;

export function Streams() {
  const keys = streams.keys.value;
  if (keys.length === 0) return null;
  return (
    <section aria-labelledby="streams">
      <h2 id="streams">
        Streams <span class="quiet">{keys.length}</span>
      </h2>
      <ul class="streams">
        {keys.map((key) => (
          <Card key={key} stream={streams.row(key)} brief={keys.length > MANY} />
        ))}
      </ul>
    </section>
  );
}

function Card({ stream: row, brief }: { stream: ReadonlySignal<Stream>; brief: boolean }) {
  const stream = row.value;
  const [looks, setLooks] = useState(false);
  const [more, setMore] = useState(false);
  const lost = stream.state === 'lost';
  return (
    <li class={`card stream ${lost ? 'lost' : 'live'}`}>
      <div class="head">
        <h3>
          <Theirs clip>{stream.name}</Theirs>
        </h3>
        <Chip state={lost ? 'lost' : 'live'} word={lost ? 'Encoder lost' : 'Live'} />
        <Since at={stream.since_at} />
      </div>
      {lost && (
        <p class="problem lost">
          The encoder's connection is lost. Every destination stays connected and waits for it to come back.
        </p>
      )}
      <Health stream={stream} brief={brief && !more} />
      {looks && <Preview stream={stream.name} codec={stream.video?.codec ?? null} />}
      {(!brief || more) && <Chart kind="stream" of={stream.name} what={`Bitrate of ${stream.name}`} />}
      <Goes to={stream} />
      {(!brief || more) && <Source of={stream} />}
      <div class="actions">
        <button type="button" aria-pressed={looks} onClick={() => setLooks(!looks)}>
          {looks ? 'Hide picture' : 'Show picture'}
        </button>
        <Record stream={stream.name} />
        {brief && (
          <button type="button" aria-expanded={more} onClick={() => setMore(!more)}>
            Details
          </button>
        )}
      </div>
    </li>
  );
}

function Health({ stream, brief }: { stream: Stream; brief: boolean }) {
  const { video, audio } = stream;
  return (
    <dl class="figures">
      <Figure what="Bitrate" wrong={stream.state === 'live' && stream.bitrate === 0}>
        {rate(stream.bitrate)}
      </Figure>
      <Figure what="Frames">{video?.frame_rate ? `${Math.round(video.frame_rate * 10) / 10} fps` : '–'}</Figure>
      <Figure what="Picture">{video?.width && video.height ? `${video.width}×${video.height}` : '–'}</Figure>
      <Figure what="Key frames" wrong={(video?.key_frame_interval_seconds ?? 0) > 4}>
        {video?.key_frame_interval_seconds ? `every ${video.key_frame_interval_seconds.toFixed(1)} s` : '–'}
      </Figure>
      {!brief && (
        <Figure what="Codec">
          {video ? [video.codec, video.profile, video.level].filter(Boolean).join(' ') : 'no video'}
        </Figure>
      )}
      {!brief && <Figure what="Sound">{audio ? `${audio.codec}, ${rate(audio.bitrate)}` : 'none'}</Figure>}
      {stream.av_skew_seconds !== null && Math.abs(stream.av_skew_seconds) >= 0.5 && (
        <Figure what={stream.av_skew_seconds > 0 ? 'Sound early' : 'Sound late'} wrong>
          {lag(Math.abs(stream.av_skew_seconds))}
        </Figure>
      )}
    </dl>
  );
}

/** Where it comes from. */
function Source({ of: { publisher, bytes, players } }: { of: Stream }) {
  return (
    <p class="quiet from">
      {publisher && (
        <Theirs
          clip
        >{`From ${publisher.peer}${publisher.tls ? ' over TLS' : ''}, ${publisher.agent || 'an encoder without a name'}`}</Theirs>
      )}
      <span>
        {size(bytes)} received, {plural(players, 'player')}
      </span>
    </p>
  );
}

/** Its destinations, counted by how they stand with it. */
function Goes({ to }: { to: Stream }) {
  const states = new Map<State, number>();
  for (const name of to.destinations) {
    const standing = destinations.get(name)?.streams.find((standing) => standing.stream === to.name);
    if (standing) states.set(standing.state, (states.get(standing.state) ?? 0) + 1);
  }
  const sorted = [...states].sort(([a], [b]) => urgency(b) - urgency(a));
  return (
    <p class="goes">
      {to.destinations.length === 0 ? 'It is sent nowhere.' : `${plural(to.destinations.length, 'destination')}:`}
      {sorted.map(([state, number]) => (
        <Chip key={state} state={state} word={`${number} ${STATES[state].toLowerCase()}`} />
      ))}
    </p>
  );
}

function Record({ stream }: { stream: string }) {
  const recording = recordings.all().find((recording) => recording.stream === stream);
  if (!recording) {
    const record = async () => {
      await call('POST', 'recordings', { stream });
      note(`${stream} is recorded from its next key frame on`);
    };
    return <Act act={record}>Record</Act>;
  }
  if (recording.from !== 'api') return <span class="quiet">Recorded, as configured</span>;
  return (
    <Act pressed act={() => call('DELETE', `recordings/${encodeURIComponent(recording.name)}`)}>
      Stop recording
    </Act>
  );
}

/** What is written. */
export function Recordings() {
  const all = recordings.all();
  if (all.length === 0) return null;
  return (
    <section aria-labelledby="recordings">
      <h2 id="recordings">
        Recordings <span class="quiet">{all.length}</span>
      </h2>
      <ul class="rows">
        {all.map((recording) => (
          <Written key={`${recording.name} ${recording.stream}`} recording={recording} />
        ))}
      </ul>
    </section>
  );
}

/** The states of a recording, by shape and word. */
const WRITTEN: Record<Recording['state'], [State, string]> = {
  waiting: ['waiting', 'Waiting'],
  recording: ['live', 'Recording'],
  slow: ['degraded', 'Slow disk'],
  failed: ['rejected', 'Failed'],
};

function Written({ recording }: { recording: Recording }) {
  const [state, word] = WRITTEN[recording.state];
  return (
    <li class="row">
      <Chip state={state} word={word} />
      <span class="grow">
        <strong>
          {recording.stream ? <Theirs clip>{recording.stream}</Theirs> : <Theirs clip>{recording.name}</Theirs>}
        </strong>
        {recording.file && (
          <span class="quiet">
            <Theirs clip>{recording.file}</Theirs>
          </span>
        )}
        {recording.error && recording.state === 'failed' && (
          <span class="problem">
            <Theirs>{recording.error}</Theirs>. Check the disk: it is tried again every ten seconds.
          </span>
        )}
      </span>
      <span class="number">{size(recording.bytes)}</span>
    </li>
  );
}

/** Who is connected here. */
export function Sessions() {
  const keys = sessions.keys.value;
  const told = status.value;
  return (
    <details class="block">
      <summary>
        <h2>
          Connections <span class="quiet">{keys.length}</span>
        </h2>
      </summary>
      {keys.length === 0 && <p class="quiet">Nobody publishes or plays here now.</p>}
      <ul class="rows">
        {keys.map((key) => (
          <Seat key={key} id={key} />
        ))}
      </ul>
      {told && told.visitors > keys.length && (
        <p class="quiet">{plural(told.visitors - keys.length, 'connection')} more that neither publish nor play yet.</p>
      )}
    </details>
  );
}

function Seat({ id }: { id: string }) {
  const session = sessions.row(id).value;
  const what = session.role === 'publish' ? 'publishes' : 'plays';
  const kick = () => call('DELETE', `sessions/${session.id}`);
  return (
    <li class="row">
      <span class="grow">
        <strong>
          <Theirs clip>{session.peer}</Theirs>
        </strong>
        <span>
          {what} <Theirs clip>{session.stream}</Theirs>
        </span>
        <span class="quiet">
          {session.tls ? 'TLS · ' : ''}
          <Age at={session.since_at} /> · {size(session.bytes)}
        </span>
      </span>
      <Act act={kick} label={`Disconnect ${session.peer}, who ${what} ${session.stream}`}>
        Disconnect
      </Act>
    </li>
  );
}

function Age({ at }: { at: string }) {
  return <>{span((now.value - Date.parse(at)) / 1000)}</>;
}
