// What the relay tells: the shapes of the HTTP API, as far as the page reads them. Times end in `_at` (RFC 3339), spans in `_seconds`.

export interface Stream {
  name: string;
  app: string;
  stream: string;
  state: 'live' | 'lost';
  since_at: string;
  publisher: { session: number; peer: string; tls: boolean; agent: string } | null;
  players: number;
  destinations: string[];
  bitrate: number | null;
  video: Video | null;
  audio: { codec: string; sample_rate: number | null; channels: number | null; bitrate: number | null } | null;
  av_skew_seconds: number | null;
  bytes: number;
}

export interface Video {
  codec: string;
  profile: string | null;
  level: string | null;
  width: number | null;
  height: number | null;
  frame_rate: number | null;
  bitrate: number | null;
  key_frame_interval_seconds: number | null;
  since_key_frame_seconds: number | null;
  b_frames: boolean;
}

export type State =
  'disabled' | 'waiting' | 'connecting' | 'live' | 'degraded' | 'backing_off' | 'rejected' | 'blocked' | 'draining';

export interface Destination {
  name: string;
  enabled: boolean;
  server: string;
  backup_server?: string | null;
  platform?: string | null;
  source_streams: string[];
  from: From;
  streams: Standing[];
}

/** Where a destination stands with one stream, or without one. */
export interface Standing {
  stream: string | null;
  state: State;
  since_at: string;
  reason: string | null;
  error: { class: string; text: string; advice: string; failed_at: string } | null;
  retry_at: string | null;
  attempts: number;
  reconnects: number;
  bytes_sent: number;
  dropped_frames: Record<string, number>;
  bitrate: number;
  lag_seconds: number;
  acknowledged_lag_seconds?: number | null;
  round_trip_seconds?: number | null;
  connected_seconds: number;
  at?: 'primary' | 'backup' | null;
  unannounced: string[];
  advice?: { matter: string; text: string; refused: boolean; confirmed: boolean }[];
}

export type From = 'file' | 'flags' | 'api';

export interface Session {
  id: number;
  role: 'publish' | 'play';
  stream: string;
  peer: string;
  tls: boolean;
  since_at: string;
  bytes: number;
}

export interface Recording {
  name: string;
  stream: string | null;
  state: 'waiting' | 'recording' | 'slow' | 'failed';
  file: string | null;
  bytes: number;
  error: string | null;
  from: From;
}

export interface Status {
  version: string;
  started_at: string;
  uptime_seconds: number;
  rtmp: { listen: string; tls_listen: string | null };
  api: { listen: string };
  streams: number;
  visitors: number;
  config_file: boolean;
}

/** An entry of the journal. */
export interface Entry {
  id: number;
  at: string;
  severity: 'info' | 'warning' | 'error';
  code: string;
  stream?: string;
  destination?: string;
  recording?: string;
  file?: string;
  peer?: string;
  class?: string;
  text?: string;
  count?: number;
}

export interface Platform {
  id: string;
  name: string;
  url: string | null;
  url_example: string | null;
  backup_url: string | null;
  key: { shape: string; example: string; query: boolean } | null;
}

export interface Config {
  access: { streams: string; publish: string; play: string }[];
  destinations: { name: string; max_bitrate?: number | null }[];
}

export interface Snapshot {
  streams: Stream[];
  destinations: Destination[];
  recordings: Recording[];
  sessions: Session[];
  status: Status;
}

export type Change =
  | { kind: 'stream'; value: Stream }
  | { kind: 'destination'; value: Destination }
  | { kind: 'recording'; value: Recording }
  | { kind: 'session'; value: Session }
  | { kind: 'status'; value: Status }
  | { kind: 'stream' | 'destination' | 'recording' | 'session'; gone: string | number; stream?: string };
