// An encoder that says whatever it is told: stream names and its own name, as hostile as they come.

import net from 'node:net';

const string = (text) => {
  const bytes = Buffer.from(text);
  return Buffer.concat([Buffer.from([2, bytes.length >> 8, bytes.length & 0xff]), bytes]);
};
const number = (value) => {
  const bytes = Buffer.alloc(9);
  bytes.writeDoubleBE(value, 1);
  return bytes;
};
const nothing = Buffer.from([5]);
const object = (fields) => {
  const parts = Object.entries(fields).map(([key, value]) => Buffer.concat([string(key).subarray(1), string(value)]));
  return Buffer.concat([Buffer.from([3]), ...parts, Buffer.from([0, 0, 9])]);
};

/** A message in chunks of 128 bytes, as every session begins. */
function message(type, stream, payload, time = 0) {
  const head = Buffer.alloc(12);
  head[0] = 3;
  head.writeUIntBE(time, 1, 3);
  head.writeUIntBE(payload.length, 4, 3);
  head[7] = type;
  head.writeUInt32LE(stream, 8);
  const parts = [head];
  for (let at = 0; at < payload.length; at += 128) {
    if (at) parts.push(Buffer.from([0xc3]));
    parts.push(payload.subarray(at, at + 128));
  }
  return Buffer.concat(parts);
}

/** Publishes a picture or two under a name, and stays. What is returned ends it. */
export async function publish(port, app, name, agent) {
  const socket = net.connect(port, '127.0.0.1');
  socket.on('error', () => {});
  const hello = Buffer.alloc(1536, 7);
  hello.fill(0, 0, 8);
  socket.write(Buffer.concat([Buffer.from([3]), hello]));
  let heard = Buffer.alloc(0);
  while (heard.length < 3073) {
    const piece = await new Promise((done, fail) => {
      socket.once('data', done);
      socket.once('close', () => fail(new Error('closed in the handshake')));
    });
    heard = Buffer.concat([heard, piece]);
  }
  socket.resume();
  const connect = Buffer.concat([
    string('connect'),
    number(1),
    object({ app, flashVer: agent, tcUrl: `rtmp://127.0.0.1/${app}` }),
  ]);
  socket.write(
    Buffer.concat([
      heard.subarray(1, 1537),
      message(20, 0, connect),
      message(20, 0, Buffer.concat([string('createStream'), number(2), nothing])),
      message(20, 1, Buffer.concat([string('publish'), number(3), nothing, string(name), string('live')])),
      message(8, 1, Buffer.from([0xaf, 0, 0x11, 0x90])),
      message(9, 1, Buffer.from([0x17, 0, 0, 0, 0, 1, 2, 3])),
      message(9, 1, Buffer.from([0x17, 1, 0, 0, 0, 1, 2, 3])),
    ]),
  );
  return () => socket.destroy();
}
