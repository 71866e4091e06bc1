// A look at a stream: HTTP-FLV, played by mpegts.js, which is loaded with the first look.

import { useEffect, useRef, useState } from 'preact/hooks';
import { headers } from './calls';

/** A picture that has stopped is looked for again after this long. */
const RETRY = 4_000;

export function Preview({ stream, codec }: { stream: string; codec: string | null }) {
  const video = useRef<HTMLVideoElement>(null);
  const [said, setSaid] = useState<string | null>('Loading …');
  const [loud, setLoud] = useState(false);
  useEffect(() => {
    const element = video.current;
    return element ? look(element, stream, setSaid) : undefined;
    // Another codec is another picture.
  }, [stream, codec]);
  return (
    <figure class="preview">
      <video ref={video} muted={!loud} playsInline aria-label={`Live picture of ${stream}`} />
      {said && (
        <p class="said" role="status">
          {said}
        </p>
      )}
      <button type="button" aria-pressed={loud} onClick={() => setLoud(!loud)}>
        {loud ? 'Mute' : 'Sound'}
      </button>
    </figure>
  );
}

/** Plays as long as the page is looked at. What is returned ends it. */
function look(video: HTMLVideoElement, stream: string, say: (what: string | null) => void): () => void {
  let over = false;
  let player: import('mpegts.js').default.Player | undefined;
  let again: ReturnType<typeof setTimeout> | undefined;
  const url = `/${stream.split('/').map(encodeURIComponent).join('/')}.flv`;

  async function begin() {
    const loaded = await import('mpegts.js').catch(() => null);
    if (over || player || document.hidden) return;
    if (!loaded) return stop(reason(undefined), RETRY);
    const { default: mpegts } = loaded;
    if (!mpegts.isSupported()) return say('This browser cannot play a live picture here.');
    mpegts.LoggingControl.enableAll = false;
    player = mpegts.createPlayer(
      { type: 'flv', isLive: true, url },
      {
        headers: headers(),
        enableStashBuffer: false,
        liveBufferLatencyChasing: true,
        liveBufferLatencyMaxLatency: 3,
        liveBufferLatencyMinRemain: 0.7,
        autoCleanupSourceBuffer: true,
      },
    );
    player.on(mpegts.Events.ERROR, (kind: string, _detail: string, info: { code?: number }) => {
      if (kind === mpegts.ErrorTypes.MEDIA_ERROR) stop(UNREADABLE, 4 * RETRY);
      else stop(reason(info.code), RETRY);
    });
    player.on(mpegts.Events.LOADING_COMPLETE, () => stop('The stream has ended.', RETRY));
    player.attachMediaElement(video);
    player.load();
    try {
      await player.play();
    } catch {
      // It ends before it has begun, or the browser wants a press of a button: `playing` says when there is a picture.
    }
  }

  /** Ends, says why, and looks again after a while. */
  function stop(why: string, rest: number) {
    say(why);
    clearTimeout(again);
    // Not in the middle of what the player does: it goes on with itself after it has told.
    again = setTimeout(() => {
      end();
      again = setTimeout(begin, rest);
    });
  }

  function end() {
    clearTimeout(again);
    const ended = player;
    player = undefined;
    ended?.destroy();
  }

  function sight() {
    if (document.hidden) end();
    else void begin();
  }

  const playing = () => say(null);
  video.addEventListener('playing', playing);
  document.addEventListener('visibilitychange', sight);
  void begin();
  return () => {
    over = true;
    end();
    video.removeEventListener('playing', playing);
    document.removeEventListener('visibilitychange', sight);
  };
}

const UNREADABLE = 'This browser does not play the codecs of this stream. Destinations get it all the same.';

/** Why there is no picture, by the status of the answer. */
function reason(status: number | undefined): string {
  if (status === 401 || status === 403) return 'Who wants to play this stream needs a key, and this page has none.';
  if (status === 404) return 'There is no picture now.';
  if (status === 503) return 'So many look at streams already that there is no room for one more.';
  return 'The picture has stopped; it is tried again.';
}
