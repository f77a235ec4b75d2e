/**
 * Live samples as Opus in Ogg (RFC 7845), a tenth of the bytes: for links too thin for raw samples.
 *
 * The browser encodes; the pages around its packets are made here, as `MediaRecorder` gives what the
 * device hears, and not what a lost connection must be sent again.
 */

const OPUS_RATE = 48_000; // what Ogg's positions count in, whatever the input's rate
const FRAME_US = 20_000;
const BITS_PER_SECOND = 24_000; // speech is understood as without compression
const PAGE_PACKETS = 10; // 200 ms: a smaller page would cost more bytes than it saves time
const MAX_LACING = 255;
const FIRST_PAGE = 2;
const LAST_PAGE = 4;
const SERIAL = 1;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte << 24;
  for (let bit = 0; bit < 8; bit += 1) rest = rest & 0x8000_0000 ? (rest << 1) ^ 0x04c1_1db7 : rest << 1;
  return rest;
});

/** Whether this browser can encode Opus. */
export function hasOpus() {
  return typeof AudioEncoder === "function" && typeof AudioData === "function";
}

/** Encodes the samples of one connection, and gives out pages of bytes as they are whole. */
export class OpusStream {
  #encoder;
  #send;
  #rate;
  #samples = 0;
  #position = 0;
  #sequence = 0;
  /** @type {Uint8Array[]} */
  #packets = [];
  #began = false;
  #preSkip = 312; // the encoder's delay, if it does not say

  /**
   * @param {number} sampleRate of the samples, in Hz
   * @param {(page: Uint8Array<ArrayBuffer>) => void} send
   * @param {(error: DOMException) => void} failed
   */
  constructor(sampleRate, send, failed) {
    this.#send = send;
    this.#rate = sampleRate;
    this.#encoder = new AudioEncoder({
      output: (chunk, { decoderConfig } = {}) => this.#onPacket(chunk, decoderConfig),
      error: failed,
    });
    this.#encoder.configure({
      codec: "opus",
      sampleRate,
      numberOfChannels: 1,
      bitrate: BITS_PER_SECOND,
      opus: { application: "voip", frameDuration: FRAME_US },
    });
  }

  /** Bytes of samples in each byte sent, about. */
  get compression() {
    return (this.#rate * 16) / BITS_PER_SECOND;
  }

  /** @param {Int16Array<ArrayBuffer>} samples */
  encode(samples) {
    const data = new AudioData({
      format: "s16",
      sampleRate: this.#rate,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp: Math.round((this.#samples * 1e6) / this.#rate),
      data: samples,
    });
    this.#samples += samples.length;
    this.#encoder.encode(data);
    data.close();
  }

  /** All that was encoded goes out, to the last sample and no further. */
  async end() {
    if (this.#encoder.state === "closed") return;
    try {
      await this.#encoder.flush();
    } catch (error) {
      if (this.#encoder.state === "closed") return; // meanwhile: there is nobody to send it to
      throw error;
    }
    const length = Math.round((this.#samples * OPUS_RATE) / this.#rate);
    this.#flushPage(LAST_PAGE, Math.min(this.#position, this.#preSkip + length));
    this.close();
  }

  close() {
    if (this.#encoder.state !== "closed") this.#encoder.close();
  }

  /**
   * @param {EncodedAudioChunk} chunk
   * @param {AudioDecoderConfig} [config]
   */
  #onPacket(chunk, config) {
    if (!this.#began) this.#begin(config?.description);
    const packet = new Uint8Array(chunk.byteLength);
    chunk.copyTo(packet);
    this.#packets.push(packet);
    this.#position += Math.round(((chunk.duration ?? FRAME_US) * OPUS_RATE) / 1e6);
    if (this.#packets.length === PAGE_PACKETS) this.#flushPage(0, this.#position);
  }

  /** @param {AllowSharedBufferSource} [description] the encoder's `OpusHead`, where it has one */
  #begin(description) {
    this.#began = true;
    const head = description === undefined ? opusHead(this.#preSkip, this.#rate) : bytesOf(description);
    this.#preSkip = new DataView(head.buffer, head.byteOffset).getUint16(10, true);
    this.#send(oggPage([head], FIRST_PAGE, 0, this.#sequence++));
    this.#send(oggPage([opusTags()], 0, 0, this.#sequence++));
  }

  /**
   * @param {number} flags
   * @param {number} position
   */
  #flushPage(flags, position) {
    if (!this.#began) return; // nothing was said
    this.#send(oggPage(this.#packets, flags, position, this.#sequence++));
    this.#packets = [];
  }
}

/**
 * @param {AllowSharedBufferSource} source
 * @returns {Uint8Array}
 */
function bytesOf(source) {
  const view = ArrayBuffer.isView(source) ? source : new Uint8Array(source);
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength).slice();
}

/**
 * RFC 7845, 5.1.
 * @param {number} preSkip
 * @param {number} rate
 */
function opusHead(preSkip, rate) {
  const head = new Uint8Array(19);
  const view = new DataView(head.buffer);
  head.set(new TextEncoder().encode("OpusHead"));
  head.set([1, 1], 8); // version, channels
  view.setUint16(10, preSkip, true);
  view.setUint32(12, rate, true);
  return head;
}

/** RFC 7845, 5.2. */
function opusTags() {
  const vendor = new TextEncoder().encode("Scribewire");
  const tags = new Uint8Array(8 + 4 + vendor.length + 4);
  tags.set(new TextEncoder().encode("OpusTags"));
  new DataView(tags.buffer).setUint32(8, vendor.length, true);
  tags.set(vendor, 12);
  return tags;
}

/**
 * A page of whole packets (RFC 3533, 6).
 * @param {Uint8Array[]} packets
 * @param {number} flags
 * @param {number} position of the end of its last packet, in samples at 48 kHz
 * @param {number} sequence
 */
function oggPage(packets, flags, position, sequence) {
  const lacing = packets.flatMap(({ length }) => [
    ...Array(Math.floor(length / MAX_LACING)).fill(MAX_LACING),
    length % MAX_LACING,
  ]);
  const page = new Uint8Array(27 + lacing.length + packets.reduce((sum, { length }) => sum + length, 0));
  const view = new DataView(page.buffer);
  page.set(new TextEncoder().encode("OggS"));
  page[5] = flags;
  view.setBigUint64(6, BigInt(position), true);
  view.setUint32(14, SERIAL, true);
  view.setUint32(18, sequence, true);
  page[26] = lacing.length;
  page.set(lacing, 27);
  let at = 27 + lacing.length;
  for (const packet of packets) {
    page.set(packet, at);
    at += packet.length;
  }
  view.setUint32(22, crc(page), true);
  return page;
}

/** @param {Uint8Array} bytes */
function crc(bytes) {
  let sum = 0;
  for (const byte of bytes) sum = (sum << 8) ^ CRC_TABLE[(sum >>> 24) ^ byte];
  return sum >>> 0;
}
